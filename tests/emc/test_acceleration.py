"""SQUAREM on maps whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.emc.acceleration import FIRST_LIMIT, extrapolate, is_kept, step_limit
from fewphoton.emc.iteration_record import IterationRecord


def test_one_rate_of_convergence_is_solved_at_once():
    fixed, rate = np.array([2.0, 5.0, 9.0]), 0.9
    x0 = np.array([3.0, 4.0, 12.0])
    x1 = fixed + rate * (x0 - fixed)
    x2 = fixed + rate * (x1 - fixed)
    # r = -0.1 e and v = 0.01 e give a = -10, and x0 + 20 r + 100 v = x0 - 2 e + e = fixed.
    found, length = extrapolate(x0, x1, x2, "intensity", 100.0)
    assert length == pytest.approx(10.0)
    np.testing.assert_allclose(found, fixed, rtol=1e-10)


def test_logarithms_follow_a_geometric_approach():
    fixed, rate = np.log([2.0, 5.0, 0.1]), 0.8
    steps = [fixed + rate**k * np.array([0.3, -0.2, 0.5]) for k in range(3)]
    found, length = extrapolate(*(np.exp(step) for step in steps), "log", 100.0)
    assert length == pytest.approx(5.0)
    np.testing.assert_allclose(found, np.exp(fixed), rtol=1e-10)


def test_the_limit_holds_and_short_steps_leave_the_plain_iterate():
    x0, x1, x2 = np.array([3.0]), np.array([2.9]), np.array([2.81])
    found, length = extrapolate(x0, x1, x2, "intensity", 2.0)
    assert length == 2.0
    assert found[0] == pytest.approx(3.0 - 0.4 + 4 * 0.01)
    oscillating = np.array([1.0]), np.array([2.0]), np.array([1.0])
    found, length = extrapolate(*oscillating, "intensity", 4.0)
    assert length == 0.0
    assert found[0] == 1.0
    found, length = extrapolate(x0, x0, x0, "log", 4.0)
    assert (found[0], length) == (3.0, 0.0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(0, 1e3)] * 3), min_size=1, max_size=12),
    st.sampled_from(["log", "intensity"]),
    st.floats(1.5, 1e4),
)
def test_intensities_stay_positive_and_finite(values, scale, limit):
    x0, x1, x2 = np.array(values).T
    found, _ = extrapolate(x0, x1, x2, scale, limit)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (found[x2 > 0] > 0).all()
    untouched = (x0 == 0) | (x1 == 0) | (x2 == 0)
    np.testing.assert_array_equal(found[untouched], x2[untouched])


def test_the_limit_grows_with_success_and_falls_with_failure():
    assert step_limit([]) == FIRST_LIMIT
    assert step_limit([(0.0, False), (2.0, False)]) == FIRST_LIMIT
    assert step_limit([(4.0, False)]) == 16.0
    assert step_limit([(4.0, False), (16.0, True)]) == 4.0
    assert step_limit([(4.0, True), (2.0, True)]) == 2.0


def test_a_fall_of_the_likelihood_needs_a_smaller_change_to_be_kept():
    def record(log_likelihood, change):
        return IterationRecord(1, change, log_likelihood, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)

    plain = record(-3.0, 0.1)
    assert is_kept(plain, record(-2.9, 0.5), 0.0)
    assert is_kept(plain, record(-3.0005, 0.05), 1e-3)
    assert not is_kept(plain, record(-3.0005, 0.15), 1e-3)
    assert not is_kept(plain, record(-3.01, 0.05), 1e-3)
    assert not is_kept(plain, record(-3.0005, 0.05), 0.0)
