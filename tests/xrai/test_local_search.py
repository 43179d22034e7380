import numpy as np
import pytest
import torch

from fewphoton.data.point_group import rotation_angles_deg
from fewphoton.xrai.local_search import search_locally, turned
from tests.xrai.known_poses import off_by, particles, problem_of

STEPS = (4.0, 3.0, 2.0, 1.0, 0.5)


def setting(noise, photons):
    found = particles(400, photons, noise)
    problem = problem_of(found)
    volume, _ = problem.merged(found.quaternion, np.ones(400, dtype=bool))
    return found, problem, volume


def test_a_tangent_turns_in_the_laboratory():
    pose = np.array([[0.0, 1.0, 0.0, 0.0]])  # half a turn about x
    moved = turned(pose, np.array([[0.0, 0.0, np.pi / 2]]))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(moved, [[0.0, half, half, 0.0]], atol=1e-12)


@pytest.mark.parametrize(("noise", "photons", "limit_deg"), [("none", 2000.0, 0.7), ("poisson", 3000.0, 2.0)])
def test_poses_come_back_from_some_degrees_off(noise, photons, limit_deg):
    found, problem, volume = setting(noise, photons)
    start = off_by(found.quaternion, 6.0, np.random.default_rng(1))
    result = search_locally(problem.views, volume, problem.noise, problem.patterns, problem.frame, start, STEPS)
    assert np.median(rotation_angles_deg(result.quaternion, found.quaternion)) < limit_deg
    view = problem.views.of(volume, result.quaternion)
    np.testing.assert_allclose(
        result.log_likelihood, problem.noise.values(problem.patterns(problem.frame), view), rtol=1e-6, atol=1e-4
    )


def test_no_step_lowers_the_likelihood_and_batches_do_not_matter():
    found, problem, volume = setting("poisson", 300.0)
    frame = np.repeat(np.arange(20), 2)
    start = off_by(found.quaternion[frame], 10.0, np.random.default_rng(1))
    args = problem.views, volume, problem.noise, problem.patterns, frame, start
    last = search_locally(*args, ()).log_likelihood
    for n in (1, 2, 4):
        now = search_locally(*args, STEPS[:n])
        assert (now.log_likelihood >= last - 1e-9).all()
        last = now.log_likelihood
    parts = search_locally(*args, STEPS[:4], batch=7)
    np.testing.assert_allclose(parts.log_likelihood, last, rtol=1e-6)


def test_no_pose_moves_in_a_volume_that_is_the_same_all_round():
    found, problem, volume = setting("poisson", 300.0)
    flat = torch.full_like(volume, float(volume.mean()))
    result = search_locally(
        problem.views, flat, problem.noise, problem.patterns, problem.frame, found.quaternion, (2.0, 1.0)
    )
    assert rotation_angles_deg(result.quaternion, found.quaternion).max() < 1e-3
