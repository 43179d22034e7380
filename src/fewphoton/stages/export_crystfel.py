"""export-crystfel: geometry and list of files, so that CrystFEL can index the peaks that were found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import ExportCrystfelConfig
from fewphoton.io.atomic import write_text
from fewphoton.io.crystfel_peak_list import crystfel_geometry
from fewphoton.io.cxi_peaks import read_cxi_peaks
from fewphoton.io.geometry_files import read_geometry
from fewphoton.stages.contract import Context, path_field

Config = ExportCrystfelConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    peaks: Path = path_field("peaks (CXI) that link to their frames")
    geometry: Path = path_field("detector geometry and beam")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    crystfel_geometry: Path = path_field("CrystFEL geometry (.geom)")
    file_list: Path = path_field("list of files for indexamajig --input")


def run(inputs: Inputs, outputs: Outputs, config: ExportCrystfelConfig, context: Context) -> None:
    """Write what ``indexamajig --peaks=cxi`` needs beside the peaks."""
    read_cxi_peaks(inputs.peaks)
    geometry = read_geometry(inputs.geometry)
    write_text(outputs.crystfel_geometry, crystfel_geometry(geometry.detector, geometry.beam, config.frames_path))
    write_text(outputs.file_list, f"{inputs.peaks.resolve()}\n")
