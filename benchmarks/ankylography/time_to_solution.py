"""How often and how fast the suite's own solver finds molecules: cases times noise seeds, one row a recovery.

Run ``python -m benchmarks.ankylography.time_to_solution THREONINE.xyz`` in the project's root. ``--cases`` chooses,
``--seeds`` tells how many seeds each case gets, ``--budget`` the processor time of a recovery. A seed draws the
molecule (random ones), its orientation, the noise and the search. Boxes are the solver's default; nothing of the truth
reaches the search. Every row is appended to ``benchmarks/records/time_to_solution.csv`` at once; seeds that stand there
for the same case are not repeated. The table at the end gives success with its Wilson interval and the median
processor time of all seeds, failures counted as longer than any.

Settings were chosen on threonine and random molecules of seeds below 100; cases named ``held_out`` are other molecules
and seeds, run once.
"""

from __future__ import annotations

import argparse
import csv
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from fewphoton.ankylography.fisher_information import standard_errors
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.recover_by_tempering import recover_by_tempering
from fewphoton.ankylography.simulated_shot import SimulatedShot
from fewphoton.config.simulate_shot import SimulateShotConfig
from fewphoton.config.tempering import TemperingConfig
from fewphoton.data import Molecule, PositionGrid
from fewphoton.data.random_molecule import organic_composition, random_molecule
from fewphoton.evaluate.molecule_match import match_molecules
from fewphoton.evaluate.molecule_score import score
from fewphoton.evaluate.proportions import wilson_interval
from fewphoton.io.molecule_files import read_molecule
from fewphoton.simulate.grid_snapping import snapped

RECORD = Path(__file__).resolve().parents[1] / "records" / "time_to_solution.csv"
GRID = {"spacing_angstrom": 0.78, "shape": (13, 13, 13)}
GRID_SEARCH = {"grid": GRID}
KEPT = ("error", "n_matched", "n_heavy_close", "all_heavy_close", "rms_matched_angstrom", "rms_over_bound", "solved")


@dataclass(frozen=True)
class Case:
    """What is shot, and how it is searched."""

    shot: dict[str, object]
    search: dict[str, object]
    n_atoms: int | None = None
    composition: dict[str, int] | None = None
    first_seed: int = 0
    file: str | None = None


def _white(level: float, wavelength: float = 0.35, **more: object) -> dict[str, object]:
    angle = 60.0 * wavelength / 0.35
    return {"white_level": level, "wavelength_angstrom": wavelength, "largest_angle_deg": min(angle, 180.0), **more}


CASES = {
    "threonine_grid_1e-4": Case(_white(1e-4, grid=GRID), GRID_SEARCH),
    "threonine_grid_1e-3": Case(_white(1e-3, grid=GRID), GRID_SEARCH),
    "threonine_1e-4": Case(_white(1e-4), {}),
    "threonine_1e-3": Case(_white(1e-3), {}),
    "threonine_contacts_1e-3": Case(_white(1e-3), {"contacts": "covalent"}),
    "threonine_1e-2": Case(_white(1e-2), {}),
    "threonine_free_atoms_1e-4": Case(_white(1e-4, atom_model="free_atom"), {"contacts": "covalent"}),
    "threonine_1e5_photons": Case({"photons_per_shot": 1e5, "largest_angle_deg": 60.0}, {}),
    "random_20_1e-3": Case(_white(1e-3), {}, n_atoms=20),
    "random_30_1e-4": Case(_white(1e-4), {}, n_atoms=30),
    "held_out_random_12_1e-3": Case(_white(1e-3), {}, n_atoms=12, first_seed=1000),
    "held_out_random_20_1e-3": Case(_white(1e-3), {}, n_atoms=20, first_seed=1000),
    "held_out_random_16_of_0.7": Case(_white(1e-3, 0.7), {}, n_atoms=16, first_seed=1000),
    "held_out_alanine_1e-3": Case(_white(1e-3), {}, first_seed=1000, file="ccd_ALA.xyz"),
    "held_out_cysteine_1e-3": Case(_white(1e-3), {}, first_seed=1000, file="ccd_CYS.xyz"),
}


def molecule_of(case: Case, threonine: Path, seed: int) -> Molecule:
    """Return the molecule of a seed where it stands in the shot."""
    random = np.random.default_rng([seed, 1])
    if case.n_atoms is not None:
        return random_molecule(organic_composition(case.n_atoms), random).centred()
    molecule = read_molecule(threonine if case.file is None else threonine.with_name(case.file))
    turn = Rotation.random(None, random).as_matrix()
    molecule = replace(molecule, position_angstrom=molecule.position_angstrom @ turn.T).centred()
    if "grid" in case.shot:
        molecule, _ = snapped(molecule, PositionGrid(GRID["spacing_angstrom"], GRID["shape"]))
    return molecule


def recovery(name: str, threonine: Path, seed: int, budget: float, threads: int) -> dict[str, object]:
    """Run one recovery and return its row."""
    case = CASES[name]
    seed += case.first_seed
    molecule = molecule_of(case, threonine, seed)
    settings = {key: value for key, value in case.shot.items() if key != "grid"}
    config = SimulateShotConfig.model_validate({"random": {"n_atoms": len(molecule)}, "seed": seed, **settings})
    simulated = SimulatedShot.of(molecule, config)
    model = ForwardModel.of(simulated.shot)
    variance = simulated.shot.variance(simulated.true_intensity_electron2)
    bound = standard_errors(model, variance, molecule.position_angstrom, model.kinds(molecule.element))
    search = TemperingConfig.model_validate(case.search)
    lines: list[str] = []
    wall, begin = time.perf_counter(), time.process_time()
    found = recover_by_tempering(
        simulated.shot, search, seed, lambda: time.process_time() - begin > budget, lines.append, threads
    )
    seconds, wall = time.process_time() - begin, time.perf_counter() - wall
    match = match_molecules(molecule, found[0].molecule)
    spacing = GRID["spacing_angstrom"] if "grid" in case.shot else None
    scores = score(match, bound_angstrom=bound, grid_spacing_angstrom=spacing)
    sweeps = [line.split()[1].rstrip(":") for line in lines if line.startswith("sweep")]
    row = {"case": name, "seed": seed, "budget_s": budget, "cpu_seconds": round(seconds, 2), "seconds": round(wall, 2)}
    row |= {"sweeps": sweeps[-1], "reduced_chi2": round(found[0].reduced_chi2, 4), "on_right_sites": ""}
    row |= {"explained": lines[-1].startswith("noise"), "n_atoms": len(molecule)}
    return row | {key: scores[key] for key in (*KEPT, *(("on_right_sites",) if spacing else ()))}


def succeeded(row: dict[str, str]) -> bool:
    """On a grid: every atom on its site; off it: all heavy atoms within 0.1 angstrom."""
    return (row["on_right_sites"] or row["all_heavy_close"]) == "True"


def main() -> None:
    """Run what is not there yet and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("threonine", type=Path, help="XYZ file of threonine; the others lie beside it")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=float, default=300.0, help="processor time of a recovery, seconds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--record", type=Path, default=RECORD)
    options = parser.parse_args()
    for name in options.cases:
        for seed in range(options.seeds):
            known = list(csv.DictReader(options.record.open())) if options.record.exists() else []
            if any(row["case"] == name and int(row["seed"]) == seed + CASES[name].first_seed for row in known):
                continue
            row = recovery(name, options.threonine, seed, options.budget, options.threads)
            fresh = not options.record.exists()
            with options.record.open("a", newline="") as file:
                writer = csv.DictWriter(file, list(row), lineterminator="\n")
                if fresh:
                    writer.writeheader()
                writer.writerow(row)
            print(row, flush=True)
    rows = list(csv.DictReader(options.record.open()))
    print(f"{'case':28} {'solved':>8} {'95 % interval':>15} {'median CPU s':>13} {'rms/bound':>10}")
    for name in CASES:
        mine = [row for row in rows if row["case"] == name]
        if not mine:
            continue
        good = [succeeded(row) for row in mine]
        rate = wilson_interval(sum(good), len(good))
        times = [float(row["cpu_seconds"]) if ok else np.inf for row, ok in zip(mine, good, strict=True)]
        ratio = [float(row["rms_over_bound"]) for row, ok in zip(mine, good, strict=True) if ok]
        print(
            f"{name:28} {sum(good):>3}/{len(good):<4} {rate.low:>7.0%}-{rate.high:<7.0%} {np.median(times):>13.1f} "
            f"{np.median(ratio) if ratio else np.nan:>10.2f}"
        )


if __name__ == "__main__":
    main()
