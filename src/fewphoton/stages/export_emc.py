"""export-emc: photon frames to a Dragonfly file, binary (.emc) or HDF5 (.h5)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config.section import Section
from fewphoton.io.emc_binary import write_emc_binary
from fewphoton.io.emc_hdf5 import write_emc_hdf5
from fewphoton.io.photon_files import open_photon_file
from fewphoton.stages.contract import Context, path_field


class Config(Section):
    """There is nothing to choose; the form follows from the output's suffix."""


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    emc: Path = path_field("Dragonfly photons: .emc (binary) or .h5 (HDF5)")


def run(inputs: Inputs, outputs: Outputs, config: Config, context: Context) -> None:
    """Export."""
    write = write_emc_hdf5 if outputs.emc.suffix in (".h5", ".hdf5") else write_emc_binary
    with open_photon_file(inputs.frames) as reader:
        write(outputs.emc, reader.chunks, reader.detector.n_pixels)
