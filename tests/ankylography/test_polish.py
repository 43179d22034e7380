"""Polishing: molecules near the truth reach it, and lone atoms that went astray are brought back."""

import numpy as np
import pytest

from fewphoton.ankylography import polish
from fewphoton.ankylography.polish import Polisher
from fewphoton.ankylography.refine_positions import Fit
from fewphoton.ankylography.solutions import NoiseFloor
from tests.ankylography.random_shots import GRID, grid_shot, random_shot, small_search

COMPOSITION = {"C": 3, "H": 2, "O": 1}


def start(seed=0, make=random_shot, composition=COMPOSITION, **options):
    shot, molecule = make(composition, seed, **{"white_level": 1e-3} | options)
    floor = NoiseFloor(shot)
    polisher = Polisher(shot, small_search(grid=GRID if make is grid_shot else None), floor)
    kind = floor.model.kinds(molecule.element)
    truth = polisher.finish(floor.candidate(molecule.position_angstrom, kind))
    return floor, polisher, truth, np.random.default_rng(0)


@pytest.mark.parametrize(
    "options", [{"white_level": 1e-4}, {"white_level": 0.0, "photons_per_shot": 1e6}], ids=["white", "counted"]
)
@pytest.mark.parametrize("seed", range(3))
def test_a_tenth_of_an_angstrom_off_is_near_enough(seed, options):
    floor, polisher, truth, random = start(seed, **options)
    for _ in range(3):
        rough = truth.position_angstrom + random.normal(0, 0.1, (6, 3))
        climbed = polisher.climb(rough, truth.kind)
        assert climbed.misfit < floor.candidate(rough, truth.kind).misfit / 10
        finished = polisher.finish(climbed)
        assert floor.same(truth, finished)
        assert floor.explains(finished)
        assert finished.misfit <= climbed.misfit


def test_an_atom_astray_is_brought_back():
    """Least squares alone does not find its place."""
    floor, polisher, truth, random = start()
    astray = truth.position_angstrom.copy()
    astray[2] += [1.0, -0.8, 0.6]
    climbed = polisher.climb(astray, truth.kind)
    assert not floor.same(truth, climbed)
    mended = polisher.improve(astray, truth.kind, random)
    assert floor.same(truth, mended)
    assert floor.explains(mended)
    assert len(polisher.mended) == 1


def test_the_replica_of_least_cost_is_the_mended_one(monkeypatch):
    floor, polisher, truth, random = start()
    astray = truth.position_angstrom.copy()
    astray[2] += [1.0, -0.8, 0.6]

    class Replicas:
        cost = np.array([3.0, 1.0, 2.0, 5.0, 4.0])
        position = np.stack([astray, truth.position_angstrom, astray, astray, astray])
        kind = np.stack(5 * [truth.kind])

        def __init__(self, *rest):
            self.placed = []

        def place(self, replica, position, kind):
            self.placed.append(replica)

        def sweep(self):
            assert self.placed == [0, 1, 2, 3, 4]

        def exchange_temperatures(self):
            pass

    monkeypatch.setattr(polish, "TemperedMolecules", Replicas)
    assert floor.same(truth, polisher.improve(astray, truth.kind, random))


def test_minima_are_mended_once(monkeypatch):
    _, polisher, truth, random = start()
    astray = truth.position_angstrom.copy()
    astray[2] += [1.0, -0.8, 0.6]
    monkeypatch.setattr(polish, "_MEND_SWEEPS", 0)
    first = polisher.improve(astray, truth.kind, random)
    before = random.bit_generator.state
    second = polisher.improve(astray, truth.kind, random)
    assert random.bit_generator.state == before
    assert len(polisher.mended) == 1
    assert second.misfit == pytest.approx(first.misfit, rel=0.1)


def test_the_wrong_side_in_depth_is_turned(monkeypatch):
    """The sphere is nearly flat, and a molecule seen in a mirror a minimum of its own; no atom needs mending."""
    floor, polisher, truth, random = start(2)
    monkeypatch.setattr(polish, "_MEND_SWEEPS", 0)
    mirrored = truth.position_angstrom * [1, 1, -1]
    assert not floor.explains(polisher.climb(mirrored, truth.kind))
    assert floor.same(truth, polisher.improve(mirrored, truth.kind, random))


def test_hopeless_molecules_are_left_at_their_minimum():
    floor, polisher, truth, random = start()
    wrong = random.uniform(-2, 2, (6, 3))
    before = random.bit_generator.state
    found = polisher.improve(wrong, truth.kind, random)
    assert random.bit_generator.state == before
    assert not polisher.mended
    np.testing.assert_array_equal(found.position_angstrom, polisher.climb(wrong, truth.kind).position_angstrom)
    assert not floor.explains(found)


def test_amplitudes_can_be_fitted_at_last():
    floor, polisher, truth, _ = start(white_level=1e-4)
    rough = floor.candidate(truth.position_angstrom, truth.kind, np.array([1.1, 0.95, 1.0, 1.05, 0.9, 1.0]))
    kept = polisher.finish(rough)
    np.testing.assert_array_equal(kept.occupancy, rough.occupancy)
    fitted = polisher.finish(rough, amplitudes=True)
    assert fitted.misfit < truth.misfit < kept.misfit
    np.testing.assert_allclose(fitted.occupancy, 1, atol=0.1)


def test_amplitudes_are_never_negative(monkeypatch):
    floor, polisher, truth, _ = start(white_level=1e-4)
    share = np.array([1.0, 1.0, -0.2, 1.0, 1.0, 1.0])
    monkeypatch.setattr(
        polish, "refine_positions", lambda *rest, **options: Fit(truth.position_angstrom, share, 0.0, 1)
    )
    rough = floor.candidate(truth.position_angstrom + np.arange(6)[:, None] / 2, truth.kind)
    np.testing.assert_array_equal(polisher.finish(rough, amplitudes=True).occupancy, [1, 1, 0, 1, 1, 1])


def test_atoms_of_a_grid_stay_on_their_sites():
    """No least squares; an atom on a wrong site is mended by moves from site to site."""
    floor, polisher, truth, random = start(1, grid_shot, {"C": 6, "O": 2}, white_level=3e-3)
    position = truth.position_angstrom
    assert polisher.climb(position, truth.kind).misfit == truth.misfit
    np.testing.assert_array_equal(polisher.finish(truth).position_angstrom, position)
    repaired = 0
    for atom in range(8):
        wrong = position.copy()
        wrong[atom, 2] += 0.9
        found = polisher.improve(wrong, truth.kind, random)
        places = (found.position_angstrom - position[:1]) / 0.9
        np.testing.assert_allclose(places, np.rint(places), atol=1e-9)
        repaired += floor.same(truth, found) and floor.candidate(wrong, truth.kind).misfit > 1.2
    assert repaired > 0
