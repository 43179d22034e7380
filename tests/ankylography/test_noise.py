import numpy as np
import pytest

from fewphoton.ankylography.noise import (
    photons_per_electron2_of_pulse,
    photons_per_electron2_of_shot,
    white_noise_sigma,
    with_noise,
)
from fewphoton.errors import DataError


def test_noise_level_is_a_fraction_of_power():
    """Intensities 3, 4, 0, 0 have a mean square of 25/4; a hundredth of it is the variance 1/16."""
    assert white_noise_sigma(np.array([3.0, 4.0, 0.0, 0.0]), 0.01) == pytest.approx(0.25)
    assert white_noise_sigma(np.array([3.0]), 0.0) == 0.0


def test_photons_of_a_pulse_by_hand():
    """10^12 photons on a square of 100 nm: 10^26 per m², times r_e² = 7.94e-30 m², times 10 millisteradian."""
    assert photons_per_electron2_of_pulse(1e12, 1e-14, 0.01) == pytest.approx(7.9408e-6, rel=1e-4)


def test_photons_of_a_shot_are_shared_out():
    intensity = np.array([100.0, 50.0, 0.0])
    scale = photons_per_electron2_of_shot(intensity, 30.0)
    assert (scale * intensity).sum() == pytest.approx(30.0)


def test_white_noise_has_its_sigma_and_no_mean():
    intensity = np.linspace(0, 50, 20_000)
    difference = with_noise(intensity, 2.0, None, np.random.default_rng(1)) - intensity
    assert difference.std() == pytest.approx(2.0, rel=0.03)
    assert abs(difference.mean()) < 4 * 2 / np.sqrt(20_000)
    assert abs(np.corrcoef(difference, intensity)[0, 1]) < 0.03


def test_counts_are_whole_photons_with_poisson_variance():
    intensity = np.repeat([0.0, 40.0], 20_000)
    measured = with_noise(intensity, 0.0, 0.1, np.random.default_rng(2))
    counts = measured * 0.1
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-9)
    assert not counts[:20_000].any()
    assert counts[20_000:].mean() == pytest.approx(4.0, abs=0.06)
    assert counts[20_000:].var() == pytest.approx(4.0, rel=0.05)


def test_both_noises_add():
    intensity = np.full(20_000, 40.0)
    measured = with_noise(intensity, 15.0, 0.1, np.random.default_rng(3))
    assert measured.var() == pytest.approx(15.0**2 + 40.0 / 0.1, rel=0.05)


def test_without_noise_nothing_changes_and_the_input_is_kept():
    intensity = np.array([1.0, 2.0])
    measured = with_noise(intensity, 0.0, None, np.random.default_rng(4))
    np.testing.assert_array_equal(measured, intensity)
    assert measured is not intensity


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: white_noise_sigma(np.ones(2), -1e-3), "noise level must not be negative, found -0.001"),
        (lambda: white_noise_sigma(np.ones(2), np.nan), "noise level must not be negative, found nan"),
        (lambda: photons_per_electron2_of_pulse(0.0, 1.0, 1.0), "photons of the pulse must be positive"),
        (lambda: photons_per_electron2_of_pulse(1.0, 0.0, 1.0), "focus area must be positive"),
        (lambda: photons_per_electron2_of_pulse(1.0, 1.0, np.nan), "solid angle must be positive"),
        (lambda: photons_per_electron2_of_shot(np.ones(2), 0.0), "photons per shot must be positive"),
        (lambda: photons_per_electron2_of_shot(np.zeros(2), 5.0), "nothing scatters"),
    ],
)
def test_impossible_values_are_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
