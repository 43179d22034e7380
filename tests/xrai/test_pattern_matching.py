from dataclasses import asdict

import numpy as np
import pytest
import torch

from fewphoton.config.pose_estimation import AnnealingConfig, MatchPatternsConfig
from fewphoton.data.point_group import PointGroup
from fewphoton.errors import DataError
from fewphoton.evaluate.volume_alignment import align_with_turned_frames, errors_with_turned_frames
from fewphoton.xrai.pattern_matching import match_patterns, n_steps, start_volume
from fewphoton.xrai.pose_matching import oblique_sample
from tests.xrai.known_poses import particles, problem_of

TRIED = MatchPatternsConfig(level=2, assignment="posterior", starts=2, start_iterations=2, iterations=4, seed=1)


def run(problem, config, state=None):
    saved = []
    matched, last = match_patterns(problem, config, state, saved.append)
    return matched, last, saved


def without_times(records):
    return [
        {k: v for k, v in asdict(record).items() if k not in ("seconds", "patterns_per_second")} for record in records
    ]


def test_poses_are_found_from_nothing():
    found = particles(400, 500.0, "poisson")
    config = MatchPatternsConfig(
        level=3,
        assignment="posterior",
        starts=2,
        start_iterations=8,
        iterations=14,
        annealing=AnnealingConfig(iterations=6, first_q_fraction=0.5),
    )
    matched, state, _ = run(problem_of(found), config)
    quaternion = oblique_sample(3).quaternion[matched.orientation]
    # Up to the half turn about the beam, which a nearly flat sphere cannot tell.
    beam = np.array([0.0, 0.0, 1.0])
    aligned = align_with_turned_frames(quaternion, found.quaternion, beam, PointGroup.named("C1"))
    error = errors_with_turned_frames(quaternion, found.quaternion, aligned.alignment, beam, PointGroup.named("C1"))
    assert np.median(error) < 20
    assert state.records[0].q_fraction == 0.5
    assert state.records[-1].q_fraction == 1.0


@pytest.mark.parametrize("assignment", ["best", "posterior"])
def test_a_run_goes_on_from_any_step_as_if_never_stopped(assignment):
    problem = problem_of(particles(60, 100.0, "poisson"))
    config = TRIED.model_copy(update={"assignment": assignment})
    whole, last, saved = run(problem, config)
    assert len(saved) == n_steps(config) == 6
    for state in (saved[1], saved[3], saved[4]):
        again, end, _ = run(problem, config, state)
        assert torch.equal(again.volume, whole.volume)
        assert without_times(end.records) == without_times(last.records)


def test_the_start_under_which_held_out_frames_are_likeliest_goes_on():
    problem = problem_of(particles(60, 100.0, "poisson"))
    _, state, _ = run(problem, TRIED)
    assert [(record.start, record.iteration) for record in state.records[:4]] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    scores = [state.records[step].held_out_log_likelihood for step in (1, 3)]
    assert state.best_start == int(np.argmax(scores))
    assert [record.start for record in state.records[4:]] == [state.best_start] * 2
    alone, single, _ = run(problem, TRIED.model_copy(update={"iterations": 2}))
    assert single.best_start == state.best_start
    assert alone.volume.shape == state.volume.shape


def test_starts_differ_and_are_the_same_again():
    problem = problem_of(particles(60, 100.0, "poisson"))
    first, second = (start_volume(problem, TRIED, start) for start in (0, 1))
    assert torch.equal(first, start_volume(problem, TRIED, 0))
    assert not torch.allclose(first, second, rtol=0.05)


def test_likelihoods_are_tempered_by_equal_factors():
    problem = problem_of(particles(60, 100.0, "poisson"))
    config = TRIED.model_copy(
        update={"starts": 1, "annealing": AnnealingConfig(iterations=2, first_beta=0.01, first_q_fraction=0.4)}
    )
    _, state, _ = run(problem, config)
    assert [record.beta for record in state.records] == pytest.approx([0.01, 0.1, 1.0, 1.0])
    assert [record.q_fraction for record in state.records] == pytest.approx([0.4, 0.7, 1.0, 1.0])
    assert state.records[0].entropy_nat > state.records[2].entropy_nat


def test_problems_without_patterns_are_refused():
    dark = particles(3, 1e-7, "poisson")
    with pytest.raises(DataError, match="0 of 3 frames hold photons"):
        problem_of(dark)
    with pytest.raises(DataError, match="one fluence"):
        problem_of(particles(60, 100.0, "none"), per_frame_fluence=True)
