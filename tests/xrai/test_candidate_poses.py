import numpy as np
import pytest

from fewphoton.data import Orientations
from fewphoton.data.point_group import rotation_angles_deg
from fewphoton.data.rotation_group import spacing_deg
from fewphoton.xrai import candidate_poses as module
from fewphoton.xrai.candidate_poses import Candidates, candidate_poses, merge_candidates
from fewphoton.xrai.merging import merge_poses
from tests.xrai.known_poses import particles, problem_of

SAMPLE = Orientations.over_rotation_group(3)


@pytest.fixture(scope="module")
def setting():
    found = particles(80, 100.0, "poisson")
    problem = problem_of(found)
    volume, _ = problem.merged(found.quaternion, np.ones(80, dtype=bool))
    return found, problem, volume


def sought(problem, volume, frame=None):
    frame = problem.frame if frame is None else frame
    return candidate_poses(problem.views, volume, problem.noise, problem.patterns, frame, SAMPLE, 4)


def test_probabilities_are_the_softmax_of_their_likelihoods(setting, monkeypatch):
    _, problem, volume = setting
    monkeypatch.setattr(module, "columns_at_a_time", lambda rows, device: 25)
    frame = np.array([3, 17, 41])
    found = sought(problem, volume, frame)
    assert set(found.frame) == set(frame)
    assert (np.diff(found.frame) >= 0).all()
    for number in frame:
        own = found.frame == number
        assert found.probability[own].sum() == pytest.approx(1)
        view = problem.views.of(volume, found.quaternion[own])
        pattern = problem.patterns(np.full(own.sum(), number))
        value = problem.noise.values(pattern, view).numpy()
        share = np.exp(value - value.max())
        np.testing.assert_allclose(found.probability[own], share / share.sum(), rtol=1e-3)
        assert found.log_likelihood[frame == number] < value.max()


def test_neighbours_stand_a_third_of_the_samples_step_apart(setting, monkeypatch):
    _, problem, volume = setting
    monkeypatch.setattr(module, "_SMALLEST_SHARE", 0.0)
    found = candidate_poses(problem.views, volume, problem.noise, problem.patterns, problem.frame[:2], SAMPLE, 1)
    assert (np.bincount(found.frame) == 27).all()
    own = found.quaternion[:27]
    angle = rotation_angles_deg(own[13], own)
    np.testing.assert_allclose(np.sort(angle)[1:7], spacing_deg(len(SAMPLE)) / 3)
    assert rotation_angles_deg(own[13][None], SAMPLE.quaternion).min() < 1e-6


def test_the_best_pose_is_the_likeliest_and_near_the_truth(setting):
    found, problem, volume = setting
    candidates = sought(problem, volume)
    best, probability, entropy = candidates.best()
    assert len(best) == len(probability) == 80
    first = np.searchsorted(candidates.frame, np.arange(80))
    last = np.searchsorted(candidates.frame, np.arange(80), side="right")
    for frame in range(80):
        own = slice(first[frame], last[frame])
        assert probability[frame] == candidates.probability[own].max()
        p = candidates.probability[own]
        assert entropy[frame] == pytest.approx(-(p * np.log(p)).sum())
    # 80 frames of 100 photons: their own volume holds them fast.
    assert np.median(rotation_angles_deg(best, found.quaternion)) < spacing_deg(len(SAMPLE)) / 2


def test_one_candidate_each_merges_as_a_pose_does(setting):
    found, problem, _ = setting
    sure = Candidates(problem.frame, found.quaternion, np.ones(80), np.ones(80), np.zeros(80))
    expected = merge_poses(problem.views, problem.patterns, problem.frame, found.quaternion)
    for have, want in zip(merge_candidates(problem.views, problem.patterns, sure), expected, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=1e-6)
    chosen = np.arange(80) < 40
    some = merge_candidates(problem.views, problem.patterns, sure, chosen)
    half = merge_poses(problem.views, problem.patterns, problem.frame[:40], found.quaternion[:40])
    np.testing.assert_allclose(some[0], half[0], rtol=1e-4, atol=1e-6)
