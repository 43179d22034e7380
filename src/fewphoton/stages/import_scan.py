"""import-scan: a sparse rotation scan to photon frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fewphoton.config import ImportScanConfig
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import write_metrics
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.sparse_scan import open_sparse_scan, take_counts
from fewphoton.stages.contract import Context, input_files, path_field

Config = ImportScanConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    scan: Path = path_field("sparse scan (HDF5)")
    geometry: Path = path_field("detector geometry, for example an ImageD11 .par file")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    frames: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: ImportScanConfig, context: Context) -> None:
    """Read counts, leave out or cap saturated ones, and write photon frames."""
    with open_sparse_scan(inputs.scan, config.group) as scan:
        geometry = read_geometry(inputs.geometry, scan.frame_shape)
        if config.exposures_per_batch is not None:
            batch = np.arange(scan.n_frames) // config.exposures_per_batch
            scan.table = replace(scan.table, batch=batch.astype(np.int32))
        notes = ("detector counts of a thresholded scan are taken as photons",)
        provenance = Provenance.of("import-scan", config.model_dump(mode="json"), input_files(inputs), notes)
        hits = photons = zero = left_out = capped = 0
        with write_photon_file(outputs.frames, geometry.detector, geometry.beam, provenance) as writer:
            parts = take_counts(scan, config.saturation_counts, config.cap_counts)
            for part, n_left_out, n_capped in context.track(parts, "import scan", "chunks"):
                writer.append(part)
                totals = part.totals()
                hits += part.n_hits
                photons += int(totals.sum())
                zero += int((totals == 0).sum())
                left_out += n_left_out
                capped += n_capped
    write_metrics(
        outputs.metrics,
        {
            "n_frames": scan.n_frames,
            "n_zero_photon_frames": zero,
            "n_hits": hits,
            "photons_total": photons,
            "n_saturated_hits_left_out": left_out,
            "n_capped_hits": capped,
        },
    )
