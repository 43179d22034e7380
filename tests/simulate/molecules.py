"""A made-up molecule of 14 atoms, 20 angstrom long."""

from __future__ import annotations

import numpy as np

from fewphoton.data import Molecule

ELEMENTS = ("C", "C", "N", "O", "S", "C", "O", "N", "C", "C", "O", "S", "N", "C")


def made_up_molecule(seed: int = 5) -> Molecule:
    rng = np.random.default_rng(seed)
    position = rng.uniform(-1, 1, (len(ELEMENTS), 3)) * [9.0, 6.0, 4.0]
    return Molecule(ELEMENTS, position, rng.uniform(0.5, 1.0, len(ELEMENTS)), rng.uniform(5.0, 80.0, len(ELEMENTS)))


def pdb_text(molecule: Molecule, chain: str = "A", residue: str = "GLY") -> str:
    lines = []
    for number, (name, place) in enumerate(zip(molecule.element, molecule.position_angstrom, strict=True)):
        lines.append(
            f"HETATM{number + 1:5d}  {name:<3} {residue} {chain}{number + 1:4d}    "
            f"{place[0]:8.3f}{place[1]:8.3f}{place[2]:8.3f}"
            f"{molecule.occupancy[number]:6.2f}{molecule.b_iso_angstrom2[number]:6.2f}          {name:>2}"
        )
    return "\n".join(lines) + "\n"
