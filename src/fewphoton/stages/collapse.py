"""collapse: sum successive frames of a batch, by number or by angle; bin pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import CollapseConfig
from fewphoton.io.metrics import write_metrics
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.kernels.threads import use_threads
from fewphoton.photons.binning import bin_detector, bin_frames
from fewphoton.photons.collapse import collapse
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.frame_tally import require_frames, total_photons, write_and_tally

Config = CollapseConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    collapsed: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: CollapseConfig, context: Context) -> None:
    """Bin pixels, then sum frames."""
    use_threads(context.threads)
    with open_photon_file(inputs.frames) as reader:
        n_before = require_frames(reader)
        photons_before = total_photons(reader)
        detector = reader.detector
        chunks = reader.chunks()
        if config.pixel_binning > 1:
            detector, pixel_map = bin_detector(detector, config.pixel_binning)
            n_pixels = detector.n_pixels
            chunks = (bin_frames(chunk, pixel_map, n_pixels) for chunk in chunks)
        provenance = Provenance.of("collapse", config.model_dump(mode="json"), input_files(inputs))
        collapsed = collapse(chunks, reader.table, config)
        metrics = write_and_tally(outputs.collapsed, collapsed, detector, reader.beam, provenance, context, "collapse")
    dropped = photons_before - metrics["photons_total"]
    write_metrics(
        outputs.metrics, {**metrics, "n_frames_before": n_before, "photons_dropped_by_binning_or_ends": dropped}
    )
