import numpy as np
import pytest

from fewphoton.data import Detector, Panel
from fewphoton.errors import GeometryError
from fewphoton.photons.binning import bin_detector, bin_frames
from tests.conftest import flat_detector, random_frames


def test_binned_pixels_lie_at_the_mean_of_their_pixels():
    detector = flat_detector(12, 10)
    binned, pixel_map = bin_detector(detector, 2)
    assert binned.frame_shape == (6, 5)
    centres = detector.pixel_centres_m()
    for pixel in (0, 7, 29):
        np.testing.assert_allclose(binned.pixel_centres_m()[pixel], centres[pixel_map == pixel].mean(axis=0))
    whole = np.nansum(detector.solid_angles_sr())
    assert np.nansum(binned.solid_angles_sr()) == pytest.approx(whole, rel=1e-3)


def test_photons_are_conserved_on_usable_squares():
    detector = flat_detector(12, 10)
    frames = random_frames(9, 120, 20.0)
    binned, pixel_map = bin_detector(detector, 2)
    found = bin_frames(frames, pixel_map, binned.n_pixels).validate()
    expected = frames.to_dense().reshape(9, 6, 2, 5, 2).sum(axis=(2, 4)).reshape(9, -1)
    np.testing.assert_array_equal(found.to_dense(), expected)


def test_leftovers_are_dropped_and_masks_spread():
    masked = np.zeros(120, dtype=bool)
    masked[0] = True
    binned, pixel_map = bin_detector(flat_detector(12, 10).with_mask(masked), 3)
    assert binned.frame_shape == (4, 3)
    assert binned.masked.tolist() == [True] + [False] * 11
    grid = pixel_map.reshape(12, 10)
    assert (grid[:, 9] == -1).all()
    assert (grid[:3, :3] == -1).all()
    assert grid[3, 3] == 4


def test_panels_off_the_grid_are_refused():
    corner, slow, fast = np.array([0, 0, 0.1]), np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0])
    detector = Detector((10, 10), (Panel("odd", 1, 0, 8, 8, corner, slow, fast),))
    with pytest.raises(GeometryError, match="panel odd"):
        bin_detector(detector, 2)
