"""Veto: tell hits from blanks by their peaks (Kieffer et al. 2025, section 4.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.separation import VetoConfig
from fewphoton.data import PeakTable


@dataclass(frozen=True, eq=False)
class FrameSignal:
    """What the peaks of each frame tell.

    Parameters
    ----------
    n_peaks : ndarray of int64, `(n_frames,)`
        Number of peaks.
    intensity : ndarray of float64, `(n_frames,)`
        Their summed intensity.
    """

    n_peaks: NDArray[np.int64]
    intensity: NDArray[np.float64]


def frame_signal(peaks: PeakTable, n_frames: int) -> FrameSignal:
    """Sum the peaks of each frame.

    Raises
    ------
    DataError
        If a peak lies in a later frame.
    """
    counts = peaks.counts(n_frames)
    intensity = np.bincount(peaks.frame, weights=peaks.intensity, minlength=n_frames)
    return FrameSignal(counts, intensity.astype(np.float64))


def kept_frames(signal: FrameSignal, config: VetoConfig) -> NDArray[np.bool_]:
    """Tell which frames are hits, bool `(n_frames,)`."""
    return np.asarray((signal.n_peaks >= config.minimum_peaks) & (signal.intensity >= config.minimum_intensity))


def kept_against_threshold(signal: FrameSignal) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return thresholds on the number of peaks, 0 to one above the largest, and the frames kept at each."""
    histogram = np.bincount(signal.n_peaks)
    kept = len(signal.n_peaks) - np.concatenate([[0], np.cumsum(histogram)])
    return np.arange(len(kept)), kept
