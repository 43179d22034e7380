"""Intensity volumes: HDF5 for the suite, CCP4 maps for people's viewers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gemmi
import h5py
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.errors import DataError, GeometryError, InputFileError
from fewphoton.io.atomic import written_aside
from fewphoton.io.hdf5 import created, dataset, opened, require_kind, store, text_attribute, whole_attribute
from fewphoton.io.provenance import Provenance

KIND = "intensity_volume"


@dataclass(frozen=True, eq=False)
class VolumeFile:
    """Content of a volume file.

    Parameters
    ----------
    volume : IntensityVolume
        Intensity.
    crystal : Crystal
        Cell, space group, orientation.
    rotation_axis : ndarray of float64, `(3,)`
        Goniometer axis.
    halves : tuple of two IntensityVolume, or None
        The same from the even and the odd frames.
    """

    volume: IntensityVolume
    crystal: Crystal
    rotation_axis: NDArray[np.float64]
    halves: tuple[IntensityVolume, IntensityVolume] | None


def write_volume_file(
    path: Path | str,
    volume: IntensityVolume,
    crystal: Crystal,
    rotation_axis: NDArray[np.float64],
    provenance: Provenance,
    halves: tuple[IntensityVolume, IntensityVolume] | None = None,
) -> None:
    """Write a volume with its crystal; the default plot of the file is the volume with its hkl axes."""
    with created(path) as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="volume")
        _write_grid(entry, "volume", volume)
        for name, half in zip(("half_1", "half_2"), halves or (), strict=False):
            _write_grid(entry, name, half)
        place = entry.create_group("crystal")
        place.attrs["space_group"] = crystal.space_group
        store(place, "cell", np.array(crystal.cell), units="angstrom, deg")
        store(place, "u_matrix", crystal.u_matrix)
        store(place, "rotation_axis", np.asarray(rotation_axis, dtype=np.float64))
        provenance.write(file, KIND)


def _write_grid(entry: h5py.Group, name: str, volume: IntensityVolume) -> None:
    group = entry.create_group(name)
    group.attrs.update(NX_class="NXdata", signal="values", axes=["h", "k", "l"])
    group.attrs["voxels_per_cell"] = volume.voxels_per_cell
    store(group, "values", volume.values, units="photons/pixel/frame")
    store(group, "weight", volume.weight)
    for axis in "hkl":
        store(group, axis, volume.axis_hkl())


def _read_grid(entry: h5py.Group, name: str) -> IntensityVolume:
    shape = (None, None, None)
    values = dataset(entry, f"{name}/values", kind="f", shape=shape)
    weight = dataset(entry, f"{name}/weight", kind="f", shape=values.shape)
    return IntensityVolume(values[()], weight[()], whole_attribute(entry[name], "voxels_per_cell"))


def read_volume_file(path: Path | str, *, with_halves: bool = True) -> VolumeFile:
    """Read a volume file.

    Parameters
    ----------
    path : Path or str
        The file.
    with_halves : bool
        Read the half volumes too, where there are any; without them a third of the memory is needed.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, or inconsistent.
    """
    with opened(path) as file:
        require_kind(file, KIND)
        entry = file.get("entry")
        if not isinstance(entry, h5py.Group):
            raise InputFileError(path, "group is missing", where="/entry")
        cell = dataset(entry, "crystal/cell", kind="f", shape=(6,))[()]
        u_matrix = dataset(entry, "crystal/u_matrix", kind="f", shape=(3, 3))[()]
        axis = dataset(entry, "crystal/rotation_axis", kind="f", shape=(3,))[()]
        try:
            crystal = Crystal(tuple(cell.tolist()), text_attribute(entry["crystal"], "space_group"), u_matrix)
            halves = None
            if with_halves and "half_1" in entry:
                halves = (_read_grid(entry, "half_1"), _read_grid(entry, "half_2"))
            return VolumeFile(_read_grid(entry, "volume"), crystal, axis, halves)
        except (DataError, GeometryError) as error:
            raise InputFileError(path, str(error), where="/entry") from error


def write_ccp4_map(
    path: Path | str, values: NDArray[np.float64], cell: tuple[float, float, float, float, float, float]
) -> None:
    """Write a map that fills the unit cell, `(n_x, n_y, n_z)`, as CCP4/MRC (mode 2, float32, space group P 1).

    Raises
    ------
    DataError
        If the map is not three-dimensional or not finite.
    """
    if values.ndim != 3 or not np.isfinite(values).all():
        raise DataError(f"a CCP4 map needs finite values in three dimensions, found shape {values.shape}")
    grid = gemmi.FloatGrid(np.asfortranarray(values, dtype=np.float32))
    grid.set_unit_cell(gemmi.UnitCell(*cell))
    grid.spacegroup = gemmi.SpaceGroup("P 1")
    ccp4 = gemmi.Ccp4Map()
    ccp4.grid = grid
    ccp4.update_ccp4_header(2, True)
    with written_aside(path) as aside:
        ccp4.write_ccp4_map(str(aside))


def read_ccp4_map(path: Path | str) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Return values `(n_x, n_y, n_z)` and cell of a CCP4/MRC map.

    Raises
    ------
    InputFileError
        If gemmi cannot read the file.
    """
    try:
        ccp4 = gemmi.read_ccp4_map(str(path), setup=True)
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        raise InputFileError(path, f"cannot be read as a CCP4 map: {error}") from error
    return np.array(ccp4.grid.array), tuple(ccp4.grid.unit_cell.parameters)
