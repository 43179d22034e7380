import numpy as np
import pytest

from fewphoton.ankylography.grid_sums import GridSums
from fewphoton.ankylography.hio import recover_by_hio
from fewphoton.ankylography.hybrid_input_output import HybridInputOutput
from fewphoton.ankylography.sheet_projection import SheetProjection, with_phases_of
from fewphoton.ankylography.sparse_problem import SparseProblem
from fewphoton.config.hybrid_input_output import HybridInputOutputConfig
from fewphoton.data.position_grid import PositionGrid
from fewphoton.errors import DataError
from tests.ankylography.site_shots import SPACING, same_molecule, site_shot

COMPOSITION = {"C": 2, "O": 1}


def config(box=6, **options):
    return HybridInputOutputConfig(grid={"spacing_angstrom": SPACING, "shape": (box, box, box)}, **options)


def iterations(shot, box=6, **options):
    options = config(box, **options)
    problem = SparseProblem.of(shot, PositionGrid(SPACING, options.grid.shape), "none", 1.0)
    return HybridInputOutput(problem, options)


def projection(grid, regularization, n_detectors=40):
    shot, *_ = site_shot(1, COMPOSITION, n_detectors=n_detectors)
    factor = np.random.default_rng(2).uniform(0.2, 1.5, (2, n_detectors))
    q = shot.q_inv_angstrom
    return SheetProjection(GridSums(grid, q), factor, q, regularization), q, factor


GRIDS = (PositionGrid(0.78, (6, 5, 7)), PositionGrid(0.5, (8, 8, 3), (1.3, -0.7, 4.0)))


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: str(grid.shape))
def test_the_projection_is_that_of_the_dense_matrix(grid):
    """Tikhonov's solution by the matrix of real and imaginary parts, 2 n rows and a column a density and site."""
    found, q, factor = projection(grid, 0.03)
    waves = np.exp(2j * np.pi * q @ grid.positions().T)
    matrix = np.concatenate([row[:, None] * waves for row in factor], axis=1)
    stacked = np.concatenate([matrix.real, matrix.imag])
    power = np.linalg.eigvalsh(stacked @ stacked.T)[-1]
    assert found.power == pytest.approx(power, rel=1e-6)
    rng = np.random.default_rng(3)
    density = rng.random((2, *grid.shape))
    target = rng.normal(size=40) + 1j * rng.normal(size=40)
    wave = matrix @ density.ravel()
    np.testing.assert_allclose(found.wave(density), wave, atol=1e-6)
    gap = np.concatenate([(target - wave).real, (target - wave).imag])
    change = stacked.T @ np.linalg.solve(stacked @ stacked.T + 0.03 * power * np.eye(80), gap)
    moved = found.nearest(density, wave, target)
    np.testing.assert_allclose(moved.ravel(), density.ravel() + change, atol=1e-7 * np.abs(change).max() + 1e-9)


def test_projecting_twice_is_projecting_once_within_the_regularization():
    for regularization in (1e-2, 1e-4, 1e-6):
        found, *_ = projection(GRIDS[0], regularization, n_detectors=20)
        rng = np.random.default_rng(4)
        density = rng.random((2, *GRIDS[0].shape))
        # Moduli that some density has, so that they can be reached.
        modulus = np.abs(found.wave(rng.random((2, *GRIDS[0].shape))))
        steps = [density]
        for _ in range(2):
            wave = found.wave(steps[-1])
            steps.append(found.nearest(steps[-1], wave, with_phases_of(modulus, wave)))
        first, second = (np.linalg.norm(steps[i + 1] - steps[i]) for i in range(2))
        gaps = [np.linalg.norm(np.abs(found.wave(step)) - modulus) for step in steps]
        assert gaps[2] <= gaps[1] <= gaps[0]
        assert second < first
        # Directions with an eigenvalue of a share s of the largest move by mu / (mu + s) of their way again.
        if regularization == 1e-6:
            assert second < 0.05 * first
            assert gaps[1] < 1e-3 * gaps[0]


def test_moduli_keep_phases():
    wave = np.array([3 + 4j, -2.0, 0.0])
    np.testing.assert_allclose(with_phases_of(np.array([10.0, 1.0, 5.0]), wave), [6 + 8j, -1.0, 5.0])


@pytest.mark.parametrize("basis", ["spheres", "voxels"])
@pytest.mark.parametrize("seed", [1, 2])
def test_residuals_fall_and_error_reduction_never_rises(basis, seed):
    shot, *_ = site_shot(seed, {"C": 4, "N": 1, "O": 3, "H": 9}, box=5)
    run = iterations(shot, box=7, basis=basis, n_iterations=200, n_error_reduction=100)
    start = run.start(np.random.default_rng(seed))
    residuals = np.array([run.residual(estimate) for estimate in run.estimates(start)])
    assert (np.diff(residuals[100:]) <= 1e-9).all()
    assert residuals[:100].max() < 1.0
    assert residuals[-1] < 0.5 * run.residual(start)
    assert residuals[-1] < residuals[99] < residuals[0]


def test_sparse_error_reduction_never_rises_either():
    """Momentum with changing supports overshoots time and again; then the last step that descended stays."""
    shot, *_ = site_shot(1, {"C": 2, "N": 1, "O": 1, "H": 3}, box=4, n_detectors=100)
    run = iterations(shot, box=5, sparse=True, n_iterations=90, n_error_reduction=80)
    for seed in range(3):
        start = run.start(np.random.default_rng(seed))
        residuals = [run.residual(estimate) for estimate in run.estimates(start)][9:]
        assert (np.diff(residuals) <= 1e-9).all()
        assert residuals[-1] < residuals[0]


def test_estimates_keep_support_and_sign():
    shot, *_ = site_shot(3, COMPOSITION, box=3)
    run = iterations(shot, box=6, support_shape=(4, 4, 4), n_iterations=40, n_error_reduction=20)
    for estimate in run.estimates(run.start(np.random.default_rng(1))):
        assert estimate.min() >= 0
        outside = estimate.copy()
        outside[:, 1:5, 1:5, 1:5] = 0
        assert not outside.any()


def test_dense_recovery_lists_what_it_found():
    shot, *_ = site_shot(4, COMPOSITION, box=4)
    lines = []
    options = config(n_restarts=3, n_iterations=60, n_error_reduction=20, n_solutions=2, listed_share=0.05)
    found = recover_by_hio(shot, options, 1, lambda: False, lines.append)
    assert len(lines) == 3
    assert len(found) == 2
    for one in found:
        assert set(one.molecule.element) <= set(COMPOSITION)
        assert len(one.molecule) > 3
    few = recover_by_hio(shot, config(n_restarts=1, n_iterations=30, n_error_reduction=9, n_listed=5), 1, bool, print)
    assert len(few[0].molecule) == 5
    options = config(n_restarts=1, n_iterations=300, n_error_reduction=200, basis="voxels")
    voxels = recover_by_hio(shot, options, 1, lambda: False, lines.append)
    # Oxygen is the smaller of the two; electrons are those of the density.
    assert set(voxels[0].molecule.element) == {"O"}
    assert 8 * voxels[0].molecule.occupancy.sum() == pytest.approx(20, rel=0.2)


@pytest.mark.parametrize("seed", [1, 2])
def test_sparse_iterations_find_two_atoms(seed):
    shot, grid, kind, site = site_shot(seed, {"C": 1, "O": 1}, box=4, n_detectors=100)
    found = recover_by_hio(shot, config(box=5, sparse=True, n_restarts=10), 1, lambda: False, lambda line: None)
    assert same_molecule(found[0].molecule, grid, kind, site, atol=1e-4)
    assert found[0].reduced_chi2 < 1


@pytest.mark.parametrize("share_sites", [False, True])
def test_sparse_iterations_keep_the_counts(share_sites):
    composition = {"C": 2, "N": 1, "H": 3}
    shot, *_ = site_shot(5, composition, box=4)
    options = {"sparse": True, "share_sites": share_sites, "n_iterations": 30, "n_error_reduction": 10}
    run = iterations(shot, **options)
    kept = np.array([run.n_kept(number) for number in range(20)])
    assert (np.diff(kept, axis=0) <= 0).all()
    assert kept[0].sum() > kept[-1].sum() == 6
    estimates = list(run.estimates(run.start(np.random.default_rng(1))))
    for number, estimate in enumerate(estimates):
        n_sites = (estimate > 0).reshape(3, -1).sum(axis=1)
        assert (n_sites <= run.n_kept(number)).all()
    for refit in (False, True):
        for one in recover_by_hio(shot, config(refit=refit, n_restarts=2, **options), 1, lambda: False, print):
            names = list(one.molecule.element)
            assert {name: names.count(name) for name in composition} == composition
            places = {tuple(place) for place in one.molecule.position_angstrom.round(3)}
            assert share_sites or len(places) == 6


def test_the_largest_take_their_sites():
    shot, *_ = site_shot(5, COMPOSITION, box=2)
    run = iterations(shot, box=2, sparse=True)
    density = np.zeros((2, 8))
    density[0, [1, 2, 3]] = 5, 4, 3
    density[1, [1, 2, 3]] = 4.5, 4.2, 1
    chosen = run.largest(density.reshape(2, 2, 2, 2), np.array([2, 1])).reshape(2, 8)
    # Carbon takes site 1; oxygen, larger than carbon at site 2, takes that; the second carbon goes to site 3.
    assert [np.flatnonzero(row).tolist() for row in chosen] == [[1, 3], [2]]


def test_seed_and_stop():
    shot, *_ = site_shot(6, COMPOSITION, box=4)
    for sparse in (False, True):
        options = config(sparse=sparse, n_restarts=4, n_iterations=25, n_error_reduction=5)
        runs = []
        for seed in (1, 1, 2):
            lines = []
            recover_by_hio(shot, options, seed, lambda: False, lines.append)
            runs.append(lines)
        assert runs[0] == runs[1] != runs[2]
        lines = []
        assert recover_by_hio(shot, options, 1, lambda: True, lines.append)
        assert len(lines) == 1


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="sparse needs the basis spheres"):
        config(sparse=True, basis="voxels")
    with pytest.raises(ValueError, match="must not exceed n_iterations"):
        config(n_iterations=10, n_error_reduction=11)
    with pytest.raises(ValueError, match="does not fit into the grid"):
        config(support_shape=(7, 6, 6))
    with pytest.raises(DataError, match="bin them to 6000"):
        SheetProjection(GridSums(GRIDS[0], np.zeros((6001, 3))), np.ones((1, 6001)), np.zeros((6001, 3)), 0.1)
