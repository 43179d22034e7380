import numpy as np
import pytest

from fewphoton.ankylography.sparse_problem import SparseProblem
from fewphoton.data.position_grid import PositionGrid
from fewphoton.data.shot import Shot
from fewphoton.errors import DataError
from tests.ankylography.site_shots import SPACING, site_shot

COMPOSITION = {"C": 2, "O": 1}


def dense_matrix(problem):
    """The sensing matrix, `(n, n_elements n_sites)`: the twin of the sums over the grid."""
    n_sites, n_elements = problem.grid.n_sites, len(problem.counts)
    kind, site = np.repeat(np.arange(n_elements), n_sites), np.tile(np.arange(n_sites), n_elements)
    return problem.model.waves(problem.grid.positions(site), kind)


@pytest.mark.parametrize("weights", ["none", "wilson"])
def test_gradient_is_that_of_finite_differences(weights):
    shot, grid, *_ = site_shot(1, COMPOSITION, box=4, n_detectors=60)
    problem = SparseProblem.of(shot, grid, weights, 0.2)
    matrix = dense_matrix(problem)
    x = np.random.default_rng(2).normal(0, 0.3, matrix.shape[1])

    def misfit(amplitude):
        return problem.weight @ (np.abs(matrix @ amplitude) ** 2 - shot.intensity_electron2) ** 2

    wave = matrix @ x
    found = np.concatenate([problem.gradient(np.stack([wave.real, wave.imag]), kind) for kind in range(2)])
    step = 1e-4
    for place in np.random.default_rng(3).choice(len(x), 20, replace=False):
        sideways = step * (np.arange(len(x)) == place)
        slope = (misfit(x + sideways) - misfit(x - sideways)) / (2 * step)
        assert found[place] == pytest.approx(slope, rel=1e-5, abs=1e-6 * np.abs(found).max())


def test_columns_and_gradient_are_those_of_the_dense_matrix():
    shot, grid, kind, site = site_shot(4, COMPOSITION, n_detectors=80)
    problem = SparseProblem.of(shot, grid, "none", 0.2)
    matrix = dense_matrix(problem)
    columns = problem.columns(kind, site)
    expected = matrix[:, kind * grid.n_sites + site].T
    np.testing.assert_allclose(columns[:, 0] + 1j * columns[:, 1], expected, atol=1e-12)
    wave = np.random.default_rng(5).normal(0, 5, (2, 80))
    weight = np.random.default_rng(6).uniform(1, 2, 80)
    excess = weight * ((wave**2).sum(axis=0) - shot.intensity_electron2)
    expected = 4 * (np.conj(excess * (wave[0] + 1j * wave[1])) @ matrix).real
    found = np.concatenate([problem.gradient(wave, number, weight) for number in range(2)])
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


def test_what_cannot_work_is_refused():
    shot, *_ = site_shot(1, COMPOSITION)
    with pytest.raises(DataError, match="3 atoms do not fit on a grid of 2 sites"):
        SparseProblem.of(shot, PositionGrid(SPACING, (2, 1, 1)), "none", 0.2)
    few = Shot(0.35, shot.q_inv_angstrom[:2], shot.intensity_electron2[:2], 0.0, None, COMPOSITION)
    with pytest.raises(DataError, match="2 intensities cannot determine 3 atoms"):
        SparseProblem.of(few, PositionGrid(SPACING, (5, 5, 5)), "none", 0.2)
    dark = Shot(0.35, shot.q_inv_angstrom, np.zeros(200), 1.0, None, COMPOSITION)
    with pytest.raises(DataError, match="above 0"):
        SparseProblem.of(dark, PositionGrid(SPACING, (5, 5, 5)), "none", 0.2)
