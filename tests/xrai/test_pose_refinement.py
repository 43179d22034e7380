import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewphoton.config.pose_estimation import CandidatesConfig, RefinePosesConfig
from fewphoton.data.point_group import rotation_angles_deg
from fewphoton.evaluate.rotation_error import align_rotations
from fewphoton.xrai.pose_refinement import refine_poses
from tests.xrai.known_poses import off_by, particles, problem_of


def started(found, degrees, outliers, rng):
    start = off_by(found.quaternion, degrees, rng)
    lost = rng.random(len(start)) < outliers
    start[lost] = Rotation.random(int(lost.sum()), rng).as_quat(scalar_first=True)
    return start


def test_noise_free_poses_with_outliers_are_refined():
    found = particles(400, 2000.0, "none")
    problem = problem_of(found)
    start = started(found, 6.0, 0.15, np.random.default_rng(3))
    # Two frames come without a pose at all.
    start[[7, 8]] = np.nan
    told = []
    config = RefinePosesConfig(rounds=3, rematch_rounds=2, rematch_level=3)
    refined = refine_poses(problem, config, start, report=told.append)
    error = align_rotations(refined.quaternion, found.quaternion).error_deg
    assert np.median(error) < 1.0
    assert (error < 5).mean() > 0.98
    assert error[[7, 8]].max() < 5
    assert told == list(refined.records)
    assert [record.number for record in told] == [1, 2, 3]
    assert told[0].rematched_fraction > 0.1
    assert told[2].rematched_fraction == 0.0
    assert told[2].held_out_log_likelihood > told[0].held_out_log_likelihood
    np.testing.assert_array_equal(refined.fluence, 1.0)


def test_candidates_come_first_and_may_come_last():
    found = particles(200, 150.0, "poisson")
    problem = problem_of(found)
    start = off_by(found.quaternion, 8.0, np.random.default_rng(3))
    candidates = CandidatesConfig(level=3, per_frame=3, iterations=2)
    both = refine_poses(problem, RefinePosesConfig(rounds=1, rematch_rounds=0, candidates=candidates), start)
    assert [record.kind for record in both.records] == ["candidates", "candidates", "search"]
    assert np.isnan(both.probability).all()
    last = refine_poses(problem, RefinePosesConfig(candidates=candidates, merge="posterior"), start)
    assert [record.kind for record in last.records] == ["candidates", "candidates"]
    assert ((last.probability > 0) & (last.probability <= 1)).all()
    for refined in (both, last):
        assert np.median(align_rotations(refined.quaternion, found.quaternion).error_deg) < 8


def test_a_given_volume_is_used_before_any_merge():
    """From poses that say nothing, only the volume can lead to the true ones."""
    found = particles(200, 2000.0, "none")
    problem = problem_of(found)
    volume, _ = problem.merged(found.quaternion, np.ones(200, dtype=bool))
    config = RefinePosesConfig(rounds=2, rematch_rounds=1, rematch_fraction=1.0, rematch_level=3)
    unknown = np.full((200, 4), np.nan)
    refined = refine_poses(problem, config, unknown, volume)
    assert np.median(rotation_angles_deg(refined.quaternion, found.quaternion)) < 1.5


def test_fluences_are_found():
    found = particles(200, 2000.0, "poisson")
    problem = problem_of(found, per_frame_fluence=True)
    refined = refine_poses(problem, RefinePosesConfig(rounds=1, rematch_rounds=0), found.quaternion)
    expected = found.expected.sum(axis=1)
    ratio = problem.patterns.total / expected
    assert np.corrcoef(refined.fluence, ratio)[0, 1] > 0.8
    assert refined.fluence.mean() == pytest.approx(1)


@pytest.mark.parametrize("merge", ["best", "posterior"])
def test_any_saved_state_leads_to_the_same_poses(merge):
    found = particles(150, 300.0, "poisson")
    problem = problem_of(found)
    start = started(found, 8.0, 0.1, np.random.default_rng(3))
    start[4] = np.nan
    config = RefinePosesConfig(
        rounds=2,
        rematch_rounds=1,
        rematch_level=2,
        candidates=CandidatesConfig(level=2, per_frame=3, iterations=2),
        merge=merge,
    )
    states = []
    whole = refine_poses(problem, config, start, save=states.append)
    assert len(states) == (4 if merge == "best" else 2)
    for state in states:
        later = []
        # Poses to begin with are not needed any more.
        again = refine_poses(problem, config, np.full_like(start, np.nan), report=later.append, state=state)
        assert len(later) == len(states) - len(state.records)
        for name in ("quaternion", "log_likelihood", "fluence", "probability", "entropy_nat"):
            np.testing.assert_array_equal(getattr(again, name), getattr(whole, name), err_msg=name)
        np.testing.assert_array_equal(again.volume.numpy(), whole.volume.numpy())
        assert again.records[: len(state.records)] == state.records
