"""From a rough molecule to the nearest good one: least squares over rising q, mirror images, cold heat-bath moves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.refine_positions import refine_positions
from fewphoton.ankylography.search_problem import SearchProblem, search_weights
from fewphoton.ankylography.solutions import Candidate, NoiseFloor
from fewphoton.ankylography.tempering import TemperedMolecules
from fewphoton.config.tempering import TemperingConfig
from fewphoton.data.shot import Shot

# The range of q and the model error of each step, relative to the search's.
_CLIMB = ((1.0, 1.0), (1.25, 0.5), (1.6, 0.25), (2.0, 0.0))
_STEPS = 40
_ROUGH = 1e-3
_REWEIGHTINGS = 3
# Mending works on a wider range of q with less model error, at temperatures from that of the noise (2, as the
# likelihood is exp(-cost / 2)) upwards.
_MEND_RANGE = 1.6
_MEND_DETECTORS = 2.5
_MEND_ERROR = 0.25
_MEND_TEMPERATURES = (2.0, 4.0, 8.0, 16.0, 32.0)
_MEND_SWEEPS = 20
# Molecules whose cost a detector lies above this, in the mending's weights, are not worth mending. The weights' model
# error makes that a matter of the molecule, however low the noise.
_MENDABLE_COST = 4.0
_REMEMBERED = 50


class Polisher:
    """Makes good molecules of rough ones.

    Parameters
    ----------
    shot : Shot
        The measurement.
    config : TemperingConfig
        Parameters of the search.
    floor : NoiseFloor
        The shot and its noise.
    """

    def __init__(self, shot: Shot, config: TemperingConfig, floor: NoiseFloor) -> None:
        self._shot, self._config, self._floor = shot, config, floor
        self.mended: list[Candidate] = []
        self._steps = []
        length = np.linalg.norm(shot.q_inv_angstrom, axis=1)
        if config.grid is None:
            for reach, error in _CLIMB:
                within = np.flatnonzero(length <= reach * config.q_max_inv_angstrom)
                weight = search_weights(shot, floor.model, error * config.model_error)[within]
                self._steps.append((within, floor.model.at(within), weight))
        n_detectors = int(_MEND_DETECTORS * config.detectors)
        reach = _MEND_RANGE * config.q_max_inv_angstrom
        self._mending = SearchProblem.build(
            shot, floor.model, config, reach, n_detectors, _MEND_ERROR * config.model_error
        )

    def climb(self, position: NDArray[np.float64], kind: NDArray[np.int64]) -> Candidate:
        """Refine over rising ranges of q with falling model error, the noise alone at last (on a grid: as it is)."""
        measured = self._shot.intensity_electron2
        for within, model, weight in self._steps:
            fit = refine_positions(model, kind, position, measured[within], weight, max_steps=_STEPS, tolerance=_ROUGH)
            position = fit.position_angstrom
        return self._floor.candidate(position, kind)

    def finish(self, candidate: Candidate, *, amplitudes: bool = False) -> Candidate:
        """Refine against all informative detectors to rest; counting noise is taken from the model itself."""
        if self._config.grid is not None:
            return candidate
        chosen = self._floor.informative
        model = self._floor.model.at(chosen)
        measured = self._shot.intensity_electron2[chosen]
        best = candidate
        for _ in range(1 if self._shot.photons_per_electron2 is None else _REWEIGHTINGS):
            weight = self._floor.weights(best)
            fit = refine_positions(
                model,
                best.kind,
                best.position_angstrom,
                measured,
                weight,
                occupancy=best.occupancy,
                amplitudes=amplitudes,
                max_steps=5 * _STEPS,
            )
            # An atom that the shot has no use for may come out negative, which no atom is.
            best = self._floor.candidate(fit.position_angstrom, best.kind, np.maximum(fit.occupancy, 0.0))
        return min(candidate, best, key=lambda item: item.misfit)

    def improve(self, position: NDArray[np.float64], kind: NDArray[np.int64], random: np.random.Generator) -> Candidate:
        """Climb; where that comes near the noise, try the mirror image in depth and mend atoms one by one.

        Minima that were mended before are not mended again; ``mended`` remembers the last of them.
        """
        best = self.climb(position, kind)
        if self._mending_cost(best) > _MENDABLE_COST:
            return best
        if self._floor.explains(best) or any(self._floor.same(known, best) for known in self.mended):
            return self.finish(best)
        self.mended = [*self.mended, best][-_REMEMBERED:]
        mirrored = self.climb(best.position_angstrom * np.array([1.0, 1.0, -1.0]), kind)
        best = min(best, mirrored, key=lambda item: item.misfit)
        return self.finish(min(best, self._mend(best, random), key=lambda item: item.misfit))

    def _mending_cost(self, candidate: Candidate) -> float:
        problem = self._mending
        intensity = problem.model.intensity(candidate.position_angstrom, candidate.kind, candidate.occupancy)
        return float(np.mean(problem.weight * (intensity - problem.measured) ** 2))

    def _mend(self, candidate: Candidate, random: np.random.Generator) -> Candidate:
        replicas = TemperedMolecules(
            self._mending,
            np.array(_MEND_TEMPERATURES),
            self._config.local_moves,
            random,
            self._config.group_reach_angstrom,
        )
        for number in range(len(_MEND_TEMPERATURES)):
            replicas.place(number, candidate.position_angstrom, candidate.kind)
        for _ in range(_MEND_SWEEPS):
            replicas.sweep()
            replicas.exchange_temperatures()
        coldest = int(replicas.cost.argmin())
        return self.climb(replicas.position[coldest], replicas.kind[coldest])
