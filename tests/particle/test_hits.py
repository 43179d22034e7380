import numpy as np
import pytest
from scipy import stats

from fewphoton.errors import DataError
from fewphoton.particle.hits import hit_threshold


def test_poisson_empties_pass_as_rarely_as_asked():
    photons = np.array([20, 19, 21, 20])  # narrower than Poisson
    threshold = hit_threshold(photons, 1e-3)
    assert stats.poisson.sf(threshold - 1, 20.0) <= 1e-3 < stats.poisson.sf(threshold - 2, 20.0)


def test_varying_pulses_raise_the_threshold():
    rng = np.random.default_rng(0)
    pulses = rng.gamma(8.0, 1 / 8.0, 40000)
    threshold = hit_threshold(rng.poisson(50 * pulses[:20000]), 1e-2)
    passed = (rng.poisson(50 * pulses[20000:]) >= threshold).mean()
    assert 0.005 < passed < 0.015
    assert threshold > hit_threshold(rng.poisson(50.0, 20000), 1e-2) + 20


def test_dark_frames_without_photons():
    assert hit_threshold(np.zeros(5, dtype=int), 1e-3) == 1


@pytest.mark.parametrize(("photons", "rate"), [([3], 0.1), ([3, 4], 0.0), ([3, 4], 1.0)])
def test_impossible_questions_are_refused(photons, rate):
    with pytest.raises(DataError):
        hit_threshold(np.array(photons), rate)
