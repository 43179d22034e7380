"""Labels of frames that people gave: one number a frame, in HDF5, NumPy or text files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import InputFileError
from fewphoton.io.hdf5 import dataset, opened
from fewphoton.io.image_files import load_array

UNKNOWN = -1
"""Label of a frame that has none."""


def read_labels(names: Sequence[str], n_frames: int) -> NDArray[np.int8]:
    """Read labels: 1 wanted, 0 not wanted, negative or NaN unknown.

    Parameters
    ----------
    names : sequence of str
        Files whose labels follow each other: ``file.h5::/dataset`` (``.gz`` too), ``.npy``, or text files with one
        number a line.
    n_frames : int
        Wanted labels.

    Returns
    -------
    ndarray of int8, `(n_frames,)`
        1, 0 or `UNKNOWN`.

    Raises
    ------
    InputFileError
        If a file cannot be read, they hold another number of labels together, or a value is no label.
    """
    parts = [_labels_of(name) for name in names]
    n_labels = sum(map(len, parts))
    if n_labels != n_frames:
        raise InputFileError(
            names[0].partition("::")[0],
            f"labels of other frames, in {len(parts)} file(s)",
            expected=f"{n_frames} labels",
            found=n_labels,
        )
    return np.concatenate(parts)


def _labels_of(name: str) -> NDArray[np.int8]:
    path, _, inside = name.partition("::")
    values = _values(Path(path), inside)
    where = inside or None
    if values.ndim != 1:
        raise InputFileError(path, "holds no labels", where=where, expected="one number a frame", found=values.shape)
    unknown = np.isnan(values) | (values < 0)
    odd = ~unknown & (values != 0) & (values != 1)
    if odd.any():
        frame = int(np.argmax(odd))
        raise InputFileError(
            path, f"label {frame} is none", where=where, expected="0, 1, or negative", found=values[frame]
        )
    return np.where(unknown, UNKNOWN, np.nan_to_num(values)).astype(np.int8)


def _values(path: Path, inside: str) -> NDArray[np.float64]:
    if inside:
        with opened(path) as file:
            return np.asarray(dataset(file, inside, kind="iufb", shape=(None,))[()], dtype=np.float64)
    found: NDArray[Any] | None = None
    if path.suffix == ".npy":
        found = load_array(path)
    else:
        with contextlib.suppress(OSError, ValueError):
            lines = path.read_text(encoding="utf-8").splitlines()
            found = np.array([float(line) for line in lines if line.strip()])
    if found is None or found.dtype.kind not in "iufb":
        raise InputFileError(path, "cannot be read as labels", expected="file.h5::/dataset, .npy, or one number a line")
    return np.asarray(found, dtype=np.float64)
