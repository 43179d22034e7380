import numpy as np
import pytest

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.misfit_weights import misfit_weights, noise_floor, reduced_chi2, wilson_intensity
from fewphoton.data.shot import Shot
from fewphoton.errors import ConfigError
from tests.ankylography.site_shots import site_shot

COMPOSITION = {"C": 3, "O": 1}


def test_the_wilson_mean_is_that_of_atoms_at_random_places():
    shot, *_ = site_shot(1, COMPOSITION, n_detectors=20)
    model = ForwardModel.of(shot)
    rng = np.random.default_rng(2)
    kind = np.array([0, 0, 0, 1])
    # Detectors beyond the forward peak: places in a large box have random phases there.
    drawn = np.mean([model.intensity(rng.uniform(-50, 50, (4, 3)), kind) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(drawn, wilson_intensity(shot, model), rtol=0.1)


def test_weights_are_the_reciprocal_variances_with_mean_1():
    shot, *_ = site_shot(1, COMPOSITION, white_share=1e-3)
    model = ForwardModel.of(shot)
    np.testing.assert_array_equal(misfit_weights(shot, model, "none", 0.2), 1.0)
    np.testing.assert_allclose(misfit_weights(shot, model, "noise", 0.2), 1.0)
    expected = 1 / (shot.white_sigma_electron2**2 + (0.2 * wilson_intensity(shot, model)) ** 2)
    np.testing.assert_allclose(misfit_weights(shot, model, "wilson", 0.2), expected / expected.mean())


def test_counting_noise_weighs_bright_detectors_less():
    shot, *_ = site_shot(1, COMPOSITION)
    counted = Shot(0.35, shot.q_inv_angstrom, shot.intensity_electron2, 0.0, 2.0, COMPOSITION)
    model = ForwardModel.of(shot)
    expected = 1 / wilson_intensity(shot, model)
    np.testing.assert_allclose(misfit_weights(counted, model, "noise", 0.2), expected / expected.mean())


def test_noise_weights_need_noise():
    shot, *_ = site_shot(1, COMPOSITION)
    with pytest.raises(ConfigError, match="needs a shot with noise"):
        misfit_weights(shot, ForwardModel.of(shot), "noise", 0.2)


@pytest.mark.parametrize("weights", ["none", "wilson"])
def test_truth_stays_below_the_floor_and_just_so(weights):
    below, ratio = 0, []
    for seed in range(40):
        shot, grid, kind, site = site_shot(seed, COMPOSITION, white_share=1e-3)
        model = ForwardModel.of(shot)
        weight = misfit_weights(shot, model, weights, 0.2)
        misfit = weight @ (shot.intensity_electron2 - model.intensity(grid.positions(site), kind)) ** 2
        ratio.append(misfit / noise_floor(shot, model, weight))
        below += ratio[-1] < 1
    assert below == 40
    assert np.mean(ratio) > 0.5


def test_truth_has_a_reduced_chi2_of_1():
    values = []
    for seed in range(30):
        shot, grid, kind, site = site_shot(seed, COMPOSITION, white_share=1e-3)
        values.append(reduced_chi2(shot, ForwardModel.of(shot).intensity(grid.positions(site), kind)))
    # 30 means of 200 squares: a standard deviation of 0.018.
    assert np.mean(values) == pytest.approx(1.0, abs=0.07)


def test_a_shot_without_noise_is_judged_all_the_same():
    shot, grid, kind, site = site_shot(3, COMPOSITION)
    intensity = ForwardModel.of(shot).intensity(grid.positions(site), kind)
    assert reduced_chi2(shot, intensity) < 1e-9
    assert reduced_chi2(shot, 1.01 * intensity) == pytest.approx(1e-4 / 1e-12)
