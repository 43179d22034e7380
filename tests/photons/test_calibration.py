import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fewphoton.errors import DataError
from fewphoton.photons.calibration import Calibration, best_threshold, threshold_errors


def test_not_finite_or_without_gain_is_unusable():
    calibration = Calibration(
        np.array([1, np.nan, 1, 1, 1, 1], dtype=np.float32),
        np.array([1, 1, 0, -1, 1, 1], dtype=np.float32),
        np.array([1, 1, 1, 1, 0, np.inf], dtype=np.float32),
        np.array([True] + 5 * [False]),
    )
    assert calibration.unusable.tolist() == [True, True, True, True, False, True]


def test_nothing_usable_is_refused():
    with pytest.raises(DataError, match="no usable pixel"):
        Calibration.of(1.0, 1.0, 1.0, np.ones(4, dtype=bool))
    with pytest.raises(DataError, match="no usable pixel"):
        Calibration.of(np.nan, 1.0, 1.0, np.zeros(4, dtype=bool))


def test_wrong_length_is_refused():
    with pytest.raises(DataError, match="adu_per_photon"):
        Calibration(np.ones(3), np.ones(2), np.ones(3), np.zeros(3, dtype=bool))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["uint8", "uint16", "int32", "int64", "uint64", "float32", "float64"]),
    st.floats(-300, 70000),
    st.floats(0.5, 300),
)
def test_raw_value_is_over_exactly_when_signal_is(dtype, offset, gain):
    kind = np.dtype(dtype)
    calibration = Calibration.of(offset, gain, 1.0, np.array([False, True]))
    threshold = calibration.raw_threshold(kind, 0.6)
    assert threshold.dtype == kind
    level = float(calibration.offset_adu[0]) + 0.6 * float(calibration.adu_per_photon[0])
    near = np.array([level - 1, level, level + 1])
    if kind.kind == "f":
        values = np.concatenate([near.astype(kind), np.nextafter(near.astype(kind), kind.type(np.inf))])
    else:
        limits = np.iinfo(kind)
        values = np.clip(np.floor(near), limits.min, min(limits.max, 2**62)).astype(kind)
    underflow = values == np.iinfo(kind).min if kind.kind in "iu" else np.zeros(len(values), dtype=bool)
    np.testing.assert_array_equal(values > threshold[0], (values.astype(np.float64) > level) & ~underflow)
    assert not (values > threshold[1]).any()
    assert not kind.type(np.inf if kind.kind == "f" else np.iinfo(kind).max) > threshold[1]


def test_errors_are_gaussian_tails():
    calibration = Calibration.of(100.0, 40.0, 10.0, np.array([False, False, True]))
    false_photons, missed = threshold_errors(calibration, 0.6)
    assert false_photons == pytest.approx(2 * stats.norm.sf(2.4), rel=1e-6)
    assert missed == pytest.approx(stats.norm.sf(1.6), rel=1e-6)


def test_pixels_without_noise_make_no_errors():
    assert threshold_errors(Calibration.of(0.0, 1.0, 0.0, np.zeros(3, dtype=bool)), 0.5) == (0.0, 0.0)


@pytest.mark.parametrize("occupancy", [0.001, 0.02, 0.4])
def test_best_threshold_has_fewest_errors(occupancy):
    calibration = Calibration.of(0.0, 5.0, 1.0, np.zeros(1, dtype=bool))
    tried = np.linspace(0.2, 0.9, 701)
    errors = (1 - occupancy) * stats.norm.sf(5 * tried) + occupancy * stats.norm.sf(5 * (1 - tried))
    assert best_threshold(calibration, occupancy) == pytest.approx(tried[np.argmin(errors)], abs=2e-3)
