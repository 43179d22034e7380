"""Heat-bath moves against exact probabilities, with random numbers that divide [0, 1) evenly."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import stats

from fewphoton.kernels import heat_bath
from fewphoton.kernels.insertion_cost import fill_plane_tables
from tests.kernels import naive

CLOSED = np.float32(1e30)


@pytest.fixture(params=["jitted", "python"], autouse=True)
def mode(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, heat_bath)
    return request.param


def closed_by_kernel(position, kind, atom, origin, step, shape, half_box, closest):
    cost = np.zeros((shape[2], shape[0] * shape[1]), np.float32)
    heat_bath.close_sites(cost, position, kind, atom, origin, step, np.array(shape), half_box, closest)
    assert set(np.unique(cost)) <= {np.float32(0), CLOSED}
    return cost == CLOSED


@pytest.mark.parametrize("seed", range(4))
def test_closed_sites_are_those_of_a_distance_test(seed):
    rng = np.random.default_rng(seed)
    shape = ((7, 6, 5), (6, 9, 2), (1, 8, 5), (9, 4, 4))[seed]
    step, origin = np.array([0.4, 0.5, 0.7]), rng.uniform(-0.3, 0.3, 3)
    position, kind = rng.uniform(-1.6, 1.6, (6, 3)), rng.integers(0, 2, 6)
    half_box = np.array([1.1, 1.2, 1.15])
    closest = np.array([[0.6, 0.9], [0.9, 1.2]])
    found = closed_by_kernel(position, kind, 2, origin, step, shape, half_box, closest)
    sites = naive.lattice_positions(origin, step, shape)
    expected = naive.closed_sites(sites, position, kind, 2, half_box, closest)
    np.testing.assert_array_equal(found, expected)
    assert 0 < expected.sum() < expected.size


def test_sites_on_the_edge_are_open():
    """A face of the box, and exactly the closest distance."""
    step, half_box = np.full(3, 0.5), np.array([1.0, 0.5, 0.25])
    position, kind = np.array([[9.0, 9, 9], [-1.0, 0.0, 0.0]]), np.zeros(2, np.int64)
    found = closed_by_kernel(position, kind, 0, np.zeros(3), step, (5, 3, 1), half_box, np.array([[1.0]]))
    opened = np.ones((5, 3), bool)
    opened[0], opened[1] = False, False
    np.testing.assert_array_equal(~found.reshape(5, 3), opened)


def test_draws_have_the_probabilities_of_boltzmann():
    rng = np.random.default_rng(1)
    cost = (1e4 + rng.uniform(0, 6, (3, 5))).astype(np.float32)
    cost[1, 2] = cost[0, 0] = CLOSED
    cost[2, 3] = 1e4 + 200
    temperature, n = 2.5, 4000
    expected = naive.boltzmann(cost.astype(np.float64), cost == CLOSED, temperature).ravel()
    drawn = [heat_bath.draw_site(cost, temperature, uniform) for uniform in (np.arange(n) + 0.5) / n]
    counts = np.bincount(drawn, minlength=15)
    np.testing.assert_allclose(counts, n * expected, atol=1.01)
    assert counts[[0, 7, 13]].sum() == 0
    drawn = [heat_bath.draw_site(cost, temperature, uniform) for uniform in rng.random(n)]
    likely = expected > 1e-3
    counts = np.bincount(drawn, minlength=15)[likely]
    assert stats.chisquare(counts, counts.sum() * expected[likely] / expected[likely].sum()).pvalue > 1e-3


def test_extreme_random_numbers_draw_allowed_sites():
    cost = np.array([[CLOSED, 7, 5, 5], [5, 500, 1000, CLOSED]], np.float32)
    assert heat_bath.draw_site(cost, 1.0, 0.0) == 1
    assert heat_bath.draw_site(cost, 1.0, np.nextafter(1.0, 0.0)) == 4
    thirds = [heat_bath.draw_site(cost, 1e-3, uniform) for uniform in (0.0, 0.3, 0.4, 0.6, 0.7, 0.999)]
    assert thirds == [2, 2, 3, 3, 4, 4]
    cost[:] = CLOSED
    assert heat_bath.draw_site(cost, 1.0, 0.5) == -1


def test_sites_out_of_reach_are_left_out():
    cost = np.array([[24.9, 0.0, 25.1]], np.float32)
    assert heat_bath.draw_site(cost, 1.0, 0.0) == 0
    assert heat_bath.draw_site(cost, 1.0, np.nextafter(1.0, 0.0)) == 1


@dataclass
class Scene:
    """Replicas on lattices, as move_atoms takes them."""

    q: np.ndarray
    position: np.ndarray
    kind: np.ndarray
    factor: np.ndarray
    measured: np.ndarray
    weight: np.ndarray
    shape: tuple
    step: np.ndarray
    half_box: np.ndarray
    closest: np.ndarray
    centred: bool

    def __post_init__(self):
        n_replicas, n_atoms = self.kind.shape
        n, half = len(self.q), (self.shape[0] * self.shape[1] + 1) // 2
        self.lines = naive.line_waves(self.q, self.step, self.shape)
        self.tables = np.empty((2, 2 * n, half), np.float32)
        fill_plane_tables(*self.lines[:2], *self.tables)
        self.wave = np.empty((n_replicas, n_atoms, 2, n), np.float32)
        self.amplitude = np.empty((n_replicas, 2, n), np.float32)
        self.refresh()

    @classmethod
    def random(cls, seed, shape=(4, 3, 3), n=30, n_replicas=2, n_atoms=3, centred=False, spread=0.6):
        """Weights that leave costs of a few units between sites."""
        rng = np.random.default_rng(seed)
        factor = rng.uniform(1, 3, (2, n)).astype(np.float32)
        kind = np.stack([rng.permutation(np.arange(n_atoms) % 2) for _ in range(n_replicas)])
        return cls(
            rng.uniform(-0.5, 0.5, (n, 3)),
            rng.uniform(-spread, spread, (n_replicas, n_atoms, 3)),
            kind,
            factor,
            rng.uniform(0, 60, n).astype(np.float32),
            rng.uniform(1e-4, 2e-4, n).astype(np.float32),
            shape,
            np.array([0.4, 0.5, 0.6]),
            np.array([0.9, 0.8, 0.85]),
            np.array([[0.3, 0.5], [0.5, 0.4]]),
            centred,
        )

    def refresh(self):
        heat_bath.refresh(self.q, self.position, self.kind, self.wave, self.amplitude, self.factor)

    def move(self, chosen, uniform, temperature):
        heat_bath.move_atoms(
            np.array(chosen),
            np.array(uniform, float),
            np.array(temperature, float),
            self.position,
            self.kind,
            self.wave,
            self.amplitude,
            self.factor,
            self.measured,
            self.weight,
            *self.lines,
            *self.tables,
            self.step,
            self.half_box,
            self.closest,
            self.centred,
        )

    def cost(self, replica, position=None):
        place = self.position[replica] if position is None else position
        return naive.molecule_cost(self.q, place, self.factor[self.kind[replica]], self.measured, self.weight)

    def sites(self, replica, atom):
        """The lattice through an atom: around it, or the one nearest to the middle of the box."""
        place = self.position[replica, atom]
        if self.centred:
            index = (np.array(self.shape) - 1) // 2
        else:
            index = np.rint(place / self.step + (np.array(self.shape) - 1) / 2)
            index = np.clip(index, 0, np.array(self.shape) - 1)
        origin = place - self.step * (index - (np.array(self.shape) - 1) / 2)
        return naive.lattice_positions(origin, self.step, self.shape).reshape(-1, 3)

    def probabilities(self, replica, atom):
        sites = self.sites(replica, atom)
        trial = np.repeat(self.position[replica][None], len(sites), axis=0)
        trial[:, atom] = sites
        cost = np.array([self.cost(replica, one) for one in trial])
        closed = naive.closed_sites(
            sites, self.position[replica], self.kind[replica], atom, self.half_box, self.closest
        )
        return sites, cost, closed


def assert_consistent(scene, atol=2e-5):
    wave, amplitude = scene.wave.copy(), scene.amplitude.copy()
    scene.refresh()
    np.testing.assert_allclose(wave, scene.wave, atol=atol)
    np.testing.assert_allclose(amplitude, scene.amplitude, atol=10 * atol)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("shape", [(4, 3, 3), (3, 3, 2)])
def test_moves_follow_the_exact_conditional_distribution(centred, shape, mode):
    """Each of many evenly spread random numbers leads to the site of its quantile, found by brute force."""
    scene = Scene.random(3, shape, centred=centred)
    chosen, temperature = [1, 2], [0.4, 1.5]
    start = scene.position.copy()
    exact = [scene.probabilities(replica, chosen[replica]) for replica in range(2)]
    n = 400 if mode == "jitted" else 25
    uniforms = (np.arange(n) + 0.5) / n
    seen = [set(), set()]
    for number in range(n):
        scene.position[:] = start
        scene.refresh()
        uniform = [uniforms[number], uniforms[n - 1 - number]]
        scene.move(chosen, uniform, temperature)
        for replica in range(2):
            sites, cost, closed = exact[replica]
            assert 0 < closed.sum() <= len(closed) - 4
            upper = np.cumsum(naive.boltzmann(cost, closed, temperature[replica]))
            place = scene.position[replica, chosen[replica]]
            drawn = int(np.linalg.norm(sites - place, axis=1).argmin())
            np.testing.assert_allclose(place, sites[drawn], atol=1e-12)
            assert not closed[drawn]
            lower = upper[drawn - 1] if drawn else 0.0
            assert lower - 1e-3 <= uniform[replica] <= upper[drawn] + 1e-3
            seen[replica].add(drawn)
            still = np.arange(3) != chosen[replica]
            np.testing.assert_array_equal(scene.position[replica, still], start[replica, still])
    assert min(map(len, seen)) >= 3


@pytest.mark.parametrize("centred", [False, True])
def test_waves_and_amplitudes_go_with_the_atoms(centred):
    scene = Scene.random(4, centred=centred)
    rng = np.random.default_rng(0)
    before = scene.position.copy()
    for _ in range(12):
        scene.move(rng.integers(3, size=2), rng.random(2), [5.0, 50.0])
    assert np.abs(scene.position - before).max() > 0.3
    assert (np.abs(scene.position) <= scene.half_box).all()
    assert_consistent(scene)


def test_an_atom_far_outside_comes_back_on_a_lattice_through_its_place():
    """Beyond the last site the nearest one stands for it, so that the lattice reaches towards the box."""
    scene = Scene.random(5, n_replicas=1, spread=0.3)
    scene.position[0, 0] = [0.93, -0.7, 0.9]
    scene.refresh()
    expected = scene.sites(0, 0)
    scene.move([0], [0.37], [3.0])
    assert np.linalg.norm(expected - scene.position[0, 0], axis=1).min() < 1e-12
    assert (np.abs(scene.position[0, 0]) <= scene.half_box).all()
    assert_consistent(scene)


def test_an_atom_with_no_site_to_go_to_stays():
    scene = replace(Scene.random(6), closest=np.full((2, 2), 50.0))
    start, amplitude = scene.position.copy(), scene.amplitude.copy()
    scene.move([0, 2], [0.2, 0.9], [1.0, 1.0])
    np.testing.assert_array_equal(scene.position, start)
    np.testing.assert_allclose(scene.amplitude, amplitude, atol=1e-5)


def exchange(scene, uniform, temperature):
    return heat_bath.exchange_elements(
        np.array(uniform, float),
        temperature,
        scene.kind[0],
        scene.wave[0],
        scene.amplitude[0],
        scene.factor,
        scene.measured,
        scene.weight,
    )


def test_exchanges_of_elements_keep_the_cost_with_the_atoms():
    scene = Scene.random(7, n_atoms=6, n_replicas=1)
    start = scene.kind.copy()
    rng = np.random.default_rng(1)
    for temperature in (1e-9, 1.0, 1e9):
        cost = exchange(scene, rng.random((8, 3)), temperature)
        assert cost == pytest.approx(scene.cost(0), rel=2e-6)
        assert_consistent(scene)
    assert (scene.kind != start).any()
    np.testing.assert_array_equal(np.sort(scene.kind), np.sort(start))


def test_exchanges_of_elements_obey_metropolis():
    """A worse pair is taken below exp(-change / temperature) and not above, a better one always."""
    scene = replace(Scene.random(8, n_replicas=1), kind=np.array([[0, 1, 0]]))
    turned = replace(scene, kind=np.array([[1, 0, 0]]))
    better, worse = sorted((scene, turned), key=lambda one: one.cost(0))
    low, high = better.kind.copy(), worse.kind.copy()
    change = worse.cost(0) - better.cost(0)
    assert exchange(worse, [[0.1, 0.4, 0.9999]], 1e-3 * change) == pytest.approx(better.cost(0), rel=2e-6)
    np.testing.assert_array_equal(worse.kind, low)
    for uniform, taken in ((np.exp(-1.2) - 0.01, True), (np.exp(-1.2) + 0.01, False)):
        better.kind[:] = low
        better.refresh()
        cost = exchange(better, [[0.4, 0.1, uniform]], change / 1.2)
        np.testing.assert_array_equal(better.kind, high if taken else low)
        assert cost == pytest.approx(better.cost(0), rel=2e-6)


def test_like_atoms_are_not_exchanged():
    scene = Scene.random(9, n_atoms=4, n_replicas=1)
    scene.kind[:] = 1
    scene.refresh()
    before = scene.amplitude.copy()
    assert exchange(scene, [[0.0, 0.9, 0.0], [0.3, 0.3, 0.0]], 1e9) == pytest.approx(scene.cost(0), rel=2e-6)
    np.testing.assert_array_equal(scene.amplitude, before)


def test_refreshed_waves_are_those_of_the_positions():
    scene = Scene.random(10)
    for replica in range(2):
        turn = np.exp(2j * np.pi * scene.position[replica] @ scene.q.T)
        np.testing.assert_allclose(scene.wave[replica, :, 0] + 1j * scene.wave[replica, :, 1], turn, atol=1e-6)
        total = (scene.factor[scene.kind[replica]] * turn).sum(axis=0)
        np.testing.assert_allclose(scene.amplitude[replica, 0] + 1j * scene.amplitude[replica, 1], total, atol=1e-5)
