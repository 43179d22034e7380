"""Pattern files: expected photons of every usable pixel, without noise; and the one reader for them and photon files.

Layout::

    /                        fewphoton_kind = expected_patterns, NX_class = NXroot
    /entry/patterns/values   float32 (n_frames, n_usable), contiguous, so that it can be mapped
    /entry/frames/...        one dataset a column of the frame table
    /entry/detector/...      as in photon files
    /provenance/...
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Beam, Detector, FrameTable
from fewphoton.data.pattern_source import DensePatterns, PatternPixels, PatternSource, PhotonPatterns
from fewphoton.errors import DataError, GeometryError, InputFileError
from fewphoton.io.detector_group import read_detector, write_detector
from fewphoton.io.frame_table import FrameTableReader, write_frame_table
from fewphoton.io.hdf5 import created, dataset, is_kind, opened, require_kind, store
from fewphoton.io.photon_files import read_photon_file
from fewphoton.io.provenance import Provenance

KIND = "expected_patterns"


@dataclass(frozen=True, eq=False)
class PatternFile:
    """Content of a photon file or a pattern file.

    Parameters
    ----------
    source : PatternSource
        Patterns; those of pattern files are mapped from the disk.
    detector, beam : Detector, Beam
        Geometry.
    table : FrameTable
        One row a frame, with the true orientations where they are known: for scoring alone.
    """

    source: PatternSource
    detector: Detector
    beam: Beam
    table: FrameTable


class PatternFileWriter:
    """Writes blocks of patterns in order. Use :func:`write_pattern_file`."""

    def __init__(self, values: h5py.Dataset) -> None:
        self._values = values
        self.n_written = 0
        self.tables: list[FrameTable] = []

    def append(self, values: NDArray[np.float32], table: FrameTable) -> None:
        """Add expected photons of the usable pixels `(n, n_usable)` with their rows of the table.

        Raises
        ------
        DataError
            If they have another width, or are more than the file was made for.
        """
        after = self.n_written + len(values)
        if values.shape[1:] != self._values.shape[1:] or after > len(self._values):
            raise DataError(f"patterns of shape {values.shape} from {self.n_written} on for {self._values.shape}")
        self._values[self.n_written : after] = values
        self.tables.append(table)
        self.n_written = after


@contextlib.contextmanager
def write_pattern_file(
    path: Path | str, detector: Detector, beam: Beam, n_frames: int, provenance: Provenance
) -> Iterator[PatternFileWriter]:
    """Open a pattern file for ``n_frames`` patterns; it appears under ``path`` only when the block ends well.

    Raises
    ------
    DataError
        If fewer patterns were written than announced.
    """
    with created(path) as file:
        entry = file.create_group("entry")
        entry.attrs["NX_class"] = "NXentry"
        shape = (n_frames, int((~detector.masked).sum()))
        values = entry.create_group("patterns").create_dataset("values", shape=shape, dtype="<f4")
        values.attrs["units"] = "photons"
        place = write_detector(entry, detector, beam)
        store(place, "masked", detector.masked.reshape(detector.frame_shape))
        writer = PatternFileWriter(values)
        yield writer
        if writer.n_written != n_frames:
            raise DataError(f"{path}: {writer.n_written} of {n_frames} patterns were written")
        write_frame_table(entry.create_group("frames"), FrameTable.concatenate(writer.tables))
        provenance.write(file, KIND)


def read_patterns(path: Path | str) -> PatternFile:
    """Read a photon file or a pattern file as a pattern source.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, inconsistent, or holds no frames.
    """
    if not is_kind(path, KIND):
        frames, detector, beam = read_photon_file(path)
        pixels = _usable(path, detector, beam)
        return _with_frames(path, PatternFile(PhotonPatterns(frames, pixels), detector, beam, frames.table))
    with opened(path) as file:
        require_kind(file, KIND)
        entry = file["entry"]
        detector, beam = read_detector(entry)
        pixels = _usable(path, detector, beam)
        values = dataset(entry, "patterns/values", kind="f", shape=(None, len(pixels.number)))
        table = FrameTableReader(entry, "frames", len(values)).read()
        offset, shape = values.id.get_offset(), values.shape
        mappable = offset is not None and values.dtype == np.dtype("<f4")
        held = None if mappable else values[()].astype(np.float32)
    if held is None:
        try:
            held = np.memmap(path, dtype="<f4", mode="r", offset=offset, shape=shape)
        except (OSError, ValueError) as error:
            raise InputFileError(path, f"cannot be mapped: {error}", where="entry/patterns/values") from error
    source = DensePatterns(held, pixels, f"{path} [entry/patterns/values]")
    return _with_frames(path, PatternFile(source, detector, beam, table))


def _usable(path: Path | str, detector: Detector, beam: Beam) -> PatternPixels:
    try:
        return PatternPixels.of_detector(detector, beam)
    except GeometryError as error:
        raise InputFileError(path, str(error), where="/entry/detector/masked") from error


def _with_frames(path: Path | str, content: PatternFile) -> PatternFile:
    if content.source.n_patterns == 0:
        raise InputFileError(path, "holds no frames")
    return content
