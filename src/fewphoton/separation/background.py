"""Background of a frame: mean and standard deviation in each ring, by sigma-clipping.

Kieffer et al. 2025 (signal separation), sections 2.2 to 2.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fewphoton.config.separation import BackgroundConfig
from fewphoton.data import AzimuthalBins
from fewphoton.errors import ConfigError, DataError
from fewphoton.kernels.ring_clipping import (
    AZIMUTHAL,
    GIVEN_VARIANCE,
    HYBRID,
    POISSON,
    POISSON_TAIL,
    clip_histograms,
)
from fewphoton.kernels.ring_histogram import count_by_ring, part_far_pixels
from fewphoton.kernels.ring_sorted import clip_ring_sorted, correct_frame, sort_by_ring, sort_counts_by_ring
from fewphoton.separation.variance_formula import VarianceFormula

_ERROR_MODELS = {
    "poisson": POISSON,
    "azimuthal": AZIMUTHAL,
    "hybrid": HYBRID,
    "poisson_tail": POISSON_TAIL,
    "variance": GIVEN_VARIANCE,
}
_TABLE_VALUES = (64, 128, 256, 512)
"""Widths a table of counts may have; wider ones leave the cache, and sorting the frame is faster."""
_TABLE_SHARE = 0.995
_SAMPLE_STRIDE = 61
_EMPTY = np.zeros(0, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Background:
    """Background of one frame.

    Parameters
    ----------
    mean, std : ndarray of float64, `(n_bins,)`
        Of a background pixel, corrected by equation 1; finite in all rings.
    n_kept : ndarray of float64, `(n_bins,)`
        Pixels that clipping kept; 0 where the ring's values come from its neighbours.
    invalid : ndarray of uint32
        Pixels in rings that hold bad reads.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    n_kept: NDArray[np.float64]
    invalid: NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, np.uint32))

    @property
    def known(self) -> bool:
        """False where the frame held no valid pixel at all."""
        return bool(self.n_kept.any())


def valid_range(config: BackgroundConfig, dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the smallest and largest values that are no bad reads.

    The largest value of an integer type marks gaps and bad pixels, the smallest of a signed one gaps in sparse frames.
    """
    if dtype.kind == "f":
        # Frames are corrected in single precision, where larger values would be infinite.
        limits = np.finfo(min(dtype, np.dtype(np.float32), key=lambda kind: kind.itemsize))
        low = float(limits.min) if config.minimum_valid is None else config.minimum_valid
        return low, float(limits.max)
    low = 0.0 if config.minimum_valid is None else config.minimum_valid
    return max(math.ceil(low), _inside(np.iinfo(dtype).min)), _inside(np.iinfo(dtype).max)


def _inside(end: int) -> float:
    """Return the float next to a type's end, towards 0; a type that ends at 0 keeps it."""
    if abs(end) < 2**53:
        return float(end - np.sign(end))
    # Here floats are more than 1 apart.
    return float(np.nextafter(float(end), 0.0))


class BackgroundFinder:
    """Finds backgrounds of frames of one geometry and type; holds the working memory, so use one a thread.

    Counts of at most 32 bits without correction go through histograms by ring; everything else is sorted by ring.
    Both give the same result.

    Parameters
    ----------
    bins : AzimuthalBins
        Rings and normalization.
    config : BackgroundConfig
        Error model and clipping.
    dtype : data type
        Of the frames.
    dark : ndarray of float32, `(n_pixels,)`, optional
        Subtracted from the frames (equation 1).

    Raises
    ------
    ConfigError
        If the Poisson tail is wanted for anything but uncorrected counts, or no value is left between minimum_valid
        and saturation.
    DataError
        If frames of that type cannot be separated.
    """

    def __init__(
        self,
        bins: AzimuthalBins,
        config: BackgroundConfig,
        dtype: DTypeLike,
        dark: NDArray[np.float32] | None = None,
    ) -> None:
        self.bins = bins
        self.config = config
        self.dtype = np.dtype(dtype)
        self.model = _ERROR_MODELS[config.error_model]
        if self.dtype.kind not in "iuf" or (self.dtype.kind == "f" and self.dtype.itemsize not in (4, 8)):
            raise DataError(f"frames of {self.dtype} cannot be separated: expected integers, float32 or float64")
        self.smallest, self.largest = valid_range(config, self.dtype)
        self._largest_background = self.largest
        if config.saturation is not None:
            whole = self.dtype.kind in "iu"
            below = math.ceil(config.saturation) - 1 if whole else np.nextafter(config.saturation, -np.inf)
            self._largest_background = min(self.largest, float(below))
        if self._largest_background < self.smallest:
            raise ConfigError(
                f"no value is left between minimum_valid {config.minimum_valid} and saturation {config.saturation} "
                f"for frames of {self.dtype}"
            )
        self._formula = VarianceFormula(config.variance_formula) if config.variance_formula else None
        self.dark = _EMPTY if dark is None else np.ascontiguousarray(dark, dtype=np.float32)
        self.normalization = _EMPTY if bins.normalization is None else bins.normalization
        self.plain = not len(self.dark) and not len(self.normalization)
        self._counts = self.plain and self._formula is None and self.dtype.kind in "iu" and self.dtype.itemsize <= 4
        if self.model == POISSON_TAIL and not (self.plain and self.dtype.kind in "iu"):
            raise ConfigError(
                "error_model poisson_tail needs counts as they were read: integer frames without dark, flat, "
                "solid_angle or polarization"
            )
        self._n_used = int(bins.ring_ptr[-1])
        self._sorted = np.empty(self._n_used + 1, dtype=np.float32)
        self._raw_sorted = self._sorted
        self._norm_sorted = _EMPTY
        if not self.plain or self._formula is not None:
            norm = np.ones(len(bins.radius), np.float32) if not len(self.normalization) else self.normalization
            self._norm_sorted = np.empty(self._n_used + 1, dtype=np.float32)
            sort_by_ring(norm, bins.place, self._norm_sorted)
            own = not len(self.dark) and self._formula is None
            self._raw_sorted = _EMPTY if own else np.empty(self._n_used + 1, dtype=np.float32)
        self._table: NDArray[np.uint32] | None = None
        self._lowest = 0
        if self._counts:
            capacity = len(bins.radius) // 16 + 16
            self._outside_bin = np.empty(capacity, dtype=np.uint16)
            self._outside_value = np.empty(capacity, dtype=np.int64)
            self._far = np.empty(len(bins.radius), dtype=np.uint32)

    def shape_table(self, frame: NDArray[Any]) -> None:
        """Choose the table of counts by a sample of a frame `(n_pixels,)`; results do not depend on the choice."""
        if not self._counts:
            return
        sample = frame[::_SAMPLE_STRIDE][self.bins.usable[::_SAMPLE_STRIDE]]
        sample = sample[(sample >= self.smallest) & (sample <= self._largest_background)]
        if len(sample) == 0:
            self._lowest, width = int(self.smallest), _TABLE_VALUES[0]
        else:
            low = int(np.quantile(sample, 1 - _TABLE_SHARE)) if self.smallest < 0 else 0
            self._lowest = max(low, int(self.smallest))
            wanted = int(np.quantile(sample, _TABLE_SHARE)) - self._lowest + 1
            fitting = [size for size in _TABLE_VALUES if size >= wanted]
            if not fitting:
                self._counts = False
                return
            width = fitting[0]
        top = int(self._largest_background) + 1 - self._lowest
        self._table = np.zeros((self.bins.n_bins + 1, min(width, top)), dtype=np.uint32)

    def find(self, frame: NDArray[Any], corrected: NDArray[np.float32] | None = None) -> Background:
        """Find the background of a frame.

        Parameters
        ----------
        frame : ndarray, `(n_pixels,)`
            Raw frame.
        corrected : ndarray of float32, `(n_pixels,)`, optional
            From :meth:`correct`, where that was called already.

        Raises
        ------
        DataError
            If the frame has another size or type than announced, or the variance of a pixel is not finite.
        """
        if frame.shape != self.bins.radius.shape or frame.dtype != self.dtype:
            raise DataError(
                f"frame: expected {len(self.bins.radius)} pixels of {self.dtype}, found {frame.shape} of {frame.dtype}"
            )
        if self._counts and self._table is None:
            self.shape_table(frame)
        clip, invalid = self._prepared(frame, corrected)
        mean, std, n_kept = (np.empty(self.bins.n_bins) for _ in range(3))
        clip(self.model, mean, std, n_kept)
        emptied = (n_kept == 0) & (np.diff(self.bins.ring_ptr) > 0)
        if emptied.any() and self.model not in (AZIMUTHAL, HYBRID):
            # Strong spots on a low background can make every pixel of a ring an outlier (section 2.4.1).
            other = [np.empty(self.bins.n_bins) for _ in range(3)]
            clip(HYBRID, *other)
            for curve, spare in zip((mean, std, n_kept), other, strict=True):
                curve[emptied] = spare[emptied]
        if not np.isfinite(std[n_kept > 0]).all():
            raise DataError(
                f"variance_formula {self.config.variance_formula!r} gives no finite variance for this frame"
            )
        _bridge(mean, std, n_kept)
        return Background(mean, std, n_kept, invalid)

    def correct(self, frame: NDArray[Any]) -> NDArray[np.float32]:
        """Apply equation 1 to a frame, float32 `(n_pixels,)`, NaN for bad reads."""
        corrected = np.empty(len(frame), dtype=np.float32)
        correct_frame(frame, self.dark, self.normalization, self.smallest, self.largest, corrected)
        return corrected

    def _prepared(self, frame: NDArray[Any], corrected: NDArray[np.float32] | None) -> Any:
        """Return a function that clips the frame by an error model, and the frame's bad reads."""
        cutoff, cycles = self.config.cutoff_clip, self.config.clip_cycles
        if self._counts and self._table is not None:
            rings = self.bins.bin_of_pixel
            far = self._far[: count_by_ring(frame, rings, self._lowest, self._table, self._far)]
            limits = int(self.smallest), int(self._largest_background)
            n_outside, n_invalid = part_far_pixels(frame, rings, far, *limits, self._outside_bin, self._outside_value)
            if n_outside >= 0:
                ring = self._outside_bin[:n_outside]
                order = np.argsort(ring, kind="stable")
                ptr = np.searchsorted(ring[order], np.arange(self.bins.n_bins + 1))
                value = self._outside_value[:n_outside][order]
                invalid = far[:n_invalid].copy()

                def clip_counts(model: int, *curves: NDArray[np.float64]) -> None:
                    clip_histograms(self._table, self._lowest, ptr, value, model, cutoff, cycles, *curves)

                # Saturated pixels are kept out of the background, but they are no bad reads.
                value_there = frame[invalid]
                return clip_counts, invalid[(value_there < self.smallest) | (value_there > self.largest)]
        return self._sorted_clip(frame, corrected)

    def _sorted_clip(self, frame: NDArray[Any], corrected: NDArray[np.float32] | None) -> Any:
        place, config = self.bins.place, self.config
        floor = 1.0
        if self.plain and self._formula is None and self.dtype.kind in "iu":
            sort_counts_by_ring(frame, place, int(self.smallest), int(self._largest_background), self._sorted)
        else:
            values = self.correct(frame) if corrected is None else corrected
            if self._largest_background < self.largest:
                values = np.where(frame > self._largest_background, np.float32(np.nan), values)
            sort_by_ring(values, place, self._sorted)
            if len(self._norm_sorted) and len(self._raw_sorted):
                variance = frame
                if self._formula is not None:
                    variance, floor = self._formula(frame), 0.0
                sort_by_ring(variance, place, self._raw_sorted)
        invalid = np.zeros(0, dtype=np.uint32)
        if np.isnan(self._sorted[:-1]).any():
            bad = ~((frame >= self.smallest) & (frame <= self.largest)) & self.bins.usable
            invalid = np.flatnonzero(bad).astype(np.uint32)

        def clip(model: int, *curves: NDArray[np.float64]) -> None:
            clip_ring_sorted(
                self._sorted,
                self._raw_sorted,
                floor,
                self._norm_sorted,
                self.bins.ring_ptr,
                model,
                config.cutoff_clip,
                config.clip_cycles,
                *curves,
            )

        return clip, invalid


def _bridge(mean: NDArray[np.float64], std: NDArray[np.float64], n_kept: NDArray[np.float64]) -> None:
    """Fill rings without pixels from their neighbours, linearly; a frame without any valid pixel gets zeros."""
    known = np.flatnonzero(n_kept > 0)
    if len(known) == len(mean):
        return
    for curve in (mean, std):
        curve[:] = np.interp(np.arange(len(curve)), known, curve[known]) if len(known) else 0.0
