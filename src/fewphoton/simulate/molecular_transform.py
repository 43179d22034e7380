"""Scattering of one molecule: its structure factor F(q), exact at any q, and |F|² on grids.

F(q) = sum over atoms of occupancy f(q) exp(-B q²/4) exp(2 pi i q·x), with the form factors of free atoms
(International Tables C, 1992). Atoms of one element share f, so each element is one non-uniform Fourier transform
(Barnett, Magland & af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479, doi:10.1137/18M120885X), multiplied by f
afterwards. Displacements differ from atom to atom; exp(-B q²/4) is interpolated in B between a few Chebyshev nodes, to
1e-8 at every q, and each node is a transform of the same atoms with other strengths.

|F|² is the transform of the density's autocorrelation, which ends at the diameter D of the molecule; samples 1/(2 D)
apart determine it, and cubic splines through samples several times as dense are a fast substitute for the exact sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from fewphoton.data import Molecule
from fewphoton.data.form_factors import form_factors
from fewphoton.kernels.nonuniform_fourier import finufft_library

_EXACT = 1e-9
_ON_GRID = 1e-7
_DISPLACEMENTS = 1e-8
_LARGEST_RANK = 64
# One thread, so that sums do not depend on how many there are; the smallest fine grid, as the precision allows it.
_GRID_OPTIONS = {"eps": _ON_GRID, "upsampfac": 1.25, "nthreads": 1}


@dataclass(frozen=True, eq=False)
class _Displacements:
    """exp(-B s²), s = q/2, of some atoms as a sum over nodes: weight `(n_nodes, n_atoms)` times exp(-node s²)."""

    node: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, b_factor: NDArray[np.float64], stol2_max: float) -> _Displacements:
        low, high = float(b_factor.min()), float(b_factor.max())
        # The error of n Chebyshev nodes for exp(-x) over a range of length 2 h is below 2 (h/2)^n / n!.
        half = (high - low) / 2 * stol2_max
        rank, error = 1, half
        while error > _DISPLACEMENTS and rank < _LARGEST_RANK:
            rank += 1
            error *= half / (2 * rank)
        unit = np.cos(np.pi * (np.arange(rank) + 0.5) / rank)
        node = (low + high) / 2 + (high - low) / 2 * unit
        if rank == 1:
            return cls(node, np.ones((1, len(b_factor))))
        place = (2 * b_factor - low - high) / (high - low)
        orders = np.arange(rank)[:, None]
        basis = np.cos(orders * np.arccos(unit))
        values = np.cos(orders * np.arccos(np.clip(place, -1, 1)))
        scale = np.where(orders == 0, 1.0, 2.0) / rank
        return cls(node, (basis * scale).T @ values)


class MolecularTransform:
    """Structure factors of a molecule.

    Parameters
    ----------
    molecule : Molecule
        Atoms.
    q_max_inv_angstrom : float
        Largest q that will be asked for.
    b_factors : bool
        Apply the atoms' displacements B; without them all are at rest.
    """

    def __init__(self, molecule: Molecule, q_max_inv_angstrom: float, *, b_factors: bool) -> None:
        self.molecule = molecule
        self.q_max_inv_angstrom = q_max_inv_angstrom
        names = np.array(molecule.element)
        b_iso = molecule.b_iso_angstrom2 if b_factors else np.zeros(len(molecule))
        self._parts: list[tuple[str, NDArray[np.float64], _Displacements]] = []
        for name in sorted(set(molecule.element)):
            chosen = names == name
            form_factors(name, np.zeros(1))  # refuses what is not tabulated before anything is computed
            displaced = _Displacements.of(b_iso[chosen], (q_max_inv_angstrom / 2) ** 2)
            strength = _Displacements(displaced.node, displaced.weight * molecule.occupancy[chosen])
            self._parts.append((name, molecule.position_angstrom[chosen], strength))

    def amplitude(self, q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.complex128]:
        """Return F at any ``q_inv_angstrom`` `(n, 3)`, complex128 `(n,)`, to 1e-9 of the sum of all |f|."""
        nufft = finufft_library().nufft3d3
        target = [np.ascontiguousarray(2 * np.pi * column) for column in np.asarray(q_inv_angstrom, np.float64).T]
        stol2 = (np.asarray(q_inv_angstrom) ** 2).sum(axis=1) / 4
        total = np.zeros(len(stol2), dtype=np.complex128)
        for name, position, part in self._parts:
            source = [np.ascontiguousarray(column) for column in position.T]
            strength = np.ascontiguousarray(part.weight, dtype=np.complex128)
            waves = np.atleast_2d(nufft(*source, strength, *target, isign=1, eps=_EXACT, nthreads=1))
            for wave, node in zip(waves, part.node, strict=True):
                wave *= np.exp(-node * stol2)
            total += form_factors(name, stol2) * waves.sum(axis=0)
        return total

    def intensity(self, q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return |F|² at any ``q_inv_angstrom`` `(n, 3)`, float64 `(n,)`, in electrons²."""
        return np.asarray(np.abs(self.amplitude(q_inv_angstrom)) ** 2)

    def intensity_grid(self, n: int, spacing_inv_angstrom: float) -> NDArray[np.float64]:
        """Return |F|² on the grid of :meth:`amplitude_grid`, float64 `(n, n, n)`, in electrons²."""
        return np.asarray(np.abs(self.amplitude_grid(n, spacing_inv_angstrom)) ** 2)

    def density_grid(self, n: int, box_angstrom: float) -> NDArray[np.float64]:
        """Return the density at r = (i - n // 2) box / n along each axis, float64 `(n, n, n)`, in electrons a voxel.

        It holds no detail beyond the grid's own q, up to n / (2 box) along each axis; its sum is F(0). The density
        repeats with the box.
        """
        waves = self.amplitude_grid(n, 1 / box_angstrom)
        # F has exp(+2 pi i q x), so its inverse has the sign of NumPy's forward transform.
        return np.asarray(fft.fftshift(fft.fftn(fft.ifftshift(waves))).real / waves.size)

    def amplitude_grid(self, n: int, spacing_inv_angstrom: float) -> NDArray[np.complex128]:
        """Return F at q = (i - n // 2) spacing along each axis, complex128 `(n, n, n)`, in electrons.

        Exact to 1e-7 of F(0) in F at the grid's points. The corners lie beyond ``q_max_inv_angstrom``; with
        displacements, what lies beyond is not accurate.
        """
        nufft = finufft_library().nufft3d1
        axis = (np.arange(n) - n // 2) * spacing_inv_angstrom
        stol2 = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) / 4
        total = np.zeros((n, n, n), dtype=np.complex128)
        for name, position, part in self._parts:
            # Grid points are the modes of a period 1 / spacing; only the phase within it counts.
            phase = 2 * np.pi * spacing_inv_angstrom * position
            source = [np.ascontiguousarray(column) for column in (np.mod(phase + np.pi, 2 * np.pi) - np.pi).T]
            factor = form_factors(name, stol2.ravel()).reshape(stol2.shape)
            for strength, node in zip(part.weight, part.node, strict=True):
                wave = nufft(*source, strength.astype(np.complex128), (n, n, n), isign=1, **_GRID_OPTIONS)
                total += factor * np.exp(-node * stol2) * wave
        return total
