import numpy as np
import pytest

from fewphoton.data import Beam, Detector, Panel
from fewphoton.errors import GeometryError
from fewphoton.particle.pattern_plane import beam_centre, pattern_plane
from tests.conftest import flat_detector


def shifted(slow_pixel, fast_pixel, n_slow=9, n_fast=8):
    """A detector whose beam meets the given pixel indices; fast along -x, slow along -y."""
    corner = 1e-4 * np.array([fast_pixel + 0.5, slow_pixel + 0.5, 0])
    corner[2] = 0.1
    panel = Panel("p", 0, 0, n_slow, n_fast, corner, np.array([0, -1e-4, 0]), np.array([-1e-4, 0, 0]))
    return Detector((n_slow, n_fast), (panel,))


@pytest.mark.parametrize("centre", [(4.0, 3.5), (4.25, 3.5), (-2.0, 10.0)])
def test_the_beam_meets_the_pixel_that_the_geometry_says(centre):
    assert beam_centre(shifted(*centre), Beam(1.0)) == pytest.approx(centre, abs=1e-9)


def test_rings_and_azimuth_by_hand():
    plane = pattern_plane(shifted(4.0, 3.0), Beam(1.0), ring_width=1.0)
    at = 7 * 8 + 7  # 3 along slow, 4 along fast
    assert plane.radius[at] == pytest.approx(5.0)
    assert plane.ring[at] == 5
    assert np.cos(plane.azimuth[at]) == pytest.approx(0.6)


@pytest.mark.parametrize("centre", [(4.0, 3.5), (4.0, 3.0), (3.9, 3.45), (2.0, 3.5)])
def test_mates_lie_through_the_centre_and_come_once(centre):
    detector = shifted(*centre)
    masked = np.zeros((9, 8), dtype=bool)
    masked[1, 2] = True
    plane = pattern_plane(detector.with_mask(masked), Beam(1.0))
    one, other = (np.stack(np.unravel_index(plane.mates[:, k], (9, 8)), axis=1) for k in (0, 1))
    away = (one + other) / 2 - np.array(centre)
    assert len(plane.mates) > 10
    assert np.abs(away).max() <= 0.25 + 1e-9
    assert len(np.unique(plane.mates)) == plane.mates.size
    assert not np.isin(plane.mates, 1 * 8 + 2).any()


def test_other_detectors_are_refused():
    good = shifted(4.0, 3.5)
    panel = good.panels[0]
    oblong = Panel("p", 0, 0, 9, 8, panel.corner_m, 2 * panel.slow_step_m, panel.fast_step_m)
    with pytest.raises(GeometryError, match="square pixels"):
        pattern_plane(Detector((9, 8), (oblong,)), Beam(1.0))
    with pytest.raises(GeometryError, match="across the beam"):
        pattern_plane(good, Beam(1.0, direction=np.array([0.0, 0.5, 1.0])))
    two = Panel("q", 9, 0, 9, 8, panel.corner_m - np.array([0, 1, 0]), panel.slow_step_m, panel.fast_step_m)
    with pytest.raises(GeometryError, match="one panel, found 2"):
        pattern_plane(Detector((18, 8), (panel, two)), Beam(1.0))
    with pytest.raises(GeometryError, match="every pixel"):
        pattern_plane(flat_detector().with_mask(np.ones(120, dtype=bool)), Beam(1.0))
