import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import orientations


def draw(true, best, photons=None, step=1.0):
    true, best = np.asarray(true, float), np.asarray(best, float)
    counts = np.ones(len(true), dtype=int) if photons is None else np.asarray(photons)
    return orientations.draw(true, best, best - true, counts, step, step, 2 * step / 360)


def test_few_frames_are_points_with_photons_as_area():
    figure = draw([10, 20, np.nan, -30], [11, 200, 5, -30], [4, 8, 100, 2])
    points = figure.axes[0].collections[0]
    np.testing.assert_allclose(points.get_offsets(), [[10, 11], [20, 200], [330, 330]])
    sizes = points.get_sizes()
    assert sizes[1] == pytest.approx(2 * sizes[0])


def test_many_frames_are_a_histogram_that_holds_each_frame_once():
    rng = np.random.default_rng(0)
    true = rng.uniform(0, 360, 5000)
    image = draw(true, true).axes[0].images[0].get_array()
    assert image.sum() == 5000
    filled = np.ma.getmaskarray(image)
    assert not filled.diagonal().any()
    assert (~filled).sum() == len(filled)


def test_density_integrates_to_one_and_chance_is_uniform():
    rng = np.random.default_rng(1)
    true = rng.uniform(0, 360, 4000)
    figure = orientations.draw(true, true, rng.uniform(-180, 180, 4000), np.ones(4000, int), 1.0, 2.0, 4 / 360)
    errors = next(axes for axes in figure.axes if axes.get_ylabel() == "share of frames per degree")
    stairs = next(patch for patch in errors.patches if hasattr(patch, "get_data"))
    values, edges, _ = stairs.get_data()
    assert (values * np.diff(edges)).sum() == pytest.approx(1.0)
    assert (edges[0], edges[-1]) == (pytest.approx(-180), pytest.approx(180))
    wide = np.diff(edges) > 10
    np.testing.assert_allclose(values[wide], 1 / 360, rtol=0.35)
    level = next(line for line in errors.lines if len(set(line.get_ydata())) == 1)
    assert level.get_ydata()[0] == pytest.approx(1 / 360)


def test_share_within_a_step_counts_across_the_full_turn():
    true = np.zeros(4)
    error = np.array([0.4, -0.9, 359.5, 90.0])
    figure = orientations.draw(true, error % 360, error, np.ones(4, int), 1.0, 1.0, 2 / 360)
    assert any("75.0 % within 1° (grey)" in axes.get_title() for axes in figure.axes)


def test_half_steps_fall_inside_bins_whatever_the_rounding():
    error = np.repeat([-0.3, -0.15, 0.0, 0.15, 0.3], 10) * (1 + 1e-12)
    figure = orientations.draw(np.zeros(50), error % 360, error, np.ones(50, int), 0.3, 0.3, 0.6 / 360)
    errors = next(axes for axes in figure.axes if axes.get_ylabel() == "share of frames per degree")
    values, edges, _ = next(patch for patch in errors.patches if hasattr(patch, "get_data")).get_data()
    np.testing.assert_allclose(values[np.abs(edges[:-1] + edges[1:]) / 2 < 0.35], 0.2 / 0.15)
    assert errors.get_title().startswith("100.0 % within 0.3°")


def test_equivalent_angles_raise_the_level_of_chance():
    figure = orientations.draw(np.zeros(3), np.zeros(3), np.zeros(3), np.ones(3, int), 1.0, 2.0, 4 * 4 / 360)
    errors = next(axes for axes in figure.axes if axes.get_ylabel() == "share of frames per degree")
    assert errors.lines[0].get_ydata()[0] == pytest.approx(4 / 360)


def test_no_known_angle_is_refused():
    with pytest.raises(DataError, match="no frame"):
        draw([np.nan, 1.0], [1.0, np.nan])
    with pytest.raises(DataError, match="no frame"):
        draw([], [])


def test_unknown_step_is_refused():
    with pytest.raises(DataError, match=r"step \(nan\)"):
        orientations.draw(np.zeros(2), np.zeros(2), np.zeros(2), np.ones(2, int), np.nan, np.nan, np.nan)
