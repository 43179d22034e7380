"""match-patterns: frames of single particles matched over a fixed sample of rotations and merged, in turn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fewphoton.config.pose_estimation import MatchPatternsConfig
from fewphoton.data.rotation_group import n_rotations, spacing_deg
from fewphoton.errors import ConfigError
from fewphoton.io.emc_checkpoint import CheckpointFile
from fewphoton.io.machine_memory import machine_memory_bytes
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.orientation_files import write_orientation_file
from fewphoton.io.provenance import Provenance
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.pose_estimation import WITHOUT_EFFECT, PoseTask
from fewphoton.stages.torch_requirement import require_torch

if TYPE_CHECKING:
    import torch

    from fewphoton.xrai.pattern_matching import MatchRecord, MatchState

Config = MatchPatternsConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file or pattern file")
    crystal: Path = path_field("the box about the particle as a crystal description (YAML)")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    volume: Path = path_field("Fourier intensity volume with half sets (HDF5)")
    poses: Path = path_field("best orientation of each frame (HDF5)")
    iterations: Path = path_field("log of the iterations (CSV)")
    metrics: Path = path_field("metrics (JSON)")
    checkpoint: Path | None = path_field("checkpoint to resume from (HDF5)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: MatchPatternsConfig, context: Context) -> None:
    """Match and merge.

    Raises
    ------
    MissingLibraryError
        If PyTorch is not installed.
    ConfigError
        If the sample is too large for the memory, or the device is not there.
    """
    require_torch("match-patterns")
    from fewphoton.xrai.pattern_matching import match_patterns, n_steps
    from fewphoton.xrai.pose_matching import oblique_sample, pose_floor

    task = PoseTask.read(inputs.frames, inputs.crystal, config, context)
    problem = task.problem
    _check_memory(config, problem.views.n_pixels, problem.views.device)
    section = config.model_dump(mode="json", exclude=WITHOUT_EFFECT)
    provenance = Provenance.of("match-patterns", section, input_files(inputs))
    file = None if outputs.checkpoint is None else CheckpointFile(outputs.checkpoint, provenance.record(), context.say)
    state = None if file is None else _resumed(file, task)
    steps = n_steps(config)

    def save(now: MatchState) -> None:
        if file is not None:
            memory = {
                "best_volume": now.best_volume.double().cpu().numpy(),
                "best_start": np.array([float(now.best_start)]),
                "orientation": now.orientation.astype(np.float64),
            }
            file.write(now.volume.double().cpu().numpy(), now.records, memory)

    def report(record: MatchRecord) -> None:
        if context.progress:
            context.say(
                f"start {record.start}, iteration {record.iteration} ({steps} over all starts): log-likelihood "
                f"{record.log_likelihood:.3f} (held out {record.held_out_log_likelihood:.3f}), "
                f"{record.moved_fraction:.1%} of the frames moved, {record.patterns_per_second:.0f} patterns/s"
            )

    matched, state = match_patterns(problem, config, state, save, report)
    sample = oblique_sample(config.level)
    quaternion = sample.quaternion[matched.orientation]
    fluence = problem.fluences(matched.volume, quaternion)
    task.write_volume(outputs.volume, matched.volume, matched.weight, quaternion, fluence, provenance)
    found = task.frame_orientations(
        quaternion,
        matched.orientation,
        matched.score,
        matched.probability,
        matched.entropy_nat,
        spacing_deg(len(sample)),
        fluence,
    )
    write_orientation_file(outputs.poses, found, provenance)
    write_table(outputs.iterations, [asdict(record) for record in state.records])
    floor = pose_floor(sample, task.beam_direction)
    last, photons = state.records[-1], problem.patterns.total[problem.frame].mean()
    seconds = sum(record.seconds for record in state.records)
    write_metrics(
        outputs.metrics,
        {
            "n_frames": task.n_frames,
            "n_frames_without_photons": task.n_frames - len(problem.frame),
            "n_frames_held_out": int(problem.held_out.sum()),
            "n_orientations": len(sample),
            "pose_floor_median_deg": floor.median_deg,
            "pose_floor_up_to_half_turn_median_deg": floor.median_up_to_half_turn_deg,
            "n_voxels": problem.views.n_voxels,
            "iterations": len(state.records),
            "chosen_start": last.start,
            "log_likelihood_per_photon": last.log_likelihood / photons,
            "held_out_log_likelihood_per_photon": last.held_out_log_likelihood / photons,
            "last_moved_fraction": last.moved_fraction,
            "mean_entropy_nat": last.entropy_nat,
            "seconds": seconds,
            "patterns_per_second": len(problem.frame) * len(state.records) / seconds,
            "device": str(problem.views.device),
        },
    )


def _check_memory(config: MatchPatternsConfig, n_pixels: int, device: torch.device) -> None:
    """Raise ConfigError where probabilities over the whole sample would not fit into memory."""
    import torch

    from fewphoton.xrai.posterior_merge import posterior_bytes

    if config.assignment != "posterior":
        return
    wanted = posterior_bytes(n_pixels, n_rotations(config.level))
    there = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else machine_memory_bytes()
    if wanted > there:
        raise ConfigError(
            f"level {config.level}: posterior needs {wanted / 1e9:.1f} GB for tables of {n_pixels} pixels, "
            f"{there / 1e9:.1f} GB are there; lower the level, or leave finer samples to candidates of refine-poses"
        )


def _resumed(file: CheckpointFile, task: PoseTask) -> MatchState | None:
    import torch

    from fewphoton.xrai.pattern_matching import MatchRecord, MatchState

    found = file.read()
    if found is None:
        return None
    device = task.problem.views.device
    try:
        return MatchState(
            torch.as_tensor(found.volume, dtype=torch.float32, device=device),
            torch.as_tensor(found.memory["best_volume"], dtype=torch.float32, device=device),
            int(found.memory["best_start"][0]),
            found.memory["orientation"].astype(np.int64),
            tuple(MatchRecord(**record) for record in found.records),
        )
    except (KeyError, TypeError) as error:
        raise file.unusable(f"belongs to another version: {error}") from error
