"""integrate-spots: intensities at predicted positions of known orientations, and their quality."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.spot_quality import IntegrateSpotsConfig
from fewphoton.data import Beam, Crystal, Detector, Reflections
from fewphoton.data.detector import q_vectors
from fewphoton.errors import ConfigError, DataError, InputFileError
from fewphoton.evaluate.agreement import correlation
from fewphoton.evaluate.predict_spots import allowed_reflections, predict_rotation, predict_still
from fewphoton.evaluate.shells import in_shell
from fewphoton.evaluate.spot_geometry import PredictedSpots, SurfaceGeometry
from fewphoton.evaluate.spot_integration import Apertures, SpotIntegrator, SpotIntensities
from fewphoton.evaluate.spot_quality import (
    equal_volume_edges,
    frame_scales,
    merge_observations,
    quality,
    with_space_group,
)
from fewphoton.io.dials_experiments import DialsExperiment, read_dials_experiments
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import read_table, write_metrics, write_table
from fewphoton.io.raw_frames import RawFrames, open_raw_frames
from fewphoton.io.reflections import read_mtz, read_reflection_list, write_mtz
from fewphoton.io.still_truth import read_still_truth
from fewphoton.kernels.threads import use_threads
from fewphoton.stages.contract import Context, path_field

Config = IntegrateSpotsConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads: experiments of rotation data or stills, or the truth of simulated stills."""

    frames: tuple[str, ...] = path_field("frames: files, globs, file.h5::/dataset", many=True)
    experiments: tuple[str, ...] = path_field("DIALS experiment lists (.expt, .expt.gz)", optional=True, many=True)
    still_truth: Path | None = path_field("truth of simulated stills (HDF5), in place of experiments", optional=True)
    geometry: Path | None = path_field("detector geometry of the simulated stills", optional=True)
    mask_frames: tuple[str, ...] = path_field(
        "frames whose first tells the masked pixels; default: the frames themselves", optional=True, many=True
    )
    reference: Path | None = path_field("merged reference intensities (MTZ, or a list: h k l I sigma)", optional=True)
    original: Path | None = path_field("observations of the same spots in the original frames (CSV)", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    metrics: Path = path_field("quality over all reflections (JSON)")
    shells: Path = path_field("quality by resolution shell (CSV)")
    merged: Path = path_field("merged intensities (MTZ)")
    observations: Path = path_field("one row a spot (CSV)")


@dataclass(frozen=True, eq=False)
class _Plan:
    """Spots over the whole series of frames, and what they came from."""

    spots: PredictedSpots
    half_width_images: NDArray[np.float64]
    complete: NDArray[np.bool_]
    detector: Detector
    beam: Beam
    crystal: Crystal
    largest_trusted: float
    d_min_angstrom: float
    stills: bool


def run(inputs: Inputs, outputs: Outputs, config: IntegrateSpotsConfig, context: Context) -> None:
    """Integrate, merge, judge."""
    if bool(inputs.experiments) == (inputs.still_truth is not None):
        raise ConfigError("integrate-spots needs either experiments or still_truth")
    use_threads(context.threads)
    with open_raw_frames(inputs.frames) as frames:
        plan = _plan_truth(inputs, config, frames) if inputs.still_truth else _plan_experiments(inputs, config, frames)
        largest = _largest_valid(config, plan, frames)
        usable = _usable(inputs, config, plan, frames, largest)
        apertures = Apertures(config.disc_radius_px, config.ring_inner_px, config.ring_outer_px)
        integrator = SpotIntegrator(plan.spots, plan.half_width_images, plan.complete, usable, apertures)
        chunks = context.track(
            frames.chunks(config.chunk_frames), "integrate", "chunks", -(-frames.n_frames // config.chunk_frames)
        )
        for first, chunk in chunks:
            for offset, frame in enumerate(chunk):
                integrator.add_frame(first + offset, frame, config.smallest_valid_counts, largest)
    found = integrator.finish(config.counts_per_photon)
    _judge(inputs, outputs, config, plan, integrator, found)


def _largest_valid(config: IntegrateSpotsConfig, plan: _Plan, frames: RawFrames) -> float:
    limit = plan.largest_trusted if config.saturation_counts is None else config.saturation_counts
    if frames.dtype.kind == "u":
        # The largest value of an unsigned type marks masked pixels.
        return float(min(limit, np.iinfo(frames.dtype).max - 1))
    return float(min(limit, np.iinfo(frames.dtype).max)) if frames.dtype.kind == "i" else float(limit)


def _usable(
    inputs: Inputs, config: IntegrateSpotsConfig, plan: _Plan, frames: RawFrames, largest: float
) -> NDArray[np.bool_]:
    """Pixels that neither the geometry nor the first frame of the mask frames excludes."""
    if inputs.mask_frames:
        with open_raw_frames(inputs.mask_frames) as other:
            first, mark = other.read(np.array([0]))[0], _largest_valid(config, plan, other)
    else:
        first, mark = frames.read(np.array([0]))[0], largest
    shape = plan.detector.frame_shape
    for name, found in (("frames", frames.frame_shape), ("mask frames", first.shape)):
        if tuple(found) != shape:
            raise DataError(f"{name}: the geometry describes frames of {shape} pixels, found {tuple(found)}")
    seen = (first >= config.smallest_valid_counts) & (first <= mark)
    return np.asarray(seen & ~plan.detector.masked.reshape(shape))


def _plan_truth(inputs: Inputs, config: IntegrateSpotsConfig, frames: RawFrames) -> _Plan:
    assert inputs.still_truth is not None
    if inputs.geometry is None:
        raise ConfigError("still_truth needs the geometry of its detector")
    truth = read_still_truth(inputs.still_truth)
    geometry = read_geometry(inputs.geometry, frames.frame_shape)
    if len(truth.shots) != frames.n_frames:
        raise InputFileError(
            inputs.still_truth, "does not fit the frames", expected=f"{frames.n_frames} shots", found=len(truth.shots)
        )
    beam = geometry.beam
    detector = geometry.detector.with_mask(geometry.detector.masked | np.isnan(truth.background_mean).ravel())
    crystal = _symmetric(truth.crystal, config)
    ub = [(frame, truth.shots.ub_inv_angstrom[frame]) for frame in np.flatnonzero(truth.shots.is_hit).tolist()]
    return _still_plan(SurfaceGeometry(detector, beam), crystal, ub, config, np.inf)


def _symmetric(crystal: Crystal, config: IntegrateSpotsConfig) -> Crystal:
    return crystal if config.space_group is None else with_space_group(crystal, config.space_group)


def _d_min(config: IntegrateSpotsConfig, detector: Detector, beam: Beam) -> float:
    if config.d_min_angstrom is not None:
        return config.d_min_angstrom
    return float(1 / np.nanmax(np.linalg.norm(q_vectors(detector, beam)[~detector.masked], axis=1)))


def _still_plan(
    geometry: Any,
    crystal: Crystal,
    ub: list[tuple[int, NDArray[np.float64]]],
    config: IntegrateSpotsConfig,
    largest_trusted: float,
) -> _Plan:
    d_min = _d_min(config, geometry.detector, geometry.beam)
    limit = config.excitation_error_max_inv_angstrom
    hkl = allowed_reflections(crystal, d_min)
    parts = [predict_still(geometry, hkl, matrix, limit, frame) for frame, matrix in ub]
    if not parts:
        raise DataError("no frame holds a crystal; there is nothing to integrate")
    spots = PredictedSpots.concatenate(parts)
    half, complete = np.full(len(spots), 0.5), np.ones(len(spots), dtype=bool)
    return _Plan(spots, half, complete, geometry.detector, geometry.beam, crystal, largest_trusted, d_min, stills=True)


def _plan_experiments(inputs: Inputs, config: IntegrateSpotsConfig, frames: RawFrames) -> _Plan:
    experiments = [item for path in inputs.experiments for item in read_dials_experiments(path)]
    if experiments[0].rotation_axis is None:
        if len(experiments) != frames.n_frames:
            raise ConfigError(f"{len(experiments)} experiments of stills were given for {frames.n_frames} frames")
        first = experiments[0]
        matrices = [(number, item.ub_inv_angstrom[0]) for number, item in enumerate(experiments)]
        return _still_plan(first, _symmetric(first.crystal, config), matrices, config, first.largest_trusted)
    parts, widths, complete, place = [], [], [], 0
    for run_config in config.runs:
        if run_config.experiment >= len(experiments):
            raise ConfigError(f"runs name experiment {run_config.experiment} of {len(experiments)}")
        item = experiments[run_config.experiment]
        item = replace(item, crystal=_symmetric(item.crystal, config))
        first_image = 0 if run_config.first_image is None else run_config.first_image - item.first_image
        n_frames = frames.n_frames - place if run_config.n_frames is None else run_config.n_frames
        if n_frames < 1 or place + n_frames > frames.n_frames:
            raise ConfigError(f"runs cover frames to {place + n_frames - 1}, but there are {frames.n_frames}")
        _check_angles(item, first_image, frames, place, n_frames)
        spots, width = _rotation_spots(item, config, first_image, n_frames)
        complete.append((spots.image - width >= first_image) & (spots.image + width <= first_image + n_frames))
        parts.append(replace(spots, image=spots.image + (place - first_image)))
        widths.append(width)
        place += n_frames
    if place != frames.n_frames:
        raise ConfigError(f"runs cover {place} of {frames.n_frames} frames")
    item = experiments[config.runs[0].experiment]
    _same_shape([experiments[run_config.experiment] for run_config in config.runs])
    return _Plan(
        PredictedSpots.concatenate(parts),
        np.concatenate(widths),
        np.concatenate(complete),
        item.detector,
        item.beam,
        _symmetric(item.crystal, config),
        min(experiments[run_config.experiment].largest_trusted for run_config in config.runs),
        _d_min(config, item.detector, item.beam),
        stills=False,
    )


def _same_shape(experiments: list[DialsExperiment]) -> None:
    masks = {(item.detector.frame_shape, item.detector.masked.tobytes()) for item in experiments}
    if len(masks) > 1:
        raise ConfigError("the runs' experiments describe detectors of different shape or mask; integrate them apart")


def _rotation_spots(
    item: DialsExperiment, config: IntegrateSpotsConfig, first_image: int, n_frames: int
) -> tuple[PredictedSpots, NDArray[np.float64]]:
    mosaicity = item.mosaicity_deg if config.mosaicity_deg is None else config.mosaicity_deg
    if mosaicity is None:
        raise ConfigError("the experiment tells no mosaicity; set mosaicity_deg")
    spots = predict_rotation(item, _d_min(config, item.detector, item.beam), first_image, n_frames)
    spots = spots.take(np.abs(spots.zeta) >= config.zeta_min)
    return spots, config.rocking_sigmas * mosaicity / np.abs(spots.zeta * item.omega_step_deg)


def _check_angles(item: DialsExperiment, first_image: int, frames: RawFrames, place: int, n_frames: int) -> None:
    given = frames.table.omega_start_deg[place : place + n_frames]
    expected = item.omega_start_deg + item.omega_step_deg * (first_image + np.arange(n_frames))
    # Whole turns do not matter; frames without angles cannot be checked.
    away = np.abs(np.mod(given - expected + 180, 360) - 180)
    if (away > 0.1 * abs(item.omega_step_deg)).any():
        worst = int(np.nanargmax(away))
        raise DataError(
            f"frame {place + worst} begins at {given[worst]} deg, but the experiment has it at {expected[worst]:.4f}; "
            "correct experiment or first_image of the run"
        )


def _judge(
    inputs: Inputs,
    outputs: Outputs,
    config: IntegrateSpotsConfig,
    plan: _Plan,
    integrator: SpotIntegrator,
    found: SpotIntensities,
) -> None:
    hkl, values, errors = found.spots.hkl, found.intensity, found.sigma
    if config.scaling_rounds and plan.stills:
        frame = np.floor(found.spots.image).astype(np.int64)
        scale = frame_scales(hkl, values, frame, plan.crystal, config.scaling_rounds)
        values, errors = values / scale, errors / scale
    merged = merge_observations(hkl, values, errors, plan.crystal, np.random.default_rng(config.seed))
    reference = _read_reference(inputs.reference)
    edges = equal_volume_edges(1 / plan.d_min_angstrom, config.n_shells)
    whole, shells = quality(hkl, values, errors, merged, plan.crystal, edges, reference)
    rows: list[dict[str, Any]] = [{"shell": number, **asdict(shell)} for number, shell in enumerate(shells)]
    strong = found.i_over_sigma > config.strong_i_over_sigma
    record: dict[str, Any] = {
        "n_predicted": len(plan.spots),
        "n_fully_recorded": integrator.n_complete,
        "n_overlapping": integrator.n_overlapping,
        "n_on_masked_pixels": integrator.n_on_mask,
        "n_integrated": len(found),
        "n_with_invalid_pixels": int((~np.isfinite(values)).sum()),
        **asdict(whole),
        "n_strong": int(strong.sum()),
        "median_centroid_distance_px": _median_length(found.centroid_px[strong]),
        "median_brightest_distance_px": _median_length(found.brightest_px[strong]),
    }
    if inputs.original is not None:
        original = _read_original(inputs.original, found)
        q = found.spots.q_inv_angstrom
        record |= _against(original, found.intensity, np.ones(len(q), dtype=bool))
        for number, row in enumerate(rows):
            row |= _against(original, found.intensity, in_shell(q, edges, number))
    write_metrics(outputs.metrics, record)
    write_table(outputs.shells, rows)
    write_mtz(outputs.merged, merged, plan.crystal, plan.beam.wavelength_angstrom, "integrated from Bragg spots")
    write_table(outputs.observations, _observation_rows(found))


def _median_length(offsets: NDArray[np.float64]) -> float:
    return float(np.median(np.linalg.norm(offsets, axis=1))) if len(offsets) else np.nan


def _against(original: NDArray[np.float64], values: NDArray[np.float64], part: NDArray[np.bool_]) -> dict[str, Any]:
    both = part & np.isfinite(original) & np.isfinite(values)
    total = original[both].sum()
    return {
        "n_original": int(both.sum()),
        "cc_original": correlation(original[both], values[both]),
        "r_original": float(np.abs(values[both] - original[both]).sum() / total) if total > 0 else np.nan,
        "sum_ratio_original": float(values[both].sum() / total) if total > 0 else np.nan,
    }


def _observation_rows(found: SpotIntensities) -> list[dict[str, Any]]:
    spots = found.spots
    columns: dict[str, NDArray[Any]] = {
        "h": spots.hkl[:, 0],
        "k": spots.hkl[:, 1],
        "l": spots.hkl[:, 2],
        "image": np.round(spots.image, 4),
        "slow_px": np.round(spots.slow_px, 3),
        "fast_px": np.round(spots.fast_px, 3),
        "d_angstrom": np.round(1 / spots.q_inv_angstrom, 5),
        "intensity": found.intensity,
        "sigma": found.sigma,
        "i_over_sigma": found.i_over_sigma,
        "background_per_pixel": found.background_per_pixel,
        "lorentz": spots.lorentz,
        "polarization": spots.polarization,
        "absorbed": spots.absorbed,
        "excitation_error_inv_angstrom": spots.excitation_error_inv_angstrom,
        "centroid_slow_px": found.centroid_px[:, 0],
        "centroid_fast_px": found.centroid_px[:, 1],
    }
    lists = [values.tolist() for values in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _read_original(path: Path, found: SpotIntensities) -> NDArray[np.float64]:
    """Intensities of the same spots, after checking that they are the same."""
    rows = read_table(path)
    try:
        hkl = np.array([[int(row[name]) for name in "hkl"] for row in rows], dtype=np.int32).reshape(-1, 3)
        image = np.array([float(row["image"]) for row in rows])
        values = np.array([float(row["intensity"]) if row["intensity"] else np.nan for row in rows])
    except (KeyError, ValueError, TypeError) as error:
        raise InputFileError(path, f"is no table of observations: {error}") from error
    if not np.array_equal(hkl, found.spots.hkl) or not np.allclose(image, found.spots.image, atol=1e-3):
        raise InputFileError(
            path,
            "lists other spots than were integrated here",
            expected=f"the same {len(found)} spots",
            found=f"{len(hkl)} spots",
            remedy="Use the same experiments, configuration and mask_frames for both",
        )
    return values


def _read_reference(path: Path | None) -> Reflections | None:
    if path is None:
        return None
    return read_mtz(path)[0] if path.suffix == ".mtz" else read_reflection_list(path)
