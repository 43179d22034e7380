import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewphoton.errors import DataError
from fewphoton.particle.roc import area_under_curve, roc_curve


def test_by_hand():
    """Wanted 3, 1 against unwanted 2, 0, 1: wins 3 of 3, and 1 + 1/2 of 3."""
    score, wanted = np.array([3.0, 1.0, 2.0, 0.0, 1.0]), np.array([True, True, False, False, False])
    found = area_under_curve(score, wanted)
    assert found.area == pytest.approx(4.5 / 6)
    by_wanted, by_unwanted = np.array([1.0, 0.5]), np.array([0.5, 1.0, 0.75])
    assert found.standard_error**2 == pytest.approx(by_wanted.var(ddof=1) / 2 + by_unwanted.var(ddof=1) / 3)
    threshold, unwanted_share, wanted_share = roc_curve(score, wanted)
    assert threshold.tolist() == [np.inf, 3, 2, 1, 0]
    assert wanted_share.tolist() == [0, 0.5, 0.5, 1, 1]
    np.testing.assert_allclose(unwanted_share, [0, 0, 1 / 3, 2 / 3, 1])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=4, max_size=40))
def test_the_area_is_that_of_mann_whitney_and_under_the_curve(rows):
    score, wanted = np.array([row[0] for row in rows], dtype=float), np.array([row[1] for row in rows])
    if min(wanted.sum(), (~wanted).sum()) < 2:
        with pytest.raises(DataError):
            area_under_curve(score, wanted)
        return
    found = area_under_curve(score, wanted)
    u = stats.mannwhitneyu(score[wanted], score[~wanted]).statistic
    assert found.area == pytest.approx(u / (wanted.sum() * (~wanted).sum()))
    _, unwanted_share, wanted_share = roc_curve(score, wanted)
    assert np.trapezoid(wanted_share, unwanted_share) == pytest.approx(found.area)
    assert 0 <= found.low <= found.area + 1e-9
    assert found.area - 1e-9 <= found.high <= 1
    assert area_under_curve(-score, wanted).area == pytest.approx(1 - found.area)


def test_the_interval_covers_the_true_area_as_often_as_it_says():
    rng = np.random.default_rng(0)
    truth, wanted = stats.norm.cdf(1.5 / np.sqrt(2)), np.arange(50) < 19
    covered = 0
    for _ in range(400):
        found = area_under_curve(rng.normal(0, 1, 50) + 1.5 * wanted, wanted)
        covered += found.low <= truth <= found.high
    assert 0.92 <= covered / 400 <= 0.985


def test_classes_that_part_fully_leave_doubt():
    found = area_under_curve(np.arange(8.0), np.arange(8) > 3)
    assert (found.area, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.025**0.25)


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="frame 1"):
        area_under_curve(np.array([1.0, np.nan, 2.0]), np.array([True, False, True]))
    with pytest.raises(DataError, match="found 3 of 3"):
        roc_curve(np.arange(3.0), np.ones(3, dtype=bool))
