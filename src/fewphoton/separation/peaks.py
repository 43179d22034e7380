"""Bragg peaks of a frame by its ring background (Kieffer et al. 2025, section 4)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fewphoton.config.separation import FindPeaksConfig
from fewphoton.data import AzimuthalBins, PeakTable
from fewphoton.kernels.peak_patches import find_in_patches
from fewphoton.separation.background import Background, BackgroundFinder
from fewphoton.separation.sparsify import gap_value
from fewphoton.separation.strong_pixels import normal_tail, steepest, strong_pixels, summed_excess


@dataclass(frozen=True, eq=False)
class FramePeaks:
    """Peaks of one frame; columns as in :class:`fewphoton.data.PeakTable`, ordered by their maximum's pixel."""

    slow_px: NDArray[np.float32]
    fast_px: NDArray[np.float32]
    intensity: NDArray[np.float32]
    sigma: NDArray[np.float32]
    n_pixels: NDArray[np.int32]
    saturated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.slow_px)


def peak_table(frames: list[FramePeaks], first_frame: int = 0) -> PeakTable:
    """Join the peaks of successive frames."""
    numbers = np.repeat(np.arange(len(frames)) + first_frame, [len(peaks) for peaks in frames])
    columns: dict[str, Any] = {
        column.name: np.concatenate([getattr(peaks, column.name) for peaks in frames])
        if frames
        else np.zeros(0, np.float32)
        for column in fields(FramePeaks)
    }
    return PeakTable(frame=numbers.astype(np.int64), **columns)


class PeakFinder:
    """Finds peaks in frames of one geometry and type; holds working memory, so use one a thread.

    Parameters
    ----------
    bins, dtype, dark
        See :class:`fewphoton.separation.background.BackgroundFinder`.
    panel_of_pixel : ndarray of int32, `(n_pixels,)`
        From :meth:`fewphoton.data.Detector.panel_numbers`.
    config : FindPeaksConfig
        Background and peaks.
    """

    def __init__(
        self,
        bins: AzimuthalBins,
        panel_of_pixel: NDArray[np.int32],
        config: FindPeaksConfig,
        dtype: DTypeLike,
        dark: NDArray[np.float32] | None = None,
    ) -> None:
        self.finder = BackgroundFinder(bins, config, dtype, dark)
        self.config = config
        self._panel = panel_of_pixel
        self._sparse: NDArray[np.float32] | None = None
        self._empty = 0.0

    def find(self, frame: NDArray[Any]) -> tuple[FramePeaks, Background]:
        """Return peaks and background of a frame `(n_pixels,)`."""
        finder = self.finder
        values: NDArray[Any] = frame if finder.plain else finder.correct(frame)
        background = finder.find(frame, None if finder.plain else values)
        peaks = self.find_above(values, background)
        if not finder.plain and finder.config.saturation is not None:
            # Saturation is a matter of what was read, not of what it was corrected to.
            peaks = replace(peaks, saturated=self._saturated(frame, peaks))
        return peaks, background

    def _saturated(self, frame: NDArray[Any], peaks: FramePeaks) -> NDArray[np.bool_]:
        """Tell which peaks have a saturated pixel in their patch, bool `(n_peaks,)`."""
        shape = self.finder.bins.frame_shape
        hot = (frame >= self.finder.config.saturation) & (frame <= self.finder.largest) & self.finder.bins.usable
        image = hot.reshape(shape)
        half = self.config.patch_size // 2
        flags = np.zeros(len(peaks), dtype=np.bool_)
        for number, (slow, fast) in enumerate(zip(np.rint(peaks.slow_px), np.rint(peaks.fast_px), strict=True)):
            rows = slice(max(0, int(slow) - half), int(slow) + half + 1)
            flags[number] = image[rows, max(0, int(fast) - half) : int(fast) + half + 1].any()
        return flags

    def find_in_sparse(
        self,
        pixel: NDArray[np.uint32],
        intensity: NDArray[Any],
        background: Background,
        gap: int | float | None = None,
    ) -> FramePeaks:
        """Return the peaks among strong pixels alone; what was not kept counts as background.

        Parameters
        ----------
        pixel, intensity : ndarray, `(n_hits,)`
            Strong pixels, increasing, and their signal; bad reads carry the gap value.
        background : Background
            Of the frame.
        gap : int or float, optional
            Value of bad reads; None: :func:`fewphoton.separation.sparsify.gap_value`.
        """
        values = self._sparse
        # Nowhere above the background, which may be negative.
        empty = min(0.0, float(background.mean.min()))
        if values is None:
            values = self._sparse = np.full(len(self._panel), empty, dtype=np.float32)
        elif self._empty != empty:
            values[:] = empty
        self._empty = empty
        signal = intensity.astype(np.float32)
        signal[intensity == (gap_value(intensity.dtype) if gap is None else gap)] = np.nan
        norm = self.finder.normalization
        values[pixel] = signal / norm[pixel] if len(norm) else signal
        peaks = self.find_above(values, background)
        values[pixel] = empty
        return peaks

    def find_above(self, values: NDArray[Any], background: Background) -> FramePeaks:
        """Return the peaks of a corrected frame `(n_pixels,)` whose background is known."""
        finder = self.finder
        strong = np.zeros(0, dtype=np.uint32)
        if background.known:
            if self.config.method == "sums":
                strong = summed_excess(finder, values, background, self.config.false_probability)
            else:
                strong = strong_pixels(finder, values, background, self.config.cutoff_peak, inclusive=True)
        n_strong = len(strong)
        columns = [np.empty(n_strong, dtype=np.float32) for _ in range(4)]
        n_pixels, saturated = np.empty(n_strong, dtype=np.int32), np.empty(n_strong, dtype=np.bool_)
        saturation = finder.config.saturation
        if saturation is None:
            saturation = finder.largest + 1 if finder.dtype.kind in "iu" else np.inf
        bins = finder.bins
        free = not finder.plain
        n_peaks = find_in_patches(
            values,
            bins.frame_shape[1],
            strong,
            bins.bin_of_pixel,
            self._panel,
            bins.radius,
            float(bins.centres[0]),
            bins.step,
            background.mean,
            background.std,
            finder.config.noise,
            self.config.cutoff_peak,
            normal_tail(self.config.cutoff_peak) if finder.config.error_model == "poisson_tail" else 0.0,
            self.config.patch_size // 2,
            0 if self.config.method == "sums" else self.config.connected,
            steepest(background.mean, bins),
            -np.inf if free else finder.smallest,
            np.inf if free else finder.largest,
            saturation,
            *columns,
            n_pixels,
            saturated,
        )
        kept: list[NDArray[Any]] = [column[:n_peaks].copy() for column in (*columns, n_pixels, saturated)]
        return FramePeaks(*kept)
