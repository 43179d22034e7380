"""evaluate: from a volume to reflections, R factors, correlations, the Patterson map and orientation errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config import EvaluateConfig
from fewphoton.data import Crystal, Evaluation, FrameOrientations, IntensityVolume, Reflections
from fewphoton.errors import ConfigError, DataError, GeometryError
from fewphoton.evaluate.agreement import cc_star, correlation
from fewphoton.evaluate.compare import Comparison, compare
from fewphoton.evaluate.integrate import integrate, photons_in_peaks, sphere_weights
from fewphoton.evaluate.merge import match, merge_equivalents
from fewphoton.evaluate.orientation_error import angle_errors_deg, equivalent_angles_deg, score_orientations
from fewphoton.evaluate.patterson import away_from_origin, patterson_map
from fewphoton.evaluate.shells import bragg_to_diffuse, in_shell, regions, shell_edges, shell_means
from fewphoton.io.evaluation_files import write_evaluation
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.reflections import write_mtz
from fewphoton.io.volumes import VolumeFile, read_volume_file, write_ccp4_map
from fewphoton.stages.contract import Context, input_files, path_field

Config = EvaluateConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    volume: Path = path_field("intensity volume")
    frames: Path = path_field("photon file that the volume was made from")
    orientations: Path | None = path_field("recovered orientations of the frames", optional=True)
    reference: Path | None = path_field("volume to compare with", optional=True)
    truth: Path | None = path_field("noise-free volume, where the answer is known", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    metrics: Path = path_field("metrics (JSON)")
    shells: Path = path_field("metrics by resolution shell (CSV)")
    reflections: Path = path_field("merged reflections (MTZ)")
    patterson: Path = path_field("Patterson map (CCP4)")
    evaluation: Path = path_field("everything that figures draw (HDF5)")
    reference_patterson: Path | None = path_field("Patterson map of the reference (CCP4)", optional=True)


@dataclass(frozen=True, eq=False)
class _Frames:
    """What is needed of the photon file."""

    photons: NDArray[np.int64]
    true_deg: NDArray[np.float64]
    wavelength_angstrom: float


def run(inputs: Inputs, outputs: Outputs, config: EvaluateConfig, context: Context) -> None:
    """Evaluate.

    Raises
    ------
    GeometryError
        If the volumes, or the frames and their orientations, do not belong together.
    DataError
        If no reflection was measured.
    """
    if outputs.reference_patterson is not None and inputs.reference is None:
        raise ConfigError("a Patterson map of the reference is asked for, but there is no reference")
    orientations = _axis_scan(inputs)
    found = read_volume_file(inputs.volume)
    crystal = found.crystal
    with open_photon_file(inputs.frames) as reader:
        photons = np.concatenate([np.zeros(0, np.int64), *(chunk.totals() for chunk in reader.chunks())])
        frames = _Frames(photons, reader.table.omega_deg, reader.beam.wavelength_angstrom)
    radius = config.peak_radius_voxels
    every = integrate(found.volume, crystal, radius, found.halves, subtract_diffuse=config.subtract_diffuse)
    found = replace(found, halves=None)  # half sets are integrated; a large grid's memory is wanted elsewhere
    merged = merge_equivalents(every, crystal, sphere_weights(found.volume, every.hkl, radius))
    if not len(merged):
        raise DataError(f"{inputs.volume}: every measured lattice point is a systematic absence of the space group")
    q = crystal.q_inv_angstrom(merged.hkl)
    edges = shell_edges(q, config.n_shells)
    rng = np.random.default_rng(config.seed)
    comparisons: dict[str, _Compared | None] = {}
    for role in ("reference", "truth"):
        path = getattr(inputs, role)
        comparisons[role] = None if path is None else _compare(path, found, merged, q, edges, config, rng)
    patterson = patterson_map(merged, crystal, config.patterson_voxels)
    reference_patterson = None
    if (done := comparisons["reference"]) is not None:
        # A map of higher resolution would differ for that alone.
        within = crystal.q_inv_angstrom(done.merged.hkl) <= q.max() * (1 + 1e-9)
        reference_patterson = patterson_map(done.merged.take(within), crystal, config.patterson_voxels)
    angles, evaluation_angles = _angles(inputs, orientations, frames, found, config)

    metrics: dict[str, Any] = {
        "n_frames": len(photons),
        "photons_per_frame_mean": float(photons.mean()) if len(photons) else None,
        "n_reflections": len(merged),
        "q_max_inv_angstrom": float(q.max()),
    }
    metrics |= _absence_metrics(every, merged, crystal)
    metrics |= _agreement_metrics(every, merged, crystal, comparisons)
    metrics |= _patterson_metrics(patterson, reference_patterson, crystal, float(q.max()))
    region = regions(found.volume, crystal, radius)
    rows = _shell_rows(found.volume, crystal, region, every, merged, edges, comparisons, float(photons.sum()), config)
    low_q = np.array([0.0, config.low_q_fraction * float(q.max())])
    metrics["bragg_to_diffuse_low_q"] = float(bragg_to_diffuse(found.volume, crystal, region, low_q)[0])
    metrics |= angles

    provenance = Provenance.of("evaluate", config.model_dump(mode="json"), input_files(inputs))
    write_mtz(outputs.reflections, merged, crystal, frames.wavelength_angstrom, "integrated from an EMC volume")
    write_ccp4_map(outputs.patterson, patterson, crystal.cell)
    if outputs.reference_patterson is not None and reference_patterson is not None:
        write_ccp4_map(outputs.reference_patterson, reference_patterson, crystal.cell)
    write_table(outputs.shells, rows)
    nothing = np.full(len(merged), np.nan)
    scaled = {role: nothing if done is None else done.comparison.scaled for role, done in comparisons.items()}
    evaluation = Evaluation(
        patterson=patterson,
        reference_patterson=reference_patterson,
        patterson_voxel_angstrom=np.array(crystal.cell[:3]) / config.patterson_voxels,
        photons=photons,
        hkl=merged.hkl,
        q_inv_angstrom=q,
        intensity=merged.intensity,
        sigma=merged.sigma,
        reference_intensity=scaled["reference"],
        truth_intensity=scaled["truth"],
        **evaluation_angles,
    )
    write_evaluation(outputs.evaluation, evaluation, provenance)
    write_metrics(outputs.metrics, metrics)


@dataclass(frozen=True, eq=False)
class _Compared:
    """A comparison, and the other volume's reflections, not merged and merged."""

    comparison: Comparison
    every: Reflections
    merged: Reflections


def _compare(
    path: Path,
    found: VolumeFile,
    merged: Reflections,
    q: NDArray[np.float64],
    edges: NDArray[np.float64],
    config: EvaluateConfig,
    rng: np.random.Generator,
) -> _Compared:
    other = read_volume_file(path, with_halves=False)
    ours, theirs = found.crystal, other.crystal
    if not np.allclose(theirs.cell, ours.cell, rtol=1e-3) or theirs.space_group != ours.space_group:
        raise GeometryError(
            f"{path}: cell and space group {theirs.cell}, {theirs.space_group} differ from those of the volume, "
            f"{ours.cell}, {ours.space_group}; only volumes of one crystal can be compared"
        )
    # The sphere has the same size in hkl on both grids.
    radius = config.peak_radius_voxels * other.volume.voxels_per_cell / found.volume.voxels_per_cell
    every = integrate(other.volume, theirs, radius, subtract_diffuse=config.subtract_diffuse)
    their_merged = merge_equivalents(every, theirs, sphere_weights(other.volume, every.hkl, radius))
    reference = match(merged, their_merged)
    if not (np.isfinite(reference) & np.isfinite(merged.intensity)).any():
        raise DataError(f"{path}: has no reflection in common with the volume")
    comparison = compare(merged, q, reference, edges, config.low_q_fraction, config.shuffles, rng)
    return _Compared(comparison, every, their_merged)


def _absence_metrics(every: Reflections, merged: Reflections, crystal: Crystal) -> dict[str, Any]:
    """Count lattice points that glide planes and screw axes forbid; in a good volume they hold next to nothing."""
    absent = every.take(~crystal.space_group_allows(every.hkl))
    allowed = float(merged.intensity.mean())
    known = len(absent) > 0 and allowed > 0
    return {
        "n_systematic_absences": len(np.unique(crystal.to_laue_asu(absent.hkl), axis=0)),
        "absent_to_allowed_intensity": float(np.nanmean(absent.intensity)) / allowed if known else None,
    }


def _agreement_metrics(
    every: Reflections, merged: Reflections, crystal: Crystal, comparisons: dict[str, _Compared | None]
) -> dict[str, Any]:
    reference, truth = comparisons["reference"], comparisons["truth"]
    half = correlation(merged.half_1, merged.half_2)
    unmerged = None
    if truth is not None:
        allowed = every.take(crystal.space_group_allows(every.hkl))
        unmerged = correlation(allowed.intensity, match(allowed, truth.every))
    return {
        "r_high_low_all": None if reference is None else reference.comparison.r_all,
        "r_high_low_low_q": None if reference is None else reference.comparison.r_low_q,
        "r_high_low_low_q_chance_mean": None if reference is None else reference.comparison.r_chance,
        "r_high_low_low_q_chance_std": None if reference is None else reference.comparison.r_chance_std,
        "cc_reference": None if reference is None else reference.comparison.cc,
        "cc_reference_chance": None if reference is None else reference.comparison.cc_chance,
        "cc_truth": None if truth is None else truth.comparison.cc,
        "cc_truth_chance": None if truth is None else truth.comparison.cc_chance,
        "cc_truth_unmerged": unmerged,
        "r_truth_low_q": None if truth is None else truth.comparison.r_low_q,
        "cc_half_shared_orientations": half,
        "cc_star_shared_orientations": cc_star(half),
    }


def _patterson_metrics(
    patterson: NDArray[np.float64],
    reference: NDArray[np.float64] | None,
    crystal: Crystal,
    q_max_inv_angstrom: float,
) -> dict[str, Any]:
    if reference is None:
        return {"patterson_correlation": None, "patterson_correlation_without_origin": None}
    # Peaks of this resolution first vanish at 0.72 / q_max.
    outside = away_from_origin(patterson.shape, crystal, 1.0 / q_max_inv_angstrom)
    return {
        "patterson_correlation": correlation(patterson.ravel(), reference.ravel()),
        "patterson_correlation_without_origin": correlation(patterson[outside], reference[outside]),
    }


_ANGLE_METRICS = (
    "frames_oriented_fraction",
    "frames_oriented_fraction_chance",
    "frames_oriented_fraction_all_frames",
    "orientation_error_median_deg",
    "orientation_error_rms_deg",
    "orientation_offset_deg",
    "orientation_step_deg",
    "orientation_tolerance_deg",
    "mean_entropy_nat",
)


def _axis_scan(inputs: Inputs) -> FrameOrientations | None:
    """Read the orientations, if there are any, or raise GeometryError where they are not angles about an axis."""
    if inputs.orientations is None:
        return None
    orientations = read_orientation_file(inputs.orientations)
    if orientations.angle_deg is None:
        raise GeometryError(
            f"{inputs.orientations}: holds rotations, not angles about an axis; evaluate-rotations scores them, and "
            "evaluate goes without"
        )
    return orientations


def _angles(
    inputs: Inputs,
    orientations: FrameOrientations | None,
    frames: _Frames,
    found: VolumeFile,
    config: EvaluateConfig,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metrics and arrays of the recovered angles."""
    if orientations is None:
        unknown = np.full(len(frames.photons), np.nan)
        return dict.fromkeys(_ANGLE_METRICS), {
            "true_angle_deg": frames.true_deg,
            "best_angle_deg": unknown,
            "angle_error_deg": unknown,
        }
    if len(orientations) != len(frames.photons):
        raise GeometryError(
            f"{inputs.orientations}: {len(orientations)} orientations for {len(frames.photons)} frames of "
            f"{inputs.frames}; they belong to different runs"
        )
    tolerance = config.frame_tolerance_deg or config.frame_tolerance_steps * orientations.step_deg
    equivalents = equivalent_angles_deg(found.crystal, found.rotation_axis)
    error = angle_errors_deg(orientations.best_angle_deg, frames.true_deg, equivalents)
    score = score_orientations(error[np.isfinite(frames.true_deg)], tolerance, len(equivalents))
    metrics = {
        "frames_oriented_fraction": score.fraction,
        "frames_oriented_fraction_chance": score.chance,
        "frames_oriented_fraction_all_frames": score.fraction_all_frames,
        "orientation_error_median_deg": score.median_deg,
        "orientation_error_rms_deg": score.rms_deg,
        "orientation_offset_deg": score.offset_deg,
        "orientation_step_deg": orientations.step_deg,
        "orientation_tolerance_deg": tolerance,
        "mean_entropy_nat": float(orientations.entropy_nat.mean(dtype=np.float64)),
    }
    arrays = {
        "true_angle_deg": frames.true_deg,
        "best_angle_deg": orientations.best_angle_deg,
        "angle_error_deg": error,
        "orientation_step_deg": orientations.step_deg,
        "tolerance_deg": tolerance,
        "chance_fraction": score.chance,
    }
    return metrics, arrays


def _shell_rows(
    volume: IntensityVolume,
    crystal: Crystal,
    region: NDArray[np.uint8],
    every: Reflections,
    merged: Reflections,
    edges: NDArray[np.float64],
    comparisons: dict[str, _Compared | None],
    photons_total: float,
    config: EvaluateConfig,
) -> list[dict[str, Any]]:
    q, every_q = crystal.q_inv_angstrom(merged.hkl), crystal.q_inv_angstrom(every.hkl)
    photons = photons_in_peaks(volume, every.hkl, config.peak_radius_voxels, photons_total)
    q_mean = shell_means(q, q, edges)
    intensity = shell_means(merged.intensity, q, edges)
    photons_per_peak = shell_means(photons, every_q, edges)
    ratio = bragg_to_diffuse(volume, crystal, region, edges)
    reference, truth = comparisons["reference"], comparisons["truth"]
    rows = []
    for number in range(len(edges) - 1):
        part = in_shell(q, edges, number)
        rows.append(
            {
                "q_low_inv_angstrom": edges[number],
                "q_high_inv_angstrom": edges[number + 1],
                "q_mean_inv_angstrom": q_mean[number],
                "n_reflections": int(part.sum()),
                "r_high_low": None if reference is None else reference.comparison.r_by_shell[number],
                "r_chance": None if reference is None else reference.comparison.r_chance_by_shell[number],
                "cc_reference": None if reference is None else reference.comparison.cc_by_shell[number],
                "cc_truth": None if truth is None else truth.comparison.cc_by_shell[number],
                "cc_half_shared_orientations": correlation(merged.half_1[part], merged.half_2[part]),
                "photons_per_peak": photons_per_peak[number],
                "bragg_to_diffuse": ratio[number],
                "mean_intensity": intensity[number],
            }
        )
    return rows
