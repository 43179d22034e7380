"""Recovery of a peptide from one shot, its amino acids known: Gibbs sampling of residues, then least squares.

Amino acids as the basis is the idea of Mutzafi et al. 2015, Nat. Commun. 6, 7950 (doi:10.1038/ncomms8950), Fig. 5.
Residues come in the L form, and peptide bonds of joined ones are trans; intensities do not tell a molecule from its
inverse, so a peptide of D residues is found as its mirror image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.fisher_information import standard_errors
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.light_groups import same_atoms, turn_light_group
from fewphoton.ankylography.misfit_weights import noise_variance, wilson_intensity
from fewphoton.ankylography.residue_basis import Moves, TranslationMap, exchanged, random_orientation
from fewphoton.ankylography.residue_refinement import DistanceRestraints, Motions, WeightedIntensities, refine
from fewphoton.config.residue_basis import RelocationConfig, ResidueBasisConfig
from fewphoton.data.orientations import Orientations
from fewphoton.data.peptide_chain import PeptideChain
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.data.shot import Shot
from fewphoton.errors import DataError
from fewphoton.kernels.gibbs_turns import N_DRAWS, gibbs_turns

_SWEEPS_AT_A_TIME = 50
_ALONG_BEAM = 0.3
"""Share of turns and shifts along the beam: the half turn about it is the deepest false minimum."""
_PROMISING = 1.5
"""Annealed shapes are refined where their misfit is at most so many times the lowest."""
_TORSION_STAGES = ((1.0, 1.0), (1.5, 1.0))
_ATOM_STAGES = ((1.0, 0.3), (1.5, 0.3))
"""Largest scattering vectors and model errors of the refinement's stages, relative to the search's."""


@dataclass(frozen=True, eq=False)
class _Solution:
    chain: PeptideChain
    place: NDArray[np.float64]
    reduced_chi2: float


def recover_by_residues(
    shot: Shot,
    config: ResidueBasisConfig,
    seed: int,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> list[RecoveredMolecule]:
    """Find a peptide's atoms.

    Parameters
    ----------
    shot : Shot
        Intensities.
    config : ResidueBasisConfig
        Residues and settings.
    seed : int
        Seed of all random draws.
    stop : callable
        Asked between steps; True ends the search. What was found so far is returned, at least one solution.
    say : callable
        Takes lines of progress.

    Returns
    -------
    list of RecoveredMolecule
        Distinct solutions, lowest reduced chi² first. Atoms stand in the order of
        :class:`~fewphoton.data.peptide_chain.PeptideChain` of the solution's sequence.

    Raises
    ------
    DataError
        If an amino acid is unknown, or the residues' atoms are not those of the shot.
    """
    return _Search(shot, config, seed, stop, say).run()


def noise_weights(shot: Shot, model_electron2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / variance, `(n,)`, where the true intensities are ``model_electron2``; one photon at least counts."""
    least = 0.0 if shot.photons_per_electron2 is None else 1 / shot.photons_per_electron2
    return np.asarray(1 / noise_variance(shot, np.maximum(model_electron2, least)))


class _Search:
    def __init__(
        self,
        shot: Shot,
        config: ResidueBasisConfig,
        seed: int,
        stop: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._shot, self._config, self._stop, self._say = shot, config, stop, say
        self._rng = np.random.default_rng(seed)
        names = config.sequence or tuple(name for name, count in sorted(config.residues.items()) for _ in range(count))
        self._names = names
        chain = PeptideChain.build(names)
        composition = Counter(chain.element)
        if composition != Counter(dict(shot.composition)):
            raise DataError(
                f"{'-'.join(names)} holds {_formula(composition)}, the shot's molecule {_formula(shot.composition)}"
            )
        self._model = ForwardModel.of(shot)
        self._length = np.linalg.norm(shot.q_inv_angstrom, axis=1)
        self._mean = wilson_intensity(shot, self._model)
        anneal = config.anneal
        self._search = self._band(anneal.largest_q_inv_angstrom, anneal.model_error, anneal.largest_detectors)
        self._rotations = Orientations.over_rotation_group(config.relocation.rotation_level).matrices()
        self._maps = _relocation_map(self._search, config.relocation)

    def _band(self, largest_q: float, model_error: float, largest_detectors: int | None = None) -> WeightedIntensities:
        chosen = np.flatnonzero(self._length <= largest_q)
        if len(chosen) == 0:
            raise DataError(
                f"no detector at or below {largest_q:g} 1/angstrom, lowest: {self._length.min():g}; "
                "search at larger scattering vectors"
            )
        if largest_detectors is not None and len(chosen) > largest_detectors:
            chosen = chosen[np.arange(largest_detectors) * len(chosen) // largest_detectors]
        noise = 1 / noise_weights(self._shot, self._mean)
        weight = 1 / (noise + (model_error * self._mean) ** 2)
        return WeightedIntensities(self._model.at(chosen), self._shot.intensity_electron2[chosen], weight[chosen])

    def run(self) -> list[RecoveredMolecule]:
        found: list[_Solution] = []
        lowest = np.inf
        for restart in range(self._config.anneal.restarts):
            chain = PeptideChain.build(self._sequence())
            place, misfit = self._annealed(chain)
            lowest = min(lowest, misfit)
            if misfit <= _PROMISING * lowest:
                solution = self._refined(chain, place)
                best = min((one.reduced_chi2 for one in found), default=np.inf)
                if solution.reduced_chi2 < best:
                    solution = self._regrouped(solution)
                found = self._with(found, solution)
                self._say(
                    f"restart {restart + 1}: {'-'.join(chain.sequence)}, misfit {misfit / len(self._search):.3f} "
                    f"per detector, reduced chi² {solution.reduced_chi2:.4f}, best {found[0].reduced_chi2:.4f}"
                )
                if found[0].reduced_chi2 <= self._floor(len(chain)):
                    self._say(f"the noise floor is reached after {restart + 1} restarts")
                    break
            if self._stop():
                break
        return [self._recovered(one) for one in found]

    def _sequence(self) -> tuple[str, ...]:
        if self._config.sequence:
            return self._names
        return tuple(self._names[number] for number in self._rng.permutation(len(self._names)))

    def _floor(self, n_atoms: int) -> float:
        n = len(self._shot)
        free = 3 * n_atoms - 3 if self._config.refinement.atoms else 0
        return float(max(1 - free / n, 0.0) + self._config.floor_sigmas * np.sqrt(2 / n))

    def _annealed(self, chain: PeptideChain) -> tuple[NDArray[np.float64], float]:
        """One annealing from a random shape; the best place it came by, and its misfit."""
        config, rng, data = self._config.anneal, self._rng, self._search
        moves = Moves.joined(chain) if self._config.joined else Moves.free(chain)
        place = _random_shape(chain, rng)
        q = np.ascontiguousarray(data.model.q_inv_angstrom.T, dtype=np.float32)
        factor = data.model.factor.astype(np.float32)
        kind = data.model.kinds(chain.element)
        best, misfit = place.copy(), np.array([np.inf])
        temperature = np.geomspace(config.hottest, config.coldest, config.sweeps) * len(data)
        block = _SWEEPS_AT_A_TIME if self._config.joined else self._config.relocation.every_sweeps
        for start in range(0, config.sweeps, block):
            steps = np.repeat(temperature[start : start + block], len(moves) + 1)
            gibbs_turns(
                q,
                factor,
                kind,
                data.intensity.astype(np.float32),
                data.weight.astype(np.float32),
                moves.bond,
                moves.moving,
                moves.other,
                config.candidates,
                steps,
                _draws(rng, len(steps)),
                place,
                best,
                misfit,
            )
            place -= place.mean(axis=0)
            if not self._config.joined and len(chain.sequence) > 1:
                place = self._exchanged(chain, kind, place, steps[-1])
                place = self._relocated(chain, kind, place, steps[-1])
            if self._stop():
                break
        return best, float(misfit[0])

    def _exchanged(
        self, chain: PeptideChain, kind: NDArray[np.int64], place: NDArray[np.float64], temperature: float
    ) -> NDArray[np.float64]:
        """Exchange two residues, by Metropolis's rule."""
        first, second = self._rng.choice(len(chain.sequence), 2, replace=False)
        trial = exchanged(chain, place, int(first), int(second))
        rise = self._search.misfit(kind, trial) - self._search.misfit(kind, place)
        return trial if self._rng.random() < np.exp(-max(rise, 0.0) / temperature) else place

    def _relocated(
        self, chain: PeptideChain, kind: NDArray[np.int64], place: NDArray[np.float64], temperature: float
    ) -> NDArray[np.float64]:
        """Move one residue to a site and an orientation drawn by their Boltzmann factors, or leave it."""
        rng, model = self._rng, self._search.model
        own = chain.residue == rng.integers(len(chain.sequence))
        place = place - place[~own].mean(axis=0)
        group = place[own] - place[own].mean(axis=0)
        drawn = self._rotations[rng.integers(len(self._rotations), size=self._config.relocation.orientations - 1)]
        turned = np.concatenate([group[None], np.einsum("kij,aj->kai", drawn, group)])
        waves = np.stack([model.amplitude(one, kind[own]) for one in turned])
        misfit = self._maps.misfits(model.amplitude(place[~own], kind[~own]), waves)
        stay = self._search.misfit(kind, place)
        chance = np.exp((min(stay, float(misfit.min())) - misfit.astype(np.float64).ravel()) / temperature)
        total = np.cumsum(chance)
        leave = np.exp((min(stay, float(misfit.min())) - stay) / temperature)
        draw = rng.random() * (total[-1] + leave)
        if draw >= total[-1]:
            return place
        orientation, *site = np.unravel_index(int(np.searchsorted(total, draw, side="right")), misfit.shape)
        result = np.array(place)
        result[own] = turned[orientation] + [a[s] for a, s in zip(self._maps.axis_angstrom, site, strict=True)]
        return result

    def _refined(self, chain: PeptideChain, place: NDArray[np.float64]) -> _Solution:
        """Refine torsions, then atoms, at rising scattering vectors."""
        anneal, refinement = self._config.anneal, self._config.refinement
        joined = self._config.joined
        motions = Motions(Moves.joined(chain, peptide_bonds=True) if joined else Moves.free(chain))
        kind = self._model.kinds(chain.element)
        for reach, error in _TORSION_STAGES:
            data = self._band(reach * anneal.largest_q_inv_angstrom, error * anneal.model_error)
            place, _ = refine(data, kind, place, motions)
        if not refinement.atoms:
            place, _ = refine(self._noise_weighted(place, kind), kind, place, motions)
            return self._solution(chain, place)
        restraints = self._restraints(chain)
        for reach, error in _ATOM_STAGES:
            data = self._band(reach * anneal.largest_q_inv_angstrom, error * anneal.model_error)
            place, _ = refine(data, kind, place, restraints=restraints)
        place, _ = refine(self._noise_weighted(place, kind), kind, place, restraints=restraints)
        return self._solution(chain, place)

    def _restraints(self, chain: PeptideChain) -> DistanceRestraints:
        refinement = self._config.refinement
        return DistanceRestraints.of(chain, refinement.bond_sigma_angstrom, refinement.angle_sigma_angstrom)

    def _noise_weighted(self, place: NDArray[np.float64], kind: NDArray[np.int64]) -> WeightedIntensities:
        weight = noise_weights(self._shot, self._model.intensity(place, kind))
        return WeightedIntensities(self._model, self._shot.intensity_electron2, weight)

    def _solution(self, chain: PeptideChain, place: NDArray[np.float64]) -> _Solution:
        model = self._model.intensity(place, self._model.kinds(chain.element))
        misfit = noise_weights(self._shot, model) * (self._shot.intensity_electron2 - model) ** 2
        return _Solution(chain, place, float(misfit.mean()))

    def _regrouped(self, solution: _Solution) -> _Solution:
        """Turn light groups to other angles as long as that lowers the misfit."""
        if not self._config.refinement.atoms:
            return solution
        chain, restraints = solution.chain, self._restraints(solution.chain)
        kind = self._model.kinds(chain.element)
        while not self._stop():
            data = self._noise_weighted(solution.place, kind)
            place = turn_light_group(data, kind, chain, solution.place, restraints)
            if place is None:
                break
            trial = self._solution(chain, refine(data, kind, place, restraints=restraints)[0])
            if trial.reduced_chi2 >= solution.reduced_chi2:
                break
            solution = trial
        return solution

    def _recovered(self, solution: _Solution) -> RecoveredMolecule:
        chain, place = solution.chain, solution.place - solution.place.mean(axis=0)
        kind = self._model.kinds(chain.element)
        variance = 1 / noise_weights(self._shot, self._model.intensity(place, kind))
        try:
            errors = standard_errors(self._model, variance, place, kind)
        except DataError:
            errors = None
        return RecoveredMolecule(chain.with_position(place).molecule(), solution.reduced_chi2, errors)

    def _with(self, found: list[_Solution], solution: _Solution) -> list[_Solution]:
        """Return the best distinct solutions with a new one among them."""
        kept: list[_Solution] = []
        for one in sorted([*found, solution], key=lambda each: each.reduced_chi2):
            if not any(same_atoms(one.chain.element, one.place, other.chain.element, other.place) for other in kept):
                kept.append(one)
        return kept[: self._config.solutions]


def _formula(composition: Mapping[str, int]) -> str:
    return " ".join(f"{name}{count}" for name, count in sorted(composition.items()))


def _relocation_map(data: WeightedIntensities, config: RelocationConfig) -> TranslationMap:
    n_half = int(config.box_angstrom / 2 / config.spacing_angstrom)
    axis = config.spacing_angstrom * np.arange(-n_half, n_half + 1)
    q = data.model.q_inv_angstrom.astype(np.float32)
    return TranslationMap(q, data.intensity, data.weight, (axis, axis, axis))


def _random_shape(chain: PeptideChain, rng: np.random.Generator) -> NDArray[np.float64]:
    """All torsions but those of peptide bonds at random, the whole in a random orientation about the origin."""
    place = chain.position_angstrom
    for torsion in chain.torsions:
        if torsion.name != "omega":
            place = torsion.turned(place, rng.uniform(0, 360))
    return np.asarray((place - place.mean(axis=0)) @ random_orientation(rng).T)


def _draws(rng: np.random.Generator, n_steps: int) -> NDArray[np.float64]:
    """Random numbers of the kernel's steps."""
    draw = np.empty((n_steps, N_DRAWS))
    draw[:, :7] = rng.random((n_steps, 7))
    draw[:, 7:] = rng.standard_normal((n_steps, 3))
    draw[rng.random(n_steps) < _ALONG_BEAM, 7:9] = 0.0
    return draw
