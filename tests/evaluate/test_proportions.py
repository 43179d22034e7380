import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewphoton.errors import DataError
from fewphoton.evaluate.proportions import quartiles, wilson_interval


def test_wilson_by_hand():
    """7 of 10 with z = 1.96: the centre (7 + z²/2) / (10 + z²), the half width z sqrt(7·3/10 + z²/4) / (10 + z²)."""
    z = 1.959964
    centre, half = (7 + z**2 / 2) / (10 + z**2), z * np.sqrt(2.1 + z**2 / 4) / (10 + z**2)
    found = wilson_interval(7, 10)
    assert found == pytest.approx((0.7, centre - half, centre + half), rel=1e-6)


def test_limits_have_width_on_one_side():
    none, every = wilson_interval(0, 20), wilson_interval(20, 20)
    assert none.low == 0
    assert 0.1 < none.high < 0.2
    assert every.high == 1
    assert every.low == pytest.approx(1 - none.high)


@given(st.integers(0, 50), st.integers(1, 50), st.floats(0.5, 0.99))
def test_interval_holds_the_share(n_successes, n_more, confidence):
    found = wilson_interval(n_successes, n_successes + n_more, confidence)
    assert 0 <= found.low <= found.share <= found.high <= 1


def test_no_trials_and_faults():
    assert np.isnan(wilson_interval(0, 0)).all()
    for numbers in ((3, 2), (-1, 4)):
        with pytest.raises(DataError, match="successes"):
            wilson_interval(*numbers)
    with pytest.raises(DataError, match="confidence"):
        wilson_interval(1, 2, 1.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_quartiles_of_known_values(values):
    found = quartiles([*values, np.nan])
    np.testing.assert_allclose(found[:3], np.percentile(values, [50, 25, 75]), rtol=1e-9, atol=1e-6)
    assert found.n == len(values)


def test_quartiles_with_runs_that_never_ended():
    assert quartiles([1.0, 2.0, np.inf]) == (2.0, 1.5, np.inf, 3)
    assert quartiles([np.inf, np.inf]).median == np.inf
    assert np.isnan(quartiles([np.nan]).median)
