"""thin: binomial thinning to a wanted mean photon number."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import ThinConfig
from fewphoton.io.metrics import write_metrics
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.photons.thin import kept_fraction, thin
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.frame_tally import require_frames, total_photons, write_and_tally

Config = ThinConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    thinned: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: ThinConfig, context: Context) -> None:
    """Thin, and say so in the provenance."""
    with open_photon_file(inputs.frames) as reader:
        n_frames = require_frames(reader)
        before = total_photons(reader)
        fraction = kept_fraction(before, n_frames, config.photons_per_frame)
        note = (
            f"counts are binomially thinned from {before / n_frames:.6g} photons per frame, factor {fraction:.6g}; "
            "thinned copies share parent exposures"
        )
        provenance = Provenance.of("thin", config.model_dump(mode="json"), input_files(inputs), (note,))
        thinned = thin(reader.chunks(), fraction, config.seed)
        metrics = write_and_tally(outputs.thinned, thinned, reader.detector, reader.beam, provenance, context, "thin")
    write_metrics(outputs.metrics, {**metrics, "photons_total_before": before, "kept_fraction": fraction})
