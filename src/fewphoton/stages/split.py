"""split: keep the even or the odd exposures, so that two halves share no photon."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import SplitConfig
from fewphoton.data import PhotonFrames
from fewphoton.errors import DataError
from fewphoton.io.metrics import write_metrics
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.frame_tally import Tally, require_frames, write_and_tally

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
    before = Tally()
    with open_photon_file(inputs.frames) as reader:
        require_frames(reader)
        if (reader.table.n_exposures > 1).any():
            raise DataError(f"{inputs.frames}: holds sums of several exposures; split before collapse")
        if not (reader.table.source_index % 2 == ("even", "odd").index(config.part)).any():
            raise DataError(f"{inputs.frames}: holds no {config.part} exposure; has it been split before?")
        provenance = Provenance.of("split", config.model_dump(mode="json"), input_files(inputs))
        half = _half(before.watch(reader.chunks()), ("even", "odd").index(config.part))
        metrics = write_and_tally(outputs.half, half, reader.detector, reader.beam, provenance, context, "split")
    write_metrics(
        outputs.metrics,
        {**metrics, "n_frames_before": before.n_frames, "photons_total_before": before.photons_total},
    )


def _half(chunks: Iterable[PhotonFrames], parity: int) -> Iterator[PhotonFrames]:
    for chunk in chunks:
        yield chunk.take(chunk.table.source_index % 2 == parity)
