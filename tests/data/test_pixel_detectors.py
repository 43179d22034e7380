"""Names, pixel sizes and frames are those of pyFAI's registry."""

import pytest
from pyFAI.detectors import ALL_DETECTORS

from fewphoton.data.pixel_detectors import pixel_detector

NAMES = sorted({kind.__name__ for kind in ALL_DETECTORS.values() if pixel_detector(kind.__name__) is not None})


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_those_of_pyfai(name):
    theirs = ALL_DETECTORS[name.lower()]()
    size_m, frame_shape = pixel_detector(name)
    assert (theirs.pixel1, theirs.pixel2) == pytest.approx((size_m, size_m))
    assert tuple(theirs.max_shape) == frame_shape
    assert theirs.IS_FLAT
    assert theirs.uniform_pixel


def test_every_family_is_known_however_it_is_written():
    assert len(NAMES) > 40
    assert pixel_detector("EIGER2 CdTe 4M") == pixel_detector("Eiger2_4M") == (75e-6, (2162, 2068))
    assert pixel_detector("pilatus-6m") == (172e-6, (2527, 2463))
    assert pixel_detector("Pilatus4_1M") != pixel_detector("Pilatus1M")
    assert pixel_detector("Detector") is None
    assert pixel_detector("") is None
