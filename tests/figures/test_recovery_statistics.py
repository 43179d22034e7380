import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import recovery_statistics as figures
from fewphoton.figures.recovery_statistics import Precision, RecoveryCurve, RecoveryPanel, TimeCurve


def curve(label, x=(20, 5), median=(0.5, 0.1)):
    x, median = np.array(x, float), np.array(median)
    share = np.linspace(0.2, 1, len(x))
    return RecoveryCurve(label, x, median, median / 2, 1.5 * median, share, share - 0.1, np.minimum(share + 0.1, 1))


def test_curves_go_by_the_place_of_their_cells():
    figure = figures.draw_error_curves(
        [RecoveryPanel("N", [curve("a"), curve("b", (5, 10, 20), (0, 0, 0.4))])], "atoms"
    )
    above, below = figure.axes
    np.testing.assert_allclose(above.lines[0].get_xydata(), [[5, 0.1], [20, 0.5]])
    np.testing.assert_allclose(below.lines[0].get_ydata(), [1, 0.2])
    # Intervals of two curves stand beside each other.
    assert below.lines[0].get_xdata()[0] < 5 < below.lines[1].get_xdata()[0]
    low, high = below.collections[0].get_segments()[1]
    assert (low[1], high[1]) == pytest.approx((0.1, 0.3))
    assert above.get_ylim()[1] == pytest.approx(1.08 * 0.75)
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["a", "b"]


def test_one_column_a_panel_and_a_single_cell():
    panels = [RecoveryPanel("one", [curve("a", (7,), (0.0,))]), RecoveryPanel("two", [curve("b")])]
    figure = figures.draw_error_curves(panels, "atoms", "rms (Å)")
    assert len(figure.axes) == 4
    assert {figure.axes[0].get_title(), figure.axes[1].get_title()} == {"one", "two"}
    assert figure.axes[0].get_ylabel() == "rms (Å)"


def test_many_curves_have_their_names_above():
    figure = figures.draw_error_curves([RecoveryPanel("many", [curve(str(n)) for n in range(6)])], "atoms")
    assert figure.axes[0].get_legend()._ncols == 2


def test_faults_of_curves():
    with pytest.raises(DataError, match="no curve"):
        figures.draw_error_curves([], "atoms")
    with pytest.raises(DataError, match="no curve"):
        figures.draw_error_curves([RecoveryPanel("x", [])], "atoms")
    with pytest.raises(DataError, match="without any cell: hollow"):
        figures.draw_error_curves([RecoveryPanel("x", [curve("hollow", (), ())])], "atoms")


def test_precision_stands_beside_the_bound():
    noise = np.array([1e-3, 1e-4, 1e-3, 1e-4])
    ratio = np.array([1.0, 1.2, 2.0, np.nan])
    rms = np.array([0.02, 0.006, 0.06, 0.01])
    left, right = figures.draw_precision([Precision("ours", noise, rms, ratio)], "N").axes
    points, middle, bound = left.lines[:3]
    np.testing.assert_allclose(points.get_ydata(), rms)
    np.testing.assert_allclose(middle.get_ydata(), [0.008, 0.04])
    np.testing.assert_allclose(bound.get_ydata(), [0.005, 0.025])
    np.testing.assert_allclose(right.lines[1].get_ydata(), [1.2, 1.5])
    assert left.get_xscale() == left.get_yscale() == right.get_xscale() == "log"


def test_precision_without_errors():
    none = Precision("none", np.array([0.0, 1e-3]), np.array([0.1, 0.0]), np.ones(2))
    with pytest.raises(DataError, match="no recovery"):
        figures.draw_precision([none], "N")
    some = Precision("some", np.array([1e-3]), np.array([0.1]), np.array([np.nan]))
    assert len(figures.draw_precision([none, some], "N").axes) == 2


def test_precision_at_a_single_level_has_a_number_on_its_axis():
    single = Precision("one", np.full(2, 2e-4), np.array([0.1, 0.2]), np.ones(2))
    for axes in figures.draw_precision([single], "N").axes:
        low, high = axes.get_xlim()
        assert low < 2e-4 < high
        assert any(low <= tick <= high for tick in 10.0 ** np.arange(-6, 0))


def test_precision_of_nothing_says_so():
    for axes in figures.draw_precision([], "N").axes:
        assert axes.texts[-1].get_text() == "no molecule was solved"


def test_time_to_solution():
    seconds, share = np.array([1.0, 10.0, 100.0]), np.array([0, 0.5, 1.0])
    axes = figures.draw_time_to_solution([TimeCurve("ours", seconds, share, share, share, 8)]).axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), share)
    assert axes.get_xlim() == (1, 100)
    assert axes.lines[0].get_label() == "ours (8 runs)"
    for curves in ([], [TimeCurve("x", np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0), 0)]):
        with pytest.raises(DataError, match="no time"):
            figures.draw_time_to_solution(curves)
