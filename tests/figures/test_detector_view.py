import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from fewphoton.data import Beam, Detector, Panel
from fewphoton.data.detector import q_vectors
from fewphoton.figures.detector_view import DetectorView
from tests.conftest import flat_detector


def two_tiles(gap_m=2e-3):
    """Two 4 x 4 tiles of 1 mm pixels side by side, the second turned by 90 degrees in its plane."""
    first = Panel(
        "a", 0, 0, 4, 4, np.array([4e-3 + gap_m / 2, 2e-3, 0.05]), np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0])
    )
    second = Panel(
        "b", 0, 4, 4, 4, np.array([-gap_m / 2, -2e-3, 0.05]), np.array([-1e-3, 0, 0]), np.array([0, 1e-3, 0])
    )
    return Detector((4, 8), (first, second))


def test_plus_x_is_left_and_plus_y_is_up():
    view = DetectorView.from_sample(flat_detector())
    np.testing.assert_allclose(view.place_mm(np.array([1e-3, 0, 0.05])), [-1, 0], atol=1e-12)
    np.testing.assert_allclose(view.place_mm(np.array([0, 1e-3, 0.05])), [0, 1], atol=1e-12)


def test_first_pixel_of_an_image_seen_from_the_sample_is_at_its_upper_left():
    detector = flat_detector(12, 10)
    places = DetectorView.from_sample(detector).place_mm(detector.pixel_centres_m())
    np.testing.assert_allclose(places[0], [-4.5, 5.5], atol=1e-9)
    np.testing.assert_allclose(places[9], [4.5, 5.5], atol=1e-9)


def test_extent_holds_all_panels_and_the_gap():
    np.testing.assert_allclose(DetectorView.from_sample(two_tiles()).extent_mm(), [-5, 5, -2, 2], atol=1e-9)


def test_detector_above_the_sample_is_seen_with_minus_z_up():
    panel = Panel("p", 0, 0, 5, 5, np.array([-2.5e-3, 0.1, -2.5e-3]), np.array([0, 0, 1e-3]), np.array([1e-3, 0, 0]))
    view = DetectorView.from_sample(Detector((5, 5), (panel,)))
    np.testing.assert_allclose(view.up, [0, 0, -1], atol=1e-12)
    assert np.linalg.norm(view.right) == pytest.approx(1)
    assert abs(view.right @ view.up) < 1e-12


def test_pixels_are_drawn_at_their_real_places():
    detector = two_tiles()
    view = DetectorView.from_sample(detector)
    axes = Figure().add_subplot()
    values = np.arange(32.0)
    images = view.draw_pixels(axes, values)
    places = view.place_mm(detector.pixel_centres_m()).reshape(4, 8, 2)
    for image, panel in zip(images, detector.panels, strict=True):
        to_mm = image.get_transform() - axes.transData
        for slow, fast in [(0, 0), (3, 1), (2, 3)]:
            # imshow puts the pixel (slow, fast) at (fast + 1/2, slow + 1/2) of its extent.
            drawn = to_mm.transform((fast + 0.5, slow + 0.5))
            pixel = (panel.slow_start + slow, panel.fast_start + fast)
            np.testing.assert_allclose(drawn, places[pixel], atol=1e-9)
            assert image.get_array()[slow, fast] == values.reshape(4, 8)[pixel]


def test_masked_pixels_are_left_blank():
    masked = np.zeros(32, dtype=bool)
    masked[5] = True
    detector = two_tiles().with_mask(masked)
    images = DetectorView.from_sample(detector).draw_pixels(Figure().add_subplot(), np.ones(32))
    blank = [int(np.ma.getmaskarray(image.get_array()).sum()) for image in images]
    assert blank == [0, 1]


def test_blocks_are_means_of_unmasked_pixels_and_stay_in_place():
    detector = flat_detector(3, 4)
    masked = np.zeros(12, dtype=bool)
    masked[[1, 10, 11]] = True
    view = DetectorView.from_sample(detector.with_mask(masked))
    axes = Figure().add_subplot()
    (image,) = view.draw_pixels(axes, np.arange(12), block=2)
    shown = image.get_array()
    np.testing.assert_allclose(shown.compressed(), [(0 + 4 + 5) / 3, (2 + 3 + 6 + 7) / 4, (8 + 9) / 2])
    assert shown.mask.tolist() == [[False, False], [False, True]]
    assert tuple(image.get_extent()) == (0, 4, 0, 4)
    np.testing.assert_allclose(axes.get_ylim(), [-1.5, 1.5], atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 1.2), st.floats(-25, 25))
def test_rings_pass_through_pixels_of_their_q(q, tilt_deg):
    from fewphoton.data.orientations import rotation_about_axis

    turn = rotation_about_axis([1.0, 0.2, 0.0], tilt_deg)
    flat = flat_detector(60, 60).panels[0]
    panel = Panel("p", 0, 0, 60, 60, turn @ flat.corner_m, turn @ flat.slow_step_m, turn @ flat.fast_step_m)
    detector, beam = Detector((60, 60), (panel,)), Beam(0.71073)
    view = DetectorView.from_sample(detector)
    ring = view.q_ring_mm(beam, q, n_azimuths=90)
    length = np.linalg.norm(q_vectors(detector, beam), axis=1)
    places = view.place_mm(detector.pixel_centres_m())
    for point in ring[np.isfinite(ring[:, 0])]:
        nearest = np.argmin(((places - point) ** 2).sum(axis=1))
        assert abs(length[nearest] - q) < 0.03
    if not np.isfinite(ring).any():
        assert q < length.min() + 0.03 or q > length.max() - 0.03


def test_ring_beyond_the_limiting_sphere_is_nowhere():
    ring = DetectorView.from_sample(flat_detector()).q_ring_mm(Beam(1.0), 2.5)
    assert np.isnan(ring).all()


def test_vertical_axis_is_a_vertical_line_on_each_panel():
    view = DetectorView.from_sample(flat_detector(12, 10))
    (segment,) = view.axis_line_mm(Beam(1.0), np.array([0.0, 1.0, 0.0]))
    np.testing.assert_allclose(segment[:, 0], 0, atol=1e-9)
    np.testing.assert_allclose(sorted(segment[:, 1]), [-6, 6], atol=1e-9)


def test_slanted_axis_keeps_its_slope_and_misses_the_other_tile():
    view = DetectorView.from_sample(two_tiles())
    segments = view.axis_line_mm(Beam(1.0), np.array([1.0, 0.1, 0.0]))
    assert len(segments) == 2
    for (x0, y0), (x1, y1) in segments:
        # +x is drawn to the left, so the slope changes its sign.
        assert (y1 - y0) / (x1 - x0) == pytest.approx(-0.1)
    assert view.axis_line_mm(Beam(1.0), np.array([0.0, 1.0, 0.0])) == []


def test_axis_along_the_beam_has_no_projection():
    assert DetectorView.from_sample(flat_detector()).axis_line_mm(Beam(1.0), np.array([0.0, 0.0, 2.0])) == []
