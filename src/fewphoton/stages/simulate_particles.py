"""simulate-particles: snapshots of single particles in random orientations, with their ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.config.simulate_particles import SimulateParticlesConfig
from fewphoton.errors import ConfigError
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import write_metrics
from fewphoton.io.molecule_files import read_molecule
from fewphoton.io.pattern_files import write_pattern_file
from fewphoton.io.provenance import Provenance, file_digest
from fewphoton.io.volumes import write_volume_file
from fewphoton.kernels.threads import use_threads
from fewphoton.simulate.particle import ParticleExperiment
from fewphoton.simulate.snapshots import UNUSED_AXIS
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.frame_tally import write_and_tally

Config = SimulateParticlesConfig


@dataclass(frozen=True)
class Inputs:
    """Nothing but the structure that the configuration names is read."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    frames: Path = path_field("frames with true orientations: a photon file, or a pattern file where noise is none")
    geometry: Path = path_field("detector geometry, mask and beam (YAML)")
    crystal: Path = path_field("the box about the particle as a crystal description (YAML)")
    truth: Path | None = path_field("noise-free Fourier volume (HDF5)", optional=True)
    metrics: Path | None = path_field("numbers of the run (JSON)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: SimulateParticlesConfig, context: Context) -> None:
    """Simulate."""
    use_threads(context.threads)
    if config.structure is None:
        raise ConfigError("simulate-particles needs the structure of the particle")
    molecule = read_molecule(config.structure, config.chains, waters=config.waters)
    experiment = ParticleExperiment.build(config, molecule)
    content = config.model_dump(mode="json") | {"structure": config.structure.name}
    provenance = Provenance(
        "simulate-particles",
        content,
        {f"structure:{config.structure.name}": file_digest(config.structure)},
        ("simulated",),
    )
    write_geometry_yaml(outputs.geometry, experiment.detector, experiment.beam)
    write_crystal(outputs.crystal, experiment.crystal, UNUSED_AXIS)
    if outputs.truth is not None:
        write_volume_file(outputs.truth, experiment.true_volume(), experiment.crystal, UNUSED_AXIS, provenance)
    write = _write_photons if config.noise == "poisson" else _write_expected
    tally = write(outputs.frames, experiment, provenance, context)
    if outputs.metrics is not None:
        record = tally | {
            "n_atoms": len(molecule),
            "diameter_angstrom": molecule.diameter_angstrom,
            "box_angstrom": experiment.crystal.cell[0],
            "usable_pixels": len(experiment.pixels),
            "expected_photons_per_frame_of_particle": experiment.mean_photons,
            "photons_per_electron2": experiment.photons_per_electron2,
            "interpolation_error_relative": experiment.interpolation_error,
        }
        write_metrics(outputs.metrics, record)


def _write_photons(
    path: Path, experiment: ParticleExperiment, provenance: Provenance, context: Context
) -> dict[str, Any]:
    frames = experiment.snapshots().chunks(experiment.config.chunk_frames)
    return write_and_tally(path, frames, experiment.detector, experiment.beam, provenance, context, "simulate")


def _write_expected(
    path: Path, experiment: ParticleExperiment, provenance: Provenance, context: Context
) -> dict[str, Any]:
    n_frames, chunk = experiment.config.n_frames, experiment.config.chunk_frames
    snapshots = experiment.snapshots()
    total = 0.0
    with write_pattern_file(path, experiment.detector, experiment.beam, n_frames, provenance) as writer:
        for start in context.track(range(0, n_frames, chunk), "simulate", "chunks"):
            expected = snapshots.expected(np.arange(start, min(start + chunk, n_frames)))
            usable = expected.pattern[:, experiment.pixels]
            total += float(usable.sum(dtype=np.float64))
            writer.append(usable, expected.table)
    return {"n_frames": n_frames, "photons_total": total, "photons_per_frame_mean": total / n_frames}
