"""The picture of a configuration's frames shows beam, rings and reflections where they are."""

from __future__ import annotations

import numpy as np
import pytest

from fewphoton.data.beam_on_detector import beam_on_detector
from fewphoton.errors import DataError
from fewphoton.figures import input_view
from tests.conftest import flat_detector


def test_beam_rings_and_spots_are_drawn(beam):
    detector = flat_detector(60, 50, 1e-3, 0.05)
    values = np.random.default_rng(0).poisson(0.1, detector.n_pixels).astype(float)
    values[7] = np.nan
    spots = np.array([[2e-3, 5e-3, 0.05], [-4e-3, 1e-3, 0.05]])
    figure = input_view.draw(values, detector, beam, beam_on_detector(detector, beam), spots, "frame 3")
    whole, close = figure.axes[:2]
    for axes in (whole, close):
        offsets = np.asarray(axes.collections[0].get_offsets())
        # Seen from the sample, +x is to the left.
        np.testing.assert_allclose(offsets, [[-2, 5], [4, 1]], atol=1e-9)
        beam_at = next(line for line in axes.lines if line.get_marker() == "+")
        np.testing.assert_allclose(beam_at.get_xydata(), [[0, 0]], atol=1e-9)
    assert any("Å⁻¹" in text.get_text() for text in whole.texts)
    assert close.get_xlim()[1] - close.get_xlim()[0] < whole.get_xlim()[1] - whole.get_xlim()[0]
    assert {text.get_text() for text in whole.texts} >= {"fast", "slow"}


def test_rings_have_the_radius_of_their_q(beam):
    detector = flat_detector(60, 60, 1e-3, 0.05)
    figure = input_view.draw(None, detector, beam, beam_on_detector(detector, beam), None, "nothing yet")
    rings = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 100]
    steps = input_view._round_steps(1.0)
    assert steps == [0.2, 0.4, 0.6, 0.8, 1.0]
    q = min(value for value in steps if value > 0)
    radius = np.nanmin(np.hypot(*rings[0].get_xydata().T))
    found = 2 * np.sin(np.arctan2(radius, 50) / 2) / beam.wavelength_angstrom
    assert min(abs(found / (q * n) - 1) for n in range(1, 9)) < 1e-6 or found == pytest.approx(0.1, rel=1e-6)


def test_frames_of_another_detector_are_refused(beam):
    detector = flat_detector()
    with pytest.raises(DataError, match="120 pixels"):
        input_view.draw(np.zeros(7), detector, beam, beam_on_detector(detector, beam), None, "x")
