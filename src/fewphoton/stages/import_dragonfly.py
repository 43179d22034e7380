"""import-dragonfly: what Dragonfly reconstructed as an intensity volume and orientations, to be judged as ours are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fewphoton.config.section import Section
from fewphoton.data import FrameOrientations, IntensityVolume
from fewphoton.data.rotation_group import spacing_deg
from fewphoton.errors import InputFileError
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.dragonfly_detector import voxel_spacing
from fewphoton.io.dragonfly_output import DragonflyOutput, read_dragonfly_output
from fewphoton.io.metrics import write_metrics
from fewphoton.io.orientation_files import write_orientation_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import write_volume_file
from fewphoton.stages.contract import Context, input_files, path_field


class Config(Section):
    """Which volume to take, and on what grid it is."""

    mode: int = Field(default=0, ge=0)
    """Number of the volume, where several were reconstructed at once."""
    voxels_per_cell: int = Field(default=1, ge=1)
    """Voxels per reciprocal cell edge, as given to export-emc."""


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    output: Path = path_field("output_NNN.h5 of Dragonfly")
    crystal: Path = path_field("crystal description that export-emc was given (for particles: the box)")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    volume: Path = path_field("intensity volume (HDF5)")
    orientations: Path = path_field("best orientation of each frame (HDF5)")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: Config, context: Context) -> None:
    """Import."""
    crystal, axis = read_crystal(inputs.crystal)
    voxel_spacing(crystal, config.voxels_per_cell)  # refuses a crystal whose grid cannot have been Dragonfly's
    found = read_dragonfly_output(inputs.output)
    if config.mode >= len(found.intensity):
        raise InputFileError(inputs.output, f"holds no volume {config.mode}", found=f"{len(found.intensity)} volumes")
    provenance = Provenance.of("import-dragonfly", config.model_dump(mode="json"), input_files(inputs))
    volume = IntensityVolume(found.intensity[config.mode], found.weight[config.mode], config.voxels_per_cell)
    orientations = _orientations(found, config.mode)
    write_volume_file(outputs.volume, volume, crystal, axis, provenance)
    write_orientation_file(outputs.orientations, orientations, provenance)
    placed = orientations.best_orientation >= 0
    write_metrics(
        outputs.metrics,
        {
            "n_frames": len(placed),
            "n_frames_placed": int(placed.sum()),
            "n_orientations": len(found.quaternion),
            "n_voxels": volume.n,
            "log_likelihood_per_frame": float(found.log_likelihood[placed].mean()) if placed.any() else None,
        },
    )


def _orientations(found: DragonflyOutput, mode: int) -> FrameOrientations:
    placed = found.mode == mode
    quaternion = np.full((len(placed), 4), np.nan)
    quaternion[placed] = found.quaternion[found.rotation[placed]]
    unknown = np.full(len(placed), np.nan)
    return FrameOrientations(
        best_angle_deg=unknown,
        best_orientation=np.where(placed, found.rotation, -1).astype(np.int32),
        best_probability=np.where(placed, _or_unknown(found.largest_probability, unknown), np.nan),
        entropy_nat=np.where(placed, _or_unknown(found.entropy_nat, unknown), np.nan),
        log_likelihood=np.where(placed, found.log_likelihood, np.nan),
        best_quaternion=quaternion,
        spacing_deg=spacing_deg(len(found.quaternion)),
    )


def _or_unknown(values: NDArray[np.float64] | None, unknown: NDArray[np.float64]) -> NDArray[np.float64]:
    return unknown if values is None else values
