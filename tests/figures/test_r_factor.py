import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import r_factor
from fewphoton.figures.r_factor import RFactorCurve

Q = np.array([0.1, 0.2, 0.3])
R = np.array([0.1, 0.2, np.nan])


def test_curve_chance_and_photons():
    curve = RFactorCurve("48 photons", Q, R, np.full(3, 0.6), np.full(3, 0.05), np.array([100.0, 10.0, 0.0]))
    figure = r_factor.draw([curve])
    axes, counts = figure.axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), R)
    np.testing.assert_array_equal(counts.lines[0].get_ydata(), [100, 10, np.nan])
    assert counts.get_yscale() == "log"
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (pytest.approx(0.5), pytest.approx(0.7))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["48 photons", "chance"]
    assert axes.get_ylim()[1] > 0.7


def test_band_of_several_runs_holds_all_of_them():
    curves = [RFactorCurve(f"{level}", Q, R, np.full(3, level), np.full(3, 0.01)) for level in (0.6, 0.5, 0.8, 0.7)]
    band = r_factor.draw(curves).axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (pytest.approx(0.48), pytest.approx(0.82))


def test_runs_with_other_shells_get_their_own_chance_lines():
    curves = [
        RFactorCurve("a", Q, R, np.full(3, 0.6)),
        RFactorCurve("b", np.array([0.1, 0.4]), np.array([0.2, 0.3]), np.full(2, 0.7)),
    ]
    axes = r_factor.draw(curves).axes[0]
    assert len(axes.collections) == 0
    assert len(axes.lines) == 4


def test_without_photons_there_is_one_axis():
    assert len(r_factor.draw([RFactorCurve("a", Q, R)]).axes) == 1


def test_no_curve_is_refused():
    with pytest.raises(DataError, match="no R factor"):
        r_factor.draw([])


def test_run_without_reference_is_refused():
    with pytest.raises(DataError, match="48 photons: no shell has an R factor"):
        r_factor.draw([RFactorCurve("48 photons", Q, R * np.nan)])


def test_r_far_below_chance_is_drawn_on_a_logarithmic_axis():
    q = np.array([0.1, 0.2, 0.3])
    values = np.array([0.01, np.nan, 0.02])
    photons = np.array([90.0, 50.0, 9.0])
    curve = r_factor.RFactorCurve("a", q, values, chance=np.full(3, 0.6), photons_per_peak=photons)
    axes, counts = r_factor.draw([curve]).axes
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 0.01
    np.testing.assert_array_equal(counts.lines[0].get_ydata(), [90.0, np.nan, 9.0])
    near = r_factor.RFactorCurve("a", q, 10 * values, chance=np.full(3, 0.6))
    assert r_factor.draw([near]).axes[0].get_yscale() == "linear"
