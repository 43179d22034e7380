import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import convergence_study

X = "thin.photons_per_frame"


def row(photons, preset, seed, to_plain="", to_final="5", failed="False", background="0"):
    return {
        "dataset": "a",
        X: str(photons),
        "add_background.percent": background,
        "reconstruct.preset": preset,
        "reconstruct.seed": str(seed),
        "iterations_to_plain_r": to_plain,
        "iterations_to_final_r": to_final,
        "seconds_to_plain_r": to_plain,
        "seconds_to_final_r": to_final,
        "failed": failed,
    }


ROWS = [
    row(20, "none", 1, "100"),
    row(20, "none", 2, "200"),
    row(20, "none", 3, failed="True"),
    row(20, "recommended", 1, "8"),
    row(20, "recommended", 2, "", "12"),
    row(48, "none", 1, "50", background="400"),
]


def test_one_column_for_each_condition():
    figure = convergence_study.draw(ROWS, X)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["0% background", "400% background"]
    assert len(figure.axes) == 4


def test_points_open_points_crosses_and_medians():
    figure = convergence_study.draw(ROWS, X)
    lines = figure.axes[0].lines
    drawn = [(line.get_marker(), line.get_markerfacecolor(), list(line.get_ydata())) for line in lines]
    plain, plain_open, plain_failed, plain_median, preset, preset_open, _, preset_median = drawn
    assert plain[2] == [100, 200]
    assert (plain_open[2], plain_failed[0], len(plain_failed[2])) == ([], "x", 1)
    assert plain_median[2] == [150]
    assert preset[2] == [8]
    assert (preset_open[1], preset_open[2]) == ("white", [12])
    assert preset_median[2] == [10]


def test_medians_leave_failed_seeds_out():
    figure = convergence_study.draw([row(20, "none", 1, "100"), row(20, "none", 2, failed="True", to_final="1")], X)
    assert list(figure.axes[0].lines[3].get_ydata()) == [100]


def test_legend_names_presets_and_marks():
    figure = convergence_study.draw(ROWS, X)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "plain",
        "recommended",
        "to its own last R",
        "failed",
    ]


def test_too_many_conditions_are_refused():
    rows = [row(20, "none", 1, "3", background=str(level)) for level in range(7)]
    with pytest.raises(DataError, match="7 conditions"):
        convergence_study.draw(rows, X)


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match="failed"):
        convergence_study.draw([{k: v for k, v in ROWS[0].items() if k != "failed"}], X)


def test_every_failed_still_draws():
    figure = convergence_study.draw([row(20, "none", 1, failed="True")], X)
    assert np.isfinite(figure.axes[0].get_ylim()).all()
