"""Amino acids with ideal coordinates from the wwPDB Chemical Component Dictionary (CC0).

The file beside this module is written by scripts/build_residue_library.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError

_FILE = "residue_library.json"


@dataclass(frozen=True, eq=False)
class AminoAcid:
    """A free, neutral amino acid: amine, side chain and carboxylic acid.

    Parameters
    ----------
    name, letter : str
        Three-letter and one-letter codes.
    atom_name, element : tuple of str
        Names of the dictionary (N, CA, C, O, OXT, H, H2, HXT, ...) and elements.
    position_angstrom : ndarray of float64, `(n_atoms, 3)`
        Ideal coordinates of the L form.
    bond : ndarray of int64, `(n_bonds, 2)`
        Numbers of bonded atoms.
    """

    name: str
    letter: str
    atom_name: tuple[str, ...]
    element: tuple[str, ...]
    position_angstrom: NDArray[np.float64]
    bond: NDArray[np.int64]

    def __post_init__(self) -> None:
        place = frozen_array(f"{self.name}: position", self.position_angstrom, np.float64, (len(self.element), 3))
        object.__setattr__(self, "position_angstrom", place)
        object.__setattr__(self, "bond", frozen_array(f"{self.name}: bond", self.bond, np.int64, (None, 2)))

    def number(self, atom_name: str) -> int:
        """Return the number of the atom of that name."""
        return self.atom_name.index(atom_name)

    def atom(self, atom_name: str) -> NDArray[np.float64]:
        """Return the place `(3,)` of the atom of that name."""
        return np.asarray(self.position_angstrom[self.number(atom_name)])


@cache
def residue_library() -> Mapping[str, AminoAcid]:
    """Return the 20 amino acids by three-letter code."""
    text = resources.files("fewphoton.data").joinpath(_FILE).read_text(encoding="utf-8")
    found = {}
    for name, entry in json.loads(text)["residues"].items():
        names, elements, x, y, z = zip(*entry["atoms"], strict=True)
        found[name] = AminoAcid(
            name, entry["letter"], names, elements, np.array([x, y, z]).T.copy(), np.array(entry["bonds"])
        )
    return MappingProxyType(found)


def amino_acid(name: str) -> AminoAcid:
    """Return an amino acid by its three-letter code.

    Raises
    ------
    DataError
        If the library has none of that name.
    """
    library = residue_library()
    if name not in library:
        raise DataError(f"unknown amino acid {name!r}; the library holds {', '.join(library)}")
    return library[name]
