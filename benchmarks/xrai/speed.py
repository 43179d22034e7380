"""Frames a second of training at the paper's size, faithful and recommended, and of the simulator that feeds it.

    python benchmarks/xrai/speed.py --structure 2cex_a.pdb --device cuda

Frames of 128 x 128 pixels without noise are simulated once and held in memory. The first steps (compilation, caches) do
not count. Shenoy et al. (2023) report about 168 frames/s of training on an A100.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from fewphoton.config import SimulateParticlesConfig
from fewphoton.config.train_xrai import TrainXraiConfig
from fewphoton.data.pattern_source import DensePatterns
from fewphoton.io.molecule_files import read_molecule
from fewphoton.simulate.particle import ParticleExperiment
from fewphoton.simulate.simulated_patterns import SimulatedPatterns
from fewphoton.xrai.batches import held_out_split
from fewphoton.xrai.calibration import Calibration
from fewphoton.xrai.pose_model import PixelGrid, PoseModel
from fewphoton.xrai.processes import Processes
from fewphoton.xrai.training import Training

WARM_UP_STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structure", type=Path, required=True)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1")
    parser.add_argument("--pixels", type=int, default=128)
    parser.add_argument("--frames", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--precision", choices=("float32", "tf32", "bfloat16"), default="float32")
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    simulated = SimulateParticlesConfig(
        structure=options.structure,
        detector={"pixels": options.pixels, "pixel_size_m": 0.1 / options.pixels, "beam_stop_radius_m": 0.005},
        photons_per_frame=1000.0,
        noise="none",
        n_frames=options.frames,
    )
    experiment = ParticleExperiment.build(simulated, read_molecule(options.structure))
    made = SimulatedPatterns(experiment)
    began = time.perf_counter()
    source = DensePatterns(made.patterns(np.arange(options.frames)), made.pixels)
    print(f"simulator (processor): {options.frames / (time.perf_counter() - began):.0f} frames/s")
    source.counts = made.counts
    for preset in ("faithful", "recommended"):
        config = TrainXraiConfig(
            preset=preset,
            precision=options.precision,
            compile=options.compile,
            # One step more than is taken: the last one would be followed by an evaluation.
            schedule={"steps": WARM_UP_STEPS + options.steps + 1, "evaluate_every": 10**6, "checkpoint_every": 10**6},
        )
        speed = _frames_per_second(config, source, experiment, device, options.steps)
        print(f"{preset} ({device}, {options.precision}): {speed:.0f} frames/s", flush=True)


def _frames_per_second(
    config: TrainXraiConfig, source: DensePatterns, experiment: ParticleExperiment, device: torch.device, n_steps: int
) -> float:
    train, held_out = held_out_split(source.n_patterns, config.schedule.held_out_frames, 0)
    calibration = Calibration.of_frames(source, train[:1000], counts=source.counts)

    def build(start: int) -> PoseModel:
        torch.manual_seed(start)
        model = PoseModel(
            config, PixelGrid.of_source(source), calibration, experiment.crystal.cell[0], counts=source.counts
        )
        model.start(torch.Generator().manual_seed(start))
        return model

    training = Training(config, source, train, held_out, build, device, Processes())
    began = 0.0
    for step, _ in enumerate(training.course(), start=1):
        if step in (WARM_UP_STEPS, WARM_UP_STEPS + n_steps):
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if step > WARM_UP_STEPS:
                break
            began = time.perf_counter()
    return n_steps * config.schedule.batch_frames / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
