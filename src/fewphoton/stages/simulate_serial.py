"""simulate-serial: few-photon snapshots of crystals in random orientations, with their ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config.simulate_serial import SimulateSerialConfig
from fewphoton.errors import ConfigError
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.crystal_files import read_structure
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import write_metrics
from fewphoton.io.provenance import Provenance, file_digest
from fewphoton.io.volumes import write_volume_file
from fewphoton.kernels.threads import use_threads
from fewphoton.simulate.serial_crystals import SerialCrystals
from fewphoton.simulate.snapshots import UNUSED_AXIS
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.frame_tally import write_and_tally

Config = SimulateSerialConfig


@dataclass(frozen=True)
class Inputs:
    """Nothing but the structure that the configuration names is read."""


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    frames: Path = path_field("photon file with true orientations")
    geometry: Path = path_field("detector geometry, mask and beam (YAML)")
    crystal: Path = path_field("crystal description, U the identity (YAML)")
    truth: Path | None = path_field("noise-free intensity volume (HDF5)", optional=True)
    metrics: Path | None = path_field("numbers of the run (JSON)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: SimulateSerialConfig, context: Context) -> None:
    """Simulate."""
    use_threads(context.threads)
    if config.structure is None:
        raise ConfigError("simulate-serial needs the structure of the crystals")
    crystals = SerialCrystals(config, read_structure(config.structure))
    parts = crystals.scattering
    content = config.model_dump(mode="json") | {"structure": config.structure.name}
    provenance = Provenance(
        "simulate-serial",
        content,
        {f"structure:{config.structure.name}": file_digest(config.structure)},
        ("simulated",),
    )
    write_geometry_yaml(outputs.geometry, parts.detector, parts.beam)
    write_crystal(outputs.crystal, parts.crystal, UNUSED_AXIS)
    if outputs.truth is not None:
        write_volume_file(outputs.truth, crystals.true_volume(), parts.crystal, UNUSED_AXIS, provenance)
    tally = write_and_tally(
        outputs.frames,
        crystals.snapshots().chunks(config.chunk_frames),
        parts.detector,
        parts.beam,
        provenance,
        context,
        "simulate",
    )
    if outputs.metrics is not None:
        write_metrics(outputs.metrics, tally | {"usable_pixels": int((~parts.detector.masked).sum())})
