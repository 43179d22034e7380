"""reconstruct: photon frames of unknown orientation to an intensity volume. Recorded angles are not looked at."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config import ReconstructConfig
from fewphoton.data import Crystal, Orientations
from fewphoton.emc.batches import arranged_bytes
from fewphoton.emc.communicator import Communicator, world
from fewphoton.emc.orientation_sample import (
    check_memory,
    frames_per_batch,
    n_orientations,
    sample_orientations,
)
from fewphoton.emc.photon_storage import InMemory, PhotonStorage
from fewphoton.emc.pixels import PixelRows
from fewphoton.emc.problem import Problem
from fewphoton.emc.reconstruct import Reconstruction, reconstruct
from fewphoton.emc.schedule import StepRecord
from fewphoton.emc.state import State
from fewphoton.emc.symmetry import symmetrized
from fewphoton.errors import InputFileError
from fewphoton.evaluate.iterates import TracedPeaks
from fewphoton.io.background_files import read_background_shape
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.emc_checkpoint import CheckpointFile
from fewphoton.io.iterate_traces import write_iterate_trace
from fewphoton.io.machine_memory import machine_memory_bytes
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.orientation_files import write_orientation_file
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import write_volume_file
from fewphoton.kernels.threads import use_threads
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.iterate_tracing import IterateTracing, without_trace
from fewphoton.stages.photon_storage import MappedStorage, is_mapped, scratch_folder

Config = ReconstructConfig

_ENDS = {"change": "converged", "held_out": "no gain on held-out frames", "iterations": "not converged"}


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")
    crystal: Path = path_field("crystal description (cell, space group, UB, rotation axis)")
    background: Path | None = path_field(
        "shape of the background over the detector (HDF5), for background: per_frame; flat without", optional=True
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    volume: Path = path_field("intensity volume with half sets (HDF5)")
    orientations: Path = path_field("best orientation of each frame (HDF5)")
    iterations: Path = path_field("log of the iterations (CSV)")
    metrics: Path = path_field("metrics (JSON)")
    checkpoint: Path | None = path_field("checkpoint to resume from (HDF5)", optional=True)
    trace: Path | None = path_field("integrated intensities of each iterate (HDF5)", optional=True)


class _Store:
    """The loop's states in a checkpoint file."""

    def __init__(self, file: CheckpointFile, tracing: IterateTracing | None) -> None:
        self._file, self._tracing = file, tracing

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
        if self._tracing is not None:
            self._tracing.resume(found.memory)
        return State(found.volume, records, without_trace(found.memory))

    def save(self, state: State) -> None:
        traced = {} if self._tracing is None else self._tracing.saved()
        self._file.write(state.volume, state.records, {**state.memory, **traced})


def run(inputs: Inputs, outputs: Outputs, config: ReconstructConfig, context: Context) -> None:
    """Reconstruct, under MPI when ranks are promised."""
    use_threads(context.threads)
    with world(context.expected_ranks) as communicator:
        crystal, axis = read_crystal(inputs.crystal)
        problem, orientations = _problem(inputs, outputs, crystal, axis, config, communicator)
        # Ranks, checkpoints and the place of photons change the course of a run, not its result.
        course: dict[str, Any] = dict.fromkeys(("tasks", "checkpoint_every", "photon_storage", "scratch_folder"), True)
        section = config.model_dump(mode="json", exclude=course | {"orientations": {"memory_gb"}})
        provenance = Provenance.of("reconstruct", section, input_files(inputs))
        head, rows = communicator.rank == 0, problem.rows
        tracing = None
        if outputs.trace is not None and head:
            peaks = TracedPeaks(crystal, rows.n_voxels, rows.voxels_per_cell, config.trace_radius_voxels)
            tracing = IterateTracing(peaks, config.trace_every)
        store = None
        if outputs.checkpoint is not None:
            store = _Store(CheckpointFile(outputs.checkpoint, provenance.record(), context.say), tracing)
        if head:
            context.say(
                f"{problem.n_frames} frames ({problem.n_informative_frames} with photons), {rows.n_rows} pixels, "
                f"{len(orientations)} orientations, {rows.n_voxels}^3 voxels, {communicator.size} rank(s), photons "
                f"{'in memory' if isinstance(problem.storage, InMemory) else 'mapped'}"
            )
        # The memory that was found is the limit of refinement as well, but no part of the result.
        sampling = config.orientations.model_copy(update={"memory_gb": _memory_gb(config, communicator)})
        config = config.model_copy(update={"orientations": sampling})
        report, background = _reporter(context, config, tracing), _background(inputs)
        result = reconstruct(problem, crystal, orientations, config, communicator, store, report, background)
        if head:
            _write(outputs, result, crystal, axis, problem, provenance)
            if outputs.trace is not None and tracing is not None:
                # Averaged iterates know voxels that only equivalents of them saw.
                averaged = config.symmetry == "laue"
                measured = symmetrized(result.volume, crystal) if averaged else result.volume
                write_iterate_trace(outputs.trace, tracing.trace(measured, averaged), provenance)
            context.say(f"{_ENDS[result.stopped_by]} after {len(result.records)} iterations")


def _problem(
    inputs: Inputs,
    outputs: Outputs,
    crystal: Crystal,
    axis: NDArray[np.float64],
    config: ReconstructConfig,
    communicator: Communicator,
) -> tuple[Problem, Orientations]:
    """Read photons and geometry; where photons are mapped, one rank of each node reads for all of them."""
    with contextlib.ExitStack() as stack:
        reader, described = None, None
        if communicator.node_rank == 0:
            reader = stack.enter_context(open_photon_file(inputs.frames))
            described = reader.detector, reader.beam, reader.n_frames, reader.n_hits, machine_memory_bytes()
        detector, beam, n_frames, n_hits, memory_bytes = communicator.share_in_node(described)
        rows = PixelRows.select(
            detector,
            beam,
            crystal,
            axis if config.orientations.sampled == "about_axis" else None,
            voxels_per_cell=config.grid.voxels_per_cell,
            n_voxels=config.grid.n_voxels,
            axis_margin_pixels=config.axis_margin_pixels,
            q_max_inv_angstrom=config.q_max_inv_angstrom,
            corrections=config.corrections,
        )
        sampling = config.orientations
        wanted = n_orientations(config, crystal, rows.n_voxels)
        memory_gb = _memory_gb(config, communicator)
        check_memory(rows, sampling.dense_q_fraction, wanted, config.batch_frames, memory_gb, communicator.size)
        orientations = sample_orientations(config, crystal, axis, rows.n_voxels)
        batch_frames = frames_per_batch(config.batch_frames, len(orientations))
        most_bytes = arranged_bytes(n_frames, n_hits, rows.n_rows, batch_frames, config.batch_hits)
        storage: PhotonStorage = InMemory()
        if is_mapped(config, communicator, most_bytes, memory_bytes):
            storage = MappedStorage(scratch_folder(config, outputs.checkpoint or outputs.volume), communicator)
        elif reader is None:
            reader = stack.enter_context(open_photon_file(inputs.frames))
        problem = Problem.build(
            reader.chunks() if reader is not None else (),
            rows,
            crystal,
            orientations,
            batch_frames,
            communicator,
            batch_hits=config.batch_hits,
            storage=storage,
            most_bytes=most_bytes,
        )
    return problem, orientations


def _memory_gb(config: ReconstructConfig, communicator: Communicator) -> float:
    """Memory that a rank may take: as configured, or its share of the machine's."""
    given = config.orientations.memory_gb
    return machine_memory_bytes() / communicator.node_size / 1e9 if given is None else given


def _background(inputs: Inputs) -> NDArray[np.float64] | None:
    """Read the shape of the background, if one is given."""
    if inputs.background is None:
        return None
    with open_photon_file(inputs.frames) as reader:
        return read_background_shape(inputs.background, reader.detector, reader.beam)


def _reporter(context: Context, config: ReconstructConfig, tracing: IterateTracing | None) -> Callable[[State], None]:
    def report(state: State) -> None:
        record = state.records[-1]
        if tracing is not None:
            tracing.add(state)
        if context.progress and (record.iteration % 10 == 0 or record.iteration <= 3):
            most = config.max_iterations + sum(stage.iterations for stage in config.refine)
            left = (most - record.iteration) * record.seconds_total
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
            "n_orientations": result.n_orientations,
            "n_orientations_in_use": last.orientations,
            "n_voxels": problem.rows.n_voxels,
            "n_pixels_merged": problem.rows.n_rows,
            "fluence_spread": last.fluence_spread,
            "background_fraction": last.background_fraction,
            "n_frames_without_photons": problem.n_frames - problem.n_informative_frames,
            "slowest_to_mean_rank": float(np.median([record.slowest_to_mean_rank for record in result.records])),
        },
    )
