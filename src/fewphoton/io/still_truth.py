"""The ground truth of simulated snapshots, in HDF5.

Layout::

    /                      fewphoton_kind = still_truth, NX_class = NXroot
    /shots/...             one dataset a column of the shots
    /spots/indptr          int64 (n_frames + 1)
    /spots/...             one dataset a column of the spots
    /background_mean       float32 (n_slow, n_fast), photons per pixel of a frame of scale 1, NaN on masked pixels
    /crystal/cell          float64 (6); attribute space_group
    /reference/hkl         int32 (n, 3)
    /reference/intensity   float64 (n), electrons²
    /experiment            attributes wavelength_angstrom, spot_sigma_px
    /provenance/...
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, Reflections
from fewphoton.data.still_truth import StillShots, StillSpots, StillTruth
from fewphoton.errors import DataError, GeometryError, InputFileError
from fewphoton.io.hdf5 import (
    COMPRESSION,
    created,
    dataset,
    number_attribute,
    opened,
    require_kind,
    store,
    text_attribute,
)
from fewphoton.io.provenance import Provenance

KIND = "still_truth"
_CHUNK_ROWS = 16384
_SHOTS = {"is_hit": (np.bool_, ()), "ub_inv_angstrom": (np.float64, (3, 3))}
_SPOTS = {"hkl": (np.int32, (3,)), "panel": (np.int32, ())}
_UNITS = {
    "ub_inv_angstrom": "1/angstrom",
    "excitation_error_inv_angstrom": "1/angstrom",
    "slow_px": "px",
    "fast_px": "px",
    "photons": "photons",
}


class StillTruthWriter:
    """Appends what is known of successive frames; use :func:`write_still_truth`."""

    def __init__(self, file: h5py.File) -> None:
        self._shots = file.create_group("shots")
        self._spots = file.create_group("spots")
        for column in fields(StillShots):
            dtype, inner = _SHOTS.get(column.name, (np.float64, ()))
            _growing(self._shots, column.name, dtype, inner)
        for column in fields(StillSpots)[1:]:
            _growing(self._spots, column.name, *_SPOTS.get(column.name, (np.float32, ())))
        self._indptr = [np.zeros(1, dtype=np.int64)]

    def append(self, shots: StillShots, spots: StillSpots) -> None:
        """Write the next frames and their spots."""
        if len(shots) != spots.n_frames:
            raise DataError(f"{len(shots)} shots were given with the spots of {spots.n_frames} frames")
        for group, table, columns in (
            (self._shots, shots, fields(StillShots)),
            (self._spots, spots, fields(StillSpots)[1:]),
        ):
            for column in columns:
                values = getattr(table, column.name)
                item = group[column.name]
                item.resize(len(item) + len(values), axis=0)
                item[len(item) - len(values) :] = values
        self._indptr.append(spots.indptr[1:] + self._indptr[-1][-1])

    def finish(self) -> None:
        """Write the row pointers."""
        store(self._spots, "indptr", np.concatenate(self._indptr))


def _growing(group: h5py.Group, name: str, dtype: type, inner: tuple[int, ...]) -> None:
    item = group.create_dataset(
        name, shape=(0, *inner), maxshape=(None, *inner), dtype=dtype, chunks=(_CHUNK_ROWS, *inner), **COMPRESSION
    )
    if name in _UNITS:
        item.attrs["units"] = _UNITS[name]


@contextlib.contextmanager
def write_still_truth(
    path: Path | str,
    crystal: Crystal,
    reference: Reflections,
    background_mean: NDArray[np.float32],
    wavelength_angstrom: float,
    spot_sigma_px: float,
    provenance: Provenance,
) -> Iterator[StillTruthWriter]:
    """Open a truth file for writing; frames are appended in order.

    Parameters
    ----------
    path : Path or str
        File.
    crystal, reference, background_mean, wavelength_angstrom, spot_sigma_px
        As in :class:`~fewphoton.data.still_truth.StillTruth`.
    provenance : Provenance
        What made the file.
    """
    with created(path) as file:
        writer = StillTruthWriter(file)
        store(file, "background_mean", np.asarray(background_mean, dtype=np.float32), units="photons/pixel")
        place = file.create_group("crystal")
        store(place, "cell", np.asarray(crystal.cell))
        place.attrs["space_group"] = crystal.space_group
        known = file.create_group("reference")
        store(known, "hkl", reference.hkl)
        store(known, "intensity", reference.intensity, units="electrons^2")
        experiment = file.create_group("experiment")
        experiment.attrs["wavelength_angstrom"] = float(wavelength_angstrom)
        experiment.attrs["spot_sigma_px"] = float(spot_sigma_px)
        yield writer
        writer.finish()
        provenance.write(file, KIND)


def read_still_truth(path: Path | str, start: int = 0, stop: int | None = None) -> StillTruth:
    """Read the truth of the frames ``start`` to ``stop - 1`` (default: all).

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, or inconsistent, or holds no such frames.
    """
    with opened(path) as file:
        require_kind(file, KIND)
        indptr = dataset(file, "spots/indptr", kind="i", shape=(None,))[()]
        n_frames = len(indptr) - 1
        last = n_frames if stop is None else stop
        if not 0 <= start <= last <= n_frames:
            raise InputFileError(
                path, "does not hold the frames", expected=f"0 to {n_frames}", found=f"{start} to {last}"
            )
        n_spots = len(dataset(file, "spots/hkl", kind="i", shape=(None, 3)))
        if indptr[0] != 0 or indptr[-1] != n_spots or (np.diff(indptr) < 0).any():
            raise InputFileError(
                path, "row pointers do not fit the spots", where="/spots/indptr", expected=f"0 rising to {n_spots}"
            )
        try:
            return StillTruth(
                _read_shots(file, n_frames, start, last),
                _read_spots(file, indptr, n_spots, start, last),
                dataset(file, "background_mean", kind="f", shape=(None, None))[()],
                _read_crystal(file),
                _read_reference(file),
                float(_experiment(file, "wavelength_angstrom")),
                float(_experiment(file, "spot_sigma_px")),
            )
        except (DataError, GeometryError) as error:
            raise InputFileError(path, str(error)) from error


def _read_shots(file: h5py.File, n_frames: int, start: int, stop: int) -> StillShots:
    columns = {}
    for column in fields(StillShots):
        dtype, inner = _SHOTS.get(column.name, (np.float64, ()))
        kind = "b" if dtype is np.bool_ else "f"
        columns[column.name] = dataset(file, f"shots/{column.name}", kind=kind, shape=(n_frames, *inner))[start:stop]
    return StillShots(**columns)


def _read_spots(file: h5py.File, indptr: NDArray[np.int64], n_spots: int, start: int, stop: int) -> StillSpots:
    rows = slice(int(indptr[start]), int(indptr[stop]))
    columns = {}
    for column in fields(StillSpots)[1:]:
        dtype, inner = _SPOTS.get(column.name, (np.float32, ()))
        kind = "i" if dtype is np.int32 else "f"
        columns[column.name] = dataset(file, f"spots/{column.name}", kind=kind, shape=(n_spots, *inner))[rows]
    return StillSpots(indptr=indptr[start : stop + 1] - indptr[start], **columns)


def _read_crystal(file: h5py.File) -> Crystal:
    cell = dataset(file, "crystal/cell", kind="f", shape=(6,))[()]
    return Crystal(tuple(cell.tolist()), text_attribute(file["crystal"], "space_group"))


def _read_reference(file: h5py.File) -> Reflections:
    hkl = dataset(file, "reference/hkl", kind="i", shape=(None, 3))[()]
    return Reflections.bare(hkl, dataset(file, "reference/intensity", kind="f", shape=(len(hkl),))[()])


def _experiment(file: h5py.File, name: str) -> float:
    group = file.get("experiment")
    if not isinstance(group, h5py.Group):
        raise InputFileError(file.filename, "group is missing", where="/experiment")
    return number_attribute(group, name)
