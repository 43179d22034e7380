"""score-particles: poses, Fourier volume and density of a single particle against the truth of a simulation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.config.score_particles import ScoreParticlesConfig
from fewphoton.data.point_group import rotation_angles_deg
from fewphoton.errors import ConfigError
from fewphoton.evaluate.density_score import mean_correlation, resolution_at_half
from fewphoton.evaluate.fourier_shell import ShellCorrelation
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.molecule_files import read_molecule
from fewphoton.io.volumes import write_ccp4_map
from fewphoton.kernels.threads import use_threads
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.pose_scores import ScoredPoses, numbered_frames, score_poses, true_orientations
from fewphoton.stages.volume_scores import ScoredVolumes, score_volumes

Config = ScoreParticlesConfig

_WITHIN_DEG = (3, 10)


@dataclass(frozen=True)
class Inputs:
    """What the stage reads; what is left out is not scored."""

    poses: Path | None = path_field("poses found for the frames (HDF5)", optional=True)
    frames: Path | None = path_field(
        "frames with true orientations (photon file or pattern file), or true orientations (HDF5)", optional=True
    )
    held_out: Path | None = path_field(
        "numbers of those of the frames that were kept apart, one a line: they are scored apart", optional=True
    )
    held_out_poses: Path | None = path_field(
        "poses found for frames of another file that were kept apart (HDF5)", optional=True
    )
    held_out_frames: Path | None = path_field("these frames, or their true orientations", optional=True)
    volume: Path | None = path_field("Fourier intensity volume (HDF5)", optional=True)
    density: Path | None = path_field("density that phase found (HDF5)", optional=True)
    structure: Path | None = path_field("true structure, PDB or mmCIF; for volume and density", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    metrics: Path = path_field("metrics (JSON)")
    curves: Path | None = path_field("shell correlations with the truth (CSV)", optional=True)
    errors: Path | None = path_field("pose error of each frame (CSV)", optional=True)
    aligned: Path | None = path_field("the density in the frame of the truth (CCP4/MRC map)", optional=True)
    truth: Path | None = path_field("the true density on the same grid (CCP4/MRC map)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: ScoreParticlesConfig, context: Context) -> None:
    """Score what is given.

    Raises
    ------
    ConfigError
        If nothing can be scored, or a file that a score needs was left out.
    GeometryError
        If files do not belong together.
    """
    use_threads(context.threads)
    _require_pairs(inputs, outputs)
    scored = _scored_poses(inputs)
    # One volume has one frame of reference: frames that were kept apart must not choose another.
    trained = next(iter(scored.values()), None)
    metrics: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for name, poses in scored.items():
        metrics |= _pose_metrics(name, poses)
        errors += [
            {"frames": name, "frame": number, "pose_error_deg": one, "pose_error_without_turn_deg": other}
            for number, one, other in zip(poses.frame, poses.error_deg, poses.straight_deg, strict=True)
        ]
    rows: list[dict[str, Any]] = []
    if inputs.structure is not None:
        molecule = read_molecule(inputs.structure, config.chains, waters=config.waters)
        also = () if trained is None else (trained.alignment,)
        volumes = score_volumes(inputs.volume, inputs.density, molecule, config, also)
        metrics |= _volume_metrics(volumes, config)
        if trained is not None:
            metrics["volume_to_pose_alignment_deg"] = float(rotation_angles_deg(volumes.alignment, trained.alignment))
        rows = _curve_rows(volumes)
        if volumes.density is not None:
            box = volumes.density.box_angstrom
            for path, values in ((outputs.aligned, volumes.density.aligned), (outputs.truth, volumes.density.true)):
                if path is not None:
                    write_ccp4_map(path, values, (box, box, box, 90.0, 90.0, 90.0))
    if outputs.curves is not None:
        write_table(outputs.curves, rows)
    if outputs.errors is not None:
        write_table(outputs.errors, errors)
    write_metrics(outputs.metrics, metrics)


def _scored_poses(inputs: Inputs) -> dict[str, ScoredPoses]:
    """Return the poses of the frames that were learned from, and of those kept apart, in the alignment of the first."""
    scored: dict[str, ScoredPoses] = {}
    alignment = None
    if inputs.poses is not None and inputs.frames is not None:
        apart = None
        if inputs.held_out is not None:
            apart = numbered_frames(inputs.held_out, len(true_orientations(inputs.frames)[0]))
        scored["train"] = score_poses(inputs.poses, inputs.frames, None, None if apart is None else ~apart)
        alignment = scored["train"].alignment
        if apart is not None:
            scored["held_out"] = score_poses(inputs.poses, inputs.frames, alignment, apart)
    if inputs.held_out_poses is not None and inputs.held_out_frames is not None:
        scored["held_out"] = score_poses(inputs.held_out_poses, inputs.held_out_frames, alignment)
    return scored


def _require_pairs(inputs: Inputs, outputs: Outputs) -> None:
    for one, other in (("poses", "frames"), ("held_out_poses", "held_out_frames")):
        given = [getattr(inputs, name) is not None for name in (one, other)]
        if any(given) and not all(given):
            raise ConfigError(f"score-particles: {one} and {other} are scored together; give both or none")
    if inputs.held_out is not None and (inputs.frames is None or inputs.held_out_frames is not None):
        raise ConfigError(
            "score-particles: held_out numbers frames among the frames, held_out_frames are another file; give one"
        )
    solved = inputs.volume is not None or inputs.density is not None
    if solved != (inputs.structure is not None):
        raise ConfigError("score-particles: a volume or a density is scored against a structure; give both, or neither")
    if not solved and inputs.poses is None and inputs.held_out_poses is None:
        raise ConfigError("score-particles: nothing to score; give poses with frames, or a volume with a structure")
    if inputs.density is None and (outputs.aligned is not None or outputs.truth is not None):
        raise ConfigError("score-particles: maps are written of a density; give one, or leave the maps out")


def _pose_metrics(name: str, scored: ScoredPoses) -> dict[str, Any]:
    errors = scored.errors
    known = int(np.isfinite(errors.error_deg).sum())
    values = {
        "n_frames": len(errors.error_deg),
        "n_frames_without_pose": len(errors.error_deg) - known,
        "pose_error_median_deg": errors.median_deg,
        "pose_error_mean_deg": errors.mean_deg,
        "pose_error_rms_deg": errors.rms_deg,
        **{f"poses_within_{limit}_deg": errors.fraction_within(limit) for limit in _WITHIN_DEG},
        "pose_error_without_turn_median_deg": scored.straight.median_deg,
    }
    return {f"{name}_{key}": value for key, value in values.items()}


def _volume_metrics(scored: ScoredVolumes, config: ScoreParticlesConfig) -> dict[str, Any]:
    metrics: dict[str, Any] = {"alignment_correlation": scored.alignment_correlation}
    curves: list[tuple[str, ShellCorrelation, float]] = []
    if scored.volume is not None:
        metrics["volume_correlation_mean_chance"] = mean_correlation(scored.volume.chance)
        curves.append(("volume", scored.volume.correlation, scored.volume.voxel_angstrom))
    if scored.density is not None:
        curves.append(("density", scored.density.correlation, scored.density.voxel_angstrom))
        metrics["density_hand"] = scored.density.hand
        metrics["density_correlation_mean_chance"] = mean_correlation(scored.density.chance)
        metrics["density_correlation_mean_other_hand"] = mean_correlation(scored.density.other_hand)
    for name, curve, voxel in curves:
        resolution = resolution_at_half(curve)
        unit = config.voxel_angstrom or voxel
        metrics |= {
            f"{name}_correlation_mean": mean_correlation(curve),
            f"{name}_resolution_angstrom": resolution.angstrom,
            f"{name}_resolution_voxels": resolution.angstrom / unit,
            f"{name}_resolution_is": resolution.ending,
            f"{name}_edge_angstrom": 1 / curve.last_q_inv_angstrom(),
            f"{name}_voxel_angstrom": unit,
        }
    return metrics


def _curve_rows(scored: ScoredVolumes) -> list[dict[str, Any]]:
    """Return the curves side by side where they share shells, which volumes of one box do."""
    columns: dict[str, ShellCorrelation] = {}
    if scored.density is not None:
        columns["density_fsc"] = scored.density.correlation
        columns["density_fsc_other_hand"] = scored.density.other_hand
        columns["density_fsc_chance"] = scored.density.chance
    if scored.volume is not None:
        columns["volume_cc"] = scored.volume.correlation
        columns["volume_cc_chance"] = scored.volume.chance
    rows: dict[float, dict[str, Any]] = {}
    for name, curve in columns.items():
        for q, value in zip(curve.q_inv_angstrom, curve.correlation, strict=True):
            place = round(float(q), 9)
            rows.setdefault(place, {"q_inv_angstrom": place, **dict.fromkeys(columns)})[name] = value
    return [rows[place] for place in sorted(rows)]
