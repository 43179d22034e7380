import numpy as np
import pytest

from fewphoton.evaluate.density_score import mean_correlation, resolution_at_half
from fewphoton.evaluate.fourier_shell import ShellCorrelation


def curve(*values):
    return ShellCorrelation(0.1 * np.arange(1, len(values) + 1), np.array(values), np.ones(len(values), dtype=np.int64))


@pytest.mark.parametrize(
    ("values", "angstrom", "ending"),
    [
        ((0.9, 0.7, 0.3, 0.9), 1 / 0.25, "crossing"),  # the first of them, though it rises again
        ((0.9, 0.8, 0.6), 1 / 0.3, "at or beyond the edge"),
        ((0.9, 0.8, np.nan), 1 / 0.2, "at or beyond the edge"),
        ((0.4, 0.9, 0.9), np.inf, "none"),
        ((np.nan, np.nan), np.nan, "none"),
    ],
)
def test_the_first_crossing_counts_and_the_edge_is_named(values, angstrom, ending):
    found = resolution_at_half(curve(*values))
    assert found.angstrom == pytest.approx(angstrom, nan_ok=True)
    assert found.ending == ending


def test_shells_that_say_nothing_do_not_count_in_the_mean():
    assert mean_correlation(curve(0.5, np.nan, 0.1)) == pytest.approx(0.3)
    assert np.isnan(mean_correlation(curve(np.nan)))
