import numpy as np
import pytest

from fewphoton.config.reconstruct import MarchStage, OrientationsConfig
from fewphoton.emc.communicator import Serial
from fewphoton.emc.iteration import iterate
from fewphoton.emc.orientation_sample import every_kth
from fewphoton.emc.resolution_march import cropped, embedded, stage_problem


@pytest.mark.parametrize("n", [9, 10])
def test_the_middle_of_a_crop_is_the_middle_of_the_volume(n):
    volume = np.random.default_rng(0).random((n,) * 3)
    part = cropped(volume, 5)
    assert part.shape == (5, 5, 5)
    assert part[2, 2, 2] == volume[n // 2, n // 2, n // 2]
    assert part[0, 1, 4] == volume[n // 2 - 2, n // 2 - 1, n // 2 + 2]
    assert cropped(volume, n) is volume


def test_embedding_overwrites_what_was_measured_and_nothing_else():
    volume = np.zeros((7,) * 3)
    part = np.arange(27.0).reshape(3, 3, 3) + 1
    measured = np.ones((3,) * 3, dtype=bool)
    measured[0, 0, 0] = False
    found = embedded(volume, part, measured)
    assert not volume.any()
    np.testing.assert_array_equal(cropped(found, 3)[measured], part[measured])
    assert found.sum() == part[measured].sum()


def test_every_kth_orientation_keeps_a_sample(orientations):
    few = every_kth(orientations, 7)
    assert len(few) == 23
    np.testing.assert_array_equal(few.angle_deg, orientations.angle_deg[::7])


def test_a_stage_sees_less_on_the_same_scale(problem, experiment, orientations):
    n = problem.rows.n_voxels
    volume = 0.02 + 0.05 * np.random.default_rng(8).random((n,) * 3)
    stage = MarchStage(iterations=1, orientation_stride=2, q_fraction=0.5)
    small = stage_problem(problem, stage, 1.0, experiment.crystal, orientations, OrientationsConfig(), Serial())
    assert small.rows.n_voxels < n
    assert small.n_orientations == 80
    local = cropped(volume, small.rows.n_voxels)
    # The same pixels on the whole grid give the same numbers: cropping loses nothing.
    q = np.linalg.norm(problem.rows.q_inv_angstrom, axis=1)
    kept = q <= 0.5 * q.max()
    whole = problem.with_rows(kept, kept, n, experiment.crystal, every_kth(orientations, 2), Serial())
    one, first = iterate(small, local, 1, 1.0, 1e-6, "uniform", Serial())
    two, second = iterate(whole, volume, 1, 1.0, 1e-6, "uniform", Serial())
    np.testing.assert_allclose(one.values, cropped(two.values, small.rows.n_voxels), atol=1e-6)
    assert first.log_likelihood_per_photon == pytest.approx(second.log_likelihood_per_photon)


def test_the_full_stage_is_the_problem_itself(problem, experiment, orientations):
    assert (
        stage_problem(problem, None, 1.0, experiment.crystal, orientations, OrientationsConfig(), Serial()) is problem
    )
    judged_low = stage_problem(problem, None, 0.5, experiment.crystal, orientations, OrientationsConfig(), Serial())
    assert judged_low.rows.n_rows == problem.rows.n_rows
    assert 0 < judged_low.rows.likelihood.sum() < problem.rows.likelihood.sum()
