import numpy as np
import pytest

from fewphoton.data import Crystal, IntensityVolume, IterateTrace, Reflections
from fewphoton.errors import DataError
from fewphoton.evaluate.integrate import integrate
from fewphoton.evaluate.iterates import TracedPeaks, first_within, r_by_iterate

CRYSTAL = Crystal((10, 10, 10, 90, 90, 90), "P 2 3")


def volume(seed=0):
    rng = np.random.default_rng(seed)
    weight = (rng.random((25, 25, 25)) < 0.9).astype(float)
    return IntensityVolume(np.where(weight > 0, rng.random((25, 25, 25)), 0.0), weight, 4)


def test_traced_sums_are_those_of_integration():
    found = volume()
    peaks = TracedPeaks(CRYSTAL, 25, 4, 1.5)
    trace = peaks.trace(np.array([3]), np.array([1.5]), peaks.sums(found.values)[None], found)
    expected = integrate(found, CRYSTAL, 1.5)
    np.testing.assert_array_equal(trace.hkl, expected.hkl)
    np.testing.assert_allclose(trace.intensity[0], expected.intensity, rtol=1e-12)
    assert trace.radius_hkl == 1.5 / 4


def test_the_usual_radius_makes_room_for_near_points():
    np.testing.assert_array_equal(TracedPeaks(CRYSTAL, 25, 3).hkl, TracedPeaks(CRYSTAL, 25, 3, 1.5).hkl)
    with pytest.raises(DataError, match="overlap"):
        TracedPeaks(CRYSTAL, 25, 3, 1.6)


def test_points_that_nobody_measured_are_left_out():
    whole = volume()
    weight = whole.weight.copy()
    weight[:8] = 0.0
    half = IntensityVolume(np.where(weight > 0, whole.values, 0.0), weight, 4)
    peaks = TracedPeaks(CRYSTAL, 25, 4, 1.0)
    trace = peaks.trace(np.array([1]), np.array([1.0]), peaks.sums(half.values)[None], half)
    assert len(trace.hkl) < len(peaks.hkl)
    assert trace.hkl[:, 0].min() == -1
    assert np.isfinite(trace.intensity).all()


def test_r_falls_to_zero_as_iterates_reach_the_reference():
    rng = np.random.default_rng(1)
    hkl = np.array([[h, k, m] for h in range(1, 4) for k in range(4) for m in range(4)], dtype=np.int32)
    asymmetric = CRYSTAL.to_laue_asu(hkl)
    unique, group = np.unique(asymmetric, axis=0, return_inverse=True)
    true = rng.uniform(1, 2, len(unique))
    start = rng.uniform(1, 2, len(hkl))
    steps = np.array([start, 0.5 * (start + 7 * true[group.ravel()]), 7 * true[group.ravel()]])
    trace = IterateTrace(np.array([1, 2, 5]), np.array([1.0, 2.0, 9.0]), hkl, steps, np.ones(len(hkl)), 0.3)
    r = r_by_iterate(trace, CRYSTAL, Reflections.bare(unique, true), 1.0)
    assert r[0] > r[1] > 1e-3
    assert r[2] == pytest.approx(0, abs=1e-12)


def test_weights_decide_between_equivalents_and_high_q_is_left_out():
    hkl = np.array([[1, 0, 0], [0, 1, 0], [2, 0, 0], [3, 3, 3]], dtype=np.int32)
    trace = IterateTrace(
        np.array([1]), np.array([1.0]), hkl, np.array([[4.0, 100.0, 4.0, 999.0]]), np.array([1.0, 0.0, 1.0, 1.0]), 0.3
    )
    reference = Reflections.bare(CRYSTAL.to_laue_asu(hkl[[0, 2, 3]]), np.array([4.0, 4.0, 999.0]))
    assert r_by_iterate(trace, CRYSTAL, reference, 0.5)[0] == pytest.approx(0, abs=1e-12)


def test_nothing_in_common_is_an_error():
    trace = IterateTrace(np.array([1]), np.ones(1), np.array([[1, 0, 0]]), np.ones((1, 1)), np.ones(1), 0.3)
    other = Reflections.bare(np.array([[5, 5, 5]], dtype=np.int32), np.ones(1))
    with pytest.raises(DataError, match="in common"):
        r_by_iterate(trace, CRYSTAL, other, 0.5)


@pytest.mark.parametrize(
    ("values", "limit", "place"),
    [([5, 3, 2, 2], 2.1, 2), ([5, 2, 3, 2], 2.1, 3), ([2, 2], 2.1, 0), ([2, 3], 2.1, None), ([2, np.nan], 9, None)],
)
def test_it_counts_from_where_it_never_rises_again(values, limit, place):
    assert first_within(np.array(values, dtype=float), limit) == place


def test_a_trace_must_rise_and_fit():
    with pytest.raises(DataError, match="rise"):
        IterateTrace(np.array([2, 2]), np.ones(2), np.zeros((1, 3), dtype=int), np.ones((2, 1)), np.ones(1), 0.3)
    with pytest.raises(DataError, match="no iterate"):
        IterateTrace(np.zeros(0, dtype=int), np.zeros(0), np.zeros((1, 3), dtype=int), np.ones((0, 1)), np.ones(1), 0.3)
