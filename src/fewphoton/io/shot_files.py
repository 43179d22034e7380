"""Files of one shot (HDF5): scattering vectors, intensities, noise, composition, and the truth where it is known.

Group ``shot`` is all that a recovery may see. Group ``truth``, of simulations alone, is read by a function of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np

from fewphoton.data import Molecule, Shot
from fewphoton.data.shot import AtomModel
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import created, dataset, opened, require_kind, store, text_attribute
from fewphoton.io.provenance import Provenance

KIND = "shot"
_ATOM_COLUMNS = {
    "position_angstrom": ("angstrom", (None, 3)),
    "occupancy": ("1", (None,)),
    "b_iso_angstrom2": ("angstrom^2", (None,)),
}


def write_shot_file(path: Path | str, shot: Shot, provenance: Provenance, truth: Molecule | None = None) -> None:
    """Write a shot; ``truth`` is the molecule that made it, where it is simulated."""
    with created(path) as file:
        group = file.create_group("shot")
        group.attrs["atom_model"] = shot.atom_model
        store(
            group, "q_inv_angstrom", shot.q_inv_angstrom, units="1/angstrom", convention="without 2 pi, beam along +z"
        )
        store(group, "intensity_electron2", shot.intensity_electron2, units="electron^2")
        store(group, "wavelength_angstrom", shot.wavelength_angstrom, units="angstrom")
        store(group, "white_sigma_electron2", shot.white_sigma_electron2, units="electron^2")
        if shot.photons_per_electron2 is not None:
            store(group, "photons_per_electron2", shot.photons_per_electron2, units="1/electron^2")
        store(group, "composition_element", np.array(list(shot.composition), dtype="S"))
        store(group, "composition_count", np.array(list(shot.composition.values()), dtype=np.int64))
        if truth is not None:
            atoms = file.create_group("truth")
            store(atoms, "element", np.array(truth.element, dtype="S"))
            for name, (units, _) in _ATOM_COLUMNS.items():
                store(atoms, name, getattr(truth, name), units=units)
        provenance.write(file, KIND)


def read_shot_file(path: Path | str) -> Shot:
    """Read a shot, and nothing of the molecule that made it.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, or holds no possible shot.
    """
    with opened(path) as file:
        require_kind(file, KIND)
        intensity = dataset(file, "shot/intensity_electron2", kind="f", shape=(None,))[()]
        numbers = {
            name: float(dataset(file, f"shot/{name}", kind="fiu", shape=())[()])
            for name in ("wavelength_angstrom", "white_sigma_electron2")
        }
        counted = "shot/photons_per_electron2" in file
        names = dataset(file, "shot/composition_element", kind="S", shape=(None,))[()]
        counts = dataset(file, "shot/composition_count", kind="iu", shape=(len(names),))[()]
        try:
            return Shot(
                q_inv_angstrom=dataset(file, "shot/q_inv_angstrom", kind="f", shape=(len(intensity), 3))[()],
                intensity_electron2=intensity,
                photons_per_electron2=float(dataset(file, "shot/photons_per_electron2", kind="fiu", shape=())[()])
                if counted
                else None,
                composition={name.decode(): int(count) for name, count in zip(names, counts, strict=True)},
                atom_model=cast(AtomModel, text_attribute(file["shot"], "atom_model")),
                **numbers,
            )
        except (DataError, UnicodeDecodeError) as error:
            raise InputFileError(path, str(error), where="/shot") from error


def read_true_molecule(path: Path | str) -> Molecule:
    """Read the molecule that made a simulated shot.

    Raises
    ------
    InputFileError
        If the file is missing, truncated or foreign, or holds no truth.
    """
    with opened(path) as file:
        require_kind(file, KIND)
        names = dataset(file, "truth/element", kind="S", shape=(None,))[()]
        columns = {
            name: dataset(file, f"truth/{name}", kind="f", shape=shape)[()]
            for name, (_, shape) in _ATOM_COLUMNS.items()
        }
        try:
            return Molecule(tuple(name.decode() for name in names), **columns)
        except (DataError, UnicodeDecodeError) as error:
            raise InputFileError(path, str(error), where="/truth") from error
