"""The noise floor: what passes for noise, and which molecules are the same."""

from dataclasses import replace

import numpy as np
import pytest

from fewphoton.ankylography.noise import with_noise
from fewphoton.ankylography.refine_positions import refine_positions
from fewphoton.ankylography.solutions import Candidate, NoiseFloor, Solutions, distinct_molecules
from fewphoton.data import Molecule, Shot
from fewphoton.data.recovered_molecule import RecoveredMolecule
from tests.ankylography.random_shots import grid_shot, random_shot

COMPOSITION = {"C": 3, "H": 1, "O": 1}
WHITE = {"white_level": 1e-3}
COUNTED = {"white_level": 0.0, "photons_per_shot": 3e4}
BOTH = {"white_level": 1e-4, "photons_per_shot": 3e4}


def draws(shot, molecule, n, seed=0):
    """The shot again with other noise."""
    rng = np.random.default_rng(seed)
    floor = NoiseFloor(shot)
    exact = floor.model.intensity(molecule.position_angstrom, floor.model.kinds(molecule.element))
    for _ in range(n):
        measured = with_noise(exact, shot.white_sigma_electron2, shot.photons_per_electron2, rng)
        yield replace(shot, intensity_electron2=measured)


def fitted(floor, molecule):
    """The truth, moved to the least squares that noise makes of it."""
    shot, chosen = floor.shot, floor.informative
    model = replace(
        floor.model, q_inv_angstrom=floor.model.q_inv_angstrom[chosen], factor=floor.model.factor[:, chosen]
    )
    kind = floor.model.kinds(molecule.element)
    weight = floor.weights(floor.candidate(molecule.position_angstrom, kind))
    fit = refine_positions(
        model, kind, molecule.position_angstrom, shot.intensity_electron2[chosen], weight, max_steps=8
    )
    return floor.candidate(fit.position_angstrom, kind)


@pytest.mark.parametrize("noise", [WHITE, COUNTED, BOTH], ids=["white", "counted", "both"])
def test_the_truth_passes_in_93_of_100_draws(noise):
    """1.5 standard deviations of a normal law; tests of the quarters take a little more."""
    shot, molecule = random_shot(COMPOSITION, 2, **noise)
    passed, patiently = [], []
    for one in draws(shot, molecule, 200):
        floor = NoiseFloor(one)
        truth = fitted(floor, molecule)
        passed.append(floor.explains(truth))
        patiently.append(floor.explains(truth, patient=True))
    assert 0.87 <= np.mean(passed) <= 0.985
    assert np.mean(patiently) >= max(0.95, np.mean(passed))


@pytest.mark.parametrize(("patient", "sigmas"), [(False, 1.5), (True, 2.0)])
@pytest.mark.parametrize("photons", [None, 1000.0], ids=["white", "counted"])
def test_the_limit_is_a_number_of_standard_deviations_of_the_mean(photons, patient, sigmas):
    """(x - m)² / v has the variance 2 for normal noise and 2 + 1 / m for m counts (fourth moment m + 3 m²)."""
    options = WHITE if photons is None else {"white_level": 0.0, "photons_per_shot": photons}
    shot, molecule = random_shot(COMPOSITION, 2, **options)
    floor = NoiseFloor(shot)
    truth = floor.candidate(molecule.position_angstrom, floor.model.kinds(molecule.element))
    n = len(floor.informative)
    spread = np.full(n, 2.0)
    if photons is not None:
        counts = truth.intensity[floor.informative] * shot.photons_per_electron2
        assert np.median(1 / counts) > 0.2
        spread += 1 / np.maximum(counts, 0.05)
    limit = 1 - 12 / n + sigmas * np.sqrt(spread.sum()) / n
    for factor in (0.99, 1.01):
        excess = np.sqrt(factor * limit * floor.variance(truth))
        one = NoiseFloor(replace(shot, intensity_electron2=truth.intensity + excess))
        candidate = one.candidate(truth.position_angstrom, truth.kind)
        assert candidate.misfit == pytest.approx(factor * limit)
        assert one.explains(candidate, patient=patient) is (factor < 1)


def test_on_a_grid_nothing_is_fitted():
    shot, molecule = grid_shot(COMPOSITION, 2, **WHITE)
    passed = {True: 0, False: 0}
    for one in draws(shot, molecule, 300):
        for on_grid in passed:
            floor = NoiseFloor(one, on_grid=on_grid)
            truth = floor.candidate(molecule.position_angstrom, floor.model.kinds(molecule.element))
            passed[on_grid] += floor.explains(truth)
    assert 0.88 <= passed[True] / 300 <= 0.97
    assert passed[False] / 300 < 0.85


@pytest.mark.parametrize("noise", [WHITE, COUNTED, BOTH], ids=["white", "counted", "both"])
def test_an_atom_half_an_angstrom_off_does_not_pass(noise):
    shot, molecule = random_shot(COMPOSITION, 2, **noise)
    floor = NoiseFloor(shot)
    kind = floor.model.kinds(molecule.element)
    assert floor.explains(fitted(floor, molecule))
    for atom in range(5):
        for axis in range(2):
            position = molecule.position_angstrom.copy()
            position[atom, axis] += 0.5
            assert not floor.explains(floor.candidate(position, kind), patient=True), (atom, axis)


def test_a_misfit_of_one_quarter_does_not_hide_in_the_mean():
    """Twice the noise in the quarter of highest q, and less than the noise elsewhere."""
    shot, molecule = random_shot(COMPOSITION, 2, white_level=1e-5)
    rng = np.random.default_rng(0)
    floor = NoiseFloor(shot)
    kind = floor.model.kinds(molecule.element)
    exact = floor.model.intensity(molecule.position_angstrom, kind)
    unit = np.sign(rng.standard_normal(len(shot))) * shot.white_sigma_electron2
    quarter = floor.informative[-(len(floor.informative) // 4) :]
    for last, rest, expected in ((0.9, 0.9, True), (1.5, 0.6, False)):
        size = np.full(len(shot), rest)
        size[quarter] = last
        one = NoiseFloor(replace(shot, intensity_electron2=exact + size * unit))
        candidate = one.candidate(molecule.position_angstrom, kind)
        assert candidate.misfit < 1
        assert one.explains(candidate) is expected
        assert one.explains(candidate, patient=True) is expected


def test_misfits_are_means_in_units_of_the_variance():
    shot, molecule = random_shot(COMPOSITION, 2, **BOTH)
    floor = NoiseFloor(shot)
    kind = floor.model.kinds(molecule.element)
    share = np.array([1.0, 0.9, 1.0, 1.1, 1.0])
    candidate = floor.candidate(molecule.position_angstrom, kind, share)
    exact = floor.model.intensity(molecule.position_angstrom, kind, share)
    terms = (shot.intensity_electron2 - exact) ** 2 / (
        shot.white_sigma_electron2**2 + exact / shot.photons_per_electron2
    )
    assert candidate.misfit == pytest.approx(terms[floor.informative].mean())
    assert floor.reduced_chi2(candidate) == pytest.approx(terms.mean())
    length = np.linalg.norm(shot.q_inv_angstrom, axis=1)[floor.informative]
    assert (np.diff(length) >= 0).all()
    assert 20 < len(length) < len(shot)


def test_one_photon_in_the_dark_has_a_bounded_weight():
    shot, molecule = random_shot({"C": 2}, 2, white_level=0.0, photons_per_shot=300)
    floor = NoiseFloor(shot)
    candidate = floor.candidate(molecule.position_angstrom, floor.model.kinds(molecule.element))
    counted = floor.variance(candidate) * shot.photons_per_electron2**2
    assert counted.min() == pytest.approx(0.05)
    assert np.isfinite(candidate.misfit)


def test_without_noise_all_detectors_count_and_only_the_truth_passes():
    shot, molecule = random_shot(COMPOSITION, 2)
    floor = NoiseFloor(shot)
    kind = floor.model.kinds(molecule.element)
    exact = floor.model.intensity(molecule.position_angstrom, kind)
    silent = NoiseFloor(replace(shot, intensity_electron2=exact, white_sigma_electron2=0.0))
    assert len(silent.informative) == len(shot)
    assert silent.explains(silent.candidate(molecule.position_angstrom, kind))
    assert not silent.explains(silent.candidate(molecule.position_angstrom * 1.001, kind))


@pytest.fixture
def floor():
    return NoiseFloor(random_shot(COMPOSITION, 2, **WHITE)[0])


@pytest.fixture
def truth(floor):
    molecule = random_shot(COMPOSITION, 2, **WHITE)[1]
    return floor.candidate(molecule.position_angstrom, floor.model.kinds(molecule.element))


def test_what_a_shot_cannot_tell_apart_is_the_same(floor, truth):
    position, kind = truth.position_angstrom, truth.kind
    swapped = position.copy()
    swapped[[0, 1]] = position[[1, 0]]
    assert kind[0] == kind[1]
    for other in (position + np.array([1.0, -2.0, 0.3]), -position, swapped):
        assert floor.same(truth, floor.candidate(other, kind))
    order = np.array([4, 2, 0, 3, 1])
    assert floor.same(truth, floor.candidate(position[order], kind[order]))


def test_other_molecules_are_not_the_same(floor, truth):
    position, kind = truth.position_angstrom, truth.kind
    moved, unlike = position.copy(), kind.copy()
    moved[0, 0] += 0.3
    unlike[[0, -1]] = kind[[-1, 0]]
    assert kind[0] != kind[-1]
    assert not floor.same(truth, floor.candidate(moved, kind))
    assert not floor.same(truth, floor.candidate(position, unlike))
    assert not floor.same(truth, floor.candidate(position, kind, np.full(5, 0.9)))


def test_candidates_do_not_change_with_what_they_were_made_of(floor, truth):
    """Replicas move on in the arrays that they were read from."""
    position, kind, share = truth.position_angstrom.copy(), truth.kind.copy(), np.ones(5)
    candidate = floor.candidate(position, kind, share)
    position += 1
    kind[:] = 0
    share[:] = 0
    np.testing.assert_array_equal(candidate.position_angstrom, truth.position_angstrom)
    np.testing.assert_array_equal(candidate.kind, truth.kind)
    np.testing.assert_array_equal(candidate.occupancy, np.ones(5))


def named(misfit, intensity, n):
    return Candidate(np.zeros((1, 3)), np.zeros(1, np.int64), np.ones(1), misfit, np.full(n, float(intensity)))


def test_solutions_are_distinct_and_sorted(floor):
    n = len(floor.shot)
    solutions = Solutions(floor, 3)
    assert solutions.add(named(5.0, 1000, n))
    assert not solutions.add(named(7.0, 2000, n))
    assert not solutions.add(named(6.0, 1000, n)), "no better than its like"
    assert solutions.add(named(2.0, 2000, n)), "takes the place of its like"
    assert [item.misfit for item in solutions.best_first] == [2.0, 5.0]
    assert not solutions.add(named(1.9, 2000, n)), "the best one again, more exactly"
    assert [item.misfit for item in solutions.best_first] == [1.9, 5.0]
    assert not solutions.add(named(3.0, 3000, n))
    assert not solutions.add(named(4.0, 4000, n))
    assert [item.misfit for item in solutions.best_first] == [1.9, 3.0, 4.0]
    assert not solutions.add(named(9.0, 5000, n))
    assert [item.misfit for item in solutions.best_first] == [1.9, 3.0, 4.0]


def test_solutions_of_several_searches_are_merged(floor, truth):
    shot: Shot = floor.shot
    names = tuple(floor.model.elements[number] for number in truth.kind)

    def recovered(position, chi2):
        return RecoveredMolecule(Molecule(names, position, np.ones(5), np.zeros(5)), chi2)

    moved = truth.position_angstrom.copy()
    moved[0, 0] += 0.3
    best, second = recovered(-truth.position_angstrom, 1.0), recovered(moved, 1.5)
    found = distinct_molecules([second, recovered(truth.position_angstrom, 1.1), best, recovered(moved + 1, 2.0)], shot)
    assert found == [best, second]
    assert distinct_molecules([], shot) == []
