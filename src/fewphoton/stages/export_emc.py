"""export-emc: photon frames to a Dragonfly file, binary (.emc) or HDF5 (.h5), and the detector file beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from fewphoton.config.section import Section
from fewphoton.errors import ConfigError, InputFileError
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.dragonfly_detector import voxel_spacing, write_dragonfly_detector
from fewphoton.io.emc_binary import write_emc_binary
from fewphoton.io.emc_hdf5 import write_emc_hdf5
from fewphoton.io.photon_files import open_photon_file
from fewphoton.stages.contract import Context, path_field


class Config(Section):
    """What the detector file needs beside the geometry; the form of the photons follows from their suffix."""

    voxels_per_cell: int = Field(default=1, ge=1)
    """Voxels per reciprocal cell edge of the volume that is to be reconstructed."""


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")
    crystal: Path | None = path_field(
        "crystal description (for particles: the box), for the detector file", optional=True
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    emc: Path = path_field("Dragonfly photons: .emc (binary) or .h5 (HDF5)")
    detector: Path | None = path_field("Dragonfly detector (HDF5)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: Config, context: Context) -> None:
    """Export."""
    if outputs.detector is not None and inputs.crystal is None:
        raise ConfigError("the detector file counts q in voxels, for which the crystal description is needed")
    write = write_emc_hdf5 if outputs.emc.suffix in (".h5", ".hdf5") else write_emc_binary
    with open_photon_file(inputs.frames) as reader:
        if reader.n_frames == 0:
            raise InputFileError(inputs.frames, "holds no frames")
        if outputs.detector is not None and inputs.crystal is not None:
            crystal, _ = read_crystal(inputs.crystal)
            spacing = voxel_spacing(crystal, config.voxels_per_cell)
            write_dragonfly_detector(outputs.detector, reader.detector, reader.beam, spacing)
        write(outputs.emc, reader.chunks, reader.detector.n_pixels)
