"""Sparsification: a frame as its strong pixels and its background curves (Kieffer et al. 2025, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fewphoton.config.separation import SparsifyConfig
from fewphoton.data import AzimuthalBins
from fewphoton.separation.background import Background, BackgroundFinder, valid_range
from fewphoton.separation.strong_pixels import strong_pixels


@dataclass(frozen=True, eq=False)
class SparseFrame:
    """One sparsified frame.

    Parameters
    ----------
    pixel : ndarray of uint32, `(n_hits,)`
        Strong pixels and bad reads, increasing.
    intensity : ndarray, `(n_hits,)`
        Raw less dark in the frames' type; the gap value for bad reads, so that they come back as such.
    background : Background
        Its curves.
    """

    pixel: NDArray[np.uint32]
    intensity: NDArray[Any]
    background: Background


def gap_value(dtype: np.dtype[Any], smallest: float = 0.0) -> int | float:
    """Return what marks gaps and bad reads: NaN, the largest value of unsigned integers, -1 of signed ones.

    Where negative values are valid (``smallest``), signed integers have their own smallest value instead.
    """
    if dtype.kind == "f":
        return float("nan")
    if dtype.kind == "u":
        return int(np.iinfo(dtype).max)
    return -1 if smallest >= 0 else int(np.iinfo(dtype).min)


def bad_read_value(config: SparsifyConfig, dtype: np.dtype[Any], less_dark: bool) -> int | float:
    """Return what stands for bad reads in sparse frames; ``less_dark``: a dark image is subtracted from them."""
    # Less dark, signal may be negative.
    return gap_value(dtype, -np.inf if less_dark else valid_range(config, dtype)[0])


class Sparsifier:
    """Sparsifies frames of one geometry and type; holds working memory, so use one a thread.

    Parameters
    ----------
    bins, config, dtype, dark
        See :class:`fewphoton.separation.background.BackgroundFinder`.
    """

    def __init__(
        self,
        bins: AzimuthalBins,
        config: SparsifyConfig,
        dtype: DTypeLike,
        dark: NDArray[np.float32] | None = None,
    ) -> None:
        self.finder = BackgroundFinder(bins, config, dtype, dark)
        self._gap = bad_read_value(config, self.finder.dtype, dark is not None)
        self._cutoff = config.cutoff_pick

    def sparsify(self, frame: NDArray[Any]) -> SparseFrame:
        """Separate a frame `(n_pixels,)`.

        Raises
        ------
        DataError
            If the frame has another size or type than announced.
        """
        finder = self.finder
        values: NDArray[Any] = frame if finder.plain else finder.correct(frame)
        background = finder.find(frame, None if finder.plain else values)
        pixel = np.zeros(0, dtype=np.uint32)
        if background.known:
            pixel = strong_pixels(finder, values, background, self._cutoff, floor=finder.config.noise)
        intensity = frame[pixel]
        if len(finder.dark):
            intensity = _rounded(frame[pixel] - finder.dark[pixel], finder.dtype)
        if len(background.invalid):
            bad = background.invalid
            order = np.argsort(np.concatenate([pixel, bad]), kind="stable")
            gaps = np.full(len(bad), self._gap).astype(finder.dtype)
            pixel = np.concatenate([pixel, bad])[order]
            intensity = np.concatenate([intensity, gaps])[order]
        return SparseFrame(pixel, intensity, background)


def _rounded(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        return np.asarray(values, dtype=dtype)
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(values), limits.min + (dtype.kind == "i"), limits.max - 1), dtype=dtype)
