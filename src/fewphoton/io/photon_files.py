"""Photon files: CSR photon frames with their detector, in HDF5.

Layout::

    /                        fewphoton_kind = photon_frames, NX_class = NXroot, default = entry
    /entry/photons/indptr    int64  (n_frames + 1)
    /entry/photons/pixel     uint32 (n_hits)     flat index in the frame array
    /entry/photons/count     uint32 (n_hits)     at least 1
    /entry/frames/...        one dataset a column of the frame table; quaternion (n_frames, 4) only where it is known
    /entry/detector/description   geometry and beam as JSON (the content of our geometry YAML)
    /entry/detector/masked   bool (n_slow, n_fast)
    /entry/data/data         uint32 (n_slow, n_fast)  sum of all frames, the default plot
    /provenance/...
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from fewphoton.data.detector import Beam, Detector
from fewphoton.data.frames import FrameTable, PhotonFrames
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.detector_group import read_detector, write_detector
from fewphoton.io.frame_table import FrameTableReader, write_frame_table
from fewphoton.io.hdf5 import COMPRESSION, created, dataset, opened, require_kind, store
from fewphoton.io.provenance import Provenance

KIND = "photon_frames"
_CHUNK = 65536
_UNITS = {"omega_start_deg": "deg", "omega_end_deg": "deg"}


class PhotonFileReader:
    """Photon frames on disk, read in pieces.

    Use :func:`open_photon_file`. Only row pointers are held in memory, and the frame table once it was asked for.
    """

    def __init__(self, file: h5py.File) -> None:
        require_kind(file, KIND)
        self.path = Path(file.filename)
        entry = file.get("entry")
        if not isinstance(entry, h5py.Group):
            raise InputFileError(self.path, "group is missing", where="/entry")
        self.detector, self.beam = read_detector(entry)
        self.indptr = dataset(entry, "photons/indptr", kind="iu", shape=(None,))[()].astype(np.int64)
        self._pixel = dataset(entry, "photons/pixel", kind="u", shape=(None,))
        self._count = dataset(entry, "photons/count", kind="u", shape=self._pixel.shape)
        bounds_fit = len(self.indptr) > 0 and self.indptr[0] == 0 and self.indptr[-1] == len(self._pixel)
        if not bounds_fit or (np.diff(self.indptr) < 0).any():
            raise InputFileError(
                self.path,
                "row pointers do not fit the hits",
                where="/entry/photons/indptr",
                expected=f"0 rising to {len(self._pixel)}",
                found=f"{self.indptr[:1]} to {self.indptr[-1:]}",
            )
        self._table = FrameTableReader(entry, "frames", len(self.indptr) - 1)

    @property
    def n_frames(self) -> int:
        """Number of frames in the file."""
        return len(self.indptr) - 1

    @property
    def n_hits(self) -> int:
        """Stored pixels with at least one photon, over all frames."""
        return int(self.indptr[-1])

    @functools.cached_property
    def table(self) -> FrameTable:
        """One row for each frame of the file."""
        return self._table.read()

    def read(self, start: int = 0, stop: int | None = None) -> PhotonFrames:
        """Return the frames ``start`` to ``stop - 1``, validated.

        Raises
        ------
        InputFileError
            If the stored hits break the rules of :class:`~fewphoton.data.frames.PhotonFrames`.
        """
        last = self.n_frames if stop is None else min(stop, self.n_frames)
        first_hit, last_hit = int(self.indptr[start]), int(self.indptr[last])
        try:
            return PhotonFrames(
                self.indptr[start : last + 1] - first_hit,
                self._pixel[first_hit:last_hit],
                self._count[first_hit:last_hit],
                self.detector.n_pixels,
                self._table.read(start, last),
            ).validate()
        except DataError as error:
            raise InputFileError(self.path, str(error), where="/entry/photons") from error

    def chunks(self, max_hits: int = 4_000_000, max_frames: int = 65536) -> Iterator[PhotonFrames]:
        """Yield all frames in order, in pieces of at most ``max_hits`` hits (but at least one frame)."""
        start = 0
        while start < self.n_frames:
            budget = int(np.searchsorted(self.indptr, self.indptr[start] + max_hits, side="right")) - 1
            stop = min(max(start + 1, budget), start + max_frames, self.n_frames)
            yield self.read(start, stop)
            start = stop


@contextlib.contextmanager
def open_photon_file(path: Path | str) -> Iterator[PhotonFileReader]:
    """Open a photon file.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, or inconsistent.
    """
    with opened(path) as file:
        yield PhotonFileReader(file)


def read_photon_file(path: Path | str) -> tuple[PhotonFrames, Detector, Beam]:
    """Return all frames of a photon file with detector and beam."""
    with open_photon_file(path) as reader:
        return reader.read(), reader.detector, reader.beam


class PhotonFileWriter:
    """Appends photon frames to a file that takes its final name when all is written. Use :func:`write_photon_file`."""

    def __init__(self, file: h5py.File, detector: Detector, beam: Beam) -> None:
        self._detector = detector
        self._file = file
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="data")
        photons = entry.create_group("photons")
        options = {"maxshape": (None,), "chunks": (_CHUNK,), **COMPRESSION}
        self._pixel = photons.create_dataset("pixel", shape=(0,), dtype="<u4", **options)
        self._count = photons.create_dataset("count", shape=(0,), dtype="<u4", **options)
        self._lengths: list[np.ndarray] = []
        self._tables: list[FrameTable] = []
        self._sum = np.zeros(detector.n_pixels, dtype=np.int64)
        write_detector(entry, detector, beam)
        self._masked = detector.masked

    @property
    def photons_of_pixel(self) -> np.ndarray:
        """Photons of all frames so far, int64 `(n_pixels,)`."""
        return self._sum

    def set_mask(self, masked: np.ndarray) -> None:
        """Replace the mask that is stored with the detector, bool `(n_pixels,)`; gaps stay masked."""
        self._masked = self._detector.with_mask(masked).masked

    def append(self, frames: PhotonFrames) -> None:
        """Add frames at the end.

        Raises
        ------
        DataError
            If the frames belong to another detector or break a rule of photon frames.
        """
        if frames.n_pixels != self._detector.n_pixels:
            raise DataError(f"frames of {frames.n_pixels} pixels for a detector of {self._detector.n_pixels}")
        frames.validate()
        for item, values in ((self._pixel, frames.pixel), (self._count, frames.count)):
            held = len(item)
            item.resize(held + len(values), axis=0)
            item[held:] = values
        self._lengths.append(np.diff(frames.indptr))
        self._tables.append(frames.table)
        self._sum += np.bincount(frames.pixel, weights=frames.count, minlength=len(self._sum)).astype(np.int64)

    def close(self, provenance: Provenance) -> None:
        """Write what is known only at the end: row pointers, frame table, mask, sum of all frames, provenance."""
        entry = self._file["entry"]
        lengths = np.concatenate([[0], *self._lengths]).astype(np.int64)
        store(entry, "photons/indptr", np.cumsum(lengths, dtype=np.int64))
        table = FrameTable.concatenate(self._tables) if self._tables else FrameTable.unknown(0)
        write_frame_table(entry.create_group("frames"), table, _UNITS)
        shape = self._detector.frame_shape
        store(entry, "detector/masked", np.asarray(self._masked).reshape(shape))
        plot = entry.create_group("data")
        plot.attrs.update(NX_class="NXdata", signal="data")
        store(plot, "data", self._sum.reshape(shape).astype(np.uint32), units="photons", interpretation="image")
        provenance.write(self._file, KIND)


@contextlib.contextmanager
def write_photon_file(
    path: Path | str, detector: Detector, beam: Beam, provenance: Provenance
) -> Iterator[PhotonFileWriter]:
    """Open a photon file for writing; it appears under ``path`` only when the block ends well.

    Examples
    --------
    >>> with write_photon_file("frames.h5", detector, beam, provenance) as writer:  # doctest: +SKIP
    ...     writer.append(frames)
    """
    with created(path) as file:
        writer = PhotonFileWriter(file, detector, beam)
        yield writer
        writer.close(provenance)
