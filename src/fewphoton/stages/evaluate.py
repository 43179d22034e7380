"""evaluate: from a volume to reflections, R factors, correlations, the Patterson map and orientation errors."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config import EvaluateConfig
from fewphoton.data import Crystal, Reflections
from fewphoton.data.evaluation import Evaluation
from fewphoton.errors import GeometryError
from fewphoton.evaluate.agreement import cc_star, correlation
from fewphoton.evaluate.compare import Comparison, compare
from fewphoton.evaluate.integrate import integrate
from fewphoton.evaluate.merge import match, merge_equivalents
from fewphoton.evaluate.orientation_error import angle_errors_deg, equivalent_angles_deg, score_orientations
from fewphoton.evaluate.patterson import away_from_origin, patterson_map
from fewphoton.evaluate.shells import bragg_mask, bragg_to_diffuse, in_shell, photons_per_peak, shell_edges, voxel_shells
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


@dataclass(frozen=True, eq=False)
class _Frames:
    """What is needed of the photon file."""

    photons: NDArray[np.int64]
    true_deg: NDArray[np.float64]
    wavelength_angstrom: float


def run(inputs: Inputs, outputs: Outputs, config: EvaluateConfig, context: Context) -> None:
    """Evaluate."""
    found = read_volume_file(inputs.volume)
    crystal = found.crystal
    with open_photon_file(inputs.frames) as reader:
        photons = np.concatenate([np.zeros(0, np.int64), *(chunk.totals() for chunk in reader.chunks())])
        frames = _Frames(photons, reader.table.omega_deg, reader.beam.wavelength_angstrom)
    radius = config.peak_radius_voxels
    every = integrate(found.volume, crystal, radius, found.halves, subtract_diffuse=config.subtract_diffuse)
    merged = merge_equivalents(every, crystal)
    q = crystal.q_inv_angstrom(merged.hkl)
    edges = shell_edges(q, config.n_shells)
    rng = np.random.default_rng(config.seed)
    comparisons: dict[str, tuple[Comparison, Reflections, Reflections] | None] = {}
    for role in ("reference", "truth"):
        path = getattr(inputs, role)
        comparisons[role] = None if path is None else _compare(path, found, merged, q, edges, config, rng)
    patterson = patterson_map(merged, crystal, config.patterson_voxels)
    reference_patterson = None
    if comparisons["reference"] is not None:
        reference_patterson = patterson_map(comparisons["reference"][2], crystal, config.patterson_voxels)
    angles, evaluation_angles = _angles(inputs, frames, found, config)

    metrics: dict[str, Any] = {
        "n_frames": len(photons),
        "photons_per_frame_mean": float(photons.mean()) if len(photons) else None,
        "n_reflections": len(merged),
        "q_max_inv_angstrom": float(q.max()),
    }
    metrics |= _agreement_metrics(every, merged, comparisons)
    metrics |= _patterson_metrics(patterson, reference_patterson, crystal)
    rows = _shell_rows(found, every, merged, q, edges, comparisons, float(photons.sum()), config)
    near = [row["bragg_to_diffuse"] for row in rows if row["q_high_inv_angstrom"] <= config.low_q_fraction * q.max()]
    metrics["bragg_to_diffuse_low_q"] = float(np.nanmean(near)) if np.isfinite(near).any() else None
    metrics |= angles

    provenance = Provenance.of("evaluate", config.model_dump(mode="json"), input_files(inputs))
    write_mtz(outputs.reflections, merged, crystal, frames.wavelength_angstrom)
    write_ccp4_map(outputs.patterson, patterson, crystal.cell)
    write_table(outputs.shells, rows)
    nothing = np.full(len(merged), np.nan)
    scaled = {role: nothing if done is None else done[0].scaled for role, done in comparisons.items()}
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


def _compare(
    path: Path,
    found: VolumeFile,
    merged: Reflections,
    q: NDArray[np.float64],
    edges: NDArray[np.float64],
    config: EvaluateConfig,
    rng: np.random.Generator,
) -> tuple[Comparison, Reflections, Reflections]:
    """Return the comparison, and the other volume's reflections unmerged and merged."""
    other = read_volume_file(path)
    if not np.allclose(other.crystal.cell, found.crystal.cell, rtol=1e-3):
        raise GeometryError(
            f"{path}: cell {other.crystal.cell} differs from that of the volume, {found.crystal.cell}; "
            "only volumes of one crystal can be compared"
        )
    # The sphere has the same size in hkl on both grids.
    radius = config.peak_radius_voxels * other.volume.voxels_per_cell / found.volume.voxels_per_cell
    theirs = integrate(other.volume, other.crystal, radius, subtract_diffuse=config.subtract_diffuse)
    their_merged = merge_equivalents(theirs, other.crystal)
    comparison = compare(
        merged, q, match(merged, their_merged), edges, config.low_q_fraction, config.shuffles, rng
    )
    return comparison, theirs, their_merged


def _agreement_metrics(
    every: Reflections,
    merged: Reflections,
    comparisons: dict[str, tuple[Comparison, Reflections, Reflections] | None],
) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    if (done := comparisons["reference"]) is not None:
        comparison = done[0]
        metrics |= {
            "r_high_low_all": comparison.r_all,
            "r_high_low_low_q": comparison.r_low_q,
            "r_high_low_low_q_chance_mean": comparison.r_chance,
            "r_high_low_low_q_chance_std": comparison.r_chance_std,
            "cc_reference": comparison.cc,
            "cc_reference_chance": comparison.cc_chance,
        }
    if (done := comparisons["truth"]) is not None:
        comparison, theirs, _ = done
        metrics |= {
            "cc_truth": comparison.cc,
            "cc_truth_chance": comparison.cc_chance,
            "cc_truth_unmerged": correlation(every.intensity, match(every, theirs)),
            "r_truth_low_q": comparison.r_low_q,
        }
    half = correlation(merged.half_1, merged.half_2)
    return metrics | {"cc_half_shared_orientations": half, "cc_star_shared_orientations": cc_star(half)}


def _patterson_metrics(
    patterson: NDArray[np.float64], reference: NDArray[np.float64] | None, crystal: Crystal
) -> dict[str, Any]:
    if reference is None:
        return {}
    outside = away_from_origin(patterson.shape, crystal, 0.08 * min(crystal.cell[:3]))
    return {
        "patterson_correlation": correlation(patterson.ravel(), reference.ravel()),
        "patterson_correlation_without_origin": correlation(patterson[outside], reference[outside]),
    }


def _angles(
    inputs: Inputs, frames: _Frames, found: VolumeFile, config: EvaluateConfig
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return metrics and arrays of the recovered angles."""
    if inputs.orientations is None:
        unknown = np.full(len(frames.photons), np.nan)
        return {}, {"true_angle_deg": frames.true_deg, "best_angle_deg": unknown, "angle_error_deg": unknown}
    orientations = read_orientation_file(inputs.orientations)
    if len(orientations) != len(frames.photons):
        raise GeometryError(
            f"{inputs.orientations}: {len(orientations)} orientations for {len(frames.photons)} frames of "
            f"{inputs.frames}; they belong to different runs"
        )
    tolerance = config.frame_tolerance_deg or config.frame_tolerance_steps * orientations.step_deg
    equivalents = equivalent_angles_deg(found.crystal, found.rotation_axis)
    error = angle_errors_deg(orientations.best_angle_deg, frames.true_deg, equivalents)
    score = score_orientations(error, tolerance, len(equivalents))
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
    found: VolumeFile,
    every: Reflections,
    merged: Reflections,
    q: NDArray[np.float64],
    edges: NDArray[np.float64],
    comparisons: dict[str, tuple[Comparison, Reflections, Reflections] | None],
    photons_total: float,
    config: EvaluateConfig,
) -> list[dict[str, Any]]:
    crystal, volume, n_shells = found.crystal, found.volume, config.n_shells
    marked = bragg_mask(volume, crystal, config.peak_radius_voxels)
    shell = voxel_shells(volume, crystal, edges)
    every_q = crystal.q_inv_angstrom(every.hkl)
    n_peaks = np.array([in_shell(every_q, edges, number).sum() for number in range(n_shells)])
    ratio = bragg_to_diffuse(volume, marked, shell, n_shells)
    photons = photons_per_peak(volume, marked, shell, n_peaks, photons_total)
    reference = comparisons["reference"][0] if comparisons["reference"] is not None else None
    truth = comparisons["truth"][0] if comparisons["truth"] is not None else None
    rows = []
    for number in range(n_shells):
        part = in_shell(q, edges, number)
        rows.append(
            {
                "q_low_inv_angstrom": edges[number],
                "q_high_inv_angstrom": edges[number + 1],
                "q_mean_inv_angstrom": float(q[part].mean()) if part.any() else None,
                "n_reflections": int(part.sum()),
                "r_high_low": None if reference is None else reference.r_by_shell[number],
                "r_chance": None if reference is None else reference.r_chance_by_shell[number],
                "cc_reference": None if reference is None else reference.cc_by_shell[number],
                "cc_truth": None if truth is None else truth.cc_by_shell[number],
                "cc_half_shared_orientations": correlation(merged.half_1[part], merged.half_2[part]),
                "photons_per_peak": photons[number],
                "bragg_to_diffuse": ratio[number],
                "mean_intensity": float(merged.intensity[part].mean()) if part.any() else None,
            }
        )
    return rows
