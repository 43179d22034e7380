"""Raw frames spread over a run, read again and again in pieces, never held as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[Any]
Correction = Callable[[Frames], Frames]


def native(frames: Frames) -> Frames:
    """Return frames as a C-ordered array `(n_frames, n_pixels)` in this machine's byte order, the form kernels take."""
    flat = frames.reshape(len(frames), -1)
    return np.ascontiguousarray(flat, dtype=flat.dtype.newbyteorder("="))


def valid_range(dtype: np.dtype[Any], minimum_valid: float | None) -> tuple[Any, Any]:
    """Return the smallest and the largest valid raw value, as scalars of the frames' type.

    Parameters
    ----------
    dtype : dtype
        Type of the frames.
    minimum_valid : float or None
        Values below are bad reads.

    Returns
    -------
    smallest, largest : scalar of ``dtype``
        For floats infinities are outside.
    """
    if dtype.kind == "f":
        edge = np.finfo(dtype).max
        return dtype.type(-edge if minimum_valid is None else max(minimum_valid, float(-edge))), edge
    limits = np.iinfo(dtype)
    if minimum_valid is None or minimum_valid <= limits.min:
        return dtype.type(limits.min), dtype.type(limits.max)
    return dtype.type(int(min(np.ceil(minimum_valid), float(limits.max // 2)))), dtype.type(limits.max)


@dataclass(frozen=True, eq=False)
class RawSample:
    """Frames chosen from a run.

    Parameters
    ----------
    read : callable
        Returns raw frames `(k, ...)` of given numbers.
    indices : ndarray of int64
        Numbers of the chosen frames, rising.
    chunk_frames : int
        Frames read at a time.
    minimum_valid : float or None
        Raw values below are bad reads.
    correction : callable or None
        Applied to each piece `(k, n_pixels)`; it leaves NaN where a read is bad.
    """

    read: Callable[[NDArray[np.int64]], Frames]
    indices: NDArray[np.int64]
    chunk_frames: int
    minimum_valid: float | None = None
    correction: Correction | None = None

    @classmethod
    def spread(
        cls,
        read: Callable[[NDArray[np.int64]], Frames],
        n_frames: int,
        n_chosen: int,
        chunk_frames: int,
        minimum_valid: float | None,
    ) -> RawSample:
        """Choose at most ``n_chosen`` of ``n_frames`` frames at even distances."""
        chosen = np.unique(np.linspace(0, n_frames - 1, min(n_chosen, n_frames)).astype(np.int64))
        return cls(read, chosen, chunk_frames, minimum_valid)

    def __len__(self) -> int:
        return len(self.indices)

    def held(self, max_bytes: int) -> RawSample:
        """Return the same sample, read once and kept in memory where it takes at most ``max_bytes``."""
        first = self.read(self.indices[:1])
        if first.nbytes * len(self) > max_bytes:
            return self
        frames = self.read(self.indices)
        place = self.indices
        return replace(self, read=lambda indices: frames[np.searchsorted(place, indices)])

    def corrected(self, correction: Correction) -> RawSample:
        """Return the same frames with a correction, in which bad reads are NaN."""
        return replace(self, correction=correction, minimum_valid=None)

    def thinned(self, n_chosen: int) -> RawSample:
        """Return at most ``n_chosen`` of these frames at even distances."""
        places = np.unique(np.linspace(0, len(self) - 1, min(n_chosen, len(self))).astype(np.int64))
        return replace(self, indices=self.indices[places])

    def chunks(self) -> Iterator[Frames]:
        """Yield the frames in pieces `(k, n_pixels)`."""
        for start in range(0, len(self), self.chunk_frames):
            frames = native(self.read(self.indices[start : start + self.chunk_frames]))
            yield frames if self.correction is None else self.correction(frames)
