"""simulate-rotation: a rotation experiment with its ground truth."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.config import SimulateRotationConfig
from fewphoton.errors import ConfigError
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.crystal_files import read_structure
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.provenance import Provenance, file_digest
from fewphoton.io.raw_frames import write_raw_frames
from fewphoton.io.volumes import write_volume_file
from fewphoton.kernels.threads import use_threads
from fewphoton.simulate.readout import Readout, make_readout, render_adu
from fewphoton.simulate.rotation_experiment import RotationExperiment, exposure_table, exposures
from fewphoton.stages.contract import Context, path_field

Config = SimulateRotationConfig


@dataclass(frozen=True)
class Inputs:
    """Nothing but the structure that the configuration names is read."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    geometry: Path = path_field("detector geometry and beam (YAML)")
    crystal: Path = path_field("crystal description (YAML)")
    truth: Path | None = path_field("noise-free intensity volume (HDF5)", optional=True)
    raw: Path | None = path_field("raw ADU frames (HDF5)", optional=True)
    frames: Path | None = path_field("true photons of every exposure (photon file)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: SimulateRotationConfig, context: Context) -> None:
    """Simulate."""
    if outputs.raw is not None and config.readout is None:
        raise ConfigError("raw frames are asked for, but the configuration has no readout (readout: null)")
    use_threads(context.threads)
    experiment = RotationExperiment.build(config, read_structure(config.structure))
    content = config.model_dump(mode="json") | {"structure": config.structure.name}
    provenance = Provenance(
        "simulate-rotation",
        content,
        {f"structure:{config.structure.name}": file_digest(config.structure)},
        ("simulated",),
    )
    write_geometry_yaml(outputs.geometry, experiment.detector, experiment.beam, experiment.rotation_axis)
    write_crystal(outputs.crystal, experiment.crystal, experiment.rotation_axis)
    if outputs.truth is not None:
        volume = experiment.true_volume(config.truth_n_voxels, config.truth_voxels_per_cell)
        write_volume_file(outputs.truth, volume, experiment.crystal, experiment.rotation_axis, provenance)
    if outputs.raw is None and outputs.frames is None:
        return
    _write_exposures(outputs, config, context, experiment, provenance)


def _write_exposures(
    outputs: Outputs,
    config: SimulateRotationConfig,
    context: Context,
    experiment: RotationExperiment,
    provenance: Provenance,
) -> None:
    detector = experiment.detector
    table = exposure_table(config)
    n_chunks = -(-len(table) // config.chunk_frames)
    readout: Readout | None = None
    if config.readout is not None:
        # The detector is the same in every run of one seed, whatever the chunks draw.
        readout = make_readout(config.readout, detector.n_pixels, np.random.default_rng([config.seed, 1]))
    with contextlib.ExitStack() as stack:
        photon_writer: Any = None
        raw_writer: Any = None
        if outputs.frames is not None:
            photon_writer = stack.enter_context(
                write_photon_file(outputs.frames, detector, experiment.beam, provenance)
            )
        if outputs.raw is not None:
            raw_writer = stack.enter_context(
                write_raw_frames(outputs.raw, detector.frame_shape, np.uint16, len(table), table, provenance)
            )
        chunks = context.track(exposures(experiment, config), "simulate", "chunks", total=n_chunks)
        for photons, rng in chunks:
            if photon_writer is not None:
                photon_writer.append(photons)
            if raw_writer is not None and readout is not None and config.readout is not None:
                bad = rng.random(photons.n_frames) < config.readout.bad_frame_fraction
                adu = render_adu(photons, readout, rng, bad)
                raw_writer.append(adu.reshape(-1, *detector.frame_shape))
