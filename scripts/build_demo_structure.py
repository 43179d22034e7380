"""Build the model crystal of the demo: C78H120Mo2N6O in I-43d, a = 21.47 angstrom, 8 formula units.

The composition, space group and cell are those of Ayyer et al. (2015), IUCrJ 2, 29-34; the atoms are invented.
Half a formula unit, Mo(N(tBu)(mesityl))3 with half an oxygen, sits on a threefold axis. A seeded search turns the
rigid ligand so that its nearest contact to other molecules is as long as possible.

Usage: python scripts/build_demo_structure.py config/structures/dimolybdenum_i43d.cif
"""

from __future__ import annotations

import sys
from pathlib import Path

import gemmi
import numpy as np

from fewphoton.data.orientations import rotation_about_axis
from fewphoton.io.atomic import write_text

A = 21.47
SPACE_GROUP = "I -4 3 d"
AXIS = np.ones(3) / np.sqrt(3)
U_ISO = {"Mo": 0.030, "O": 0.040, "N": 0.038, "C": 0.050, "H": 0.075}
TETRAHEDRAL = 109.47
N_TRIALS = 12000


def turned(vector: np.ndarray, axis: np.ndarray, angle_deg: float) -> np.ndarray:
    """Turn a vector about an axis."""
    return rotation_about_axis(axis, angle_deg) @ vector


def perpendicular(axis: np.ndarray) -> np.ndarray:
    """Return a unit vector normal to ``axis``."""
    other = np.array([1.0, 0, 0]) if abs(axis[0]) < 0.8 else np.array([0, 1.0, 0])
    cross = np.cross(axis, other)
    return cross / np.linalg.norm(cross)


def branches(origin: np.ndarray, bond: np.ndarray, length: float, torsion_deg: float) -> list[np.ndarray]:
    """Return the three other tetrahedral neighbours of an atom that is reached along ``bond``."""
    side = turned(perpendicular(bond), bond, torsion_deg)
    first = turned(bond, side, 180 - TETRAHEDRAL)
    return [origin + length * turned(first, bond, 120.0 * n) for n in range(3)]


def ligand(parameters: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Place Mo, O and one ligand; the threefold axis makes the other two."""
    x_mo, azimuth, twist, ring_turn, butyl_turn = parameters
    mo = np.full(3, x_mo * A)
    atoms = [("Mo", mo), ("O", mo + 1.90 * AXIS)]
    radial = turned(perpendicular(AXIS), AXIS, azimuth)
    to_n = turned(AXIS, np.cross(AXIS, radial), 105.0)
    nitrogen = mo + 1.96 * to_n
    atoms.append(("N", nitrogen))
    normal = turned(perpendicular(to_n), to_n, twist)
    to_butyl, to_ring = turned(to_n, normal, 60.0), turned(to_n, normal, -60.0)

    centre = nitrogen + 1.50 * to_butyl
    atoms.append(("C", centre))
    for methyl in branches(centre, to_butyl, 1.53, butyl_turn):
        atoms.append(("C", methyl))
        bond = (methyl - centre) / 1.53
        atoms += [("H", place) for place in branches(methyl, bond, 0.98, 60.0)]

    across = turned(perpendicular(to_ring), to_ring, ring_turn)
    first = nitrogen + 1.45 * to_ring
    middle = first + 1.39 * to_ring
    for n in range(6):
        outward = -to_ring if n == 0 else turned(-to_ring, across, 60.0 * n)
        carbon = middle + 1.39 * outward
        atoms.append(("C", carbon))
        if n in (1, 3, 5):
            methyl = carbon + 1.51 * outward
            atoms.append(("C", methyl))
            atoms += [("H", place) for place in branches(methyl, outward, 0.98, 30.0)]
        elif n in (2, 4):
            atoms.append(("H", carbon + 0.95 * outward))
    return atoms


def nearest_contact(atoms: list[tuple[str, np.ndarray]], operations: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Shortest distance between C and N atoms of different symmetry copies of the ligand, in angstrom."""
    places = np.array([place for name, place in atoms if name in "CN"]) / A
    shortest = np.inf
    for rotation, shift in operations[1:]:
        image = places @ rotation.T + shift
        gap = places[:, None] - image[None]
        gap -= np.rint(gap)
        shortest = min(shortest, float(np.sqrt((gap**2).sum(axis=-1)).min() * A))
    return shortest


def main(target: Path) -> None:
    """Search the torsions and write the best structure."""
    group = gemmi.SpaceGroup(SPACE_GROUP)
    operations = [(np.array(op.rot) / op.DEN, np.array(op.tran) / op.DEN) for op in group.operations()]
    rng = np.random.default_rng(2015)
    low, high = np.array([0.0, 0, 0, 0, 0]), np.array([0.5, 120, 360, 180, 120])
    best, contact = None, 0.0
    for trial in range(N_TRIALS):
        if best is None or trial < N_TRIALS // 2:
            candidate = low + (high - low) * rng.random(5)
        else:
            candidate = best + (high - low) * 0.03 * rng.standard_normal(5)
        found = nearest_contact(ligand(candidate), operations)
        if found > contact:
            best, contact = candidate, found
    assert best is not None
    write_text(target, cif(ligand(best), contact))
    print(f"{target}: nearest contact between ligands {contact:.2f} angstrom")


def cif(atoms: list[tuple[str, np.ndarray]], contact: float) -> str:
    """Return the structure as small-molecule CIF."""
    lines = [
        "# An invented structure with the composition, cell and space group of the crystal of Ayyer et al. (2015),",
        "# IUCrJ 2, 29-34, doi:10.1107/S2052252514022313. "
        "Made by scripts/build_demo_structure.py. It is no experiment.",
        f"# Nearest contact between C and N atoms of different ligands: {contact:.2f} angstrom.",
        "data_dimolybdenum_model",
        "_chemical_formula_sum 'C78 H120 Mo2 N6 O'",
        "_cell_formula_units_Z 8",
        *(f"_cell_length_{axis} {A}" for axis in "abc"),
        *(f"_cell_angle_{angle} 90" for angle in ("alpha", "beta", "gamma")),
        f"_space_group_name_H-M_alt '{SPACE_GROUP}'",
        "_space_group_IT_number 220",
        "loop_",
        "_atom_site_label",
        "_atom_site_type_symbol",
        "_atom_site_fract_x",
        "_atom_site_fract_y",
        "_atom_site_fract_z",
        "_atom_site_occupancy",
        "_atom_site_U_iso_or_equiv",
    ]
    counters: dict[str, int] = {}
    for name, place in atoms:
        counters[name] = counters.get(name, 0) + 1
        x, y, z = place / A
        occupancy = 0.5 if name == "O" else 1.0
        lines.append(f"{name}{counters[name]} {name} {x:.5f} {y:.5f} {z:.5f} {occupancy:.1f} {U_ISO[name]:.3f}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
