"""Replicas: the distribution that they settle in, on a molecule small enough to list all of its states."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import chisquare

from fewphoton.ankylography import tempering
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.search_problem import Lattice, SearchProblem
from fewphoton.ankylography.tempering import TemperedMolecules
from tests.ankylography.random_shots import GRID, grid_shot, random_shot, small_search

SHAPE = (3, 2, 1)
STEP = 1.1


def replicas_of(composition, seed=0, n_replicas=7, make=random_shot, local_moves=2, **options):
    shot, _ = make(composition, 3)
    config = small_search(**options)
    problem = SearchProblem.build(
        shot, ForwardModel.of(shot), config, config.q_max_inv_angstrom, config.detectors, config.model_error
    )
    ladder = np.geomspace(0.05, 1.0, n_replicas) * len(problem.measured)
    return TemperedMolecules(problem, ladder, local_moves, np.random.default_rng(seed))


def state(replicas):
    return [values.tobytes() for values in (replicas.position, replicas.kind, replicas.cost, replicas.exchanges)]


def run(replicas, n_sweeps, pool=None):
    for _ in range(n_sweeps):
        replicas.sweep(pool)
        replicas.exchange_temperatures()


@pytest.mark.parametrize("n_replicas", [3, 12])
def test_threads_change_no_bit(n_replicas):
    one, two = (replicas_of({"C": 3, "O": 2}, n_replicas=n_replicas) for _ in range(2))
    run(one, 4)
    with ThreadPoolExecutor(2) as pool:
        run(two, 4, pool)
    assert state(one) == state(two)
    other = replicas_of({"C": 3, "O": 2}, seed=1, n_replicas=n_replicas)
    run(other, 4)
    assert state(one) != state(other)


def test_every_move_has_a_random_number_of_its_own(monkeypatch):
    """Each atom of each replica goes once across the box, and small moves come in between."""
    replicas = replicas_of({"C": 3, "O": 2}, n_replicas=5, local_moves=2)
    calls = []

    def noted(*rest):
        assert all(values.flags.c_contiguous for values in rest[:-1])
        calls.append((rest[0], rest[1], rest[-1]))

    monkeypatch.setattr(tempering, "move_atoms", noted)
    replicas.sweep()
    assert [centred for *_, centred in calls] == 5 * [False, True, True]
    far = np.array([chosen for chosen, _, centred in calls if not centred])
    near = np.array([chosen for chosen, _, centred in calls if centred])
    np.testing.assert_array_equal(np.sort(far, axis=0), np.arange(5)[:, None].repeat(5, axis=1))
    assert (far != far[:, :1]).any()
    assert set(near.ravel()) == set(range(5))
    assert len({float(number) for _, draw, _ in calls for number in draw}) == 15 * 5


class Backwards:
    """An executor whose last task is done first."""

    def map(self, function, items):
        return [function(item) for item in reversed(items)]


def test_the_order_of_the_groups_changes_no_bit():
    one, two = (replicas_of({"C": 3, "O": 2}, n_replicas=12) for _ in range(2))
    run(one, 2)
    run(two, 2, Backwards())
    assert state(one) == state(two)


@pytest.mark.parametrize("make", [random_shot, grid_shot])
def test_costs_are_those_of_the_forward_model(make):
    replicas = replicas_of({"C": 3, "O": 2}, make=make, grid=GRID if make is grid_shot else None)
    run(replicas, 3)
    problem = replicas.problem
    for position, kind, cost in zip(replicas.position, replicas.kind, replicas.cost, strict=True):
        intensity = problem.model.intensity(position, kind)
        assert cost == pytest.approx((problem.weight * (intensity - problem.measured) ** 2).sum(), rel=1e-4)
        np.testing.assert_array_equal(np.sort(kind), problem.kind)


def test_atoms_keep_to_the_box_and_apart():
    replicas = replicas_of({"C": 4, "O": 2}, box_angstrom=(3.0, 3.5, 4.0), closest_angstrom=1.0, local_moves=3)
    run(replicas, 10)
    assert (np.abs(replicas.position) <= np.array([1.5, 1.75, 2.0]) + 1e-9).all()
    assert min(pdist(position).min() for position in replicas.position) >= 1.0 - 1e-9
    places = replicas.position / 0.1
    assert np.abs(places - np.rint(places)).max() > 0.1


def test_atoms_keep_to_the_sites_of_a_grid():
    replicas = replicas_of({"C": 4, "O": 2}, make=grid_shot, grid=GRID)
    run(replicas, 10)
    index = replicas.position / 0.9 + 2
    np.testing.assert_allclose(index, np.rint(index), atol=1e-9)
    assert (np.rint(index) >= 0).all()
    assert (np.rint(index) <= 4).all()
    assert min(pdist(position).min() for position in replicas.position) > 0.89


@pytest.mark.parametrize("make", [random_shot, grid_shot])
def test_recentred_molecules_lie_in_the_middle(make):
    replicas = replicas_of({"C": 3, "O": 2}, make=make, grid=GRID if make is grid_shot else None)
    replicas.position += 1.8
    before = replicas.position.copy()
    replicas.recentre()
    middle = (replicas.position.min(axis=1) + replicas.position.max(axis=1)) / 2
    shift = before - replicas.position
    np.testing.assert_allclose(shift - shift[:, :1], 0, atol=1e-12)
    if make is grid_shot:
        assert np.abs(middle).max() <= 0.45 + 1e-9
        np.testing.assert_allclose(shift / 0.9, np.rint(shift / 0.9), atol=1e-9)
    else:
        np.testing.assert_allclose(middle, 0, atol=1e-12)


def tiny_problem():
    """Three atoms of two elements on six sites, for intensities that no arrangement explains."""
    rng = np.random.default_rng(5)
    q = rng.uniform(-0.5, 0.5, (20, 3))
    model = ForwardModel.build(q, ("C", "O"), "sphere")
    measured = rng.uniform(0, 200, 20)
    return SearchProblem(
        model,
        np.array([0, 1, 1]),
        measured,
        np.full(20, 1e-4),
        Lattice.build(q, (STEP,) * 3, SHAPE, centred=False),
        None,
        STEP * (np.array(SHAPE) - 1) / 2 + 1e-6,
        np.full((2, 2), 0.5),
        np.zeros((2, 2), np.bool_),
    )


def all_states(problem):
    """Every assignment of sites and elements to three atoms by its number, and its cost."""
    costs = {}
    for sites in itertools.permutations(range(6), 3):
        index = np.stack(np.unravel_index(sites, SHAPE), axis=-1)
        position = (index - (np.array(SHAPE) - 1) / 2) * STEP
        for kind in {(0, 1, 1), (1, 0, 1), (1, 1, 0)}:
            intensity = problem.model.intensity(position, np.array(kind))
            costs[(*sites, kind.index(0))] = float((problem.weight * (intensity - problem.measured) ** 2).sum())
    return costs


def test_replicas_settle_in_the_distribution_of_boltzmann(monkeypatch):
    """At both temperatures, with exchanges between them; molecules are not recentred, as all places are told apart."""
    problem = tiny_problem()
    costs = all_states(problem)
    spread = np.std(list(costs.values()))
    temperatures = np.array([0.5, 1.5]) * spread
    replicas = TemperedMolecules(problem, np.tile(temperatures, 100), 0, np.random.default_rng(0))
    monkeypatch.setattr(replicas, "recentre", lambda: None)
    run(replicas, 20)
    counts = [dict.fromkeys(costs, 0), dict.fromkeys(costs, 0)]
    for _ in range(120):
        run(replicas, 2)
        index = np.rint(replicas.position / STEP + (np.array(SHAPE) - 1) / 2).astype(int)
        sites = np.ravel_multi_index(tuple(np.moveaxis(index, -1, 0)), SHAPE)
        for number, (site, kind) in enumerate(zip(sites, replicas.kind, strict=True)):
            counts[number % 2][(*site.tolist(), int(np.flatnonzero(kind == 0)[0]))] += 1
    energy = np.array(list(costs.values()))
    for temperature, seen in zip(temperatures, counts, strict=True):
        share = np.exp(-(energy - energy.min()) / temperature)
        share /= share.sum()
        found = np.array(list(seen.values())) / 12_000
        mean = share @ energy
        error = np.sqrt(share @ (energy - mean) ** 2 / 12_000)
        assert found @ energy == pytest.approx(mean, abs=5 * error)
        likely = share * 12_000 > 5
        observed, expected = 12_000 * found[likely], share[likely]
        assert chisquare(observed, observed.sum() * expected / expected.sum()).pvalue > 1e-3
    assert 0.3 < replicas.exchanges[2] / replicas.exchanges[1] < 0.95


def test_neighbours_exchange_by_the_metropolis_rule():
    replicas = replicas_of({"C": 2, "O": 1}, n_replicas=4)
    replicas.temperature[:] = [1.0, 2.0, 4.0, 8.0]
    start = replicas.position.copy()
    replicas.cost[:] = [5.0, 1.0, 3.0, 3.0]
    replicas.exchange_temperatures()
    np.testing.assert_array_equal(replicas.cost, [1.0, 5.0, 3.0, 3.0])
    np.testing.assert_array_equal(replicas.position[:2], start[[1, 0]])
    np.testing.assert_array_equal(replicas.exchanges, [1, 2, 2])
    replicas.cost[:] = [1.0, 5.0, 2.0, 9.0]
    replicas.exchange_temperatures()
    np.testing.assert_array_equal(replicas.cost, [1.0, 2.0, 5.0, 9.0])
    np.testing.assert_array_equal(replicas.exchanges, [0, 3, 3])


def test_worse_exchanges_have_the_right_probability():
    replicas = replicas_of({"C": 2, "O": 1}, n_replicas=2)
    replicas.temperature[:] = [1.0, 4.0]
    n, taken = 3000, 0
    for _ in range(n):
        replicas.cost[:] = [2.0, 3.0]
        replicas.exchanges[0] = 0
        replicas.exchange_temperatures()
        taken += replicas.cost[0] == 3.0
    expected = np.exp(-0.75)
    assert taken / n == pytest.approx(expected, abs=4 * np.sqrt(expected / n))
    assert replicas.exchanges[1] == n
    assert replicas.exchanges[2] == taken


def test_a_molecule_can_be_placed():
    replicas = replicas_of({"C": 2, "O": 1})
    position, kind = np.arange(9.0).reshape(3, 3), np.array([1, 0, 0])
    replicas.place(2, position, kind)
    position[:] = 0
    np.testing.assert_array_equal(replicas.position[2], np.arange(9.0).reshape(3, 3))
    np.testing.assert_array_equal(replicas.kind[2], kind)
