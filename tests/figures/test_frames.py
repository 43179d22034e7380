import numpy as np
import pytest

from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.errors import DataError
from fewphoton.figures import frames as figure_frames
from fewphoton.figures.detector_view import DetectorView
from tests.conftest import flat_detector, random_frames


def drawn_photons(figure):
    return [axes.collections[0].get_offsets() for axes in figure.axes]


def test_each_photon_is_a_dot_at_its_pixel(frames, detector):
    shown = frames.take(slice(3, 9))
    figure = figure_frames.draw(shown, detector)
    places = DetectorView.from_sample(detector).place_mm(detector.pixel_centres_m())
    assert len(figure.axes) == 6
    for number, dots in enumerate(drawn_photons(figure)):
        hits = shown.pixel[shown.indptr[number] : shown.indptr[number + 1]]
        np.testing.assert_allclose(dots, places[hits])


def test_photon_numbers_and_angles_stand_below(frames, detector):
    figure = figure_frames.draw(frames.take(slice(0, 2)), detector)
    captions = [axes.get_xlabel() for axes in figure.axes]
    totals = frames.totals()
    assert captions[0] == f"{totals[0]} photons, ω 0.00° to 0.10°"
    assert captions[1] == f"{totals[1]} photons, ω 0.10° to 0.20°"


def test_pixel_with_more_photons_has_a_larger_dot(detector):
    dense = np.zeros((1, detector.n_pixels), dtype=np.uint16)
    dense[0, [7, 40]] = [1, 3]
    figure = figure_frames.draw(PhotonFrames.from_dense(dense), detector)
    one, three = figure.axes[0].collections[0].get_sizes()
    assert three == pytest.approx(3 * one)
    assert figure.axes[0].get_xlabel() == "4 photons, ω unknown"


def test_frame_without_photons_is_drawn_empty(detector):
    figure = figure_frames.draw(PhotonFrames.from_dense(np.zeros((1, detector.n_pixels), dtype=np.uint16)), detector)
    assert len(figure.axes[0].collections[0].get_offsets()) == 0
    assert figure.axes[0].get_xlabel().startswith("0 photons")


@pytest.mark.parametrize(("shape", "n"), [((4, 200), 6), ((200, 4), 6), ((5, 5), 1)])
def test_any_aspect_ratio_keeps_square_pixels(tmp_path, shape, n):
    from fewphoton.figures import style

    detector = flat_detector(*shape)
    figure = figure_frames.draw(random_frames(n, detector.n_pixels, 5.0), detector)
    style.save(figure, tmp_path / "a.png")
    box = figure.axes[0].get_window_extent()
    assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=1e-6)


def test_fine_steps_keep_their_digits(detector):
    table = FrameTable(np.array([0]), np.array([1]), np.array([0]), np.array([12.345]), np.array([12.346]))
    figure = figure_frames.draw(PhotonFrames.from_dense(np.ones((1, detector.n_pixels), np.uint16), table), detector)
    assert "ω 12.3450° to 12.3460°" in figure.axes[0].get_xlabel()


def test_no_frames_and_foreign_frames_are_refused(frames, detector):
    with pytest.raises(DataError, match="no frames"):
        figure_frames.draw(frames.take(slice(0, 0)), detector)
    with pytest.raises(DataError, match="pixels"):
        figure_frames.draw(random_frames(2, 7, 1.0), detector)
