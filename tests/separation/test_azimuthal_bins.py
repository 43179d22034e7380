import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyFAI.detectors import Detector as PyfaiDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from fewphoton.data import Beam, Detector, Panel
from fewphoton.errors import DataError, GeometryError
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization, radius_of_pixels
from tests.conftest import flat_detector

BEAM = Beam(0.9)


def row(n_pixels=10):
    """One row of pixels of 1 mm, the beam through the outer edge of the first; radii of 0.5, 1.5, ... mm."""
    panel = Panel("p0", 0, 0, 1, n_pixels, np.array([0, 5e-4, 0.1]), np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0]))
    return Detector((1, n_pixels), (panel,))


def test_rings_of_a_row_by_hand():
    bins = azimuthal_bins(row(), BEAM, 3)
    np.testing.assert_allclose(bins.edges, [0.5e-3, 3.5e-3, 6.5e-3, 9.5e-3], rtol=1e-6)
    np.testing.assert_allclose(bins.radius, (np.arange(10) + 0.5) * 1e-3, rtol=1e-6)
    # Half-open ranges that reach an epsilon beyond the outermost pixel: those on an inner border stay inside it.
    assert bins.bin_of_pixel.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert bins.ring_ptr[-1] == 10


def test_a_radial_range_leaves_the_rest_out():
    bins = azimuthal_bins(row(), BEAM, 2, radial_range=(2e-3, 6e-3))
    assert bins.bin_of_pixel.tolist() == [2, 2, 0, 0, 1, 1, 2, 2, 2, 2]
    assert np.isnan(bins.radius[[0, 1, 6, 9]]).all()
    np.testing.assert_allclose(bins.edges, [2e-3, 4e-3, 6e-3], rtol=1e-6)


def test_masked_pixels_do_not_stretch_the_range():
    masked = np.arange(10) >= 6
    bins = azimuthal_bins(row().with_mask(masked), BEAM, 5)
    np.testing.assert_allclose(bins.edges[[0, -1]], [0.5e-3, 5.5e-3], rtol=1e-6)
    assert (bins.bin_of_pixel[masked] == 5).all()


def test_pixels_without_a_positive_normalization_lie_in_no_ring():
    norm = np.ones(10, dtype=np.float32)
    norm[[1, 4, 9]] = [0, np.nan, -1]
    bins = azimuthal_bins(row(), BEAM, 4, norm=norm)
    assert np.flatnonzero(~bins.usable).tolist() == [1, 4, 9]


@settings(max_examples=25, deadline=None)
@given(
    n_bins=st.integers(1, 300),
    n_slow=st.integers(2, 40),
    n_fast=st.integers(2, 40),
    distance=st.floats(0.01, 1),
    unit=st.sampled_from(["r_m", "q_inv_angstrom"]),
    seed=st.integers(0, 99),
)
def test_every_usable_pixel_lies_between_the_edges_of_its_ring(n_bins, n_slow, n_fast, distance, unit, seed):
    detector = flat_detector(n_slow, n_fast, distance_m=distance)
    masked = np.random.default_rng(seed).random(detector.n_pixels) < 0.2
    masked[[0, detector.n_pixels // 2 + n_fast // 2]] = False
    detector = detector.with_mask(masked)
    radius = radius_of_pixels(detector, BEAM, unit)
    if radius[~masked].max() <= radius[~masked].min():
        return
    bins = azimuthal_bins(detector, BEAM, n_bins, unit)
    np.testing.assert_array_equal(bins.usable, ~masked)
    ring = bins.bin_of_pixel[~masked].astype(int)
    slack = 1e-9 * bins.step
    assert (radius[~masked] >= bins.edges[ring] - slack).all()
    assert (radius[~masked] < bins.edges[ring + 1] + slack).all()


@pytest.mark.parametrize(
    ("poni1", "poni2", "rot1", "rot2", "rot3"),
    [(0.02, 0.03, 0, 0, 0), (0.01, -0.02, 0.3, -0.2, 0.5), (0.0, 0.0, -0.5, 0.1, 1.2)],
)
def test_radius_solid_angle_and_polarization_of_tilted_detectors_are_pyfais(tmp_path, poni1, poni2, rot1, rot2, rot3):
    from fewphoton.io.geometry_poni import read_poni

    ai = AzimuthalIntegrator(
        0.12, poni1, poni2, rot1, rot2, rot3, detector=PyfaiDetector(2e-4, 1e-4, max_shape=(60, 70)), wavelength=0.9e-10
    )
    ai.save(str(tmp_path / "x.poni"))
    geometry = read_poni(tmp_path / "x.poni", (60, 70))
    detector, beam = geometry.detector, Beam(0.9, polarization_fraction=0.8)
    for unit, theirs, scale in (("r_m", "r_m", 1.0), ("q_inv_angstrom", "q_A^-1", 2 * np.pi)):
        np.testing.assert_allclose(
            radius_of_pixels(detector, beam, unit) * scale,
            ai.array_from_unit((60, 70), "center", theirs).ravel(),
            rtol=1e-7,
            atol=1e-10,
        )
    np.testing.assert_allclose(
        normalization(detector, beam, solid_angle=True), ai.solidAngleArray((60, 70)).ravel(), rtol=5e-6
    )
    np.testing.assert_allclose(
        normalization(detector, beam, polarization=True), ai.polarization((60, 70), factor=0.6).ravel(), rtol=1e-6
    )
    flat = np.random.default_rng(0).uniform(0.5, 2, detector.n_pixels)
    np.testing.assert_allclose(
        normalization(detector, beam, solid_angle=True, polarization=True, flat=flat),
        flat * (ai.solidAngleArray((60, 70)) * ai.polarization((60, 70), factor=0.6)).ravel(),
        rtol=5e-6,
    )


def test_without_corrections_there_is_no_normalization():
    assert normalization(row(), BEAM) is None
    with pytest.raises(DataError, match="flat field: expected shape"):
        normalization(row(), BEAM, flat=np.ones(9))


def test_gaps_between_panels_lie_in_no_ring():
    step = np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0])
    panels = (
        Panel("a", 0, 0, 4, 4, np.array([5e-3, 5e-3, 0.1]), *step),
        Panel("b", 0, 6, 4, 4, np.array([-1e-3, 5e-3, 0.2]), *step),
    )
    detector = Detector((4, 10), panels)
    for norm in (None, normalization(detector, BEAM, solid_angle=True, polarization=True)):
        bins = azimuthal_bins(detector, BEAM, 5, norm=norm)
        assert not bins.usable.reshape(4, 10)[:, 4:6].any()
        assert bins.usable.sum() == 32
    solid = normalization(detector, BEAM, solid_angle=True).reshape(4, 10)
    assert (np.nan_to_num(solid) <= 1).all()  # head-on pixels of either panel count as 1


def test_impossible_rings_are_refused():
    detector = row()
    with pytest.raises(GeometryError, match="every pixel is masked"):
        azimuthal_bins(detector.with_mask(np.ones(10, dtype=bool)), BEAM, 5)
    with pytest.raises(GeometryError, match="need a range of radii"):
        azimuthal_bins(detector.with_mask(np.arange(10) != 3), BEAM, 5)
    with pytest.raises(GeometryError, match="no usable pixel lies between"):
        azimuthal_bins(detector, BEAM, 5, radial_range=(0.5, 0.6))
    with pytest.raises(GeometryError, match="need a range of radii"):
        azimuthal_bins(detector, BEAM, 5, radial_range=(0.6, 0.5))
    with pytest.raises(GeometryError, match="every pixel is masked"):
        azimuthal_bins(detector, BEAM, 5, norm=np.zeros(10, dtype=np.float32))


def test_more_rings_than_pixels():
    bins = azimuthal_bins(row(), BEAM, 65000)
    assert len(np.unique(bins.bin_of_pixel)) == 10
    assert bins.bin_of_pixel.max() == 64999
