"""import-sparse: sparse frames to photon frames, so that what was separated can be reconstructed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewphoton.config.separation import ImportSparseConfig
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.io.metrics import write_metrics
from fewphoton.io.provenance import Provenance
from fewphoton.io.sparse_nexus import SparseFileReader, open_sparse_file
from fewphoton.separation.photons import separated_photons
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.densify import sparse_geometry
from fewphoton.stages.frame_tally import write_and_tally

Config = ImportSparseConfig

_FRAMES_A_READ = 256


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    sparse: Path = path_field("sparse frames (ours or of pyFAI's sparsify-Bragg)")
    geometry: Path | None = path_field("geometry, where the sparse frames do not hold it", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    frames: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: ImportSparseConfig, context: Context) -> None:
    """Turn strong pixels into photons."""
    with open_sparse_file(inputs.sparse) as reader:
        detector, beam = sparse_geometry(inputs.sparse, inputs.geometry, reader.file)
        detector = detector.with_mask(detector.masked | ~reader.file.bins.usable)
        note = "photons are strong pixels" + (", their background subtracted" if config.subtract_background else "")
        provenance = Provenance.of("import-sparse", config.model_dump(mode="json"), input_files(inputs), (note,))
        metrics = write_and_tally(
            outputs.frames, _photons(reader, config), detector, beam, provenance, context, "import-sparse"
        )
    write_metrics(outputs.metrics, metrics)


def _photons(reader: SparseFileReader, config: ImportSparseConfig) -> Iterator[PhotonFrames]:
    file = reader.file
    for start in range(0, file.n_frames, _FRAMES_A_READ):
        stop = min(start + _FRAMES_A_READ, file.n_frames)
        table: FrameTable = file.table.take(np.arange(start, stop))
        yield separated_photons(reader.read(start, stop), file.bins, table, config, file.gap)
