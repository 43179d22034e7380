"""What each ingredient of the recommended preset is worth: held-out pose errors with each of them switched off.

    python benchmarks/xrai/ablation.py --structure 2cex_a.pdb --seeds 3 --table ablation.csv

Frames of 32 x 32 pixels at 0.2 m, simulated once and held in memory. The pose error is the angle left after one
rotation of the particle, half turns about the beam counted as right, over frames that were not trained on.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import torch
from simulated_training import held_in_memory, simulator, training_on

from fewphoton.config.train_xrai import TrainXraiConfig
from fewphoton.data.pattern_source import DensePatterns, PatternsWithin
from fewphoton.data.point_group import PointGroup
from fewphoton.evaluate.volume_alignment import align_with_turned_frames, errors_with_turned_frames
from fewphoton.simulate.particle import ParticleExperiment
from fewphoton.xrai.inference import find_poses
from fewphoton.xrai.processes import Processes

CPU = torch.device("cpu")
SMALL_IMAGES = {"network": "images", "widths": [16, 32, 64, 64, 64], "hidden": [128, 64]}
VARIANTS = {
    "recommended": {},
    "2 heads": {"encoder": {"heads": 2}},
    "1 head": {"encoder": {"heads": 1}},
    "1 head, symmetric loss": {"encoder": {"heads": 1}, "likelihood": {"symmetric": True}},
    "no ring weights": {"likelihood": {"ring_weights": False}},
    "all pixels": {"schedule": {"pixels": "all"}},
    "constant rates": {"schedule": {"decay": "none"}},
    "convolutions (a quarter as wide)": {"encoder": SMALL_IMAGES},
    "FourierNet (64 wide)": {"decoder": {"volume": "fourier_net", "width": 64, "learning_rate": 1e-3}},
    "faithful (narrow)": {
        "preset": "faithful",
        "encoder": SMALL_IMAGES | {"heads": 1},
        "decoder": {"width": 64},
    },
    "choice by score": {"pose_choice": "score"},
    "frequency marching": {"schedule": {"march_steps": 600}},
    "squared differences of amplitudes": {"likelihood": {"model": "amplitudes"}},
    "3 starts": {"schedule": {"starts": 3, "start_steps": 500}},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structure", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--photons", type=float, help="photons per frame; without: no noise")
    parser.add_argument("--frames", type=int, default=11500)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    made, experiment = simulator(options.structure, 32, options.frames, options.photons)
    source = held_in_memory(made, options.frames)
    true = made.true_quaternions(np.arange(options.frames))
    rows = []
    for name in options.only:
        for seed in range(options.seeds):
            rows.append({"variant": name, "seed": seed} | _trained(name, seed, options.steps, source, true, experiment))
            print(rows[-1], flush=True)
            with options.table.open("w", newline="") as handle:
                writer = csv.DictWriter(handle, rows[0])
                writer.writeheader()
                writer.writerows(rows)


def _trained(
    name: str,
    seed: int,
    steps: int,
    source: DensePatterns,
    true: np.ndarray,
    experiment: ParticleExperiment,
) -> dict[str, float]:
    changes = VARIANTS[name]
    schedule = {"steps": steps, "evaluate_every": steps} | changes.get("schedule", {})
    config = TrainXraiConfig(**changes | {"schedule": schedule, "seed": seed})
    training, held_out = training_on(source, config, experiment, CPU)
    began = time.process_time()
    for _ in training.course():
        pass
    seconds = time.process_time() - began
    found = find_poses(training.model, PatternsWithin(source, held_out), CPU, Processes()).quaternion
    beam, alone = experiment.beam.direction, PointGroup(np.array([[1.0, 0.0, 0.0, 0.0]]))
    alignment = align_with_turned_frames(found, true[held_out], beam, alone).alignment
    error = errors_with_turned_frames(found, true[held_out], alignment, beam, alone)
    return {
        "processor_seconds": seconds,
        "held_out_log_likelihood": training.trace[-1].held_out_log_likelihood,
        "median_deg": float(np.median(error)),
        "mean_deg": float(error.mean()),
        "within_10_deg": float((error < 10).mean()),
    }


if __name__ == "__main__":
    main()
