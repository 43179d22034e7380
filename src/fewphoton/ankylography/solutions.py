"""Candidate molecules of a shot: how well they explain it, whether two are the same, and which to keep."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.misfit_weights import wilson_intensity
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.data.shot import Shot

# A detector tells something where the molecule's mean intensity reaches this part of the noise.
_INFORMATIVE = 0.5
# Misfits up to this many standard deviations above their mean pass for noise; all detectors, and each quarter of them.
# A molecule with one hydrogen astray lies but a few above, so that a tight limit costs less than a loose one.
_FLOOR_SIGMA = 1.5
_QUARTER_SIGMA = 3.0
# One truth in fifteen leaves more than that. Up to these limits a molecule passes that a long search has not bettered;
# wider ones let molecules with one or two hydrogens astray pass at a noise of 1e-3.
_PATIENT_FLOOR_SIGMA = 2.0
_PATIENT_QUARTER_SIGMA = 3.5
# Two molecules whose intensities differ by less than this part of the noise variance are the same.
_SAME = 0.02


@dataclass(frozen=True, eq=False)
class Candidate:
    """Atoms and their misfit over the informative detectors, mean of (measured - model)² / variance."""

    position_angstrom: NDArray[np.float64]
    kind: NDArray[np.int64]
    occupancy: NDArray[np.float64]
    misfit: float
    intensity: NDArray[np.float64] = field(repr=False)


class NoiseFloor:
    """What misfit a shot's noise alone would leave.

    Parameters
    ----------
    shot : Shot
        The measurement.
    on_grid : bool
        Atoms are bound to sites: no coordinate was fitted to the noise.
    """

    def __init__(self, shot: Shot, *, on_grid: bool = False) -> None:
        self.shot = shot
        self._on_grid = on_grid
        # Dark detectors of a photon-counting shot: one photon counted there must not weigh without bound.
        if shot.photons_per_electron2 is None:
            self._least_variance = float((1e-6 * np.abs(shot.intensity_electron2).max()) ** 2)
        else:
            self._least_variance = float(0.05 / shot.photons_per_electron2**2)
        self.model = ForwardModel.of(shot)
        mean = wilson_intensity(shot, self.model)
        informative = mean >= _INFORMATIVE * np.sqrt(shot.variance(mean))
        if not informative.any():
            informative[:] = True
        length = np.linalg.norm(shot.q_inv_angstrom, axis=1)
        chosen = np.flatnonzero(informative)
        self.informative = chosen[np.argsort(length[chosen], kind="stable")]

    def candidate(
        self, position: NDArray[np.float64], kind: NDArray[np.int64], occupancy: NDArray[np.float64] | None = None
    ) -> Candidate:
        """Return the candidate of given atoms with its misfit; it owns its arrays, as replicas move on in theirs."""
        place, element = np.array(position, dtype=np.float64), np.array(kind, dtype=np.int64)
        share = np.ones(len(kind)) if occupancy is None else np.array(occupancy, dtype=np.float64)
        intensity = self.model.intensity(place, element, share)
        return Candidate(place, element, share, float(self._terms(intensity).mean()), intensity)

    def _terms(self, intensity: NDArray[np.float64]) -> NDArray[np.float64]:
        chosen = self.informative
        variance = np.maximum(self.shot.variance(intensity)[chosen], self._least_variance)
        return np.asarray((self.shot.intensity_electron2 - intensity)[chosen] ** 2 / variance)

    def weights(self, candidate: Candidate) -> NDArray[np.float64]:
        """Return 1 / variance of the informative detectors where the candidate is true."""
        return np.asarray(1 / self.variance(candidate)[self.informative])

    def variance(self, candidate: Candidate) -> NDArray[np.float64]:
        """Return the variance of all detectors where the candidate is true, never 0."""
        return np.asarray(np.maximum(self.shot.variance(candidate.intensity), self._least_variance))

    def explains(self, candidate: Candidate, *, patient: bool = False) -> bool:
        """Whether noise alone could leave the candidate's misfit, over all detectors and in each quarter by q.

        ``patient`` allows more: what the truth hardly ever exceeds, rather than what it mostly stays below.
        """
        limits = (_PATIENT_FLOOR_SIGMA, _PATIENT_QUARTER_SIGMA) if patient else (_FLOOR_SIGMA, _QUARTER_SIGMA)
        terms = self._terms(candidate.intensity)
        spread = np.full(len(terms), 2.0)
        if self.shot.photons_per_electron2 is not None:
            counts = np.maximum(candidate.intensity[self.informative] * self.shot.photons_per_electron2, 0.05)
            spread += 1 / counts

        n_fitted = 0 if self._on_grid else 3 * len(candidate.kind) - 3
        free = max(0.0, 1 - n_fitted / len(terms))

        def passes(part: NDArray[np.int64], sigmas: float) -> bool:
            return bool(terms[part].mean() <= free + sigmas * np.sqrt(spread[part].sum()) / len(part))

        every = np.arange(len(terms))
        quarters = [part for part in np.array_split(every, 4) if len(part)]
        return passes(every, limits[0]) and all(passes(part, limits[1]) for part in quarters)

    def same(self, first: Candidate, second: Candidate) -> bool:
        """Whether the shot cannot tell two candidates apart: shifted, inverted, or with like atoms exchanged."""
        chosen = self.informative
        return bool(np.mean((first.intensity - second.intensity)[chosen] ** 2 * self.weights(first)) < _SAME)

    def reduced_chi2(self, candidate: Candidate) -> float:
        """Return the mean over all detectors of (measured - model)² / variance."""
        excess = self.shot.intensity_electron2 - candidate.intensity
        return float(np.mean(excess**2 / self.variance(candidate)))


class Solutions:
    """The best distinct candidates, best first.

    Parameters
    ----------
    floor : NoiseFloor
        The shot and its noise.
    n_kept : int
        Candidates to keep.
    """

    def __init__(self, floor: NoiseFloor, n_kept: int) -> None:
        self._floor = floor
        self._n_kept = n_kept
        self.best_first: list[Candidate] = []

    def add(self, candidate: Candidate) -> bool:
        """Take a candidate in if it is new or better than its like.

        Return whether it is the best now and no more exact finding of the one before.
        """
        former = self.best_first[0] if self.best_first else None
        kept = []
        for known in self.best_first:
            if self._floor.same(known, candidate):
                if known.misfit <= candidate.misfit:
                    return False
            else:
                kept.append(known)
        self.best_first = sorted([*kept, candidate], key=lambda item: item.misfit)[: self._n_kept]
        return self.best_first[0] is candidate and (former is None or not self._floor.same(former, candidate))


def distinct_molecules(molecules: list[RecoveredMolecule], shot: Shot) -> list[RecoveredMolecule]:
    """Return molecules of several searches, best first, without those that the shot cannot tell from a better one."""
    floor = NoiseFloor(shot)
    kept: list[tuple[RecoveredMolecule, Candidate]] = []
    for recovered in sorted(molecules, key=lambda item: item.reduced_chi2):
        atoms = recovered.molecule
        candidate = floor.candidate(atoms.position_angstrom, floor.model.kinds(atoms.element), atoms.occupancy)
        if not any(floor.same(known, candidate) for _, known in kept):
            kept.append((recovered, candidate))
    return [recovered for recovered, _ in kept]
