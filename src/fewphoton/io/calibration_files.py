"""Calibration files (HDF5): offset, gain and noise of each pixel, or pedestals and gains of three gain stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import InputFileError
from fewphoton.io.hdf5 import created, dataset, opened, store
from fewphoton.io.provenance import Provenance


def write_calibration_file(path: Path | str, columns: dict[str, NDArray[np.float32]], provenance: Provenance) -> None:
    """Write calibration datasets by name; units are in the names."""
    with created(path) as file:
        for name, values in columns.items():
            store(file, name, np.asarray(values, dtype=np.float32))
        provenance.write(file, "calibration")


def _read(path: Path | str, names: tuple[str, ...], n_pixels: int, rows: int | None) -> list[NDArray[np.float32]]:
    found = []
    with opened(path) as file:
        for name in names:
            values = dataset(file, name, kind="iuf")[()].astype(np.float32)
            if values.size != n_pixels * (rows or 1) or (rows is not None and values.shape[0] != rows):
                expected = f"{n_pixels} pixels" + (f" for each of {rows} gain stages" if rows else "")
                raise InputFileError(path, "does not fit the frames", where=name, expected=expected, found=values.shape)
            found.append(values.reshape((rows, n_pixels) if rows else (n_pixels,)))
    return found


def read_pixel_calibration(path: Path | str, n_pixels: int) -> list[NDArray[np.float32]]:
    """Return offset_adu, adu_per_photon and read_noise_adu, each float32 `(n_pixels,)`.

    Raises
    ------
    InputFileError
        If a dataset is missing or does not fit the frames.
    """
    return _read(path, ("offset_adu", "adu_per_photon", "read_noise_adu"), n_pixels, None)


def read_gain_stages(path: Path | str, n_pixels: int) -> list[NDArray[np.float32]]:
    """Return pedestal_adu and gain_adu_per_kev, each float32 `(3, n_pixels)` in the order high, medium, low gain."""
    return _read(path, ("pedestal_adu", "gain_adu_per_kev"), n_pixels, 3)
