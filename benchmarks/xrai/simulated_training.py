"""Simulated frames in memory and trainings on them, as the benchmarks of X-RAI share them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

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


def simulator(
    structure: Path, pixels: int, n_frames: int, photons: float | None
) -> tuple[SimulatedPatterns, ParticleExperiment]:
    """Return what makes frames on a detector of 0.1 m (no noise without photons), and the experiment."""
    config = SimulateParticlesConfig(
        structure=structure,
        detector={"pixels": pixels, "pixel_size_m": 0.1 / pixels, "beam_stop_radius_m": 0.005},
        photons_per_frame=photons or 1000.0,
        noise="poisson" if photons else "none",
        n_frames=n_frames,
    )
    experiment = ParticleExperiment.build(config, read_molecule(structure))
    return SimulatedPatterns(experiment), experiment


def held_in_memory(made: SimulatedPatterns, n_frames: int) -> DensePatterns:
    """Return all frames as one array."""
    source = DensePatterns(made.patterns(np.arange(n_frames)), made.pixels)
    source.counts = made.counts
    return source


def training_on(
    source: DensePatterns, config: TrainXraiConfig, experiment: ParticleExperiment, device: torch.device
) -> tuple[Training, NDArray[np.int64]]:
    """Return a training that has yet to begin, and the frames that it leaves out."""
    train, held_out = held_out_split(source.n_patterns, config.schedule.held_out_frames, config.seed)
    box_angstrom = experiment.crystal.cell[0]
    calibration = Calibration.of_frames(source, train[:2000], counts=source.counts)

    def build(start: int) -> PoseModel:
        seed = 1000 * config.seed + start
        torch.manual_seed(seed)
        model = PoseModel(config, PixelGrid.of_source(source), calibration, box_angstrom, counts=source.counts)
        model.start(torch.Generator().manual_seed(seed))
        return model

    return Training(config, source, train, held_out, build, device, Processes()), held_out
