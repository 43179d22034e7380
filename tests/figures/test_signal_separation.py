import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from fewphoton.errors import DataError
from fewphoton.figures.signal_separation import (
    RingCurves,
    RingHistogram,
    RingRadii,
    draw,
    draw_frame,
    fit_gaussian,
    histogram_edges,
)
from tests.conftest import flat_detector

RADII = RingRadii(np.linspace(1.0, 7.0, 6), "distance (mm)", "mm")


def curves(level=4.0):
    flat = np.full(6, level)
    return RingCurves(flat, {"poisson": np.sqrt(flat), "azimuthal": np.array([2.0, 3, np.nan, 2, 2, 2])})


def ring(mean=30.0, n=4000, seed=0):
    values = np.random.default_rng(seed).poisson(mean, n).astype(np.float64)
    return RingHistogram(3.0, np.append(values, [900.0, np.nan]), mean, mean**0.5)


def frame(detector, level=5.0):
    return np.random.default_rng(1).poisson(level, detector.n_pixels).astype(np.float64)


def test_panels_hold_curves_and_bells():
    detector = flat_detector()
    figure = draw(frame(detector), detector, RADII, curves(6.0), curves(), [ring(), ring(60.0)])
    # The colour bar is an inset of the first panel and is not among the figure's axes.
    image, mean, spread, counted = figure.axes[:4]
    np.testing.assert_allclose(mean.lines[0].get_ydata(), 6.0)
    np.testing.assert_allclose(mean.lines[1].get_ydata(), 4.0)
    assert [line.get_label() for line in spread.lines[:4]] == [
        "poisson, all pixels",
        "azimuthal, all pixels",
        "poisson, after clipping",
        "azimuthal, after clipping",
    ]
    assert image.get_xlabel() == "horizontal (mm)"
    peaks = [line.get_xdata()[np.argmax(line.get_ydata())] for line in counted.lines]
    np.testing.assert_allclose(peaks, [30, 60], atol=1.5)
    assert "1 and 1 pixels" in counted.get_legend().get_title().get_text()


def test_frame_is_drawn_with_bad_pixels_blank():
    detector = flat_detector()
    values = frame(detector)
    values[7] = np.nan
    axes = Figure().add_subplot()
    draw_frame(axes, values, detector)
    shown = axes.images[0].get_array()
    assert shown.mask.sum() == 1
    np.testing.assert_array_equal(shown.compressed(), np.delete(values, 7))


def test_large_frames_are_means_of_blocks():
    detector = flat_detector(1300, 4)
    axes = Figure().add_subplot()
    draw_frame(axes, np.arange(detector.n_pixels), detector)
    shown = axes.images[0].get_array()
    assert shown.shape == (434, 2)
    assert shown[0, 0] == pytest.approx(np.mean([0, 1, 2, 4, 5, 6, 8, 9, 10]))


@settings(max_examples=25, deadline=None)
@given(st.floats(-50, 500), st.floats(0.5, 40), st.floats(1, 1e5))
def test_exact_bell_is_found(mean, std, height):
    x = np.linspace(mean - 6 * std, mean + 10 * std, 81)
    counts = height * np.exp(-0.5 * ((x - mean) / std) ** 2)
    found = fit_gaussian(x, counts, mean + 0.7 * std, 1.5 * std)
    np.testing.assert_allclose([found.height, found.mean, found.std], [height, mean, std], rtol=1e-4, atol=1e-3)


def test_outliers_hardly_move_the_bell():
    values = np.append(np.random.default_rng(2).normal(100, 10, 20000), np.full(100, 170.0))
    edges = histogram_edges(values, 100, 10)
    counts = np.histogram(values, edges)[0].astype(float)
    found = fit_gaussian((edges[1:] + edges[:-1]) / 2, counts, 100, 10)
    assert found.mean == pytest.approx(100, abs=0.5)
    assert found.std == pytest.approx(10, abs=0.3)


def test_columns_of_counts_hold_whole_numbers():
    edges = histogram_edges(np.array([0.0, 3, 4, 900]), 3, 2)
    np.testing.assert_allclose(edges % 1, 0.5)
    np.testing.assert_allclose(np.diff(edges), 1)
    assert edges[0] == -0.5
    assert edges[-1] > 3 + 4 * 2
    assert len(histogram_edges(np.array([0.25, 3e4, 5e4]), 2e4, 1e3)) == 81
    assert np.diff(histogram_edges(np.array([0.0, 3e4, 5e4]), 2e4, 1e3)).min() > 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"frame": np.ones(7)}, "detector of 120 pixels"),
        ({"frame": np.full(120, np.nan)}, "holds a value"),
        ({"before": RingCurves(np.ones(5), {})}, "each of 6 rings"),
        ({"after": RingCurves(np.full(6, np.nan), {})}, "no value in any ring"),
        ({"histograms": []}, "no ring"),
        ({"histograms": [RingHistogram(3.0, np.array([np.nan]), 1.0, 1.0)]}, "no valid pixel"),
    ],
)
def test_faults(change, word):
    detector = flat_detector()
    given = {"frame": frame(detector), "before": curves(), "after": curves(), "histograms": [ring()]} | change
    with pytest.raises(DataError, match=word):
        draw(given["frame"], detector, RADII, given["before"], given["after"], given["histograms"])
