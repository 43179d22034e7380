import numpy as np
import pytest

from fewphoton.emc.start_model import radial_mean, random_peaks, random_speckle
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


def test_speckle_has_the_radial_mean_and_equal_friedel_mates():
    radius, intensity = np.arange(10) + 0.5, 100.0 / (1 + np.arange(10))
    volume = random_speckle(radius, intensity, 31, 1.0, 0.0, np.random.default_rng(3))
    np.testing.assert_array_equal(volume, volume[::-1, ::-1, ::-1])
    axis = np.arange(31) - 15
    length = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2)
    for shell in (5, 8):
        inside = (length >= shell) & (length < shell + 1)
        assert volume[inside].mean() == pytest.approx(intensity[shell], rel=0.15)
        assert volume[inside].std() > 0.3 * intensity[shell]
    lifted = random_speckle(radius, intensity, 31, 1.0, 0.5, np.random.default_rng(3))
    assert (lifted - volume)[15, 15, 15] == pytest.approx(0.5 * intensity[0])


def test_the_radial_mean_is_that_of_the_data(problem, rows, photons):
    radius, intensity = radial_mean(problem)
    length = np.linalg.norm(problem.transforms[0] @ rows.q_inv_angstrom.T, axis=0)
    row = rows.row_of_pixel[photons.pixel]
    counts = np.bincount(row[row >= 0], photons.count[row >= 0], minlength=rows.n_rows)
    shell = (length >= radius[3] - 0.5) & (length < radius[3] + 0.5)
    assert intensity[3] == pytest.approx(counts[shell].sum() / rows.response[shell].sum() / photons.n_frames)
