"""split: keep the even or the odd exposures, so that two halves share no photon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import SplitConfig
from fewphoton.data import PhotonFrames
from fewphoton.io.metrics import write_metrics
from fewphoton.io.photon_files import PhotonFileReader, open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.frame_tally import require_frames, write_and_tally

Config = SplitConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    half: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: SplitConfig, context: Context) -> None:
    """Keep one half."""
    with open_photon_file(inputs.frames) as reader:
        n_before = require_frames(reader)
        provenance = Provenance.of("split", config.model_dump(mode="json"), input_files(inputs))
        half = _half(reader, ("even", "odd").index(config.part))
        metrics = write_and_tally(outputs.half, half, reader.detector, reader.beam, provenance, context, "split")
    write_metrics(outputs.metrics, {**metrics, "n_frames_before": n_before})


def _half(reader: PhotonFileReader, parity: int) -> Iterator[PhotonFrames]:
    for chunk in reader.chunks():
        yield chunk.take(chunk.table.source_index % 2 == parity)
