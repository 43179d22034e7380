"""evaluate-rotations: a reconstruction over all rotations against the true orientations and the true volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fewphoton.config import EvaluateRotationsConfig
from fewphoton.data import FrameOrientations
from fewphoton.data.point_group import PointGroup, rotation_angles_deg
from fewphoton.errors import ConfigError, GeometryError
from fewphoton.evaluate.fourier_shell import ShellCorrelation, intensity_shell_correlation
from fewphoton.evaluate.rotation_error import RotationErrors
from fewphoton.evaluate.shells import shell_edges
from fewphoton.evaluate.volume_alignment import (
    align_on_lattice,
    align_with_turned_frames,
    central_part,
    errors_with_turned_frames,
    rotated_volume,
)
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.volumes import VolumeFile, read_volume_file
from fewphoton.stages.contract import Context, path_field

Config = EvaluateRotationsConfig

_IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
_HALF, _HALF_BIT = 0.5, 0.143


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    volume: Path = path_field("intensity volume with half sets")
    orientations: Path = path_field("recovered orientations of the frames")
    frames: Path = path_field("photon file that the volume was made from; true orientations where they are known")
    truth: Path | None = path_field("noise-free volume, where the answer is known", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    metrics: Path = path_field("metrics (JSON)")
    shells: Path = path_field("correlations by resolution shell (CSV)")
    errors: Path = path_field("rotation error of each frame (CSV)")


def run(inputs: Inputs, outputs: Outputs, config: EvaluateRotationsConfig, context: Context) -> None:
    """Evaluate.

    Raises
    ------
    GeometryError
        If the files do not belong together.
    ConfigError
        If a true volume is given for frames whose true orientations are unknown.
    """
    found = read_volume_file(inputs.volume)
    orientations = read_orientation_file(inputs.orientations)
    if orientations.best_quaternion is None:
        raise GeometryError(f"{inputs.orientations}: holds angles about an axis; evaluate scores them")
    with open_photon_file(inputs.frames) as reader:
        photons = np.concatenate([np.zeros(0, np.int64), *(chunk.totals() for chunk in reader.chunks())])
        true, beam = reader.table.quaternion, reader.beam.direction
    if len(orientations) != len(photons):
        raise GeometryError(
            f"{inputs.orientations}: {len(orientations)} orientations for {len(photons)} frames of {inputs.frames}; "
            "they belong to different runs"
        )
    if inputs.truth is not None and true is None:
        raise ConfigError(f"{inputs.frames}: no true orientations, by which volumes could be brought together")
    rng = np.random.default_rng(config.seed)
    metrics: dict[str, Any] = {
        "n_frames": len(photons),
        "photons_per_frame_mean": float(photons.mean()) if len(photons) else None,
        "sampling_step_deg": orientations.step_deg,
        "mean_entropy_nat": float(orientations.entropy_nat.mean(dtype=np.float64)),
    }
    group = PointGroup.of_crystal(found.crystal)
    errors = turned = np.full(len(photons), np.nan)
    alignment = _IDENTITY
    if true is not None:
        aligned, turned = _aligned(found, orientations.best_quaternion, true, beam, group, config)
        errors, alignment = aligned.error_deg, aligned.alignment
        metrics |= _error_metrics(orientations, errors, turned)
        metrics["alignment_deg"] = float(rotation_angles_deg(alignment[None], _IDENTITY[None])[0])
        metrics |= _by_chance(found, orientations, true, beam, group, config, rng)
    rows, merits = _shells(inputs, found, alignment, config, rng)
    write_table(outputs.shells, rows)
    write_table(
        outputs.errors,
        [
            {
                "photons": count,
                "rotation_error_deg": error,
                "rotation_error_up_to_turn_deg": other,
                "best_probability": probability,
            }
            for count, error, other, probability in zip(
                photons, errors, turned, orientations.best_probability, strict=True
            )
        ],
    )
    write_metrics(outputs.metrics, metrics | merits)


def _is_free(found: VolumeFile, config: EvaluateRotationsConfig) -> bool:
    if config.alignment == "automatic":
        return found.volume.voxels_per_cell == 1
    return config.alignment == "rotation"


def _aligned(
    found: VolumeFile,
    best: NDArray[np.float64],
    true: NDArray[np.float64],
    beam: NDArray[np.float64],
    group: PointGroup,
    config: EvaluateRotationsConfig,
) -> tuple[RotationErrors, NDArray[np.float64]]:
    """Return errors with their alignment, and errors of frames that may be turned about the beam."""
    if _is_free(found, config):
        aligned = align_with_turned_frames(best, true, beam, group)
    else:
        aligned = align_on_lattice(best, true, found.crystal, group)
    return aligned, errors_with_turned_frames(best, true, aligned.alignment, beam, group)


def _within(errors: NDArray[np.float64], limit_deg: float) -> float:
    known = errors[np.isfinite(errors)]
    return float((known <= limit_deg).mean()) if len(known) else float("nan")


def _error_metrics(
    orientations: FrameOrientations, errors: NDArray[np.float64], turned: NDArray[np.float64]
) -> dict[str, Any]:
    step = orientations.step_deg
    return {
        "rotation_error_median_deg": float(np.nanmedian(errors)) if np.isfinite(errors).any() else None,
        "frames_within_one_step": _within(errors, step),
        "frames_within_two_steps": _within(errors, 2 * step),
        "frames_within_one_step_up_to_turn": _within(turned, step),
        "frames_within_two_steps_up_to_turn": _within(turned, 2 * step),
    }


def _by_chance(
    found: VolumeFile,
    orientations: FrameOrientations,
    true: NDArray[np.float64],
    beam: NDArray[np.float64],
    group: PointGroup,
    config: EvaluateRotationsConfig,
    rng: np.random.Generator,
) -> dict[str, float]:
    """Fractions after exchanging orientations between frames at random, aligned anew: means over the shuffles."""
    names = ("frames_within_one_step", "frames_within_two_steps")
    best = orientations.best_quaternion
    values = []
    for _ in range(config.shuffles):
        if best is None:
            break
        aligned, turned = _aligned(found, best[rng.permutation(len(best))], true, beam, group, config)
        numbers = _error_metrics(orientations, aligned.error_deg, turned)
        values.append([numbers[name] for name in names])
    return {f"{name}_chance": float(value) for name, value in zip(names, np.mean(values, axis=0), strict=True)}


def _shells(
    inputs: Inputs,
    found: VolumeFile,
    alignment: NDArray[np.float64],
    config: EvaluateRotationsConfig,
    rng: np.random.Generator,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return correlations by shell, and what they come to."""
    crystal, volume = found.crystal, found.volume
    axis = volume.axis_hkl()
    seen = np.argwhere(volume.weight > 0)
    edges = shell_edges(crystal.q_inv_angstrom(axis[seen]), config.n_shells)
    curves: dict[str, ShellCorrelation] = {}
    if inputs.truth is not None:
        truth = read_volume_file(inputs.truth, with_halves=False)
        if not np.allclose(truth.crystal.cell, crystal.cell, rtol=1e-3):
            raise GeometryError(f"{inputs.truth}: cell {truth.crystal.cell} differs from the volume's, {crystal.cell}")
        if truth.volume.voxels_per_cell != volume.voxels_per_cell:
            raise GeometryError(
                f"{inputs.truth}: {truth.volume.voxels_per_cell} voxels a cell, the volume has {volume.voxels_per_cell}"
            )
        n = min(truth.volume.n, volume.n)
        other = central_part(truth.volume, n)

        def against_truth(turn: NDArray[np.float64]) -> ShellCorrelation:
            moved = central_part(rotated_volume(volume, crystal, turn), n)
            return intensity_shell_correlation(moved, other, crystal, edges)

        curves["cc_truth"] = against_truth(alignment)
        curves["cc_truth_chance"] = _mean_of(against_truth, config.shuffles, rng)
    if found.halves is not None:
        curves["cc_half_shared_orientations"] = intensity_shell_correlation(*found.halves, crystal, edges)
    rows = [
        {
            "q_low_inv_angstrom": edges[number],
            "q_high_inv_angstrom": edges[number + 1],
            **{name: curve.correlation[number] for name, curve in curves.items()},
        }
        for number in range(config.n_shells)
    ]
    merits: dict[str, Any] = {"q_max_inv_angstrom": float(edges[-1])}
    for name, curve in curves.items():
        known = np.isfinite(curve.correlation)
        weight = curve.n_voxels[known]
        merits[f"{name}_mean"] = float(np.average(curve.correlation[known], weights=weight)) if known.any() else None
    for name, threshold in (("cc_truth", _HALF), ("cc_half_shared_orientations", _HALF_BIT)):
        if name in curves:
            merits[f"resolution_{name}_angstrom"] = _resolution(curves[name], threshold)
    return rows, merits


def _resolution(curve: ShellCorrelation, threshold: float) -> float:
    """Resolution, from the first shell on that reaches the threshold: the beam stop hides the lowest."""
    reached = np.flatnonzero(curve.correlation >= threshold)
    first = slice(int(reached[0]) if len(reached) else 0, None)
    seen = ShellCorrelation(curve.q_inv_angstrom[first], curve.correlation[first], curve.n_voxels[first])
    return seen.resolution_angstrom(threshold)


def _mean_of(
    against_truth: Callable[[NDArray[np.float64]], ShellCorrelation], n: int, rng: np.random.Generator
) -> ShellCorrelation:
    """Mean of the correlations after random rotations of the volume."""
    tried = [against_truth(turn) for turn in Rotation.random(n, rng).as_quat(scalar_first=True)]
    mean = np.mean([one.correlation for one in tried], axis=0)
    return ShellCorrelation(tried[0].q_inv_angstrom, mean, tried[0].n_voxels)
