"""How often and how fast peptides are recovered from one shot in the basis of residues.

Gly-Gly-Ala has the geometry of a force field; the test molecules have library residues with changed bond lengths and
angles, so that no truth lies in the class of shapes that the search samples. A recovery succeeds when the solution of
lowest reduced chi² has every atom within 0.1 angstrom of the truth, after one shift and, where that is better, an
inversion. Every seed draws an orientation, noise and the search's random numbers. Time is processor time of the process
from the start of the search to its end; the search ends on the noise floor or at the limit.

Run ``python benchmarks/ankylography/peptides.py``; settings were chosen on Gly-Gly-Ala alone.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.residue_basis import random_orientation
from fewphoton.ankylography.residues import recover_by_residues
from fewphoton.config.residue_basis import ResidueBasisConfig
from fewphoton.data.molecule import Molecule
from fewphoton.data.shot import Shot
from fewphoton.simulate.peptide import build_peptide

GGA_FILE = Path(__file__).parents[2] / "config" / "structures" / "gly_gly_ala.xyz"
WAVELENGTH_ANGSTROM = 1.0
WITHIN_ANGSTROM = 0.1
REALIGNMENTS = 10


def gly_gly_ala() -> Molecule:
    rows = [line.split() for line in GGA_FILE.read_text().splitlines()[2:]]
    place = np.array([[float(x) for x in row[1:4]] for row in rows])
    return Molecule(tuple(row[0] for row in rows), place, np.ones(len(rows)), np.zeros(len(rows)))


def molecules() -> dict[str, tuple[tuple[str, ...], Molecule]]:
    """Return sequences and true atoms."""
    three = ("ALA", "GLY", "SER")
    four = ("GLY", "ALA", "GLY", "ALA")
    return {
        "gga": (("GLY", "GLY", "ALA"), gly_gly_ala()),
        "ags": (three, build_peptide(three, [(60, -40), (-75, 160), (-100, 150)], 178, 0.015, 0.03, seed=5)),
        "gaga": (four, build_peptide(four, [(60, 150), (-70, -35), (80, 20), (-120, 140)], 178, 0.015, 0.03, seed=6)),
    }


def measured(truth: Molecule, noise_level: float, n_detectors: int, largest_deg: float, model: str, seed: int):
    """Return a shot and the true atoms' places in it."""
    rng = np.random.default_rng(seed)
    place = truth.position_angstrom @ random_orientation(rng).T
    q = ewald_sphere(WAVELENGTH_ANGSTROM, n_detectors, largest_deg)
    composition = dict(Counter(truth.element))
    forward = ForwardModel.build(q, tuple(composition), model)
    intensity = forward.intensity(place, forward.kinds(truth.element))
    sigma = float(np.sqrt(noise_level * (intensity**2).mean()))
    intensity = intensity + sigma * rng.standard_normal(len(q))
    return Shot(WAVELENGTH_ANGSTROM, q, intensity, sigma, None, composition, model), place


def position_errors(found: Molecule, truth: Molecule, place: np.ndarray) -> np.ndarray:
    """Distance of each atom from the truth, like atoms paired, after the better of both hands and a shift."""
    different = np.array(found.element)[:, None] != np.array(truth.element)
    best = np.full(len(found), np.inf)
    for hand in (1, -1):
        here = hand * found.position_angstrom
        here = here - here.mean(axis=0) + place.mean(axis=0)
        for _ in range(REALIGNMENTS):
            pair = linear_sum_assignment(np.where(different, 1e3, np.minimum(cdist(here, place), 2.0)))[1]
            here = here + np.median(place[pair] - here, axis=0)
        errors = np.linalg.norm(here - place[pair], axis=1)
        if np.median(errors) < np.median(best):
            best = errors
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--molecules", nargs="+", default=["gga", "ags", "gaga"])
    parser.add_argument("--noise", type=float, nargs="+", default=[1e-4, 1e-3])
    parser.add_argument("--models", nargs="+", default=["sphere"])
    parser.add_argument("--detectors", type=int, default=4000)
    parser.add_argument("--largest-deg", type=float, default=180.0)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=300.0, help="processor seconds of one search")
    parser.add_argument("--composition-only", action="store_true", help="the sequence is not known")
    parser.add_argument("--free", action="store_true", help="residues are not joined by peptide bonds")
    parser.add_argument("--table", type=Path, help="CSV file, one row a search")
    options = parser.parse_args()
    rows = []
    for name in options.molecules:
        sequence, truth = molecules()[name]
        known = {"residues": dict(Counter(sequence))} if options.composition_only else {"sequence": sequence}
        # Free residues have more to search, and longer annealings paid there.
        anneal = {"sweeps": 2400} if options.free else {}
        config = ResidueBasisConfig(**known, joined=not options.free, anneal=anneal)
        for model in options.models:
            for noise in options.noise:
                group = []
                for seed in range(options.first_seed, options.first_seed + options.seeds):
                    shot, place = measured(truth, noise, options.detectors, options.largest_deg, model, seed)
                    start = time.process_time()
                    found = recover_by_residues(
                        shot,
                        config,
                        seed,
                        lambda start=start: time.process_time() - start > options.limit,
                        lambda _: None,
                    )
                    errors = position_errors(found[0].molecule, truth, place)
                    group.append(
                        {
                            "molecule": name,
                            "model": model,
                            "noise_level": noise,
                            "seed": seed,
                            "processor_s": round(time.process_time() - start, 2),
                            "reduced_chi2": round(found[0].reduced_chi2, 4),
                            "rms_angstrom": round(float(np.sqrt((errors**2).mean())), 4),
                            "largest_angstrom": round(float(errors.max()), 4),
                            "success": bool(errors.max() < WITHIN_ANGSTROM),
                        }
                    )
                rows += group
                done = [row for row in group if row["success"]]
                seconds = [row["processor_s"] for row in group]
                rms = f"{np.median([row['rms_angstrom'] for row in done]):.3f}" if done else "-"
                print(
                    f"| {name} | {model} | {noise:g} | {len(done)} of {len(group)} | {np.median(seconds):.1f} | "
                    f"{max(seconds):.1f} | {rms} |  "
                    + " ".join(f"{row['largest_angstrom']:.2f}" for row in group if not row["success"]),
                    flush=True,
                )
    if options.table:
        with options.table.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
