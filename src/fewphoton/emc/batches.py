"""Photons arranged for EMC: batches of frames, by frame for the likelihood and by pixel row for the update."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import PhotonFrames
from fewphoton.emc.pixels import PixelRows


@dataclass(frozen=True, eq=False)
class _SparseRows:
    """Row pointers, column indices and counts of a sparse matrix."""

    indptr: NDArray[np.int64]
    index: NDArray[np.int32]
    count: NDArray[np.float32]


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
        row = rows.row_of_pixel[frames.pixel]
        frame = frames.frame_numbers()
        kept = row >= 0
        row, frame, count = row[kept], frame[kept], frames.count[kept].astype(np.float32)

        informative = rows.likelihood[row]
        by_frame = _SparseRows(
            np.searchsorted(frame[informative], np.arange(frames.n_frames + 1)).astype(np.int64),
            row[informative].astype(np.int32),
            count[informative],
        )
        order = np.argsort(row, kind="stable")
        by_pixel = _SparseRows(
            np.searchsorted(row[order], np.arange(rows.n_rows + 1)).astype(np.int64),
            frame[order].astype(np.int32),
            count[order],
        )
        photons = np.bincount(frame[informative], weights=count[informative], minlength=frames.n_frames)
        return cls(by_frame, by_pixel, first_frame, frames.n_frames, photons.astype(np.float64))

    def row_totals(self) -> NDArray[np.float64]:
        """Photons of each pixel row over the batch, float64 `(n_rows,)`."""
        running = np.concatenate([[0.0], np.cumsum(self.by_pixel.count, dtype=np.float64)])
        return np.asarray(running[self.by_pixel.indptr[1:]] - running[self.by_pixel.indptr[:-1]])
