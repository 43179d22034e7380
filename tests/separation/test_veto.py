import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.config.separation import VetoConfig
from fewphoton.data import PeakTable
from fewphoton.errors import DataError
from fewphoton.separation.veto import FrameSignal, frame_signal, kept_against_threshold, kept_frames


def peaks(frame, intensity):
    n = len(frame)
    zero = np.zeros(n)
    return PeakTable(
        np.array(frame, dtype=np.int64),
        zero,
        zero,
        np.array(intensity, dtype=float),
        zero,
        np.zeros(n, dtype=np.int32),
        np.zeros(n, dtype=bool),
    )


def test_signal_and_verdict_worked_by_hand():
    signal = frame_signal(peaks([0, 0, 2, 2, 2], [1, 2, 10, 20, 30]), 4)
    np.testing.assert_array_equal(signal.n_peaks, [2, 0, 3, 0])
    np.testing.assert_array_equal(signal.intensity, [3, 0, 60, 0])
    verdict = [
        kept_frames(signal, VetoConfig(minimum_peaks=a, minimum_intensity=b)).tolist()
        for a, b in ((2, 0), (3, 0), (0, 3), (0, 0), (0, 3.5), (4, 0))
    ]
    assert verdict == [
        [True, False, True, False],
        [False, False, True, False],
        [True, False, True, False],
        [True] * 4,
        [False, False, True, False],
        [False] * 4,
    ]
    thresholds, kept = kept_against_threshold(signal)
    np.testing.assert_array_equal(thresholds, [0, 1, 2, 3, 4])
    np.testing.assert_array_equal(kept, [4, 2, 2, 1, 0])


def test_no_peaks_at_all():
    signal = frame_signal(peaks([], []), 3)
    np.testing.assert_array_equal(signal.n_peaks, [0, 0, 0])
    np.testing.assert_array_equal(kept_frames(signal, VetoConfig()), [False] * 3)
    np.testing.assert_array_equal(kept_against_threshold(signal)[1], [3, 0])


def test_a_peak_beyond_the_last_frame_is_refused():
    with pytest.raises(DataError, match="outside the 2 frames"):
        frame_signal(peaks([0, 2], [1, 1]), 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=40))
def test_the_curve_is_the_verdict_at_each_threshold(counts):
    signal = FrameSignal(np.array(counts), np.zeros(len(counts)))
    thresholds, kept = kept_against_threshold(signal)
    assert thresholds[-1] == max(counts) + 1
    for threshold, number in zip(thresholds, kept, strict=True):
        assert kept_frames(signal, VetoConfig(minimum_peaks=int(threshold))).sum() == number
