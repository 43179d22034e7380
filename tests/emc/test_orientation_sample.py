import numpy as np
import pytest

from fewphoton.config import ReconstructConfig
from fewphoton.config.reconstruct import MarchStage
from fewphoton.data import Crystal
from fewphoton.data.rotation_group import mean_spacing_deg, n_rotations, spacing_deg
from fewphoton.emc.communicator import Serial
from fewphoton.emc.iteration import Views, merge
from fewphoton.emc.orientation_sample import (
    check_memory,
    default_level,
    frames_per_batch,
    march_orientations,
    n_orientations,
    sample_orientations,
)
from fewphoton.emc.problem import Problem
from fewphoton.errors import ConfigError

AXIS = np.array([0.0, 1.0, 0.0])
TETRAGONAL = Crystal((79.3, 79.3, 37.8, 90, 90, 90), "P 43 21 2")


def config(**orientations):
    return ReconstructConfig.model_validate({"orientations": {"sampled": "rotation_group", **orientations}})


@pytest.mark.parametrize("level", [3, 6])
def test_spacing_follows_from_the_number_of_rotations(level):
    assert spacing_deg(n_rotations(level)) == pytest.approx(mean_spacing_deg(level), rel=0.02)
    assert spacing_deg(n_rotations(level) // 8, 8) == pytest.approx(spacing_deg(n_rotations(level)), rel=0.01)


@pytest.mark.parametrize("n_voxels", [21, 51, 101])
def test_the_default_level_steps_one_voxel_at_the_edge(n_voxels):
    level = default_level(n_voxels)
    step = np.deg2rad(mean_spacing_deg(level)) * (n_voxels // 2) if level < 20 else 0.0
    assert step <= 1.02
    assert np.deg2rad(75.0 / (level - 1)) * (n_voxels // 2) > 1


def test_crystals_need_an_eighth_of_the_orientations():
    whole = sample_orientations(config(level=4, reduced=False), TETRAGONAL, AXIS, 31)
    few = sample_orientations(config(level=4), TETRAGONAL, AXIS, 31)
    assert len(whole) == n_rotations(4)
    assert len(few) == pytest.approx(n_rotations(4) / 8, rel=0.1)
    assert n_orientations(config(level=4), TETRAGONAL, 31) == pytest.approx(len(few), rel=0.1)
    assert few.angle_deg is None
    particle = Crystal((50, 50, 50, 90, 90, 90), "P 1")
    assert len(sample_orientations(config(level=4), particle, AXIS, 31)) == n_rotations(4)


def test_a_march_stage_has_its_level():
    sampling = config(level=4).orientations
    full = sample_orientations(config(level=4), TETRAGONAL, AXIS, 31)
    coarse = march_orientations(full, MarchStage(iterations=1, level=2), sampling, TETRAGONAL)
    assert len(coarse) < len(full) / 5
    assert march_orientations(full, MarchStage(iterations=1), sampling, TETRAGONAL) is full


def test_tables_that_do_not_fit_are_refused_and_others_not(rows):
    # 3 tables of 4 bytes a pixel and orientation, and one batch of 100 frames.
    bytes_wanted = 4 * 6400 * (3 * rows.n_rows + 100)
    check_memory(rows, 1.0, 6400, 100, 1.01 * bytes_wanted / 1e9, 1)
    with pytest.raises(ConfigError, match=r"6400 orientations of .* GB of tables"):
        check_memory(rows, 1.0, 6400, 100, 0.99 * bytes_wanted / 1e9, 1)
    check_memory(rows, 1.0, 6400, 100, 0.51 * bytes_wanted / 1e9, 2)
    check_memory(rows, 0.5, 6400, 100, 0.5 * bytes_wanted / 1e9, 1)


def test_batches_shrink_where_a_row_of_probabilities_is_long():
    assert frames_per_batch(32768, 1150) == 32768
    assert 4 * 1_000_000 * frames_per_batch(32768, 1_000_000) <= 1 << 30
    assert frames_per_batch(32768, 10**9) == 1


def test_views_count_by_quadrature_weight(experiment, photons, rows):
    """Of two voxels' views, the heavier orientation pulls the mean to itself; equal weights stay exactly equal."""
    scan = sample_orientations(ReconstructConfig(n_orientations=49), experiment.crystal, experiment.rotation_axis, 31)
    few = photons.take(slice(0, 20))
    equal = Problem.build([few], rows, experiment.crystal, scan, 20, Serial())
    assert (equal.view_weight == 1.0).all()
    sample = sample_orientations(config(level=2), experiment.crystal, AXIS, 31)
    problem = Problem.build([few], rows, experiment.crystal, sample, 20, Serial())
    np.testing.assert_allclose(problem.view_weight, sample.weight * len(sample))
    assert np.ptp(problem.view_weight) > 0.05
    views = Views.empty(problem)
    views.exposure[:] = np.arange(1, len(sample) + 1)
    views.photons[:, : len(sample)] = rows.response[:, None] * views.exposure
    merged = merge(problem, views, "uniform", Serial())
    np.testing.assert_allclose(merged.values[merged.weight > 0], 1.0, rtol=1e-5)
    # Each pixel of each view gives its weight to eight voxels that share it.
    assert merged.weight.sum() == pytest.approx(rows.response.sum() * problem.view_weight.sum())
