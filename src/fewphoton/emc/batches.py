"""Photons arranged for EMC: batches of frames, by frame for the likelihood and by pixel row for the update."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import PhotonFrames
from fewphoton.emc.pixels import PixelRows
from fewphoton.kernels.photon_arrangement import count_photon_places, place_photons, sparse_row_sums

_BYTES_PER_HIT = 16  # index and count, 4 bytes each, in both orders
_PADDING_PER_BATCH = 1024  # ends of row pointers, and arrays that begin on cache lines


@dataclass(frozen=True, eq=False)
class _SparseRows:
    """Row pointers, column indices and counts of a sparse matrix, all read-only."""

    indptr: NDArray[np.int64]
    index: NDArray[np.int32]
    count: NDArray[np.float32]

    def __post_init__(self) -> None:
        # Mapped photons are read-only; those in memory are as well, so that kernels meet one type.
        for name, values in vars(self).items():
            view = values.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)


@dataclass(frozen=True, eq=False)
class FrameBatch:
    """Photons of consecutive frames in both orders.

    Parameters
    ----------
    by_frame : sparse rows
        One row a frame, holding the pixel rows that enter the likelihood.
    by_pixel : sparse rows
        One row a pixel row, holding the frames (numbered inside the batch) that saw photons there.
    first_frame, n_frames : int
        Place in the data set.
    likelihood_photons : ndarray of float64, `(n_frames,)`
        Photons of each frame that enter the likelihood.
    """

    by_frame: _SparseRows
    by_pixel: _SparseRows
    first_frame: int
    n_frames: int
    likelihood_photons: NDArray[np.float64]

    @classmethod
    def build(cls, frames: PhotonFrames, rows: PixelRows, first_frame: int) -> FrameBatch:
        """Sort the photons of ``frames`` that lie on ``rows`` into both orders."""
        frame_ptr = np.empty(frames.n_frames + 1, dtype=np.int64)
        row_ptr = np.empty(rows.n_rows + 1, dtype=np.int64)
        places = rows.row_of_pixel, rows.likelihood, frame_ptr, row_ptr
        count_photon_places(frames.indptr, frames.pixel, *places)
        row, frame = (np.empty(ptr[-1], dtype=np.int32) for ptr in (frame_ptr, row_ptr))
        row_count, frame_count = (np.empty(ptr[-1], dtype=np.float32) for ptr in (row_ptr, frame_ptr))
        place_photons(frames.indptr, frames.pixel, frames.count, *places, row, frame_count, frame, row_count)
        photons = np.empty(frames.n_frames)
        sparse_row_sums(frame_ptr, frame_count, photons)
        return cls.of_arrays((frame_ptr, row, frame_count, row_ptr, frame, row_count, photons), first_frame)

    @classmethod
    def of_arrays(cls, arrays: Sequence[NDArray[Any]], first_frame: int) -> FrameBatch:
        """Make a batch of what :attr:`arrays` returned."""
        by_frame, by_pixel, photons = _SparseRows(*arrays[:3]), _SparseRows(*arrays[3:6]), arrays[6]
        return cls(by_frame, by_pixel, first_frame, len(photons), photons)

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """All arrays: row pointers, indices and counts by frame and by pixel row, photons of the frames."""
        return (*vars(self.by_frame).values(), *vars(self.by_pixel).values(), self.likelihood_photons)

    @property
    def place(self) -> slice:
        """Frames of the batch among those of the data set."""
        return slice(self.first_frame, self.first_frame + self.n_frames)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(part.nbytes for part in self.arrays)

    def row_totals(self) -> NDArray[np.float64]:
        """Photons of each pixel row over the batch, float64 `(n_rows,)`."""
        total = np.empty(len(self.by_pixel.indptr) - 1)
        sparse_row_sums(self.by_pixel.indptr, self.by_pixel.count, total)
        return total


def grouped(chunks: Iterable[PhotonFrames], batch_frames: int, batch_hits: int) -> Iterator[PhotonFrames]:
    """Regroup frames so that a group holds as many as fit, whatever pieces they come in.

    Parameters
    ----------
    chunks : iterable of PhotonFrames
        Frames in order, in pieces of any size.
    batch_frames : int
        Frames of a group at the most.
    batch_hits : int
        Hits of a group at the most; a frame of more is a group of its own.

    Yields
    ------
    PhotonFrames
        Frames of the next group. At most one group and one piece are held at a time.
    """
    held: list[PhotonFrames] = []
    n_frames = n_hits = 0
    for chunk in chunks:
        start = 0
        while start < chunk.n_frames:
            fitting = int(np.searchsorted(chunk.indptr, chunk.indptr[start] + batch_hits - n_hits, side="right")) - 1
            stop = min(fitting, start + batch_frames - n_frames, chunk.n_frames)
            if stop <= start and held:
                yield PhotonFrames.concatenate(held)
                held, n_frames, n_hits = [], 0, 0
                continue
            stop = max(stop, start + 1)
            held.append(chunk.take(slice(start, stop)))
            n_frames += stop - start
            n_hits += held[-1].n_hits
            start = stop
    if held:
        yield PhotonFrames.concatenate(held)


def arranged_bytes(n_frames: int, n_hits: int, n_rows: int, batch_frames: int, batch_hits: int) -> int:
    """Return how many bytes arranged photons take at the most: 16 a hit and 16 a frame, and 8 a pixel row and batch."""
    # Two neighbouring batches exceed one of the limits together.
    n_batches = min(n_frames, 2 * (n_frames // batch_frames + n_hits // batch_hits) + 1)
    return _BYTES_PER_HIT * n_hits + 16 * n_frames + n_batches * (8 * n_rows + _PADDING_PER_BATCH)
