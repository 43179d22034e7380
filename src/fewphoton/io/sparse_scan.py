"""Sparse rotation scans: row, column and intensity of each stored pixel, and the number of pixels of each frame.

The layout of ImageD11's sparse scans: a group (often ``1.1``) with ``row``, ``col``, ``intensity`` and ``nnz``, the
frame shape in attributes ``shape0`` and ``shape1``, and the angle in ``measurement/rot_center`` (or ``rot``).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import dataset, opened, whole_attribute

_ANGLES = ("measurement/rot_center", "measurement/rot")


class SparseScan:
    """A scan on disk, read in pieces. Use :func:`open_sparse_scan`.

    Attributes
    ----------
    frame_shape : tuple of int
        `(n_slow, n_fast)`.
    table : FrameTable
        Angles of every exposure: each spans one median step about its recorded centre.
    """

    def __init__(self, file: h5py.File, group: str | None) -> None:
        self.path = Path(file.filename)
        name = group or next((key for key in file if isinstance(file[key], h5py.Group) and "nnz" in file[key]), None)
        if name is None or name not in file:
            found = ", ".join(file) or "nothing"
            raise InputFileError(self.path, "scan group is missing", where=group, expected="row, col, nnz", found=found)
        place = file[name]
        self.group = str(name)
        self.frame_shape = (whole_attribute(place, "shape0"), whole_attribute(place, "shape1"))
        n_hits = dataset(place, "nnz", kind="iu", shape=(None,))[()].astype(np.int64)
        self._row = dataset(place, "row", kind="iu", shape=(None,))
        self._col = dataset(place, "col", kind="iu", shape=self._row.shape)
        self._intensity = dataset(place, "intensity", kind="iu", shape=self._row.shape)
        self._indptr = np.concatenate([[0], np.cumsum(n_hits)])
        if (n_hits < 0).any() or self._indptr[-1] != len(self._row):
            raise InputFileError(
                self.path,
                "pixel numbers of the frames do not add up to the stored pixels",
                where=f"{name}/nnz",
                expected=len(self._row),
                found=int(self._indptr[-1]),
            )
        self.table = self._angles(place, len(n_hits))

    def _angles(self, place: h5py.Group, n_frames: int) -> FrameTable:
        name = next((name for name in _ANGLES if name in place), None)
        if name is None:
            return FrameTable.unknown(n_frames)
        centre = dataset(place, name, kind="fiu", shape=(n_frames,))[()].astype(np.float64)
        half = 0.5 * float(np.median(np.diff(centre))) if n_frames > 1 else 0.0
        table = FrameTable.unknown(n_frames)
        return FrameTable(table.source_index, table.n_exposures, table.batch, centre - half, centre + half)

    @property
    def n_frames(self) -> int:
        """Exposures in the scan."""
        return len(self.table)

    def chunks(
        self, max_hits: int = 4_000_000
    ) -> Iterator[tuple[slice, NDArray[np.int64], NDArray[np.int64], NDArray[Any]]]:
        """Yield frames, row pointers, pixel numbers (sorted in each frame) and counts, in order.

        Raises
        ------
        InputFileError
            If a pixel lies outside the frame or is stored twice.
        """
        start = 0
        while start < self.n_frames:
            budget = int(np.searchsorted(self._indptr, self._indptr[start] + max_hits, side="right")) - 1
            stop = min(max(start + 1, budget), self.n_frames)
            first, last = int(self._indptr[start]), int(self._indptr[stop])
            row = self._row[first:last].astype(np.int64)
            col = self._col[first:last].astype(np.int64)
            if len(row) and (row.max() >= self.frame_shape[0] or col.max() >= self.frame_shape[1]):
                raise InputFileError(
                    self.path,
                    f"frames {start} to {stop - 1} hold pixels outside the frame",
                    where=f"{self.group}/row, col",
                    expected=f"below {self.frame_shape}",
                    found=f"({row.max()}, {col.max()})",
                )
            indptr = self._indptr[start : stop + 1] - first
            frame = np.repeat(np.arange(stop - start), np.diff(indptr))
            pixel = row * self.frame_shape[1] + col
            order = np.lexsort((pixel, frame))
            yield slice(start, stop), indptr, pixel[order], self._intensity[first:last][order]
            start = stop


def take_counts(
    scan: SparseScan, saturation_counts: int | None, cap_counts: int | None
) -> Iterator[tuple[PhotonFrames, int, int]]:
    """Yield photon frames of a scan, with the numbers of saturated hits left out and of hits capped.

    Parameters
    ----------
    scan : SparseScan
        Open scan.
    saturation_counts : int or None
        Hits at or above are left out.
    cap_counts : int or None
        Counts above are set to this.

    Raises
    ------
    InputFileError
        If a pixel is stored twice in a frame, or a count is 0 or negative.
    """
    n_pixels = scan.frame_shape[0] * scan.frame_shape[1]
    for frames, indptr, pixel, count in scan.chunks():
        left_out = capped = 0
        if saturation_counts is not None:
            kept = count < saturation_counts
            left_out = int((~kept).sum())
            indptr = np.concatenate([[0], np.cumsum(kept)])[indptr]
            pixel, count = pixel[kept], count[kept]
        if cap_counts is not None:
            capped = int((count > cap_counts).sum())
            # A cap beyond the type of the counts caps nothing, and NumPy would not take it.
            count = np.minimum(count, cap_counts) if capped else count
        try:
            part = PhotonFrames(indptr, pixel.astype(np.uint32), count, n_pixels, scan.table.take(frames)).validate()
        except DataError as error:
            raise InputFileError(scan.path, str(error), where=scan.group) from error
        yield part, left_out, capped


@contextlib.contextmanager
def open_sparse_scan(path: Path | str, group: str | None = None) -> Iterator[SparseScan]:
    """Open a sparse scan.

    Raises
    ------
    InputFileError
        If the file is missing, truncated or foreign, or its parts do not fit together.
    """
    with opened(path) as file:
        yield SparseScan(file, group)
