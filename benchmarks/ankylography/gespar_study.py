"""GESPAR and hybrid input-output on threonine whose atoms sit on the sites of a grid: one run, one table.

Run ``python -m benchmarks.ankylography.gespar_study THREONINE.xyz`` in the project's root; ``--seconds`` sets the
processor time of a row, ``--only TEXT`` takes the rows whose name holds a text. Every row repeats single restarts with
seeds 0, 1, ... until its time is spent, and counts how many end at the true molecule (every atom on its site and of its
element, up to shift and inversion) and near it (error of eq. 4 of Mutzafi et al. 2015, doi:10.1038/ncomms8950, below
0.1). The truth takes no part in any search: restarts are ranked by their own objective, and ``error of the best`` is
that of the one which ranks first. The truth's own residual tells whether a search failed or the objective did: where it
is above that of the best restart, the best explains the shot better than the truth. Rows are appended to
``benchmarks/records/gespar_study.csv``.

Molecules: threonine snapped to sites 0.78 angstrom apart (17 atoms), its 8 heavy atoms, and the first 5 of those. Grids
with more than 9 sites along an axis leave a margin, as a first atom on a random site fixes the shift.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.gespar import recover_by_gespar
from fewphoton.ankylography.hio import recover_by_hio
from fewphoton.ankylography.noise import white_noise_sigma
from fewphoton.ankylography.sparse_problem import SparseProblem
from fewphoton.config.gespar import GesparConfig
from fewphoton.config.hybrid_input_output import HybridInputOutputConfig
from fewphoton.data import Molecule, Shot
from fewphoton.data.position_grid import PositionGrid
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.evaluate.molecule_match import match_molecules
from fewphoton.io.molecule_files import read_xyz

RECORD = Path(__file__).resolve().parents[1] / "records" / "gespar_study.csv"
SPACING_ANGSTROM = 0.78
WAVELENGTH_ANGSTROM = 0.35
LARGEST_ANGLE_DEG = 30.0
NEAR = 0.1
WILSON = {"weights": "wilson"}
POSITIVE = {"weights": "wilson", "amplitudes": "positive"}
KNOWN = {"weights": "wilson", "amplitudes": "known"}


@dataclasses.dataclass(frozen=True)
class Row:
    """A molecule, its measurement, and a method with its options."""

    method: str
    molecule: str
    box: int
    noise: float
    options: dict[str, Any]
    n_detectors: int = 500

    @property
    def name(self) -> str:
        options = ", ".join(f"{key}={value}" for key, value in self.options.items()) or "as the paper"
        return f"{self.method}, {self.molecule}, {self.box}^3, N={self.noise:g}: {options}"


def rows() -> Iterator[Row]:
    for box in (9, 11, 13):
        yield Row("GESPAR", "threonine", box, 0.0, {})
    for options in (
        {"n_candidates": 5},
        {"swap_after": "last_addition"},
        {"swap_after": "last_addition", "n_removals": 1},
        {"steps": "marquardt"},
        {"start": "random", "random_weights": True, "swap_after": "last_addition"},
        {"amplitudes": "positive", "n_candidates": 3},
        {"amplitudes": "known", "n_candidates": 5},
        WILSON,
        WILSON | {"kappa": 1.0},
        WILSON | {"n_candidates": 5},
        WILSON | {"steps": "marquardt"},
        WILSON | {"random_weights": True},
        POSITIVE | {"n_candidates": 3},
        POSITIVE | {"n_candidates": 20},
        KNOWN | {"n_candidates": 5},
        KNOWN | {"n_candidates": 50},
        KNOWN | {"n_candidates": 50, "swap_after": "last_addition"},
    ):
        yield Row("GESPAR", "threonine", 11, 0.0, options)
    for options in ({}, WILSON, {"weights": "noise"}, POSITIVE | {"n_candidates": 20}, KNOWN | {"n_candidates": 50}):
        yield Row("GESPAR", "threonine", 11, 1e-4, options)
    for molecule in ("8 heavy atoms", "5 heavy atoms"):
        for noise in (0.0, 1e-4):
            for options in ({}, WILSON, POSITIVE | {"n_candidates": 5}, KNOWN | {"n_candidates": 20}):
                yield Row("GESPAR", molecule, 11, noise, options)
    for noise in (0.0, 1e-4):
        yield Row("HIO", "threonine", 11, noise, {"basis": "voxels"})
        yield Row("HIO", "threonine", 11, noise, {})
        yield Row("sparse HIO", "threonine", 11, noise, {"sparse": True})
        yield Row("sparse HIO", "5 heavy atoms", 11, noise, {"sparse": True})


def on_sites(molecule: Molecule, name: str) -> Molecule:
    """Return the atoms that a row asks for, each on the nearest site of the smallest grid that holds all."""
    if name != "threonine":
        heavy = [number for number, element in enumerate(molecule.element) if element != "H"][: int(name[0])]
        molecule = Molecule(
            tuple(molecule.element[number] for number in heavy),
            molecule.position_angstrom[heavy],
            molecule.occupancy[heavy],
            molecule.b_iso_angstrom2[heavy],
        )
    grid = PositionGrid(SPACING_ANGSTROM, (9, 9, 9))
    site = grid.nearest_site(molecule.centred().position_angstrom)
    if len(set(site.tolist())) < len(site):
        raise SystemExit("two atoms of the molecule share a site")
    return dataclasses.replace(molecule, position_angstrom=grid.positions(site))


def exposed(molecule: Molecule, row: Row) -> Shot:
    """Return the shot of a row; its noise is the same for all methods."""
    composition = {name: molecule.element.count(name) for name in dict.fromkeys(molecule.element)}
    q = ewald_sphere(WAVELENGTH_ANGSTROM, row.n_detectors, LARGEST_ANGLE_DEG)
    model = ForwardModel.build(q, tuple(composition), "sphere")
    intensity = model.intensity(molecule.position_angstrom, model.kinds(molecule.element))
    sigma = white_noise_sigma(intensity, row.noise)
    noisy = intensity + sigma * np.random.default_rng(20).standard_normal(len(q))
    return Shot(WAVELENGTH_ANGSTROM, q, noisy, sigma, None, composition)


def restart(row: Row, shot: Shot, seed: int) -> RecoveredMolecule:
    """Return what one restart of the row's method finds."""
    grid = {"spacing_angstrom": SPACING_ANGSTROM, "shape": (row.box,) * 3}
    if row.method == "GESPAR":
        gespar = GesparConfig(grid=grid, n_restarts=1, **row.options)
        return recover_by_gespar(shot, gespar, seed, lambda: False, lambda line: None)[0]
    iterations = HybridInputOutputConfig(grid=grid, n_restarts=1, **row.options)
    return recover_by_hio(shot, iterations, seed, lambda: False, lambda line: None)[0]


def residual(row: Row, shot: Shot, molecule: Molecule) -> float:
    """Return the objective that ranks restarts, as the root of the weighted misfit over that of no atoms."""
    grid = PositionGrid(SPACING_ANGSTROM, (row.box,) * 3)
    problem = SparseProblem.of(shot, grid, row.options.get("weights", "none"), row.options.get("kappa", 0.2))
    model = problem.model
    found = model.intensity(molecule.position_angstrom, model.kinds(molecule.element), molecule.occupancy)
    return problem.residual(float(problem.weight @ (shot.intensity_electron2 - found) ** 2))


def measured(row: Row, molecule: Molecule, seconds: float) -> dict[str, Any]:
    """Return the record of a row."""
    shot = exposed(molecule, row)
    found: list[RecoveredMolecule] = []
    restart(row, shot, 0)  # compiles the kernels
    spent = 0.0
    while spent < seconds:
        began = time.process_time()
        found.append(restart(row, shot, len(found)))
        spent += time.process_time() - began
    dense = row.method == "HIO"
    ranks = [one.reduced_chi2 if dense else residual(row, shot, one.molecule) for one in found]
    best = int(np.argmin(ranks))
    # Laying a thousand sites upon the truth takes longer than finding them, so only the best is laid.
    scored = [found[best]] if dense else found
    matches = [match_molecules(molecule, one.molecule) for one in scored]
    errors = np.array([match.alignment.error for match in matches])
    exact = sum(
        len(one.molecule) == len(molecule) and match.is_on_right_sites(SPACING_ANGSTROM)
        for one, match in zip(scored, matches, strict=True)
    )
    return {
        "method": row.method,
        "molecule": row.molecule,
        "n_atoms": len(molecule),
        "grid_sites_per_axis": row.box,
        "spacing_angstrom": SPACING_ANGSTROM,
        "wavelength_angstrom": WAVELENGTH_ANGSTROM,
        "largest_angle_deg": LARGEST_ANGLE_DEG,
        "n_detectors": row.n_detectors,
        "noise_level": row.noise,
        "options": " ".join(f"{key}={value}" for key, value in row.options.items()) or "paper",
        "n_restarts": len(found),
        "n_scored": len(scored),
        "n_exact": exact,
        "n_near": int((errors < NEAR).sum()),
        "error_of_best": float(errors[0 if dense else best]),
        "lowest_error": float(errors.min()),
        "residual_of_best": float("nan") if dense else ranks[best],
        "residual_of_truth": residual(row, shot, molecule),
        "median_sites_listed": float(np.median([len(one.molecule) for one in found])),
        "cpu_s_per_restart": spent / len(found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("molecule", type=Path, help="threonine, XYZ")
    parser.add_argument("--seconds", type=float, default=10.0, help="processor time of each row")
    parser.add_argument("--only", default="", help="take rows whose name holds this")
    arguments = parser.parse_args()
    whole, _ = read_xyz(arguments.molecule)
    chosen = [row for row in rows() if arguments.only in row.name]
    for row in chosen:
        record = measured(row, on_sites(whole, row.molecule), arguments.seconds)
        print(
            f"{row.name}: {record['n_exact']} exact, {record['n_near']} near of {record['n_scored']}, "
            f"error of the best {record['error_of_best']:.3f}, residual {record['residual_of_best']:.3e} (truth "
            f"{record['residual_of_truth']:.3e}), {record['cpu_s_per_restart']:.2f} s a restart",
            flush=True,
        )
        fresh = not RECORD.exists()
        with RECORD.open("a", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(record), lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerow(record)


if __name__ == "__main__":
    main()
