import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.grid_sums import GridSums
from fewphoton.data.position_grid import PositionGrid
from fewphoton.errors import ConfigError, DataError

# Odd, even and single axes, and a middle away from the origin.
GRIDS = (
    PositionGrid(0.78, (9, 9, 9)),
    PositionGrid(0.5, (8, 5, 12), (1.3, -20.7, 4.0)),
    PositionGrid(1.1, (1, 6, 3), (0.0, 0.2, -0.1)),
)
Q = ewald_sphere(0.35, 150, 60.0)


def waves(grid, q=Q):
    """The dense matrix exp(2 pi i q·r), `(n, n_sites)`."""
    return np.exp(2j * np.pi * q @ grid.positions().T)


def complex_normal(rng, shape):
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: str(grid.shape))
def test_sums_are_the_direct_ones(grid):
    rng = np.random.default_rng(1)
    sums = GridSums(grid, Q)
    strength, weight = complex_normal(rng, grid.shape), complex_normal(rng, len(Q))
    expected = waves(grid) @ strength.ravel()
    np.testing.assert_allclose(sums.at_detectors(strength), expected, atol=1e-8 * np.linalg.norm(strength))
    expected = (waves(grid).conj().T @ weight).reshape(grid.shape)
    np.testing.assert_allclose(sums.at_sites(weight), expected, atol=1e-8 * np.linalg.norm(weight))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.tuples(*3 * [st.integers(1, 9)]),
    spacing=st.floats(0.05, 4.0),
    centre=st.tuples(*3 * [st.floats(-30, 30)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_two_sums_are_adjoint(shape, spacing, centre, seed):
    """Whatever the sites and scattering vectors, <W a, w> = <a, W* w>."""
    rng = np.random.default_rng(seed)
    sums = GridSums(PositionGrid(spacing, shape, centre), rng.uniform(-6, 6, (40, 3)))
    strength, weight = complex_normal(rng, shape), complex_normal(rng, 40)
    scale = np.linalg.norm(strength) * np.linalg.norm(weight) * np.sqrt(40)
    forth, back = sums.at_detectors(strength), sums.at_sites(weight)
    assert abs(np.vdot(forth, weight) - np.vdot(strength, back)) < 1e-8 * scale


def test_many_arrays_at_once_are_summed_one_by_one():
    rng = np.random.default_rng(2)
    sums = GridSums(GRIDS[1], Q)
    strength, weight = rng.standard_normal((2, 3, *GRIDS[1].shape)), rng.standard_normal((4, len(Q)))
    together = sums.at_detectors(strength)
    assert together.shape == (2, 3, len(Q))
    np.testing.assert_array_equal(together[1, 2], sums.at_detectors(strength[1, 2]))
    together = sums.at_sites(weight)
    assert together.shape == (4, *GRIDS[1].shape)
    np.testing.assert_array_equal(together[3], sums.at_sites(weight[3]))


def test_atoms_on_sites_scatter_as_the_forward_model_says():
    grid = GRIDS[0]
    model = ForwardModel.build(Q, ("C", "O"), "sphere")
    strength = np.zeros((2, grid.n_sites))
    strength[[0, 0, 1], [7, 300, 512]] = 1.0
    found = (model.factor * GridSums(grid, Q).at_detectors(strength.reshape(2, *grid.shape))).sum(axis=0)
    expected = model.amplitude(grid.positions(np.array([7, 300, 512])), model.kinds(["C", "C", "O"]))
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_the_paper_s_grid_fits():
    """Sums over 4 x 121³ sites agree with a few direct ones; the dense matrix would hold 2 x 10^10 numbers."""
    grid = PositionGrid(0.1, (121, 121, 121))
    q = ewald_sphere(0.35, 3000)
    sums = GridSums(grid, q)
    rng = np.random.default_rng(3)
    site = rng.choice(grid.n_sites, 12, replace=False)
    strength = np.zeros((4, grid.n_sites), dtype=np.float32)
    strength[np.arange(12) % 4, site] = rng.uniform(1, 8, 12)
    found = sums.at_detectors(strength.reshape(4, *grid.shape))
    direct = np.exp(2j * np.pi * q @ grid.positions(site).T)
    for element in range(4):
        expected = direct[:, element::4] @ strength[element, site[element::4]]
        np.testing.assert_allclose(found[element], expected, atol=1e-7)
    weight = complex_normal(rng, len(q))
    np.testing.assert_allclose(
        sums.at_sites(weight).ravel()[site], direct.conj().T @ weight, atol=1e-8 * np.linalg.norm(weight)
    )


def test_wrong_shapes_are_refused():
    sums = GridSums(GRIDS[0], Q)
    with pytest.raises(DataError, match=r"last axes are \(9, 9, 9\), found shape \(9, 81\)"):
        sums.at_detectors(np.zeros((9, 81)))
    with pytest.raises(DataError, match=r"last axes are \(150,\), found shape \(149,\)"):
        sums.at_sites(np.zeros(149))
    with pytest.raises(DataError, match="q_inv_angstrom"):
        GridSums(GRIDS[0], Q[:, :2])


def test_missing_library_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "finufft", None)
    with pytest.raises(ConfigError, match=r"\.\[particles\]"):
        GridSums(GRIDS[0], Q)
