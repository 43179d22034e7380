"""collapse: sum successive frames of a batch, by number or by angle; bin pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.config import CollapseConfig
from fewphoton.data import PhotonFrames
from fewphoton.io.metrics import write_metrics
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.kernels.threads import use_threads
from fewphoton.photons.binning import bin_detector, bin_frames
from fewphoton.photons.collapse import collapse
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.frame_tally import Tally, require_frames, write_and_tally

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
    before, binned = Tally(), Tally()
    n_pixels_dropped = 0
    with open_photon_file(inputs.frames) as reader:
        require_frames(reader)
        detector = reader.detector
        chunks = before.watch(reader.chunks())
        if config.pixel_binning > 1:
            detector, pixel_map = bin_detector(detector, config.pixel_binning)
            n_pixels_dropped = int(((pixel_map < 0) & ~reader.detector.masked).sum())
            chunks = _binned(chunks, pixel_map, detector.n_pixels)
        provenance = Provenance.of("collapse", config.model_dump(mode="json"), input_files(inputs))
        collapsed = collapse(binned.watch(chunks), reader.table, config)
        metrics = write_and_tally(outputs.collapsed, collapsed, detector, reader.beam, provenance, context, "collapse")
    write_metrics(
        outputs.metrics,
        {
            **metrics,
            "n_frames_before": before.n_frames,
            "photons_total_before": before.photons_total,
            "n_usable_pixels_dropped_by_binning": n_pixels_dropped,
            "photons_dropped_by_binning": before.photons_total - binned.photons_total,
            "photons_dropped_in_incomplete_groups": binned.photons_total - metrics["photons_total"],
        },
    )


def _binned(chunks: Iterable[PhotonFrames], pixel_map: NDArray[np.int64], n_pixels: int) -> Iterator[PhotonFrames]:
    for chunk in chunks:
        yield bin_frames(chunk, pixel_map, n_pixels)
