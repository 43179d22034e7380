import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial import SphericalVoronoi

from fewphoton.ankylography.ewald_sphere import detector_solid_angle_sr, ewald_sphere
from fewphoton.errors import GeometryError


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    wavelength=st.floats(0.1, 10),
    n=st.integers(1, 60),
    inner=st.floats(0, 80),
    outer=st.floats(90, 180),
)
def test_scattering_is_elastic_and_inside_the_limits(wavelength, n, inner, outer):
    """q plus the incident wave vector has the length of the incident one; angles lie between the two edges."""
    q = ewald_sphere(wavelength, n, outer, inner)
    scattered = q * wavelength + [0, 0, 1]
    np.testing.assert_allclose(np.linalg.norm(scattered, axis=1), 1, rtol=1e-12)
    angle = np.rad2deg(np.arccos(scattered[:, 2].clip(-1, 1)))
    assert (np.diff(angle) >= 0).all()
    assert angle[0] >= inner - 1e-5
    assert angle[-1] <= outer + 1e-5


def test_detectors_cover_equal_solid_angles():
    """Cells about the detectors, each the points nearest to it, have the same area within a few per cent."""
    n = 300
    directions = ewald_sphere(0.7, n) * 0.7 + [0, 0, 1]
    area = SphericalVoronoi(directions).calculate_areas() * n / (4 * np.pi)
    assert area.std() < 0.02
    assert 0.9 < area.min() < area.max() < 1.1


def test_rings_hold_detectors_in_proportion_to_their_solid_angle():
    """Cosines of the angle step by (cos inner - cos outer) / n, half a step from the edges."""
    cosine = ewald_sphere(1.0, 4, 90.0, 60.0)[:, 2] + 1
    np.testing.assert_allclose(cosine, [0.4375, 0.3125, 0.1875, 0.0625], atol=1e-12)


def test_solid_angles_by_hand():
    """The whole sphere is 4 pi; the cap within 60 degrees is a quarter of it, the ring from 60 to 90 too."""
    assert detector_solid_angle_sr(8) == pytest.approx(np.pi / 2)
    assert detector_solid_angle_sr(10, 60.0) == pytest.approx(np.pi / 10)
    assert detector_solid_angle_sr(10, 90.0, 60.0) == pytest.approx(np.pi / 10)
    with pytest.raises(GeometryError, match=r"found 90\.0 and 60\.0"):
        detector_solid_angle_sr(10, 60.0, 90.0)


def test_angle_and_length_follow_bragg():
    q = ewald_sphere(0.35, 50, 30.0, 2.0)
    length = np.linalg.norm(q, axis=1)
    theta = np.arcsin(length * 0.35 / 2)
    np.testing.assert_allclose(q[:, 2], -length * np.sin(theta), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 5), "wavelength must be positive"),
        ((np.nan, 5), "wavelength must be positive"),
        ((1.0, 0), "needs detectors, found 0"),
        ((1.0, 5, 30.0, 30.0), "0 <= beam stop < largest <= 180 deg, found 30.0 and 30.0"),
        ((1.0, 5, 181.0), "found 0.0 and 181.0"),
        ((1.0, 5, 90.0, -1.0), "found -1.0 and 90.0"),
        ((1.0, 5, np.nan), "found 0.0 and nan"),
    ],
)
def test_impossible_geometry_is_refused(arguments, message):
    with pytest.raises(GeometryError, match=message):
        ewald_sphere(*arguments)
