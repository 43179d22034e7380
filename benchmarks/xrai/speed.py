"""Frames a second of training at the paper's size, faithful and recommended, and of the simulator that feeds it.

    python benchmarks/xrai/speed.py --structure 2cex_a.pdb --device cuda

Frames of 128 x 128 pixels without noise are simulated once and held in memory. The first steps (compilation, caches) do
not count. Shenoy et al. (2023) report about 168 frames/s of training on an A100.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from simulated_training import held_in_memory, simulator, training_on

from fewphoton.config.train_xrai import TrainXraiConfig
from fewphoton.data.pattern_source import DensePatterns
from fewphoton.simulate.particle import ParticleExperiment

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
    made, experiment = simulator(options.structure, options.pixels, options.frames, None)
    began = time.perf_counter()
    source = held_in_memory(made, options.frames)
    print(f"simulator (processor): {options.frames / (time.perf_counter() - began):.0f} frames/s")
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
    training, _ = training_on(source, config, experiment, device)
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
