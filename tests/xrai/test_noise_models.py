import numpy as np
import pytest
import torch
from scipy.stats import poisson

from fewphoton.xrai.noise_models import NoiseFreeAmplitudes, PoissonCounts, ring_weights


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def made(rng, n_pixels=40, n_views=5, n_patterns=5, level=3.0):
    views = torch.from_numpy(rng.gamma(2.0, level / 2, (n_pixels, n_views)).astype(np.float32))
    patterns = torch.from_numpy(rng.poisson(level, (n_pixels, n_patterns)).astype(np.float32))
    return patterns, views


def test_poisson_scores_are_log_probabilities_up_to_the_patterns_own_term(rng):
    patterns, views = made(rng)
    scores = PoissonCounts(False).scorer(views)(patterns).numpy()
    exact = poisson.logpmf(patterns.numpy()[:, :, None], views.numpy()[:, None, :]).sum(axis=0)
    np.testing.assert_allclose(scores - scores[:, :1], exact - exact[:, :1], atol=1e-3)


def test_the_profiled_fluence_is_the_likeliest(rng):
    patterns, views = made(rng, n_patterns=1)
    factors = np.exp(np.linspace(-2, 2, 4001))
    y, view = patterns.numpy()[:, 0], views.numpy()[:, 1]
    exact = np.array([poisson.logpmf(y, factor * view).sum() for factor in factors])
    found = float(PoissonCounts(True).fluences(patterns, views[:, 1:2]))
    assert factors[exact.argmax()] == pytest.approx(found, rel=2e-3)
    other = np.array([poisson.logpmf(y, factor * views.numpy()[:, 3]).sum() for factor in factors])
    scores = PoissonCounts(True).scorer(views)(patterns).numpy()
    assert scores[0, 1] - scores[0, 3] == pytest.approx(exact.max() - other.max(), abs=2e-3)


def models(n_pixels):
    weight = torch.linspace(0.5, 2.0, n_pixels)
    return PoissonCounts(False), PoissonCounts(True), NoiseFreeAmplitudes(weight)


def test_values_are_the_diagonal_of_the_scores(rng):
    patterns, views = made(rng)
    for noise in models(40):
        np.testing.assert_allclose(
            noise.values(patterns, views), noise.scorer(views)(patterns).diagonal(), rtol=1e-5, atol=1e-3
        )


def test_slopes_are_those_of_the_values(rng):
    patterns, views = made(rng, n_views=1, n_patterns=1)
    changes = torch.from_numpy(rng.standard_normal((3, 40, 1)).astype(np.float32)) * 0.2
    for noise in models(40)[:2]:
        slope, _ = noise.expansion(patterns, views, changes)
        for axis in range(3):
            up, down = (noise.values(patterns, views + sign * 0.01 * changes[axis]) for sign in (1, -1))
            assert float(slope[0, axis]) == pytest.approx(float(up - down) / 0.02, rel=0.02, abs=0.05)


def test_the_curvature_is_the_variance_of_the_slope(rng):
    _, views = made(rng, n_views=1, level=30.0)
    changes = torch.from_numpy(rng.standard_normal((3, 40, 1)).astype(np.float32))
    drawn = torch.from_numpy(rng.poisson(views.numpy()[:, :1], (40, 4000)).astype(np.float32))
    many = views.expand(-1, 4000).contiguous()
    for noise in models(40)[:2]:
        slope, curvature = noise.expansion(drawn, many, changes.expand(-1, -1, 4000))
        np.testing.assert_allclose(np.cov(slope.numpy().T), curvature.mean(dim=0), rtol=0.15, atol=2.0)


def test_a_change_of_brightness_says_nothing_where_the_fluence_is_free(rng):
    patterns, views = made(rng)
    changes = torch.stack([views, views.flip(0), views.flip(1)])
    slope, curvature = PoissonCounts(True).expansion(patterns, views, changes)
    scale = PoissonCounts(False).expansion(patterns, views, changes)[1][:, 0, 0]
    np.testing.assert_allclose(slope[:, 0], 0.0, atol=1e-3 * float(scale.max()))
    np.testing.assert_allclose(curvature[:, 0], 0.0, atol=1e-3 * float(scale.max()))


def test_an_amplitude_search_points_to_the_pattern(rng):
    _, views = made(rng, n_views=1, level=30.0)
    changes = torch.from_numpy(rng.standard_normal((3, 40, 1)).astype(np.float32))
    wanted = torch.tensor([0.05, -0.1, 0.02])
    noise = models(40)[2]
    patterns = views + torch.einsum("j,jpn->pn", wanted, changes)
    slope, curvature = noise.expansion(patterns, views, changes)
    np.testing.assert_allclose(torch.linalg.solve(curvature[0], slope[0]), wanted, atol=0.02)


def test_misfits_of_true_views_are_standard_normal(rng):
    views = torch.from_numpy(rng.gamma(2.0, 1.0, (200, 1)).astype(np.float32)).expand(-1, 3000).contiguous()
    drawn = torch.from_numpy(rng.poisson(views.numpy()).astype(np.float32))
    found = PoissonCounts(False).misfits(drawn, views)
    assert float(found.mean()) == pytest.approx(0.0, abs=0.08)
    assert float(found.std()) == pytest.approx(1.0, abs=0.08)
    wrong = PoissonCounts(False).misfits(drawn, views.flip(0))
    assert float(wrong.min()) > float(found.mean())


def test_an_amplitude_misfit_is_relative(rng):
    patterns, views = made(rng)
    noise = models(40)[2]
    np.testing.assert_allclose(noise.misfits(9 * patterns, 9 * views), noise.misfits(patterns, views), rtol=1e-5)
    assert float(noise.misfits(patterns, patterns).abs().max()) == 0.0


def test_ring_weights_are_inverse_variances_of_amplitudes(rng):
    amplitude = np.concatenate([rng.normal(20, 2.0, (50, 4000)), rng.normal(20, 0.5, (50, 4000))])
    q = torch.from_numpy(np.repeat([0.2, 1.0], 50))
    weight = ring_weights(torch.from_numpy((amplitude**2).astype(np.float32)), q, 2)
    np.testing.assert_allclose(weight[:50], 1 / 4, rtol=0.02)
    np.testing.assert_allclose(weight[50:], 4, rtol=0.02)


def test_models_of_some_pixels(rng):
    patterns, views = made(rng)
    chosen = torch.arange(40) % 2 == 0
    for noise in models(40):
        part = noise.within(chosen).values(patterns[chosen], views[chosen])
        rest = noise.within(~chosen).values(patterns[~chosen], views[~chosen])
        if not getattr(noise, "per_frame_fluence", False):
            np.testing.assert_allclose(part + rest, noise.values(patterns, views), rtol=1e-5)
