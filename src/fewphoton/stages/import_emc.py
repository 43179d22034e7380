"""import-emc: a Dragonfly file, binary (.emc) or HDF5 (.h5), to photon frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config.section import Section
from fewphoton.errors import InputFileError
from fewphoton.io.emc_binary import EmcBinaryReader
from fewphoton.io.emc_hdf5 import EmcHdf5Reader
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import write_metrics
from fewphoton.io.provenance import Provenance
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.frame_tally import write_and_tally


class Config(Section):
    """There is nothing to choose; the form follows from the input's suffix."""


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    emc: Path = path_field("Dragonfly photons: .emc (binary) or .h5 (HDF5)")
    geometry: Path = path_field("detector geometry and beam")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    frames: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: Config, context: Context) -> None:
    """Import; the number of pixels must be the geometry's."""
    geometry = read_geometry(inputs.geometry)
    reader = EmcHdf5Reader(inputs.emc) if inputs.emc.suffix in (".h5", ".hdf5") else EmcBinaryReader(inputs.emc)
    if reader.n_frames == 0:
        raise InputFileError(inputs.emc, "holds no frames")
    if reader.n_pixels != geometry.detector.n_pixels:
        raise InputFileError(
            inputs.emc,
            f"does not fit {inputs.geometry}",
            expected=f"{geometry.detector.n_pixels} pixels",
            found=reader.n_pixels,
        )
    provenance = Provenance.of("import-emc", {}, input_files(inputs))
    write_metrics(
        outputs.metrics,
        write_and_tally(
            outputs.frames, reader.chunks(), geometry.detector, geometry.beam, provenance, context, "import emc"
        ),
    )
