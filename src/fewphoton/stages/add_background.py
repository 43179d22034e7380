"""add-background: Poisson background at a percentage of the signal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import AddBackgroundConfig
from fewphoton.errors import DataError
from fewphoton.io.metrics import write_metrics
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.photons.background import add_background, background_shape
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.frame_tally import require_frames, total_photons, write_and_tally

Config = AddBackgroundConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    with_background: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: AddBackgroundConfig, context: Context) -> None:
    """Add background, and say so in the provenance."""
    with open_photon_file(inputs.frames) as reader:
        n_frames = require_frames(reader)
        before = total_photons(reader)
        if before == 0 and config.percent > 0:
            raise DataError(f"{inputs.frames}: holds no photons to take {config.percent:g} % of")
        mean = before / n_frames * config.percent / 100
        note = f"{config.shape} Poisson background of {mean:.6g} photons per frame was added ({config.percent:g} %)"
        provenance = Provenance.of("add-background", config.model_dump(mode="json"), input_files(inputs), (note,))
        shape = background_shape(config, reader.detector, reader.beam)
        frames = add_background(reader.chunks(), shape, mean, config.seed)
        metrics = write_and_tally(
            outputs.with_background, frames, reader.detector, reader.beam, provenance, context, "add background"
        )
    write_metrics(
        outputs.metrics,
        {**metrics, "photons_total_before": before, "background_photons_per_frame_mean": mean},
    )
