import numpy as np
import pytest

from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.data.pattern_source import DensePatterns, PatternPixels, PhotonPatterns
from fewphoton.errors import DataError, GeometryError
from tests.conftest import flat_detector, random_frames


@pytest.fixture
def pixels(detector, beam):
    masked = np.zeros(detector.frame_shape, dtype=bool)
    masked[3, 4] = masked[0, :2] = True
    return PatternPixels.of_detector(detector.with_mask(masked), beam)


def test_pixels_are_the_usable_ones_in_order(pixels, detector, beam):
    assert pixels.shape == (12, 10)
    assert pixels.number[:2].tolist() == [2, 3]
    assert 34 not in pixels.number
    np.testing.assert_array_equal(pixels.q_per_angstrom, q_vectors(detector, beam)[pixels.number])
    product = (detector.solid_angles_sr() * polarization_factors(detector, beam))[pixels.number]
    assert pixels.response.mean() == pytest.approx(1)
    assert np.ptp(pixels.response / product) < 1e-9 * (pixels.response / product).max()


def test_a_detector_without_usable_pixels_is_refused(detector, beam):
    with pytest.raises(GeometryError, match="every pixel"):
        PatternPixels.of_detector(detector.with_mask(np.ones(120, dtype=bool)), beam)


def test_photons_come_in_the_order_of_the_numbers(pixels, detector):
    frames = random_frames(25, detector.n_pixels, 60.0)
    assert frames.to_dense()[7, [0, 1, 34]].any()
    source = PhotonPatterns(frames, pixels)
    chosen = np.array([7, 0, 24, 7])
    found = source.patterns(chosen)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, frames.to_dense()[chosen][:, pixels.number])
    assert (source.n_patterns, source.counts) == (25, True)
    np.testing.assert_array_equal(source.row * 10 + source.column, pixels.number)
    assert source.patterns(np.array([], dtype=int)).shape == (0, 117)


def test_frames_without_photons_are_patterns_of_zeros(pixels):
    source = PhotonPatterns(PhotonFrames.from_dense(np.zeros((2, 120), int), FrameTable.unknown(2)), pixels)
    assert not source.patterns(np.arange(2)).any()


@pytest.mark.parametrize("index", [[25], [-1], [0, 30]])
def test_numbers_outside_are_refused(pixels, index):
    source = PhotonPatterns(random_frames(25, 120, 8.0), pixels)
    with pytest.raises(DataError, match="0 to 24"):
        source.patterns(np.array(index))


def test_frames_of_another_detector_are_refused(pixels, beam):
    with pytest.raises(DataError, match="120"):
        PhotonPatterns(random_frames(2, 119, 3.0), pixels)
    with pytest.raises(DataError, match=r"117.*\(2, 120\)"):
        DensePatterns(np.zeros((2, 120), np.float32), pixels)
    assert len(PatternPixels.of_detector(flat_detector(3, 3), beam).number) == 9


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.5])
def test_patterns_that_are_no_expected_photons_are_refused_when_they_are_read(pixels, bad):
    values = np.random.default_rng(0).random((5, 117)).astype(np.float32)
    values[3, 100] = bad
    source = DensePatterns(values, pixels, "here.h5")
    np.testing.assert_array_equal(source.patterns(np.array([4, 0])), values[[4, 0]])
    with pytest.raises(DataError, match=r"here\.h5: pattern 3 "):
        source.patterns(np.array([4, 3]))
