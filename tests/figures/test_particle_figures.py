"""Figures of single particles: surfaces seen from the right side, curves, trainings, the table."""

import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import accuracy_table, particle_densities, shell_correlations, training_course
from fewphoton.figures.density_surface import level_of_volume, seen_from, surface_image
from fewphoton.figures.particle_densities import ShownDensity

N = 17
RED = (1.0, 0.0, 0.0)


def ball(centre=(0, 0, 0), radius=4.0):
    axis = np.arange(N) - N // 2
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    away = np.sqrt((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2)
    return np.exp(-((away / radius) ** 2))


@pytest.mark.parametrize(
    ("side", "place", "row", "column"),
    [("x", (0, 5, 5), 3, 13), ("y", (5, 0, 5), 3, 13), ("z", (5, 5, 0), 3, 13), ("z", (5, -5, 0), 13, 13)],
)
def test_right_and_up_are_where_they_should_be(side, place, row, column):
    image = surface_image(ball(place, 2.0), 0.5, side, RED, fineness=1)
    shown = np.argwhere(image[..., 3] > 0).mean(axis=0)
    np.testing.assert_allclose(shown, [row, column], atol=0.3)


def test_the_near_one_of_two_is_seen_first():
    """Two voxels on one line of sight: the eye is at positive x and z, and at negative y."""
    for side, place in (("x", (5, 0, 0)), ("y", (0, -5, 0)), ("z", (0, 0, 5))):
        near = seen_from(ball(place, 2.0), side)
        depth, _, _ = np.unravel_index(near.argmax(), near.shape)
        assert depth < N // 2, side


def test_a_ball_is_round_bright_towards_the_light_and_of_its_size():
    values = ball()
    level = float(np.exp(-1))
    image = surface_image(values, level, "z", RED, fineness=4)
    inside = image[..., 3] > 0
    # zoom puts the outermost samples onto the outermost voxels.
    scale = (4 * N - 1) / (N - 1)
    assert inside.sum() == pytest.approx(np.pi * (4 * scale) ** 2, rel=0.04)
    red = image[..., 0]
    middle = len(image) // 2
    offset = int(2.5 * scale)
    assert red[middle - offset, middle - offset] > 1.5 * red[middle + offset, middle + offset]


def test_surfaces_of_equal_volume_have_the_voxels_asked_for():
    values = np.random.default_rng(0).random((6, 6, 6))
    for n in (1, 50, 215):
        assert (values >= level_of_volume(values, n)).sum() == n
    assert (7 * values >= level_of_volume(7 * values, 50)).sum() == 50
    with pytest.raises(DataError, match="1 to 215"):
        level_of_volume(values, 0)
    with pytest.raises(DataError, match="flat"):
        level_of_volume(np.ones((6, 6, 6)), 5)


def test_densities_stand_in_columns_with_a_bar_of_known_length():
    shown = [ShownDensity("truth", ball()), ShownDensity("found", 3 * ball((1, 0, 0)), "correlation 0.9")]
    figure = particle_densities.draw(shown, 2.5, 300)
    images = [axes for axes in figure.axes if axes.images]
    assert len(images) == 6
    assert images[1].get_title() == "found\ncorrelation 0.9"
    assert [axes.get_ylabel() for axes in images[::2]] == ["along x", "along y", "along z"]
    bar = next(axes for axes in images if axes.lines)
    low, high = bar.lines[0].get_xdata()
    assert bar.texts[0].get_text() == f"{high - low:.0f} Å"
    extent = bar.images[0].get_extent()
    assert extent[1] == pytest.approx(2.5 * round(extent[1] / 2.5))


def test_densities_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="different grids"):
        particle_densities.draw([ShownDensity("a", ball()), ShownDensity("b", ball()[:5, :5, :5])], 1.0, 50)
    with pytest.raises(DataError, match="1 to 6"):
        particle_densities.draw([ShownDensity(str(n), ball()) for n in range(7)], 1.0, 50)
    with pytest.raises(DataError, match="flat"):
        particle_densities.draw([ShownDensity("a", 0 * ball())], 1.0, 50)


def test_curves_have_their_resolution_above():
    q = np.linspace(0.005, 0.13, 26)
    curves = [
        shell_correlations.LabelledCurve("one", q, np.where(q > 0.1, np.nan, 1 - q)),
        shell_correlations.LabelledCurve("other", q, -q),
    ]
    figure = shell_correlations.draw(curves, "correlation")
    axes = figure.axes[0]
    assert len(axes.lines[0].get_xdata()) == (q <= 0.1).sum()
    assert [text.get_text() for text in axes.get_legend().texts] == ["one", "other"]
    above = axes.child_axes[0]
    for tick, label in zip(above.get_xticks(), above.get_xticklabels(), strict=True):
        assert 1 / tick == pytest.approx(float(label.get_text()))
    level = shell_correlations.LabelledCurve("by chance", q, 0.3 * np.ones_like(q))
    drawn = shell_correlations.draw(curves, "correlation", level).axes[0]
    assert [text.get_text() for text in drawn.get_legend().texts] == ["one", "other", "by chance"]
    with pytest.raises(DataError, match="nothing to draw"):
        shell_correlations.draw([shell_correlations.LabelledCurve("one", q, q * np.nan)], "correlation")


@pytest.mark.parametrize("timed", [True, False])
def test_trainings_are_drawn_over_steps_and_time(timed):
    step = np.arange(1.0, 6.0)
    seconds = 3 * step if timed else step * np.nan
    course = training_course.TrainingCourse("one", step, seconds, {"loss": np.exp(-step), "held": -1 / step})
    figure = training_course.draw([course], {"loss": "loss", "held": "held out"})
    assert len(figure.axes) == (4 if timed else 2)
    assert figure.axes[0].get_yscale() == "log"
    assert figure.axes[-1].get_yscale() == "linear"
    assert figure.axes[-1].get_xlabel() == ("time (s)" if timed else "steps")
    np.testing.assert_array_equal(figure.axes[-1].lines[0].get_xdata(), seconds if timed else step)
    with pytest.raises(DataError, match="nothing to draw"):
        training_course.draw([course], {})


def test_the_table_holds_its_cells_and_groups():
    head = [("1,000 photons", "EMC"), ("1,000 photons", "X-RAI"), ("100 photons", "EMC")]
    figure = accuracy_table.draw(head, [("50,000", ["1.0", "2.0", "–"])], "Resolution", "frames")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("1,000 photons") == 1
    for wanted in ("Resolution", "frames", "EMC", "50,000", "2.0", "–"):
        assert wanted in texts
    place = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert place["1.0"][0] < place["1,000 photons"][0] < place["2.0"][0]
    groups = [("300 photons a frame", "a"), ("1,000 photons a frame", "a")]
    narrow = accuracy_table.draw(groups, [("5", ["1", "2"])], "R", "n")
    narrow.canvas.draw()
    boxes = [text.get_window_extent() for text in narrow.axes[0].texts if "photons" in text.get_text()]
    assert boxes[0].x1 < boxes[1].x0
    with pytest.raises(DataError, match="a cell for each"):
        accuracy_table.draw(head, [("50,000", ["1.0"])], "Resolution", "frames")
