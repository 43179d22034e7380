import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from fewphoton.data import Orientations
from fewphoton.xrai import posterior_merge
from fewphoton.xrai.merging import VolumeSums
from fewphoton.xrai.posterior_merge import posterior_step
from tests.xrai.known_poses import particles, problem_of

SAMPLE = Orientations.over_rotation_group(2)


def setting(per_frame_fluence=False):
    found = particles(60, 60.0, "poisson")
    problem = problem_of(found, per_frame_fluence=per_frame_fluence)
    volume, _ = problem.merged(found.quaternion, np.ones(60, dtype=bool))
    return problem, volume


@pytest.mark.parametrize("per_frame_fluence", [False, True])
@pytest.mark.parametrize("beta", [1.0, 0.3])
def test_a_step_is_the_sum_over_all_pairs(per_frame_fluence, beta, monkeypatch):
    problem, volume = setting(per_frame_fluence)
    monkeypatch.setattr(posterior_merge, "columns_at_a_time", lambda rows, device: 17)
    monkeypatch.setattr(posterior_merge, "_VIEWS_AT_A_TIME", 100)
    merged = ~problem.held_out
    step = posterior_step(
        problem.views, volume, problem.noise, problem.patterns, problem.frame, SAMPLE, beta, merged=merged
    )
    patterns, views = problem.patterns(problem.frame), problem.views.of(volume, SAMPLE.quaternion)
    score = problem.noise.scorer(views)(patterns).numpy().astype(float)
    weighted = beta * score + np.log(SAMPLE.weight)
    p = np.exp(weighted - logsumexp(weighted, axis=1, keepdims=True))
    np.testing.assert_allclose(step.probability, p.max(axis=1), rtol=1e-2)
    np.testing.assert_allclose(step.log_likelihood, logsumexp(score + np.log(SAMPLE.weight), axis=1), rtol=1e-4)
    np.testing.assert_allclose(step.entropy_nat, -(p * np.log(p.clip(1e-300))).sum(axis=1), atol=0.02)
    share = p[merged]
    y = patterns.numpy().T[merged]
    fluence = y.sum(axis=1)[:, None] / views.numpy().sum(axis=0) if per_frame_fluence else np.ones_like(share)
    sums = VolumeSums(problem.views)
    table = torch.from_numpy((share.T @ y).T.astype(np.float32).copy())
    sums.add(table, SAMPLE.quaternion, np.ones(len(SAMPLE)), (share * fluence).sum(axis=0))
    expected, weight = sums.averaged()
    np.testing.assert_allclose(step.volume, expected, rtol=2e-2, atol=2e-3 * float(expected.max()))
    np.testing.assert_allclose(step.weight, weight, rtol=2e-2, atol=2e-3 * float(weight.max()))


def test_pixels_left_out_do_not_matter_for_probabilities_but_are_merged():
    problem, volume = setting()
    pixels = np.linalg.norm(problem.views.q_inv_angstrom, axis=1) < 0.08
    args = problem.views, volume, problem.noise, problem.patterns, problem.frame, SAMPLE, 1.0
    step = posterior_step(*args, pixels=pixels)
    inside = problem.views.within(pixels).of(volume, SAMPLE.quaternion)
    score = problem.noise.scorer(inside)(problem.patterns(problem.frame)[torch.from_numpy(pixels)])
    best = (score.numpy() + np.log(SAMPLE.weight)).argmax(axis=1)
    assert (step.orientation == best).mean() > 0.95
    whole = posterior_step(*args)
    assert float(step.weight.sum()) == pytest.approx(float(whole.weight.sum()))
