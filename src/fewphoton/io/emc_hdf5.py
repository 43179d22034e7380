"""The HDF5 form of Dragonfly's .emc files.

``num_pix`` (one number), and for each frame a row of variable length in ``place_ones``, ``place_multi`` and
``count_multi`` (int32), with the row lengths in ``ones`` and ``multi``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np

from fewphoton.data import PhotonFrames
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.emc_binary import join_counts, split_counts
from fewphoton.io.hdf5 import created, dataset, holds_rows, opened

_ROWS = ("place_ones", "place_multi", "count_multi")


def write_emc_hdf5(path: Path | str, chunks: Callable[[], Iterable[PhotonFrames]], n_pixels: int) -> None:
    """Write photon frames; see :func:`fewphoton.io.emc_binary.write_emc_binary` for the parameters."""
    n_frames = sum(chunk.n_frames for chunk in chunks())
    with created(path) as file:
        file["num_pix"] = np.array([n_pixels], dtype=np.int32)
        rows = {name: file.create_dataset(name, (n_frames,), dtype=h5py.vlen_dtype(np.dtype("<i4"))) for name in _ROWS}
        ones, multi = (file.create_dataset(name, (n_frames,), dtype="<i4") for name in ("ones", "multi"))
        place = 0
        for chunk in chunks():
            n_ones, n_multi, single = split_counts(chunk)
            stop = place + chunk.n_frames
            ones[place:stop], multi[place:stop] = n_ones, n_multi
            for name, column, wanted in (
                ("place_ones", chunk.pixel, single),
                ("place_multi", chunk.pixel, ~single),
                ("count_multi", chunk.count, ~single),
            ):
                lengths = n_ones if name == "place_ones" else n_multi
                parts = np.split(column[wanted].astype(np.int32), np.cumsum(lengths)[:-1])
                column_rows = np.empty(chunk.n_frames, dtype=object)
                column_rows[:] = parts
                rows[name][place:stop] = column_rows
            place = stop


class EmcHdf5Reader:
    """An HDF5 .emc file, read in pieces; use :meth:`chunks`.

    Attributes
    ----------
    n_frames, n_pixels : int
        Size of the data set.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, or inconsistent.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with opened(path) as file:
            self.n_pixels = int(np.prod(dataset(file, "num_pix", kind="iu")[()]))
            self.n_frames = len(dataset(file, "place_ones", shape=(None,)))
            for name in _ROWS:
                item = dataset(file, name, shape=(self.n_frames,))
                if not holds_rows(item, "iu"):
                    raise InputFileError(
                        path, "has the wrong type", where=name, expected="rows of integers", found=item.dtype
                    )

    def chunks(self, max_frames: int = 16384) -> Iterator[PhotonFrames]:
        """Yield all frames in order."""
        for start in range(0, self.n_frames, max_frames):
            stop = min(start + max_frames, self.n_frames)
            with opened(self.path) as file:
                rows = [file[name][start:stop] for name in _ROWS]
            ones, multi, counted = (np.array([len(row) for row in column], dtype=np.int64) for column in rows)
            if not np.array_equal(multi, counted):
                raise InputFileError(
                    self.path, "rows differ in length", where="count_multi", expected="those of place_multi"
                )
            places, pairs, counts = (np.concatenate([np.zeros(0, np.int64), *column]) for column in rows)
            try:
                yield join_counts(ones, multi, places, pairs, counts, self.n_pixels, start)
            except DataError as error:
                raise InputFileError(self.path, f"frames {start} to {stop - 1}: {error}") from error
