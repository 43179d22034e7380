import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import reflections
from fewphoton.figures.reflections import Comparison


def test_points_line_and_notes():
    ours = np.array([1.0, 20.0, 300.0, -1.0, np.nan])
    reference = np.array([2.0, 40.0, 600.0, 1.0, 5.0])
    figure = reflections.draw(ours, np.linspace(0.1, 0.5, 5), [Comparison("reference", reference, ("CC = 0.99",))])
    axes = figure.axes[0]
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points, [[600, 300], [40, 20], [2, 1]])  # low q comes last, on top
    x, y = axes.lines[0].get_data()
    np.testing.assert_allclose(y / x, 0.5)
    assert axes.texts[0].get_text().splitlines() == ["CC = 0.99", "3 reflections", "1 not positive, not shown"]
    assert axes.get_xscale() == axes.get_yscale() == "log"


def test_truth_gets_a_panel_of_its_own():
    values = np.array([1.0, 2.0])
    figure = reflections.draw(values, values, [Comparison("reference", values), Comparison("true", 2 * values)])
    assert [axes.get_xlabel() for axes in figure.axes[:2]] == ["reference intensity", "true intensity"]


def test_faults():
    with pytest.raises(DataError, match="no intensities"):
        reflections.draw(np.ones(2), np.ones(2), [])
    with pytest.raises(DataError, match="no reflection is positive in both the reconstruction and the reference"):
        reflections.draw(np.ones(2), np.ones(2), [Comparison("reference", np.array([-1.0, np.nan]))])
