"""The moves of GESPAR: atoms added one by one, and indices swapped, each followed by a fit of the amplitudes.

The steps are those of Mutzafi et al. 2015 (Nat. Commun. 6, 7950, doi:10.1038/ncomms8950, Methods), a change of GESPAR
(Shechtman, Beck & Eldar 2014, IEEE Trans. Signal Process. 62, 928, doi:10.1109/TSP.2013.2297687) to one support for
each element, with as many atoms as the composition says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.sparse_problem import SparseProblem
from fewphoton.config.gespar import GesparConfig
from fewphoton.kernels.amplitude_fit import HALVING, MARQUARDT, add_waves, fit_amplitudes, try_replacements

# Below this relative gain a swap counts as none, so that rounding cannot keep swaps going.
_LEAST_GAIN = 1e-9


@dataclass
class SiteAtoms:
    """Atoms on sites and what they amount to.

    Parameters
    ----------
    kind, site : ndarray of int64, `(n_atoms,)`
        Element and site of each atom.
    amplitude : ndarray of float64, `(n_atoms,)`
        Amplitudes, 1 for whole atoms.
    columns : ndarray of float64, `(n_atoms, 2, n)`
        Waves of whole atoms, real and imaginary part.
    objective : float
        Weighted misfit.
    """

    kind: NDArray[np.int64]
    site: NDArray[np.int64]
    amplitude: NDArray[np.float64]
    columns: NDArray[np.float64]
    objective: float

    def wave(self) -> NDArray[np.float64]:
        """Return F of all atoms, `(2, n)`."""
        total = np.empty(self.columns.shape[1:])
        add_waves(self.columns, self.amplitude, total)
        return total


@dataclass(frozen=True, eq=False)
class _Candidates:
    """Atoms that may be put into slots: one entry a candidate."""

    slot: NDArray[np.int64]
    kind: NDArray[np.int64]
    site: NDArray[np.int64]


class GesparSearch:
    """One restart.

    Parameters
    ----------
    problem : SparseProblem
        Shot, grid, weights.
    config : GesparConfig
        Options of the moves.
    rng : numpy.random.Generator
        First atom, random weights, random starts of fits.
    """

    def __init__(self, problem: SparseProblem, config: GesparConfig, rng: np.random.Generator) -> None:
        self.problem = problem
        self.config = config
        self.rng = rng
        self.weight = problem.weight
        if config.random_weights:
            self.weight = problem.weight * rng.integers(1, 3, len(problem.weight))
        self.atoms = self._first_atom()

    @property
    def missing(self) -> NDArray[np.int64]:
        """Atoms of each element that are not there yet, `(n_elements,)`."""
        counts = self.problem.counts
        return np.asarray(counts - np.bincount(self.atoms.kind, minlength=len(counts)))

    def add(self) -> None:
        """Add the atom that lowers the objective most, of the elements that are not complete yet.

        For each such element the sites with the largest gradient are tried. One Fourier sum over the grid an element.
        """
        atoms = self.atoms
        wave = atoms.wave()
        slot = len(atoms.site)
        found = []
        for kind in np.flatnonzero(self.missing > 0):
            site = self._best_sites(self.problem.gradient(wave, int(kind), self.weight), int(kind), atoms)
            found.append(_Candidates(np.full(len(site), slot), np.full(len(site), kind), site))
        silent = np.zeros((1, *atoms.columns.shape[1:]))
        widened = SiteAtoms(
            np.append(atoms.kind, -1),
            np.append(atoms.site, -1),
            np.append(atoms.amplitude, 0.0),
            np.concatenate([atoms.columns, silent]),
            np.inf,
        )
        self._take_best(widened, found)

    def swap(self) -> bool:
        """Exchange the site of the one atom where that lowers the objective most; return whether it did.

        Each atom in turn is left out, and the gradient of its element without it names the sites that are tried: a
        Fourier sum over the grid and ``n_candidates`` fits an atom.
        """
        atoms = self.atoms
        wave = atoms.wave()
        found = []
        for kind in range(len(self.problem.counts)):
            own = np.flatnonzero(atoms.kind == kind)
            weakest_first = own[np.argsort(np.abs(atoms.amplitude[own]), kind="stable")]
            for slot in weakest_first[: self.config.n_removals]:
                rest = wave - atoms.amplitude[slot] * atoms.columns[slot]
                site = self._best_sites(self.problem.gradient(rest, kind, self.weight), kind, atoms)
                found.append(_Candidates(np.full(len(site), slot), np.full(len(site), kind), site))
        return self._take_best(atoms, found)

    def finished(self) -> SiteAtoms:
        """Return the atoms with amplitudes fitted to the end, none below 0, without the random weights.

        All amplitudes may change their sign together (F and -F have the same intensities); atoms that are still
        negative in the majority's sign are no atoms, and end at 0.
        """
        atoms, problem = self.atoms, self.problem
        amplitude = atoms.amplitude.copy()
        if amplitude @ problem.model.factor[atoms.kind, 0] < 0:
            amplitude = -amplitude
        objective = fit_amplitudes(
            atoms.columns,
            amplitude,
            problem.weight,
            problem.shot.intensity_electron2,
            True,
            HALVING,
            0 if self.config.amplitudes == "known" else 10 * self.config.n_steps,
            1e-3 * self.config.tolerance,
        )
        return SiteAtoms(atoms.kind, atoms.site, amplitude, atoms.columns, objective)

    def _first_atom(self) -> SiteAtoms:
        """Return one atom on a random site: at x = 0 the gradient vanishes and prefers none."""
        counts = self.problem.counts
        kind = np.array([self.rng.choice(len(counts), p=counts / counts.sum())], dtype=np.int64)
        site = self.rng.integers(0, self.problem.grid.n_sites, 1)
        columns = self.problem.columns(kind, site)
        amplitude = np.ones(1)
        objective = self._fit(columns, amplitude)
        return SiteAtoms(kind, site, amplitude, columns, objective)

    def _fit(self, columns: NDArray[np.float64], amplitude: NDArray[np.float64]) -> float:
        return float(
            fit_amplitudes(columns, amplitude, self.weight, self.problem.shot.intensity_electron2, *self._fit_options())
        )

    def _fit_options(self) -> tuple[bool, int, int, float]:
        config = self.config
        rule = MARQUARDT if config.steps == "marquardt" else HALVING
        n_steps = 0 if config.amplitudes == "known" else config.n_steps
        return config.amplitudes != "free", rule, n_steps, config.tolerance

    def _best_sites(self, gradient: NDArray[np.float64], kind: int, atoms: SiteAtoms) -> NDArray[np.int64]:
        """Return free sites where a small amplitude changes the misfit most; lowers it, if amplitudes are not free."""
        merit = np.abs(gradient) if self.config.amplitudes == "free" else -gradient
        taken = atoms.site if not self.config.share_sites else atoms.site[atoms.kind == kind]
        merit[taken] = -np.inf
        n_best = min(self.config.n_candidates, len(merit) - len(np.unique(taken)))
        best = np.argpartition(merit, len(merit) - n_best)[len(merit) - n_best :] if n_best else np.empty(0, np.int64)
        return np.asarray(best[np.lexsort((best, -merit[best]))], dtype=np.int64)

    def _take_best(self, atoms: SiteAtoms, found: list[_Candidates]) -> bool:
        """Try all candidates in their slots of ``atoms``; keep the best if it is better than them."""
        slot = np.concatenate([part.slot for part in found])
        if not len(slot):
            return False
        kind = np.concatenate([part.kind for part in found])
        site = np.concatenate([part.site for part in found])
        columns = self.problem.columns(kind, site)
        amplitude = np.repeat(atoms.amplitude[None], len(slot), axis=0)
        amplitude[np.arange(len(slot)), slot] = 1.0 if self.config.amplitudes == "known" else 0.0
        if self.config.start == "random" and self.config.amplitudes != "known":
            amplitude = self.rng.standard_normal(amplitude.shape)
        objective = try_replacements(
            atoms.columns,
            amplitude,
            slot,
            columns,
            self.weight,
            self.problem.shot.intensity_electron2,
            *self._fit_options(),
        )
        best = int(np.argmin(objective))
        if not objective[best] < atoms.objective * (1 - _LEAST_GAIN):
            return False
        atoms = SiteAtoms(atoms.kind.copy(), atoms.site.copy(), amplitude[best], atoms.columns.copy(), objective[best])
        atoms.kind[slot[best]] = kind[best]
        atoms.site[slot[best]] = site[best]
        atoms.columns[slot[best]] = columns[best]
        self.atoms = atoms
        return True
