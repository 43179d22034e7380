import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import sweep

ROWS = [
    {"photons": "96", "set": "a", "r": "0.2", "r_chance": "0.6", "f": "0.9"},
    {"photons": "8", "set": "a", "r": "0.5", "r_chance": "0.6", "f": ""},
    {"photons": "8", "set": "a", "r": "0.3", "r_chance": "0.8", "f": "0.1"},
    {"photons": "8", "set": "b", "r": "0.1", "r_chance": "0.7", "f": "0.4"},
]


def test_points_are_all_rows_and_the_line_is_their_mean():
    axes = sweep.draw(ROWS[:3], "photons", ["r"]).axes[0]
    line, points = axes.lines
    np.testing.assert_allclose(line.get_data(), [[8, 96], [0.4, 0.2]])
    np.testing.assert_allclose(points.get_data(), [[96, 8, 8], [0.2, 0.5, 0.3]])
    assert axes.get_xscale() == "log"
    assert axes.get_ylabel() == "r"


def test_series_and_chance():
    figure = sweep.draw(ROWS, "photons", ["r", "f"], chance={"r": "r_chance", "f": "not_there"}, series="set")
    left, right = figure.axes
    dashed = [line for line in left.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed[0].get_data(), [[8, 96], [0.7, 0.6]])
    np.testing.assert_allclose(dashed[1].get_data(), [[8], [0.7]])
    assert not [line for line in right.lines if line.get_linestyle() == "--"]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["a", "b", "chance"]


def test_facets_part_the_rows_into_panels_of_one_scale():
    rows = [
        {"photons": str(n), "preset": preset, "part": part, "r": str(n * (1 + len(part)) / 100), "f": "0.5"}
        for n in (8, 96)
        for preset in ("none", "best")
        for part in ("", "a", "bb", "ccc", "dddd")
    ]
    figure = sweep.draw(rows, "photons", ["r", "f"], series="preset", facet="part")
    seen = [axes for axes in figure.axes if axes.get_visible()]
    assert len(figure.axes) == 16
    assert [axes.get_title() for axes in seen[:5]] == ["none", "a", "bb", "ccc", "dddd"]
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("part", "photons")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["none", "best"]
    for number, axes in enumerate(seen[:5]):
        lines = [line for line in axes.lines if line.get_linestyle() == "-"]
        assert len(lines) == 2
        np.testing.assert_allclose(lines[0].get_data(), [[8, 96], [0.08 * (1 + number), 0.96 * (1 + number)]])
    assert len({axes.get_ylim() for axes in seen[:5]}) == 1
    assert seen[0].get_ylim() != seen[5].get_ylim()


def test_empty_cells_are_left_out_of_the_mean():
    axes = sweep.draw(ROWS[:3], "photons", ["f"]).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_data(), [[8, 96], [0.1, 0.9]])


def test_words_become_categories():
    axes = sweep.draw(ROWS, "set", ["r"], names={"set": "data set", "r": "R"}).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("data set", "R")


def test_one_point_is_enough():
    assert len(sweep.draw(ROWS[:1], "photons", ["r"]).axes[0].lines) == 2


@pytest.mark.parametrize(
    ("rows", "x", "metrics", "word"),
    [
        ([], "photons", ["r"], "no rows"),
        (ROWS, "angle", ["r"], "no column 'angle'"),
        (ROWS, "photons", ["q"], "no column 'q'"),
        (ROWS, "photons", [], "no metric"),
        ([{"photons": "1", "r": ""}], "photons", ["r"], "no value in any row"),
        (ROWS, "photons", ["set"], "no number"),
    ],
)
def test_faults(rows, x, metrics, word):
    with pytest.raises(DataError, match=word):
        sweep.draw(rows, x, metrics)
