"""densify: frames rebuilt from strong pixels and background curves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.separation import DensifyConfig
from fewphoton.data import Beam, Detector
from fewphoton.errors import InputFileError
from fewphoton.io.dense_frames import write_dense_frames
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import write_metrics
from fewphoton.io.provenance import Provenance
from fewphoton.io.sparse_nexus import SparseFile, SparseFileReader, open_sparse_file
from fewphoton.separation.densify import Densifier, PickRule
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.frame_pool import map_in_order

Config = DensifyConfig

_FRAMES_A_READ = 16
# pyFAI keeps the pixels above max(noise, cutoff * sigma) and calls the model by these names.
_USUAL_RULE = {"error_model": "poisson", "cutoff_pick": 3.0, "noise": 1.0}


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    sparse: Path = path_field("sparse frames (ours or of pyFAI's sparsify-Bragg)")
    geometry: Path | None = path_field("geometry, where the sparse frames do not hold it", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    frames: Path = path_field("frames (HDF5 file; a folder for cbf)")
    metrics: Path = path_field("metrics (JSON)")


@dataclass(frozen=True, eq=False)
class _Job:
    number: int
    pixel: NDArray[np.uint32]
    intensity: NDArray[Any]
    mean: NDArray[np.float32]
    std: NDArray[np.float32]


def run(inputs: Inputs, outputs: Outputs, config: DensifyConfig, context: Context) -> None:
    """Rebuild every frame."""
    with open_sparse_file(inputs.sparse) as reader:
        file = reader.file
        detector, beam = sparse_geometry(inputs.sparse, inputs.geometry, file)
        rule = pick_rule(inputs.sparse, file)
        notes = ("background is drawn at random",) if config.noise else ("background is its mean",)
        provenance = Provenance.of("densify", config.model_dump(mode="json"), input_files(inputs), notes)
        with write_dense_frames(
            outputs.frames,
            config.format,
            detector,
            beam,
            file.dtype,
            file.n_frames,
            provenance,
            table=file.table,
            threads=context.threads,
        ) as writer:
            frames = map_in_order(
                _jobs(reader),
                lambda: Densifier(file.bins, rule, file.dtype, noise=config.noise, gap=file.gap),
                lambda worker, job: worker.densify(
                    job.pixel, job.intensity, job.mean, job.std, _frame_seed(config.seed, job.number)
                ),
                context.threads,
            )
            for frame in context.track(frames, "densify", "frames", file.n_frames):
                writer.append(frame.reshape(1, *file.bins.frame_shape))
    path = outputs.frames
    size = sum(part.stat().st_size for part in path.iterdir()) if path.is_dir() else path.stat().st_size
    write_metrics(
        outputs.metrics,
        {"n_frames": file.n_frames, "bytes_sparse": inputs.sparse.stat().st_size, "bytes_dense": size},
    )


def _frame_seed(seed: int, number: int) -> int:
    return (seed << 40) + number


def sparse_geometry(path: Path, geometry_path: Path | None, file: SparseFile) -> tuple[Detector, Beam]:
    """Return detector (with the frames' mask) and beam of sparse frames: the named geometry, or their own.

    Raises
    ------
    InputFileError
        If there is neither.
    """
    if geometry_path is not None:
        geometry = read_geometry(geometry_path, file.bins.frame_shape)
        return geometry.detector.with_mask(geometry.detector.masked | ~file.bins.usable), geometry.beam
    if file.geometry is None:
        raise InputFileError(
            path, "does not tell its geometry in full", remedy="Name it with --geometry (a .poni will do)"
        )
    return file.geometry


def pick_rule(path: Path, file: SparseFile) -> PickRule:
    """Return how the strong pixels of a file were chosen, as its configuration says.

    Raises
    ------
    InputFileError
        If a parameter is no number.
    """
    values = {key: file.config.get(key, usual) for key, usual in _USUAL_RULE.items()}
    try:
        return PickRule(str(values["error_model"]), float(values["cutoff_pick"]), float(values["noise"]))
    except (TypeError, ValueError) as error:
        raise InputFileError(path, f"its configuration cannot be used: {error}", found=values) from error


def _jobs(reader: SparseFileReader) -> Any:
    for start in range(0, reader.file.n_frames, _FRAMES_A_READ):
        frames = reader.read(start, min(start + _FRAMES_A_READ, reader.file.n_frames))
        for place in range(frames.n_frames):
            part = slice(frames.indptr[place], frames.indptr[place + 1])
            yield _Job(
                start + place,
                frames.pixel[part],
                frames.intensity[part],
                frames.background_mean[place],
                frames.background_std[place],
            )
