"""Frames without their background: strong pixels, and the background's curves over the radius."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class SparseFrames:
    """Frames as strong pixels (compressed sparse rows) and background curves.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_frames + 1,)`
        Frame ``i`` owns ``pixel[indptr[i]:indptr[i + 1]]``.
    pixel : ndarray of uint32, `(n_hits,)`
        Flat index in the frame array, strictly increasing in a frame.
    intensity : ndarray, `(n_hits,)`
        Raw less dark, in the frames' type.
    background_mean, background_std : ndarray of float32, `(n_frames, n_bins)`
        Mean and standard deviation of a background pixel in each ring.
    """

    indptr: NDArray[np.int64]
    pixel: NDArray[np.uint32]
    intensity: NDArray[Any]
    background_mean: NDArray[np.float32]
    background_std: NDArray[np.float32]

    def __post_init__(self) -> None:
        n_hits = len(self.pixel)
        object.__setattr__(self, "indptr", frozen_array("sparse frames: indptr", self.indptr, np.int64, (None,)))
        object.__setattr__(self, "pixel", frozen_array("sparse frames: pixel", self.pixel, np.uint32, (n_hits,)))
        dtype = np.asarray(self.intensity).dtype
        object.__setattr__(self, "intensity", frozen_array("sparse intensity", self.intensity, dtype, (n_hits,)))
        shape = (self.n_frames, np.shape(self.background_mean)[-1])
        for name in ("background_mean", "background_std"):
            object.__setattr__(self, name, frozen_array(name, getattr(self, name), np.float32, shape))
        if self.n_frames < 0 or self.indptr[0] != 0 or self.indptr[-1] != n_hits or (np.diff(self.indptr) < 0).any():
            raise DataError(f"sparse frames: indptr must rise from 0 to the number of hits, {n_hits}")

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.indptr) - 1
