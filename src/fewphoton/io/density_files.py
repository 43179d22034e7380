"""Densities of single particles: HDF5 for the suite (NXdata, whose default plot is the density).

Layout::

    /                   fewphoton_kind = particle_density, NX_class = NXroot, default = entry
    /entry/density      NXdata: values float64 (n, n, n), x, y, z float64 (n) in angstrom;
                        attributes box_angstrom, q_low_inv_angstrom, q_high_inv_angstrom
    /provenance/...
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from fewphoton.data.density import Density
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import created, dataset, number_attribute, opened, require_kind, store
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import write_ccp4_map

KIND = "particle_density"
_NUMBERS = ("box_angstrom", "q_low_inv_angstrom", "q_high_inv_angstrom")


def write_density_file(path: Path | str, density: Density, provenance: Provenance) -> None:
    """Write a density with its axes."""
    with created(path) as file:
        file.attrs["default"] = "entry"
        entry = file.create_group("entry")
        entry.attrs.update(NX_class="NXentry", default="density")
        group = entry.create_group("density")
        group.attrs.update(NX_class="NXdata", signal="values", axes=["x", "y", "z"])
        for name in _NUMBERS:
            group.attrs[name] = getattr(density, name)
        store(group, "values", density.values)
        for axis in "xyz":
            store(group, axis, density.axis_angstrom(), units="angstrom")
        provenance.write(file, KIND)


def read_density_file(path: Path | str) -> Density:
    """Read a density.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, or inconsistent.
    """
    with opened(path) as file:
        require_kind(file, KIND)
        values = dataset(file, "entry/density/values", kind="f", shape=(None, None, None))[()]
        group = file["entry/density"]
        assert isinstance(group, h5py.Group)  # it holds the dataset above
        numbers = [number_attribute(group, name) for name in _NUMBERS]
        try:
            return Density(values, *numbers)
        except DataError as error:
            raise InputFileError(path, str(error), where="/entry/density") from error


def write_density_map(path: Path | str, density: Density) -> None:
    """Write a density as a CCP4/MRC map of one box, the particle in its middle (space group P 1).

    Voxel i of the map lies at i L / n from the map's corner, so the origin of the density is at voxel n // 2.
    """
    edge = density.box_angstrom
    write_ccp4_map(path, np.asarray(density.values), (edge, edge, edge, 90.0, 90.0, 90.0))
