import json

import numpy as np
import pytest
from pyFAI.detectors import Detector as PyfaiDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from fewphoton.data import Beam, Detector, Panel
from fewphoton.data.detector import describe, from_description, polarization_factors, q_vectors
from fewphoton.errors import GeometryError
from tests.conftest import flat_detector

SHAPE, PIXEL, DISTANCE = (30, 40), 5e-3, 0.12


@pytest.fixture(scope="module")
def pyfai():
    """The same flat detector in pyFAI: point of normal incidence in the middle."""
    detector = PyfaiDetector(PIXEL, PIXEL, max_shape=SHAPE)
    return AzimuthalIntegrator(
        DISTANCE, SHAPE[0] / 2 * PIXEL, SHAPE[1] / 2 * PIXEL, detector=detector, wavelength=1e-10
    )


@pytest.fixture(scope="module")
def ours():
    return flat_detector(*SHAPE, pixel_m=PIXEL, distance_m=DISTANCE)


def test_solid_angles_are_pyfais(ours, pyfai):
    angles = ours.solid_angles_sr().reshape(SHAPE)
    relative = pyfai.solidAngleArray(SHAPE)
    np.testing.assert_allclose(angles / angles.max(), relative / relative.max(), rtol=1e-6)


@pytest.mark.parametrize(("fraction", "factor"), [(1.0, 1.0), (0.5, 0.0), (0.0, -1.0)])
def test_polarization_is_pyfais(ours, pyfai, fraction, factor):
    found = polarization_factors(ours, Beam(1.0, polarization_fraction=fraction)).reshape(SHAPE)
    np.testing.assert_allclose(found, pyfai.polarization(SHAPE, factor), rtol=1e-5)


def test_q_lengths_are_pyfais(ours, pyfai):
    length = np.linalg.norm(q_vectors(ours, Beam(1.0)), axis=1).reshape(SHAPE)
    np.testing.assert_allclose(length, pyfai.qArray(SHAPE) / (2 * np.pi * 10), rtol=1e-5)


def test_description_survives_text(ours):
    masked = np.zeros(ours.n_pixels, dtype=bool)
    masked[5] = True
    detector, beam = ours.with_mask(masked), Beam(0.7, polarization_fraction=0.9)
    back, back_beam = from_description(json.loads(json.dumps(describe(detector, beam))))
    assert back.digest() == detector.digest()
    assert back_beam.polarization_fraction == 0.9
    assert not back.masked.any()


def test_gaps_are_masked_and_have_no_position():
    corner, slow, fast = np.array([0, 0, 0.1]), np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0])
    detector = Detector((4, 4), (Panel("a", 0, 0, 4, 2, corner, slow, fast),))
    assert detector.masked.reshape(4, 4)[:, 2:].all()
    assert np.isnan(detector.pixel_centres_m().reshape(4, 4, 3)[:, 2:]).all()
    assert not detector.with_mask(np.zeros(16, bool)).masked.reshape(4, 4)[:, :2].any()
    assert detector.panel_numbers().tolist() == [0, 0, -1, -1] * 4


def test_impossible_detectors_are_refused():
    corner, slow, fast = np.array([0, 0, 0.1]), np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0])
    panel = Panel("a", 0, 0, 4, 4, corner, slow, fast)
    with pytest.raises(GeometryError, match="outside"):
        Detector((4, 3), (panel,))
    with pytest.raises(GeometryError, match="same pixels"):
        Detector((4, 4), (panel, panel))
    with pytest.raises(GeometryError, match="at least one"):
        Detector((4, 4), ())
    with pytest.raises(GeometryError, match="parallel"):
        Panel("a", 0, 0, 4, 4, corner, slow, slow)
    with pytest.raises(GeometryError, match="finite"):
        Panel("a", 0, 0, 4, 4, corner * np.nan, slow, fast)
    with pytest.raises(GeometryError, match="description"):
        from_description({"frame_shape": [1, 1], "panels": []})
    for shape in ((2**16, 2**15), (0, 4), (-4, -4)):
        with pytest.raises(GeometryError, match="expected 1 to 2147483647 pixels"):
            Detector(shape, (panel,))
    given = describe(Detector((4, 4), (panel,)), Beam(1.0))
    given["panels"][0]["slow_step_m"] = [0.0, 1.0]
    with pytest.raises(GeometryError, match=r"slow_step_m: expected shape \(3,\)"):
        from_description(given)
    with pytest.raises(GeometryError, match="wavelength"):
        Beam(-1.0)
