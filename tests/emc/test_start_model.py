import numpy as np
import pytest

from fewphoton.emc.start_model import random_peaks
from fewphoton.errors import ConvergenceError


def test_peaks_stand_where_the_centring_allows_and_nowhere_else(cubic_crystal):
    volume = random_peaks(cubic_crystal, 41, 10, 2.0, 0.0, np.random.default_rng(0))
    at = volume[np.ix_(*[np.arange(10, 40, 10)] * 3)]
    h = np.arange(-1, 2)
    even = (h[:, None, None] + h[None, :, None] + h[None, None, :]) % 2 == 0
    even[1, 1, 1] = False
    assert at[even].min() > 10 * at[~even].max()


def test_same_seed_same_volume_and_background_lifts_it(cubic_crystal):
    first = random_peaks(cubic_crystal, 31, 5, 1.0, 0.0, np.random.default_rng(7))
    second = random_peaks(cubic_crystal, 31, 5, 1.0, 0.25, np.random.default_rng(7))
    np.testing.assert_allclose(second, first + 0.25)


def test_grid_without_lattice_points_is_refused(cubic_crystal):
    with pytest.raises(ConvergenceError, match="enlarge the grid"):
        random_peaks(cubic_crystal, 15, 10, 1.0, 0.0, np.random.default_rng(0))
