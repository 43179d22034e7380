"""Dragonfly's binary .emc files: sparse photon frames in ones / multi form.

Layout, little endian int32 throughout: a header of 1024 bytes (number of frames, pixels of a frame, kind of frames:
0 for sparse), then for each frame the number of pixels with one photon (``ones``), then that of pixels with more
(``multi``), then all pixels with one photon (``place_ones``), all with more (``place_multi``), and the photons of the
latter (``count_multi``), frame after frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.atomic import written_aside

HEADER_BYTES = 1024
_INT32 = np.dtype("<i4")


def split_counts(frames: PhotonFrames) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return pixels with one photon and with more for each frame, `(n_frames,)` each, and which hits are single."""
    single = frames.count == 1
    running = np.concatenate([[0], np.cumsum(single)])[frames.indptr]
    ones = np.diff(running)
    return ones, np.diff(frames.indptr) - ones, single


def write_emc_binary(path: Path | str, chunks: Callable[[], Iterable[PhotonFrames]], n_pixels: int) -> None:
    """Write photon frames as a sparse .emc file.

    Parameters
    ----------
    path : Path or str
        Target.
    chunks : callable
        Returns all frames in pieces; it is called once for each of the file's sections.
    n_pixels : int
        Pixels of a frame.

    Raises
    ------
    DataError
        If a pixel number or a count does not fit into 31 bits.
    """
    counts = [split_counts(chunk)[:2] for chunk in chunks()]
    ones = np.concatenate([np.zeros(0, np.int64), *(part[0] for part in counts)])
    multi = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in counts)])
    if n_pixels > np.iinfo(np.int32).max:
        raise DataError(f"{n_pixels} pixels do not fit into the 31 bits of an .emc file")
    header = np.zeros(HEADER_BYTES // 4, dtype=_INT32)
    header[:2] = len(ones), n_pixels
    with written_aside(path) as aside, aside.open("wb") as file:
        for section in (header, ones, multi):
            file.write(section.astype(_INT32).tobytes())
        for wanted, column in ((True, "pixel"), (False, "pixel"), (False, "count")):
            for chunk in chunks():
                single = split_counts(chunk)[2]
                values = getattr(chunk, column)[single == wanted]
                if len(values) and values.max() > np.iinfo(np.int32).max:
                    raise DataError(f"{column} {values.max()} does not fit into the 31 bits of an .emc file")
                file.write(values.astype(_INT32).tobytes())


def join_counts(
    ones: NDArray[np.int64],
    multi: NDArray[np.int64],
    place_ones: NDArray[np.int64],
    place_multi: NDArray[np.int64],
    count_multi: NDArray[np.int64],
    n_pixels: int,
    first_frame: int,
) -> PhotonFrames:
    """Build photon frames from the ones / multi form; pixels are sorted in each frame.

    Raises
    ------
    DataError
        If a pixel appears twice in a frame or lies outside it, or a count is below 1.
    """
    n_frames = len(ones)
    frame = np.concatenate([np.repeat(np.arange(n_frames), ones), np.repeat(np.arange(n_frames), multi)])
    pixel = np.concatenate([place_ones, place_multi])
    count = np.concatenate([np.ones(len(place_ones), dtype=np.int64), count_multi])
    if len(pixel) and (pixel.min() < 0 or count.min() < 1):
        raise DataError("a pixel number is negative or a count is below 1")
    order = np.lexsort((pixel, frame))
    indptr = np.concatenate([[0], np.cumsum(ones + multi)])
    return PhotonFrames(
        indptr, pixel[order], count[order], n_pixels, FrameTable.unknown(n_frames, first_frame)
    ).validate()


class EmcBinaryReader:
    """A binary .emc file, read in pieces.

    Attributes
    ----------
    n_frames, n_pixels : int
        From the header.

    Raises
    ------
    InputFileError
        If the file is missing, dense, truncated, or longer than its header says.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        try:
            size = self.path.stat().st_size
            header = np.fromfile(self.path, dtype=_INT32, count=3)
        except OSError as error:
            raise InputFileError(path, f"cannot be read: {error.strerror or error}") from error
        if size < HEADER_BYTES:
            raise InputFileError(path, "is no .emc file", expected=f"a header of {HEADER_BYTES} bytes", found=size)
        self.n_frames, self.n_pixels, kind = (int(value) for value in header)
        if self.n_frames < 0 or self.n_pixels < 1:
            raise InputFileError(path, "has an impossible header", found=header.tolist())
        if kind != 0:
            raise InputFileError(path, "holds dense frames", expected="sparse frames (kind 0)", found=f"kind {kind}")
        if size < HEADER_BYTES + 8 * self.n_frames:
            raise InputFileError(path, "is truncated", expected=f"{self.n_frames} frames", found=f"{size} bytes")
        self._ones = self._read(HEADER_BYTES, self.n_frames)
        self._multi = self._read(HEADER_BYTES + 4 * self.n_frames, self.n_frames)
        expected = HEADER_BYTES + 8 * self.n_frames + 4 * int(self._ones.sum() + 2 * self._multi.sum())
        if size != expected or self._ones.min(initial=0) < 0 or self._multi.min(initial=0) < 0:
            raise InputFileError(path, "is truncated or corrupt", expected=f"{expected} bytes", found=f"{size} bytes")

    def _read(self, offset: int, count: int) -> NDArray[np.int64]:
        return np.fromfile(self.path, dtype=_INT32, count=count, offset=offset).astype(np.int64)

    def chunks(self, max_frames: int = 65536) -> Iterator[PhotonFrames]:
        """Yield all frames in order."""
        ones_before = np.concatenate([[0], np.cumsum(self._ones)])
        multi_before = np.concatenate([[0], np.cumsum(self._multi)])
        section = [HEADER_BYTES + 8 * self.n_frames]
        section.append(section[0] + 4 * int(ones_before[-1]))
        section.append(section[1] + 4 * int(multi_before[-1]))
        for start in range(0, self.n_frames, max_frames):
            stop = min(start + max_frames, self.n_frames)
            places, pairs, counts = (
                self._read(offset + 4 * int(before[start]), int(before[stop] - before[start]))
                for offset, before in zip(section, (ones_before, multi_before, multi_before), strict=True)
            )
            ones, multi = self._ones[start:stop], self._multi[start:stop]
            try:
                yield join_counts(ones, multi, places, pairs, counts, self.n_pixels, start)
            except DataError as error:
                raise InputFileError(self.path, f"frames {start} to {stop - 1}: {error}") from error
