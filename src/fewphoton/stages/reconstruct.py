"""reconstruct: photon frames of unknown orientation to an intensity volume. Recorded angles are not looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.config import ReconstructConfig
from fewphoton.data import Crystal
from fewphoton.emc.communicator import world
from fewphoton.emc.orientation_sample import (
    check_memory,
    frames_per_batch,
    memory_share_gb,
    n_orientations,
    sample_orientations,
)
from fewphoton.emc.pixels import PixelRows
from fewphoton.emc.problem import Problem
from fewphoton.emc.reconstruct import Reconstruction, reconstruct
from fewphoton.emc.schedule import StepRecord
from fewphoton.emc.state import State
from fewphoton.errors import InputFileError
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.emc_checkpoint import CheckpointFile
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.orientation_files import write_orientation_file
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import write_volume_file
from fewphoton.kernels.threads import use_threads
from fewphoton.stages.contract import Context, input_files, path_field

Config = ReconstructConfig

_ENDS = {"change": "converged", "held_out": "no gain on held-out frames", "iterations": "not converged"}


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")
    crystal: Path = path_field("crystal description (cell, space group, UB, rotation axis)")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    volume: Path = path_field("intensity volume with half sets (HDF5)")
    orientations: Path = path_field("best orientation of each frame (HDF5)")
    iterations: Path = path_field("log of the iterations (CSV)")
    metrics: Path = path_field("metrics (JSON)")
    checkpoint: Path | None = path_field("checkpoint to resume from (HDF5)", optional=True)


class _Store:
    """The loop's states in a checkpoint file."""

    def __init__(self, file: CheckpointFile) -> None:
        self._file = file

    def load(self) -> State | None:
        found = self._file.read()
        if found is None:
            return None
        try:
            records = tuple(StepRecord(**record) for record in found.records)
        except TypeError as error:
            raise InputFileError(
                self._file.path,
                f"records of another version: {error}",
                where="records",
                remedy="Remove the checkpoint to start anew",
            ) from error
        return State(found.volume, records, found.memory)

    def save(self, state: State) -> None:
        self._file.write(state.volume, state.records, state.memory)


def run(inputs: Inputs, outputs: Outputs, config: ReconstructConfig, context: Context) -> None:
    """Reconstruct, under MPI when ranks are promised."""
    use_threads(context.threads)
    with world(context.expected_ranks) as communicator:
        crystal, axis = read_crystal(inputs.crystal)
        sampling = config.orientations
        with open_photon_file(inputs.frames) as reader:
            rows = PixelRows.select(
                reader.detector,
                reader.beam,
                crystal,
                axis if sampling.sampled == "about_axis" else None,
                voxels_per_cell=config.grid.voxels_per_cell,
                n_voxels=config.grid.n_voxels,
                axis_margin_pixels=config.axis_margin_pixels,
                q_max_inv_angstrom=config.q_max_inv_angstrom,
                corrections=config.corrections,
            )
            wanted = n_orientations(config, crystal, rows.n_voxels)
            memory_gb = memory_share_gb(sampling, communicator.size)
            check_memory(rows, sampling.dense_q_fraction, wanted, config.batch_frames, memory_gb, communicator.size)
            orientations = sample_orientations(config, crystal, axis, rows.n_voxels)
            batch_frames = frames_per_batch(config.batch_frames, len(orientations))
            problem = Problem.build(reader.chunks(), rows, crystal, orientations, batch_frames, communicator)
        # Ranks, batches and checkpoints change the course of a run, not its result.
        section = config.model_dump(mode="json", exclude={"tasks", "checkpoint_every"})
        provenance = Provenance.of("reconstruct", section, input_files(inputs))
        head = communicator.rank == 0
        store = None
        if outputs.checkpoint is not None:
            store = _Store(CheckpointFile(outputs.checkpoint, provenance.record()))
        if head:
            context.say(
                f"{problem.n_frames} frames ({problem.n_informative_frames} with photons), {rows.n_rows} pixels, "
                f"{len(orientations)} orientations, {rows.n_voxels}^3 voxels, {communicator.size} rank(s)"
            )
        result = reconstruct(problem, crystal, orientations, config, communicator, store, _reporter(context, config))
        if head:
            _write(outputs, result, crystal, axis, problem, provenance)
            context.say(f"{_ENDS[result.stopped_by]} after {len(result.records)} iterations")


def _reporter(context: Context, config: ReconstructConfig) -> Callable[[StepRecord], None]:
    def report(record: StepRecord) -> None:
        if context.progress and (record.iteration % 10 == 0 or record.iteration <= 3):
            left = (config.max_iterations - record.iteration) * record.seconds_total
            context.say(
                f"iteration {record.iteration} ({record.frames} frames, {record.orientations} orientations): "
                f"change {record.change:.2e}, log-likelihood per photon "
                f"{record.log_likelihood_per_photon:.4f}, information {record.mutual_information_nat:.3f} nat, "
                f"{record.seconds_total:.2f} s (at most {left:.0f} s left)"
            )

    return report


def _write(
    outputs: Outputs,
    result: Reconstruction,
    crystal: Crystal,
    axis: NDArray[np.float64],
    problem: Problem,
    provenance: Provenance,
) -> None:
    write_volume_file(outputs.volume, result.volume, crystal, axis, provenance, halves=result.halves)
    write_orientation_file(outputs.orientations, result.orientations, provenance)
    write_table(outputs.iterations, [asdict(record) for record in result.records])
    last = result.records[-1]
    write_metrics(
        outputs.metrics,
        {
            "converged": result.converged,
            "stopped_by": result.stopped_by,
            "iterations": len(result.records),
            "last_change": last.change,
            "log_likelihood_per_photon": last.log_likelihood_per_photon,
            "mutual_information_nat": last.mutual_information_nat,
            "n_orientations": problem.n_orientations,
            "n_voxels": problem.rows.n_voxels,
            "n_pixels_merged": problem.rows.n_rows,
            "n_frames_without_photons": problem.n_frames - problem.n_informative_frames,
        },
    )
