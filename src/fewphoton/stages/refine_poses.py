"""refine-poses: poses of single particles, as a network or EMC found them, to the poses that the frames support."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fewphoton.config.pose_estimation import RefinePosesConfig
from fewphoton.errors import GeometryError
from fewphoton.io.emc_checkpoint import CheckpointFile
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.orientation_files import read_orientation_file, write_orientation_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import read_volume_file
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.pose_estimation import WITHOUT_EFFECT, PoseTask
from fewphoton.stages.torch_requirement import require_torch

if TYPE_CHECKING:
    import torch

    from fewphoton.xrai.pose_refinement import RefineRecord, RefineState

Config = RefinePosesConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file or pattern file")
    crystal: Path = path_field("the box about the particle as a crystal description (YAML)")
    start_poses: Path = path_field("poses to begin with, as train-xrai, reconstruct or match-patterns write them")
    start_volume: Path | None = path_field(
        "volume to begin with; without it the frames are merged at their poses", optional=True
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    volume: Path = path_field("Fourier intensity volume with half sets (HDF5)")
    poses: Path = path_field("refined pose of each frame (HDF5)")
    rounds: Path = path_field("log of the rounds (CSV)")
    metrics: Path = path_field("metrics (JSON)")
    checkpoint: Path | None = path_field("checkpoint to resume from (HDF5)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: RefinePosesConfig, context: Context) -> None:
    """Refine.

    Raises
    ------
    MissingLibraryError
        If PyTorch is not installed.
    GeometryError
        If poses or volume do not belong to the frames.
    """
    require_torch("refine-poses")
    from fewphoton.xrai.pose_refinement import refine_poses

    task = PoseTask.read(inputs.frames, inputs.crystal, config, context)
    problem = task.problem
    given = read_orientation_file(inputs.start_poses)
    if given.best_quaternion is None:
        raise GeometryError(f"{inputs.start_poses}: holds angles about an axis, no poses")
    if len(given) != task.n_frames:
        raise GeometryError(
            f"{inputs.start_poses}: {len(given)} poses for {task.n_frames} frames of {inputs.frames}; they belong to "
            "different runs"
        )
    start = given.best_quaternion[problem.frame]
    if not np.isfinite(start[~problem.held_out]).all(axis=1).any():
        raise GeometryError(f"{inputs.start_poses}: no frame with photons has a pose to begin with")
    volume = None
    if inputs.start_volume is not None:
        volume = task.scaled(read_volume_file(inputs.start_volume, with_halves=False), inputs.start_volume, start)

    def report(record: RefineRecord) -> None:
        if context.progress:
            context.say(
                f"{record.kind} {record.number}: log-likelihood {record.log_likelihood:.3f} (held out "
                f"{record.held_out_log_likelihood:.3f}), moved {record.moved_median_deg:.2f} deg, rematched "
                f"{record.rematched_fraction:.1%}, {record.patterns_per_second:.0f} patterns/s"
            )

    section = config.model_dump(mode="json", exclude=WITHOUT_EFFECT)
    provenance = Provenance.of("refine-poses", section, input_files(inputs))
    file = None if outputs.checkpoint is None else CheckpointFile(outputs.checkpoint, provenance.record(), context.say)
    state = None if file is None else _resumed(file, len(start), problem.views.device)

    def save(now: RefineState) -> None:
        if file is not None:
            _save(file, now)

    refined = refine_poses(problem, config, start, volume, report, state, save)
    task.write_volume(outputs.volume, refined.volume, refined.weight, refined.quaternion, refined.fluence, provenance)
    found = task.frame_orientations(
        refined.quaternion,
        np.full(len(problem.frame), -1),
        refined.log_likelihood,
        refined.probability,
        refined.entropy_nat,
        config.last_step_deg,
        refined.fluence,
    )
    write_orientation_file(outputs.poses, found, provenance)
    write_table(outputs.rounds, [asdict(record) for record in refined.records])
    last = refined.records[-1]
    photons = problem.patterns.total[problem.frame].mean()
    write_metrics(
        outputs.metrics,
        {
            "n_frames": task.n_frames,
            "n_frames_without_photons": task.n_frames - len(problem.frame),
            "n_frames_held_out": int(problem.held_out.sum()),
            "n_voxels": problem.views.n_voxels,
            "log_likelihood_per_photon": last.log_likelihood / photons,
            "held_out_log_likelihood_per_photon": last.held_out_log_likelihood / photons,
            "last_move_median_deg": last.moved_median_deg,
            "rematched_fraction": sum(record.rematched_fraction for record in refined.records),
            "fluence_spread": float(refined.fluence.std()),
            "seconds": sum(record.seconds for record in refined.records),
            "device": str(problem.views.device),
        },
    )


def _save(file: CheckpointFile, state: RefineState) -> None:
    volume = np.zeros((0, 0, 0)) if state.volume is None else state.volume.double().cpu().numpy()
    memory = {"quaternion": state.quaternion, "fluence": state.fluence, "value": state.value}
    if state.candidates is not None:
        kept = asdict(state.candidates)
        memory |= {f"candidates_{name}": values.astype(np.float64) for name, values in kept.items()}
    file.write(volume, state.records, memory)


def _resumed(file: CheckpointFile, n_frames: int, device: torch.device) -> RefineState | None:
    import torch

    from fewphoton.xrai.candidate_poses import Candidates
    from fewphoton.xrai.pose_refinement import RefineRecord, RefineState

    found = file.read()
    if found is None:
        return None
    try:
        candidates = None
        if "candidates_frame" in found.memory:
            kept = {field.name: found.memory[f"candidates_{field.name}"] for field in fields(Candidates)}
            candidates = Candidates(**kept | {"frame": kept["frame"].astype(np.int64)})
        state = RefineState(
            found.memory["quaternion"],
            found.memory["fluence"],
            found.memory["value"],
            tuple(RefineRecord(**record) for record in found.records),
            torch.as_tensor(found.volume, dtype=torch.float32, device=device) if found.volume.size else None,
            candidates,
        )
    except (KeyError, TypeError) as error:
        raise file.unusable(f"belongs to another version: {error}") from error
    shapes = state.quaternion.shape, state.fluence.shape, state.value.shape
    if shapes != ((n_frames, 4), (n_frames,), (n_frames,)):
        raise file.unusable(f"holds {len(state.quaternion)} poses for {n_frames} frames")
    return state
