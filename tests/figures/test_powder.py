import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import powder
from tests.conftest import flat_detector


@pytest.fixture
def summed(frames):
    return frames.to_dense().sum(axis=0, dtype=np.int64)


def test_image_holds_the_sum(summed, detector, beam):
    figure = powder.draw(summed, 25, detector, beam)
    image = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(image, summed.reshape(detector.frame_shape))
    assert f"{summed.sum()} photons in 25 frames" == figure.axes[0].get_title()


def test_axis_and_rings_are_marked(summed, detector, beam):
    figure = powder.draw(summed, 25, detector, beam, [0, 1, 0])
    words = [text.get_text() for text in figure.axes[0].texts]
    assert "rotation axis" in words
    rings = [word for word in words if "Å" in word]
    assert rings
    axis = next(line for line in figure.axes[0].lines if line.get_label() == "rotation axis")
    np.testing.assert_allclose(axis.get_xdata()[:2], 0, atol=1e-9)


def test_unknown_axis_is_not_marked(summed, detector, beam):
    figure = powder.draw(summed, 25, detector, beam)
    assert "rotation axis" not in [text.get_text() for text in figure.axes[0].texts]


def test_masked_pixels_do_not_set_the_scale(beam):
    detector = flat_detector(20, 20)
    masked = np.zeros(400, dtype=bool)
    masked[0] = True
    photons = np.full(400, 3)
    photons[0] = 10**6
    figure = powder.draw(photons, 1, detector.with_mask(masked), beam)
    assert figure.axes[0].images[0].norm.vmax == 3


def test_empty_and_foreign_sums_are_refused(summed, detector, beam):
    with pytest.raises(DataError, match="no unmasked pixel"):
        powder.draw(np.zeros_like(summed), 25, detector, beam)
    with pytest.raises(DataError, match="no unmasked pixel"):
        powder.draw(summed, 25, detector.with_mask(np.ones(detector.n_pixels, dtype=bool)), beam)
    with pytest.raises(DataError, match="shape"):
        powder.draw(summed[:-1], 25, detector, beam)
