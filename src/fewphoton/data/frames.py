"""Photon frames in compressed sparse rows: only pixels that saw a photon are kept."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class FrameTable:
    """What is known of each frame beside its photons; one row a frame.

    Parameters
    ----------
    source_index : ndarray of int64, `(n_frames,)`
        Index of the (first) raw exposure in the source.
    n_exposures : ndarray of int32, `(n_frames,)`
        Raw exposures summed into the frame.
    batch : ndarray of int32, `(n_frames,)`
        Number of the uninterrupted series of exposures the frame belongs to.
    omega_start_deg, omega_end_deg : ndarray of float64, `(n_frames,)`
        Rotation range about the goniometer axis in degrees; NaN where unknown.
    quaternion : ndarray of float64, `(n_frames, 4)`, or None
        Orientation of each frame's crystal or particle where it is known, as in simulations: unit quaternions of the
        rotation that follows U (see :mod:`fewphoton.data.orientations`); rows of NaN where unknown, None if all are.
    true_fluence, true_background : ndarray of float64, `(n_frames,)`, or None
        Of simulated frames: factors of the sample's scattering and of the background, of mean 1 over the experiment;
        NaN where unknown, None if all are.

    Raises
    ------
    DataError
        If columns differ in length, or a quaternion is neither of unit length nor unknown.
    """

    source_index: NDArray[np.int64]
    n_exposures: NDArray[np.int32]
    batch: NDArray[np.int32]
    omega_start_deg: NDArray[np.float64]
    omega_end_deg: NDArray[np.float64]
    quaternion: NDArray[np.float64] | None = None
    true_fluence: NDArray[np.float64] | None = None
    true_background: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n_frames = len(self.source_index)
        types = {"source_index": np.int64, "n_exposures": np.int32, "batch": np.int32}
        for name, given in self._given().items():
            shape = (n_frames, 4) if name == "quaternion" else (n_frames,)
            values = frozen_array(f"frame table: {name}", given, types.get(name, np.float64), shape)
            object.__setattr__(self, name, values)
        if self.quaternion is not None:
            length = np.linalg.norm(self.quaternion, axis=1)
            wrong = ~(np.isnan(self.quaternion).all(axis=1) | (np.abs(length - 1) <= 1e-9))
            if wrong.any():
                row = int(np.argmax(wrong))
                raise DataError(
                    f"frame table: quaternion of frame {row} must have unit length, or be NaN where it is unknown; "
                    f"found {self.quaternion[row].tolist()}"
                )

    def _given(self) -> dict[str, NDArray[Any]]:
        """Columns by name, without those that are not there."""
        columns = {column.name: getattr(self, column.name) for column in fields(self)}
        return {name: values for name, values in columns.items() if values is not None}

    def __len__(self) -> int:
        return len(self.source_index)

    @classmethod
    def unknown(cls, n_frames: int, first_index: int = 0) -> FrameTable:
        """Rows for frames of which only their order is known: one batch, no angles."""
        nowhere = np.full(n_frames, np.nan)
        return cls(
            source_index=np.arange(first_index, first_index + n_frames),
            n_exposures=np.ones(n_frames, dtype=np.int32),
            batch=np.zeros(n_frames, dtype=np.int32),
            omega_start_deg=nowhere,
            omega_end_deg=nowhere,
        )

    @property
    def omega_deg(self) -> NDArray[np.float64]:
        """Middle of each frame's rotation range, in degrees, float64 `(n_frames,)`."""
        return np.asarray(0.5 * (self.omega_start_deg + self.omega_end_deg))

    def take(self, rows: Any) -> FrameTable:
        """Return the rows that a slice, index array or boolean array selects."""
        return FrameTable(**{name: values[rows] for name, values in self._given().items()})

    @classmethod
    def concatenate(cls, tables: list[FrameTable]) -> FrameTable:
        """Join tables in the given order; a column is unknown in the rows of tables without it."""
        known = {name for table in tables for name in table._given()}
        return cls(**{name: np.concatenate([table._column(name) for table in tables]) for name in known})

    def _column(self, name: str) -> NDArray[Any]:
        values = getattr(self, name)
        shape = (len(self), 4) if name == "quaternion" else (len(self),)
        return np.full(shape, np.nan) if values is None else values


@dataclass(frozen=True, eq=False)
class PhotonFrames:
    """Frames of photon counts, compressed by rows (CSR).

    Frame ``d`` holds ``count[i]`` photons at pixel ``pixel[i]`` for ``indptr[d] <= i < indptr[d + 1]``; pixel
    numbers increase strictly inside a frame and every stored count is at least one. Frames without photons are legal.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_frames + 1,)`
        Row pointers.
    pixel : ndarray of uint32, `(n_hits,)`
        Flat index in the frame array (see :class:`~fewphoton.data.detector.Detector`).
    count : ndarray of uint32, `(n_hits,)`
        Photons, at least 1.
    n_pixels : int
        Pixels of the frame array.
    table : FrameTable
        One row a frame.
    """

    indptr: NDArray[np.int64]
    pixel: NDArray[np.uint32]
    count: NDArray[np.uint32]
    n_pixels: int
    table: FrameTable

    def __post_init__(self) -> None:
        object.__setattr__(self, "indptr", frozen_array("indptr", self.indptr, np.int64, (None,)))
        object.__setattr__(self, "pixel", frozen_array("pixel", self.pixel, np.uint32, (None,)))
        object.__setattr__(self, "count", frozen_array("count", self.count, np.uint32, (len(self.pixel),)))
        if len(self.indptr) < 1 or self.indptr[0] != 0 or self.indptr[-1] != len(self.pixel):
            raise DataError(f"indptr must run from 0 to the number of hits ({len(self.pixel)}), found {self.indptr}")
        if len(self.table) != self.n_frames:
            raise DataError(f"frame table has {len(self.table)} rows for {self.n_frames} frames")

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.indptr) - 1

    @property
    def n_hits(self) -> int:
        """Stored pixels with at least one photon, over all frames."""
        return len(self.pixel)

    def __len__(self) -> int:
        return self.n_frames

    def validate(self) -> PhotonFrames:
        """Check every stored hit (one pass) and return the frames.

        Raises
        ------
        DataError
            If row pointers fall, a pixel is outside the frame, pixels do not increase inside a frame, or a count is 0.
        """
        steps = np.diff(self.indptr)
        if (steps < 0).any():
            raise DataError(f"indptr falls at frame {int(np.argmax(steps < 0))}")
        if self.n_hits == 0:
            return self
        if int(self.pixel.max()) >= self.n_pixels:
            raise DataError(f"pixel {int(self.pixel.max())} lies outside the frame of {self.n_pixels} pixels")
        if self.count.min() < 1:
            raise DataError("a stored count is 0; only pixels with photons may be stored")
        rising = np.diff(self.pixel.astype(np.int64)) > 0
        starts = self.indptr[1:-1]
        starts = starts[(starts > 0) & (starts < self.n_hits)]
        rising[starts - 1] = True
        if not rising.all():
            hit = int(np.argmin(rising)) + 1
            frame = int(np.searchsorted(self.indptr, hit, side="right")) - 1
            raise DataError(f"pixel numbers of frame {frame} do not increase strictly")
        return self

    def totals(self) -> NDArray[np.int64]:
        """Photons in each frame, int64 `(n_frames,)`."""
        running = np.concatenate([[0], np.cumsum(self.count, dtype=np.int64)])
        return np.asarray(running[self.indptr[1:]] - running[self.indptr[:-1]])

    def frame_numbers(self) -> NDArray[np.int64]:
        """Frame of each hit, int64 `(n_hits,)`."""
        return np.repeat(np.arange(self.n_frames, dtype=np.int64), np.diff(self.indptr))

    def take(self, rows: NDArray[Any] | slice) -> PhotonFrames:
        """Return the frames that a slice, index array or boolean array selects, in that order."""
        if isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(self.n_frames)
            stop = max(start, stop)
            first, last = self.indptr[start], self.indptr[stop]
            return PhotonFrames(
                self.indptr[start : stop + 1] - first,
                self.pixel[first:last],
                self.count[first:last],
                self.n_pixels,
                self.table.take(slice(start, stop)),
            )
        chosen = np.arange(self.n_frames)[rows]
        lengths = np.diff(self.indptr)[chosen]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        hits = np.arange(indptr[-1]) + np.repeat(self.indptr[chosen] - indptr[:-1], lengths)
        return PhotonFrames(indptr, self.pixel[hits], self.count[hits], self.n_pixels, self.table.take(chosen))

    @classmethod
    def concatenate(cls, parts: list[PhotonFrames]) -> PhotonFrames:
        """Join frames of the same detector in the given order."""
        if len(parts) == 1:
            return parts[0]
        if len({part.n_pixels for part in parts}) != 1:
            raise DataError("only frames with the same number of pixels can be joined")
        indptr = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(part.indptr) for part in parts]))])
        return cls(
            indptr.astype(np.int64),
            np.concatenate([part.pixel for part in parts]),
            np.concatenate([part.count for part in parts]),
            parts[0].n_pixels,
            FrameTable.concatenate([part.table for part in parts]),
        )

    @classmethod
    def from_dense(cls, frames: NDArray[Any], table: FrameTable | None = None) -> PhotonFrames:
        """Build from a dense stack of counts, `(n_frames, ...)`; meant for small stacks and tests."""
        given = np.asarray(frames)
        stack = given.reshape(len(given), int(np.prod(given.shape[1:])))
        frame, pixel = np.nonzero(stack)
        indptr = np.searchsorted(frame, np.arange(len(stack) + 1))
        rows = FrameTable.unknown(len(stack)) if table is None else table
        return cls(indptr, pixel.astype(np.uint32), stack[frame, pixel], stack.shape[1], rows)

    def to_dense(self) -> NDArray[np.uint32]:
        """Return a dense stack, uint32 `(n_frames, n_pixels)`; meant for small stacks and tests."""
        stack = np.zeros((self.n_frames, self.n_pixels), dtype=np.uint32)
        stack[self.frame_numbers(), self.pixel] = self.count
        return stack
