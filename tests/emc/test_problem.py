"""Parts of a problem against problems built from the same parts of the data."""

import numpy as np
import pytest

from fewphoton.emc.communicator import Serial
from fewphoton.emc.iteration import iterate
from fewphoton.emc.orientation_sample import every_kth
from fewphoton.emc.problem import Problem
from fewphoton.errors import ConvergenceError


def stepped(problem, n_voxels, beta=1.0):
    volume = 0.02 + 0.05 * np.random.default_rng(8).random((n_voxels,) * 3)
    return iterate(problem, volume, 1, beta, 1e-6, "uniform", Serial())


def test_chosen_frames_are_those_frames(problem, photons, rows, experiment, orientations):
    chosen = np.random.default_rng(0).random(problem.n_frames) < 0.3
    part = problem.with_frames(chosen)
    direct = Problem.build([photons.take(chosen)], rows, experiment.crystal, orientations, 64, Serial())
    assert part.n_frames == chosen.sum()
    assert part.likelihood_photons == direct.likelihood_photons
    assert part.n_informative_frames == direct.n_informative_frames
    (first, one), (second, two) = stepped(part, rows.n_voxels), stepped(direct, rows.n_voxels)
    # Row offsets differ, so probabilities agree to the rounding of float32.
    np.testing.assert_allclose(first.values, second.values, rtol=2e-3, atol=2e-3 * second.values.max())
    assert one.log_likelihood_per_photon == pytest.approx(two.log_likelihood_per_photon, rel=1e-5)


def test_all_frames_are_the_problem_itself(problem):
    same = problem.with_frames(np.ones(problem.n_frames, dtype=bool))
    assert same.log_likelihood_constant == problem.log_likelihood_constant
    for mine, other in zip(same.batches, problem.batches, strict=True):
        for name in ("indptr", "index", "count"):
            for order in ("by_frame", "by_pixel"):
                np.testing.assert_array_equal(getattr(getattr(mine, order), name), getattr(getattr(other, order), name))


def test_fewer_rows_and_angles_are_what_they_say(problem, photons, experiment, orientations):
    rows = problem.rows
    q = np.linalg.norm(rows.q_inv_angstrom, axis=1)
    kept = q <= 0.3
    coarse = every_kth(orientations, 3)
    part = problem.with_rows(kept, q <= 0.2, rows.n_voxels, experiment.crystal, coarse, Serial())
    assert part.rows.n_rows == kept.sum()
    assert part.rows.likelihood.sum() == (rows.likelihood & (q <= 0.2)).sum()
    assert (part.n_orientations, part.n_local) == (54, 54)
    np.testing.assert_allclose(np.exp(part.log_prior).sum(), 1.0)
    np.testing.assert_array_equal(part.transforms, problem.transforms[::3])
    pixels = np.flatnonzero(part.rows.row_of_pixel >= 0)
    assert sum(batch.by_pixel.count.sum() for batch in part.batches) == photons.to_dense()[:, pixels].sum()
    near = np.flatnonzero(rows.row_of_pixel >= 0)[rows.likelihood & (q <= 0.2)]
    assert part.likelihood_photons == photons.to_dense()[:, near].sum()


def test_no_photons_left_is_an_error(problem, experiment, orientations):
    with pytest.raises(ConvergenceError, match="chosen frames"):
        problem.with_frames(np.zeros(problem.n_frames, dtype=bool))
    nothing = np.zeros(problem.rows.n_rows, dtype=bool)
    with pytest.raises(ConvergenceError, match="q_fraction"):
        problem.with_rows(~nothing, nothing, problem.rows.n_voxels, experiment.crystal, orientations, Serial())
