import numpy as np
import pytest
import torch

from fewphoton.data import Orientations
from fewphoton.data.orientations import rotation_about_axis, rotation_matrices
from fewphoton.xrai import pose_matching
from fewphoton.xrai.pose_matching import match, oblique_sample, pose_floor
from tests.xrai.known_poses import particles, problem_of

SAMPLE = Orientations.over_rotation_group(2)


@pytest.fixture(scope="module")
def setting():
    found = particles(60, 300.0, "poisson")
    problem = problem_of(found)
    volume, _ = problem.merged(found.quaternion, np.ones(60, dtype=bool))
    return found, problem, volume


def naive(problem, volume, pixels=slice(None)):
    views = problem.views.of(volume, SAMPLE.quaternion)[pixels]
    return problem.noise.scorer(views)(problem.patterns(problem.frame)[pixels]).numpy()


def test_matches_are_the_best_of_all_pairs_over_any_tiles(setting, monkeypatch):
    _, problem, volume = setting
    exact = naive(problem, volume)
    order = np.argsort(-exact, axis=1)[:, :3]
    for tile, batch in ((4096, 1024), (100, 17), (2, 60)):
        monkeypatch.setattr(pose_matching, "_TILE", tile)
        monkeypatch.setattr(pose_matching, "_BATCH", batch)
        found = match(problem.views, volume, problem.noise, problem.patterns, problem.frame, SAMPLE, n_best=3)
        np.testing.assert_allclose(found.score, np.take_along_axis(exact, order, 1), rtol=1e-5)
        assert (found.orientation == order).mean() > 0.97
        one = match(problem.views, volume, problem.noise, problem.patterns, problem.frame, SAMPLE)
        np.testing.assert_allclose(one.score, found.score[:, :1], rtol=1e-5)


def test_only_chosen_pixels_are_compared_and_all_pairs_are_told(setting):
    _, problem, volume = setting
    pixels = np.linalg.norm(problem.views.q_inv_angstrom, axis=1) < 0.08
    told = []
    args = problem.views, volume, problem.noise, problem.patterns, problem.frame, SAMPLE
    found = match(*args, pixels=pixels, report=told.append)
    np.testing.assert_allclose(found.score[:, 0], naive(problem, volume, torch.from_numpy(pixels)).max(1), rtol=1e-5)
    assert sum(told) == 60 * len(SAMPLE)


def test_the_floor_is_the_angle_to_the_nearest():
    sample = Orientations.over_rotation_group(3)
    floor = pose_floor(sample, np.array([0.0, 0.0, 1.0]), 300)
    drawn = np.random.default_rng(0).standard_normal((300, 4))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    half = rotation_about_axis([0, 0, 1], 180.0)
    traces = [
        np.einsum("aij,bij->ab", turn @ rotation_matrices(drawn), sample.matrices()) for turn in (np.eye(3), half)
    ]
    angle = [np.degrees(np.arccos(np.clip((trace.max(axis=1) - 1) / 2, -1, 1))) for trace in traces]
    assert floor.median_deg == pytest.approx(np.median(angle[0]), abs=1e-3)
    assert floor.median_up_to_half_turn_deg == pytest.approx(np.median(np.minimum(*angle)), abs=1e-3)


def test_half_turns_help_the_oblique_sample_alone():
    beam = np.array([0.0, 0.0, 1.0])
    plain, oblique = (pose_floor(sample, beam) for sample in (Orientations.over_rotation_group(4), oblique_sample(4)))
    assert oblique.median_deg == pytest.approx(plain.median_deg, rel=0.02)
    assert plain.median_up_to_half_turn_deg == pytest.approx(plain.median_deg)
    assert oblique.median_up_to_half_turn_deg < 0.85 * plain.median_deg
    assert oblique_sample(4).weight.sum() == pytest.approx(1)


def test_half_turns_help_a_sample_that_has_none():
    lone = Orientations(np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]), np.array([0.5, 0.5]))
    floor = pose_floor(lone, np.array([0.0, 0.0, 1.0]), 2000)
    assert floor.median_up_to_half_turn_deg < 0.9 * floor.median_deg
