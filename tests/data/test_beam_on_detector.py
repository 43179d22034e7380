"""Where the beam meets a detector, by hand-worked numbers."""

from __future__ import annotations

import numpy as np
import pytest

from fewphoton.data import Beam, Detector, Panel
from fewphoton.data.beam_on_detector import beam_on_detector, direction_in_words
from fewphoton.errors import GeometryError
from tests.conftest import flat_detector


def test_the_beam_meets_the_middle_of_a_centred_detector(beam):
    found = beam_on_detector(flat_detector(12, 10, 1e-3, 0.05), beam)
    # Twelve rows: the middle lies between the centres 5 and 6.
    assert (found.slow_px, found.fast_px) == pytest.approx((5.5, 4.5))
    assert found.on_panel
    np.testing.assert_allclose(found.place_m, [0, 0, 0.05])
    # The nearest pixel's centre lies half a pixel off along both axes.
    assert found.masked_radius_m == pytest.approx(np.hypot(0.5e-3, 0.5e-3))
    two_theta = np.arctan2(np.hypot(5.5e-3, 4.5e-3), 0.05)
    assert found.q_max_inv_angstrom == pytest.approx(2 * np.sin(two_theta / 2) / 0.71073)


def test_the_masked_centre_is_measured(beam):
    detector = flat_detector(60, 60, 1e-3, 0.05)
    centres = detector.pixel_centres_m()
    stopped = detector.with_mask(np.hypot(centres[:, 0], centres[:, 1]) < 5e-3)
    found = beam_on_detector(stopped, beam)
    # The first centres on the circle or beyond: (3.5, 3.5) has 4.95 mm, (4.5, 2.5) 5.15 mm.
    assert found.masked_radius_m == pytest.approx(np.hypot(4.5e-3, 2.5e-3))


def test_a_beam_beside_the_panels_and_an_offset_panel(beam):
    panel = Panel("p", 3, 2, 4, 4, [5e-3, 1e-3, 0.1], [0, -1e-3, 0], [-1e-3, 0, 0])
    detector = Detector((7, 6), (panel,))
    found = beam_on_detector(detector, beam)
    # One row below the corner, five columns from it: outside the four columns.
    assert (found.slow_px, found.fast_px) == pytest.approx((3 + 1 - 0.5, 2 + 5 - 0.5))
    assert not found.on_panel


def test_what_the_beam_cannot_meet(beam):
    behind = Detector((2, 2), (Panel("p", 0, 0, 2, 2, [1e-3, 1e-3, -0.1], [0, -1e-3, 0], [-1e-3, 0, 0]),))
    with pytest.raises(GeometryError, match="meets no panel"):
        beam_on_detector(behind, beam)
    whole = flat_detector(4, 4)
    with pytest.raises(GeometryError, match="no pixel"):
        beam_on_detector(whole.with_mask(np.ones(16, dtype=bool)), Beam(1.0))


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        ((1, 0, 0), "to the left (+x)"),
        ((-2e-4, 0, 0), "to the right (-x)"),
        ((0, -1, 0), "down (-y)"),
        ((0, np.sin(np.deg2rad(3)), np.cos(np.deg2rad(3))), "downstream (+z), tilted by 3.00 deg"),
    ],
)
def test_directions_in_words(vector, words):
    assert direction_in_words(np.array(vector, dtype=float)) == words
