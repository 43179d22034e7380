"""A look at frames: how many, of which size and type, what values, which angles, and the mean of a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameTable
from fewphoton.errors import FewphotonError
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.raw_frames import RawFrames, open_raw_frames
from fewphoton.io.sparse_scan import open_sparse_scan, take_counts

_SHOWN_DEG = 1.0
_MOST_SHOWN = 100_000
_SHOWN_UNKNOWN = 20
_SHOWN_BYTES = 2 * 2**30
_WITH_HEADER = (".cbf", ".cbf.bz2", ".cbf.gz", ".h5", ".hdf5", ".nxs")


@dataclass(frozen=True, eq=False)
class FrameGlimpse:
    """What a look at a series of frames showed.

    Parameters
    ----------
    n_frames : int
        Frames of the series.
    sources : tuple of str
        Files or datasets that hold them.
    frame_shape : tuple of int
        `(n_slow, n_fast)`.
    dtype : str
        Type of the values.
    table : FrameTable
        Batches and angles.
    first_shown, n_shown : int
        Frames that the mean is over.
    mean : ndarray of float64, `(n_pixels,)`
        Mean of the shown frames; NaN where all of them are flagged: negative in whole numbers, the largest value of
        the type, or no number.
    zero_fraction, flagged_fraction : float
        Part of the shown values that are 0, and that are flagged.
    largest : float
        Largest value that is not flagged.
    mean_total : float
        Mean over the shown frames of the sum of values that are not flagged.
    wavelength_angstrom : float or None
        Wavelength in the frames' own header, where they have one.
    """

    n_frames: int
    sources: tuple[str, ...]
    frame_shape: tuple[int, int]
    dtype: str
    table: FrameTable
    first_shown: int
    n_shown: int
    mean: NDArray[np.float64]
    zero_fraction: float
    flagged_fraction: float
    largest: float
    mean_total: float
    wavelength_angstrom: float | None = None

    @property
    def counts_photons(self) -> bool:
        """Whether the values look like numbers of photons: whole, and most of them 0."""
        return np.dtype(self.dtype).kind in "iu" and self.zero_fraction > 0.5


def glimpse_raw(patterns: Sequence[str], shown: int | None = None) -> FrameGlimpse:
    """Look at raw frames; with ``shown`` at that frame only.

    Without it, frames whose angles are known are shown over one degree from the first on, others up to 20 of them.

    Raises
    ------
    InputFileError
        If a file is missing, truncated or foreign, or frames differ in shape or type.
    """
    with open_raw_frames(patterns) as raw:
        first, n_shown = _shown(raw.table, raw.n_frames, shown, _SHOWN_BYTES // _frame_bytes(raw))
        total = np.zeros(raw.frame_shape)
        n_valid = np.zeros(raw.frame_shape, dtype=np.int64)
        zeros, largest = 0, 0.0
        for _, frames in raw.chunks(max(1, 2**26 // _frame_bytes(raw)), first, first + n_shown):
            valid = _valid(frames)
            total += np.where(valid, frames, 0).sum(axis=0, dtype=np.float64)
            n_valid += valid.sum(axis=0)
            zeros += int((frames == 0).sum())
            largest = max(largest, float(frames.max(where=valid, initial=0)))
        with np.errstate(invalid="ignore"):
            mean = np.where(n_valid > 0, total / np.maximum(n_valid, 1), np.nan).ravel()
        n_values = n_shown * total.size
        return FrameGlimpse(
            raw.n_frames,
            raw.path_names,
            raw.frame_shape,
            str(raw.dtype),
            raw.table,
            first,
            n_shown,
            mean,
            zeros / n_values,
            1 - float(n_valid.sum()) / n_values,
            largest,
            float(total.sum()) / n_shown,
            _header_wavelength(raw.path_names[0]),
        )


def glimpse_scan(
    path: Path, group: str | None, saturation_counts: int | None, cap_counts: int | None, shown: int | None = None
) -> FrameGlimpse:
    """Look at a sparse rotation scan.

    Raises
    ------
    InputFileError
        If the file is missing, truncated or foreign.
    """
    with open_sparse_scan(path, group) as scan:
        n_pixels = scan.frame_shape[0] * scan.frame_shape[1]
        first, n_shown = _shown(scan.table, scan.n_frames, shown, _MOST_SHOWN)
        total, largest, place, n_hits = np.zeros(n_pixels), 0.0, 0, 0
        for frames, _, _ in take_counts(scan, saturation_counts, cap_counts):
            inside = slice(max(first - place, 0), max(0, min(first + n_shown - place, frames.n_frames)))
            hits = slice(int(frames.indptr[min(inside.start, frames.n_frames)]), int(frames.indptr[inside.stop]))
            if hits.stop > hits.start:
                total += np.bincount(frames.pixel[hits], weights=frames.count[hits], minlength=n_pixels)
                largest = max(largest, float(frames.count[hits].max()))
                n_hits += hits.stop - hits.start
            place += frames.n_frames
            if place >= first + n_shown:
                break
        return FrameGlimpse(
            scan.n_frames,
            (f"{path}::{scan.group}",),
            scan.frame_shape,
            "uint32",
            scan.table,
            first,
            n_shown,
            total / n_shown,
            1 - n_hits / (n_shown * n_pixels),
            0.0,
            largest,
            float(total.sum()) / n_shown,
        )


def _frame_bytes(raw: RawFrames) -> int:
    return int(raw.frame_shape[0] * raw.frame_shape[1] * max(raw.dtype.itemsize, 8))


def _shown(table: FrameTable, n_frames: int, wanted: int | None, affordable: int) -> tuple[int, int]:
    """First frame to show, and how many."""
    if wanted is not None:
        return min(wanted, n_frames - 1), 1
    end, start = np.asarray(table.omega_end_deg), np.asarray(table.omega_start_deg)
    if not np.isfinite(start[0]) or start[0] == end[0]:
        return 0, max(1, min(n_frames, _SHOWN_UNKNOWN, affordable))
    # The first series only: the next one may begin anywhere.
    together = int(np.searchsorted(np.asarray(table.batch) != table.batch[0], True)) or 1
    near = np.abs(end[:together] - start[0]) <= _SHOWN_DEG + 1e-6
    return 0, max(1, min(int(near.sum()), affordable, _MOST_SHOWN))


def _valid(frames: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which values are none of the usual marks of bad pixels."""
    if frames.dtype.kind == "f":
        return np.asarray(np.isfinite(frames))
    top = np.iinfo(frames.dtype).max
    return np.asarray((frames >= 0) & (frames != top))


def _header_wavelength(name: str) -> float | None:
    path = name.partition("::")[0]
    if not path.lower().endswith(_WITH_HEADER):
        return None
    try:
        return read_geometry(path).beam.wavelength_angstrom
    except FewphotonError:
        return None  # frames without a header of their own are as good
