"""Structure factors of atoms at the scattering vectors of a shot, and their derivatives.

F(q) = sum over atoms of amplitude f(q) exp(2 pi i q·r), I = |F|² (Mutzafi et al. 2015, Nat. Commun. 6, 7950,
doi:10.1038/ncomms8950, eqs 1 and 2). f is the transform of a uniform sphere of covalent radius, or a tabulated form
factor; amplitudes are 1 for whole atoms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.form_factors import form_factors, sphere_form_factors
from fewphoton.data.shot import AtomModel, Shot


@dataclass(frozen=True, eq=False)
class ForwardModel:
    """Scattering of atoms into given directions.

    Parameters
    ----------
    q_inv_angstrom : ndarray of float64, `(n, 3)`
        Scattering vectors, without 2 pi.
    elements : tuple of str
        Distinct elements.
    factor : ndarray of float64, `(n_elements, n)`
        Form factor of each element in each direction, in electrons.
    """

    q_inv_angstrom: NDArray[np.float64]
    elements: tuple[str, ...]
    factor: NDArray[np.float64]

    @classmethod
    def build(cls, q_inv_angstrom: NDArray[np.float64], elements: Sequence[str], atom_model: AtomModel) -> ForwardModel:
        """Return the model of distinct ``elements`` for an atom model.

        Raises
        ------
        DataError
            If an element is unknown or has no tabulated form factor.
        """
        q = np.asarray(q_inv_angstrom, dtype=np.float64)
        length = np.linalg.norm(q, axis=1)
        if atom_model == "sphere":
            rows = [sphere_form_factors(name, length) for name in elements]
        else:
            rows = [form_factors(name, (length / 2) ** 2) for name in elements]
        return cls(q, tuple(elements), np.stack(rows))

    @classmethod
    def of(cls, shot: Shot) -> ForwardModel:
        """Return the model of a shot's directions and elements (in the order of its composition)."""
        return cls.build(shot.q_inv_angstrom, tuple(shot.composition), shot.atom_model)

    def at(self, chosen: NDArray[np.int64]) -> ForwardModel:
        """Return the model of the directions ``chosen``, `(n,)`, with rows side by side in memory as here."""
        return ForwardModel(self.q_inv_angstrom[chosen], self.elements, np.ascontiguousarray(self.factor[:, chosen]))

    def kinds(self, elements: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of each atom's element, `(n_atoms,)`."""
        return np.array([self.elements.index(name) for name in elements], dtype=np.int64)

    def waves(self, position_angstrom: NDArray[np.float64], kind: NDArray[np.int64]) -> NDArray[np.complex128]:
        """Return f exp(2 pi i q·r) of each atom, complex128 `(n, n_atoms)`."""
        phase = self.q_inv_angstrom @ np.asarray(position_angstrom).T
        return np.asarray(self.factor[kind].T * np.exp(2j * np.pi * phase))

    def amplitude(
        self,
        position_angstrom: NDArray[np.float64],
        kind: NDArray[np.int64],
        occupancy: NDArray[np.float64] | None = None,
    ) -> NDArray[np.complex128]:
        """Return F, complex128 `(n,)`, of atoms at ``position_angstrom`` `(n_atoms, 3)`."""
        waves = self.waves(position_angstrom, kind)
        return np.asarray(waves.sum(axis=1) if occupancy is None else waves @ occupancy)

    def intensity(
        self,
        position_angstrom: NDArray[np.float64],
        kind: NDArray[np.int64],
        occupancy: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Return |F|², float64 `(n,)`, in electrons²."""
        return np.asarray(np.abs(self.amplitude(position_angstrom, kind, occupancy)) ** 2)

    def jacobian(
        self,
        position_angstrom: NDArray[np.float64],
        kind: NDArray[np.int64],
        occupancy: NDArray[np.float64] | None = None,
        *,
        amplitudes: bool = False,
    ) -> NDArray[np.float64]:
        """Return the derivatives of |F|².

        With the atom's wave w = f exp(2 pi i q·r) these are -4 pi amplitude q Im(F* w) for its position and
        2 Re(F* w) for its amplitude.

        Parameters
        ----------
        position_angstrom, kind, occupancy
            Atoms, as for :meth:`amplitude`.
        amplitudes : bool
            Add columns for the amplitudes.

        Returns
        -------
        ndarray of float64, `(n, 3 n_atoms)` or `(n, 4 n_atoms)`
            x, y, z of the first atom, of the second, ...; then one column an atom for the amplitudes.
        """
        waves = self.waves(position_angstrom, kind)
        share = np.ones(len(kind)) if occupancy is None else np.asarray(occupancy)
        product = np.conj(waves @ share)[:, None] * waves
        slope = -4 * np.pi * share * product.imag
        columns = (slope[:, :, None] * self.q_inv_angstrom[:, None, :]).reshape(len(waves), -1)
        if not amplitudes:
            return np.asarray(columns)
        return np.concatenate([columns, 2 * product.real], axis=1)

    def curvature(
        self,
        share: NDArray[np.float64],
        position_angstrom: NDArray[np.float64],
        kind: NDArray[np.int64],
        occupancy: NDArray[np.float64] | None = None,
        *,
        amplitudes: bool = False,
    ) -> NDArray[np.float64]:
        """Return the second derivatives of the sum over directions of share |F|².

        With dF the derivatives of F they are 2 Re(dF* dF + F* d²F). Takes O(n n_parameters²) operations.

        Parameters
        ----------
        share : ndarray of float64, `(n,)`
            Share of each direction.
        position_angstrom, kind, occupancy
            Atoms, as for :meth:`amplitude`.
        amplitudes : bool
            Add rows and columns for the amplitudes.

        Returns
        -------
        ndarray of float64, `(3 n_atoms, 3 n_atoms)` or `(4 n_atoms, 4 n_atoms)`
            In the order of :meth:`jacobian`.
        """
        waves = self.waves(position_angstrom, kind)
        n, n_atoms = waves.shape
        present = np.ones(n_atoms) if occupancy is None else np.asarray(occupancy)
        q = self.q_inv_angstrom
        slope = (2j * np.pi * (present * waves)[:, :, None] * q[:, None, :]).reshape(n, -1)
        if amplitudes:
            slope = np.concatenate([slope, waves], axis=1)
        total = 2 * (np.conj(slope).T @ (share[:, None] * slope)).real
        # What is left couples an atom with itself alone, as F is a sum over atoms.
        product = share[:, None] * np.conj(waves @ present)[:, None] * waves
        squares = np.einsum("la,lb,ln->nab", q, q, product.real, optimize=True)
        blocks = np.arange(3 * n_atoms).reshape(n_atoms, 3)
        total[blocks[:, :, None], blocks[:, None, :]] -= 8 * np.pi**2 * present[:, None, None] * squares
        if amplitudes:
            mixed = -4 * np.pi * (product.imag.T @ q)
            last = 3 * n_atoms + np.arange(n_atoms)[:, None]
            total[blocks, last] += mixed
            total[last, blocks] += mixed
        return np.asarray(total)
