"""Calculated intensities of a structure: symmetry through gemmi."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal
from fewphoton.data.form_factors import form_factors
from fewphoton.data.structure import AtomicStructure

_BLOCK = 512  # reflections at a time; keeps the phase table of a large cell in cache


def intensities(
    structure: AtomicStructure, hkl: NDArray[np.int32], b_extra_angstrom2: float = 0.0
) -> NDArray[np.float64]:
    """Return |F|² of reflections.

    Each Laue class is calculated once by direct summation over all symmetry copies of all atoms.

    Parameters
    ----------
    structure : AtomicStructure
        Atoms.
    hkl : ndarray of int32, `(n, 3)`
        Miller indices.
    b_extra_angstrom2 : float
        Added to every atom's B.

    Returns
    -------
    ndarray of float64, `(n,)`
        In electrons².
    """
    crystal = Crystal(structure.cell, structure.space_group)
    unique, back = np.unique(crystal.to_laue_asu(hkl), axis=0, return_inverse=True)
    stol2 = (crystal.q_inv_angstrom(unique) / 2) ** 2
    factors = {name: form_factors(name, stol2) for name in set(structure.element)}
    share = structure.occupancy / structure.site_symmetry_order()
    b_factor = structure.b_iso_angstrom2 + b_extra_angstrom2
    operations = [
        (np.array(operation.rot) / gemmi.Op.DEN, np.array(operation.tran) / gemmi.Op.DEN)
        for operation in gemmi.find_spacegroup_by_name(structure.space_group).operations()
    ]
    amplitude = np.zeros(len(unique), dtype=np.complex128)
    for start in range(0, len(unique), _BLOCK):
        block = slice(start, start + _BLOCK)
        phase = np.zeros((len(unique[block]), len(structure.element)), dtype=np.complex128)
        for rotation, shift in operations:
            place = structure.fractional @ rotation.T + shift
            phase += np.exp(2j * np.pi * (unique[block] @ place.T))
        scattering = np.stack([factors[name][block] for name in structure.element], axis=1)
        amplitude[block] = (phase * scattering * share * np.exp(-b_factor * stol2[block, None])).sum(axis=1)
    return np.asarray((np.abs(amplitude) ** 2)[back.ravel()])


def solvent_factor(
    q_inv_angstrom: NDArray[np.float64], contrast: float, b_factor_angstrom2: float
) -> NDArray[np.float64]:
    """Return the factor of |F|² that solvent between molecules leaves, `(n,)`.

    By Babinet's principle solvent scatters like the molecules with the sign turned, and weaker as B makes it fall.

    Parameters
    ----------
    q_inv_angstrom : ndarray of float64, `(n,)`
        Scattering vector lengths.
    contrast : float
        Part of the molecules' amplitude at q = 0.
    b_factor_angstrom2 : float
        B of the fall with s = q / 2.
    """
    return np.asarray((1 - contrast * np.exp(-b_factor_angstrom2 * (q_inv_angstrom / 2) ** 2)) ** 2)


def diffuse_form(
    structure: AtomicStructure, q_inv_angstrom: NDArray[np.float64], b_extra_angstrom2: float = 0.0
) -> NDArray[np.float64]:
    """Return the diffuse scattering of one unit cell whose atoms are displaced independently of each other.

    The sum over atoms of occupancy f² (1 - exp(-2 B s²)), s = q / 2.

    Parameters
    ----------
    structure : AtomicStructure
        Atoms.
    q_inv_angstrom : ndarray of float64, `(m,)`
        Scattering vector lengths.
    b_extra_angstrom2 : float
        Added to every atom's B.

    Returns
    -------
    ndarray of float64, `(m,)`
        In electrons².
    """
    stol2 = (np.asarray(q_inv_angstrom, dtype=np.float64) / 2) ** 2
    operations = len(list(gemmi.find_spacegroup_by_name(structure.space_group).operations()))
    copies = structure.occupancy * operations / structure.site_symmetry_order()
    total = np.zeros(len(stol2))
    for number, name in enumerate(structure.element):
        b_factor = structure.b_iso_angstrom2[number] + b_extra_angstrom2
        total += copies[number] * form_factors(name, stol2) ** 2 * (1 - np.exp(-2 * b_factor * stol2))
    return total
