"""Densification: frames rebuilt from strong pixels and background curves (Kieffer et al. 2025, section 3.2).

The background is drawn from distributions with the mean and variance of the real one, also where a pixel holds less
than a photon, and below the limit above which a pixel would have been kept: what was left out was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fewphoton.data import AzimuthalBins
from fewphoton.errors import DataError
from fewphoton.kernels.background_draws import draw_counts, draw_scaled, draw_values, fill_mean
from fewphoton.kernels.background_tables import (
    NEGATIVE_BINOMIAL,
    POISSON_COUNTS,
    ROUNDED_NORMAL,
    count_tables,
    value_tables,
)
from fewphoton.kernels.strong_pixels import poisson_thresholds
from fewphoton.separation.background import Background
from fewphoton.separation.sparsify import gap_value
from fewphoton.separation.strong_pixels import normal_tail, ring_limits

_EMPTY = np.zeros(0, dtype=np.float32)
_TABLE_ENTRIES = 1 << 22
_INTERVALS = 128
"""Of a real-valued ring's table: a tenth of a standard deviation each, which widens the variance by 0.15 %."""
_POISSON_LIKE = (0.7, 1.4)
"""Range of variance over mean in which scatter is taken for that of counts: clipping narrows it, spots widen it."""


@dataclass(frozen=True)
class PickRule:
    """How the strong pixels of a file were told from the background.

    Parameters
    ----------
    error_model : str
        See :class:`fewphoton.config.separation.BackgroundConfig`.
    cutoff : float
        Cut-off in standard deviations.
    noise : float
        Read-out noise added to the standard deviation, and the smallest excess of a strong pixel.
    """

    error_model: str
    cutoff: float
    noise: float


class Densifier:
    """Rebuilds frames of one geometry and type; holds working memory, so use one a thread.

    Parameters
    ----------
    bins : AzimuthalBins
        Rings.
    rule : PickRule
        Tells which background values were possible.
    dtype : data type
        Of the frames.
    noise : bool
        Draw the background at random; otherwise put its mean.
    gap : int or float, optional
        Value of gaps and masked pixels; None: :func:`fewphoton.separation.sparsify.gap_value`.
    """

    def __init__(
        self, bins: AzimuthalBins, rule: PickRule, dtype: DTypeLike, *, noise: bool, gap: int | float | None = None
    ) -> None:
        self.rule = rule
        self.dtype = np.dtype(dtype)
        self._noise = noise
        self._gap = gap_value(self.dtype) if gap is None else gap
        self._tail = normal_tail(rule.cutoff) if rule.error_model == "poisson_tail" else 0.0
        self._norm = _EMPTY if bins.normalization is None else bins.normalization
        n_bins = bins.n_bins
        position = np.nan_to_num((bins.radius.astype(np.float64) - bins.centres[0]) / bins.step)
        left = np.clip(np.floor(position), 0, n_bins - 1).astype(np.uint16)
        share = np.clip(position - left, 0.0, 1.0)
        share[left == n_bins - 1] = 0.0
        left[~bins.usable] = n_bins
        self._left = left
        self._share = share.astype(np.float32)
        self._share_16bit = np.minimum(np.rint(share * 65536), 65535).astype(np.uint16)
        self._ptr = np.zeros(n_bins + 2, dtype=np.int64)
        self._width = np.zeros(n_bins + 1, dtype=np.float32)
        self._room = 0

    def densify(
        self,
        pixel: NDArray[np.uint32],
        intensity: NDArray[Any],
        mean: NDArray[np.floating],
        std: NDArray[np.floating],
        seed: int,
    ) -> NDArray[Any]:
        """Rebuild one frame.

        Parameters
        ----------
        pixel, intensity : ndarray, `(n_hits,)`
            Strong pixels; they overwrite the background.
        mean, std : ndarray, `(n_bins,)`
            Background curves.
        seed : int
            Fixes the noise; a number for each frame.

        Returns
        -------
        ndarray, `(n_pixels,)`
            Frame; gaps and masked pixels hold the gap value.
        """
        frame = np.empty(len(self._left), dtype=self.dtype)
        fill: Any = np.asarray(self._gap, dtype=self.dtype)[()]
        centre, spread = mean.astype(np.float64), std.astype(np.float64)
        if not self._noise:
            if self.dtype.kind == "u":
                # Less dark, a background can be negative, which would wrap around.
                centre = np.maximum(centre, 0.0)
            integers = self.dtype.kind in "iu"
            fill_mean(self._left, self._share, _extended(centre), self._norm, integers, fill, frame)
        else:
            self._draw(centre, spread, _stream_start(seed), fill, frame)
        frame[pixel] = intensity
        return frame

    def _draw(
        self, mean: NDArray[np.float64], std: NDArray[np.float64], start: np.uint64, fill: Any, frame: NDArray[Any]
    ) -> None:
        integers = self.dtype.kind in "iu"
        limit, steep = self._limits(mean, std, integers and not len(self._norm))
        counts = self.rule.error_model in ("poisson", "hybrid", "poisson_tail")
        smallest = 0.0 if counts or self.dtype.kind == "u" else -(2.0**31)
        if len(self._norm):
            curves = (_extended(mean), _extended(std), self._norm, _extended(limit))
            args = (counts, integers, smallest, start, fill, frame)
            draw_scaled(self._left, self._share, *curves, *args)
        elif integers:
            family = _families(mean, std, counts)
            tables = self._room_for(np.int32, _TABLE_ENTRIES)
            if not count_tables(family, mean, std, smallest, limit, self._ptr, *tables):
                raise DataError("the background is too bright to be drawn count by count; densify with noise: false")
            draw_counts(self._left, self._share_16bit, self._ptr, *tables, start, fill, frame)
        else:
            tables = self._room_for(np.float32, len(mean) * _INTERVALS)
            value_tables(mean, std, limit, _INTERVALS, self._ptr, *tables, self._width)
            draw_values(self._left, self._share_16bit, self._ptr, *tables, self._width, start, fill, frame)
        if steep.any():
            self._lower(frame, mean, std, steep)

    def _limits(
        self, mean: NDArray[np.float64], std: NDArray[np.float64], counts: bool
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return the value that background stays below in each ring, and the rings for which that is not enough.

        Where the background is steep, the limit of a ring's neighbour may lie below the ring's mean.
        """
        background = Background(mean, std, np.ones(len(mean)))
        dtype = self.dtype if counts else np.dtype(np.float32)
        rule = self.rule
        least, _ = ring_limits(background, dtype, rule.cutoff, rule.noise, rule.noise, self._tail)
        limit, own = least[:-1].astype(np.float64), self._limit(mean, std)
        if counts:
            own = np.ceil(own)
        steep = (limit <= mean) & (own > mean)
        limit = np.where(steep, own, limit)
        # A limit at or below the mean leaves nothing to draw from (a cut-off near 0): then it does not bind.
        return np.where(limit > mean, limit, np.inf) if counts else np.maximum(limit, np.nextafter(mean, np.inf)), steep

    def _limit(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the value above which a pixel of the given background is strong."""
        rule = self.rule
        if self._tail > 0:
            threshold = np.empty(len(mean))
            poisson_thresholds(np.maximum(mean, 0.0), self._tail, threshold)
            return threshold - 1
        return np.asarray(mean + np.maximum(rule.noise, rule.cutoff * np.hypot(std, rule.noise)))

    def _lower(
        self, frame: NDArray[Any], mean: NDArray[np.float64], std: NDArray[np.float64], steep: NDArray[np.bool_]
    ) -> None:
        """Lower pixels that draw from steep rings to their own limits."""
        from_steep = np.append(steep, False)
        from_steep[:-2] |= steep[1:]
        pixel = np.flatnonzero(from_steep[self._left])
        left, share = self._left[pixel], self._share[pixel].astype(np.float64)
        right = np.minimum(left + 1, len(mean) - 1)
        limit = self._limit(*(curve[left] * (1 - share) + curve[right] * share for curve in (mean, std)))
        if len(self._norm):
            limit *= self._norm[pixel]
        if self.dtype.kind in "iu":
            limit = np.floor(limit)
        frame[pixel] = np.minimum(frame[pixel], limit).astype(self.dtype)

    def _room_for(self, value_dtype: DTypeLike, entries: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        if not self._room:
            self._tables = (
                np.empty(entries, np.uint32),
                np.empty(entries, value_dtype),
                np.empty(entries, value_dtype),
            )
            self._room = entries
        return self._tables


def _families(mean: NDArray[np.float64], std: NDArray[np.float64], counts: bool) -> NDArray[np.int8]:
    if counts:
        return np.full(len(mean), POISSON_COUNTS, dtype=np.int8)
    variance = std**2
    family = np.full(len(mean), ROUNDED_NORMAL, dtype=np.int8)
    positive = mean > 0
    family[positive & (variance >= _POISSON_LIKE[1] * mean) & (mean < 3 * std)] = NEGATIVE_BINOMIAL
    family[positive & (variance > _POISSON_LIKE[0] * mean) & (variance < _POISSON_LIKE[1] * mean)] = POISSON_COUNTS
    return family


def _extended(curve: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.concatenate([curve, curve[-1:], curve[-1:]]).astype(np.float32)


def _stream_start(seed: int) -> np.uint64:
    """Return a start of the random stream that is far from those of other seeds."""
    return np.uint64(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
