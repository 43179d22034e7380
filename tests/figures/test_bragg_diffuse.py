import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import bragg_diffuse
from fewphoton.figures.bragg_diffuse import RatioCurve


def test_curves_and_the_line_at_one():
    q = np.array([0.1, 0.5])
    figure = bragg_diffuse.draw(
        [RatioCurve("0 %", q, np.array([20.0, 3.0])), RatioCurve("400 %", q, np.array([4.0, -0.1]))]
    )
    axes = figure.axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["0 %"].get_ydata(), [20, 3])
    np.testing.assert_array_equal(lines["400 %"].get_ydata(), [4, np.nan])
    assert set(axes.lines[0].get_ydata()) == {1.0}
    low, high = axes.get_ylim()
    assert low < 1 < high
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["0 %", "400 %"]


def test_no_curve_is_refused():
    with pytest.raises(DataError, match="no Bragg-to-diffuse"):
        bragg_diffuse.draw([])
    with pytest.raises(DataError, match="400 %: no shell"):
        bragg_diffuse.draw([RatioCurve("400 %", np.array([0.1]), np.array([np.nan]))])
