"""draw-figure: one figure from result files; nothing is recomputed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.config import DrawFigureConfig
from fewphoton.errors import ConfigError, DataError
from fewphoton.figures import (
    bragg_diffuse,
    convergence,
    convergence_study,
    frames,
    orientations,
    patterson,
    pipeline,
    powder,
    r_factor,
    reflections,
    rotations,
    style,
    sweep,
    volume_slices,
)
from fewphoton.figures.columns import Rows, numbers
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.evaluation_files import read_evaluation
from fewphoton.io.metrics import Value, read_metrics, read_table
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.volumes import read_volume_file
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.figure_inputs import errors_name_files, file_labels, needed

Config = DrawFigureConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads; each figure tells which of these it needs."""

    frames: Path | None = path_field("photon file (frames, powder)", optional=True)
    crystal: Path | None = path_field("crystal description, for the rotation axis (powder)", optional=True)
    volume: Path | None = path_field("intensity volume (volume_slices)", optional=True)
    reference_volume: Path | None = path_field("volume from known orientations (volume_slices)", optional=True)
    evaluation: Path | None = path_field("evaluation (patterson, orientations, reflections)", optional=True)
    metrics: tuple[str, ...] = path_field(
        "metrics, JSON: of reconstruct, one a run (convergence); of evaluate (patterson, reflections, rotations)",
        optional=True,
        many=True,
    )
    iterations: tuple[str, ...] = path_field("logs of the iterations, CSV (convergence)", optional=True, many=True)
    shells: tuple[str, ...] = path_field(
        "resolution shells, CSV (r_factor, bragg_diffuse, rotations)", optional=True, many=True
    )
    errors: Path | None = path_field("rotation errors of frames, CSV (rotations)", optional=True)
    table: Path | None = path_field(
        "table, CSV: of all metrics (sweep), of convergence (convergence_study)", optional=True
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    figure: Path = path_field("figure: .png, .svg or .pdf")


def run(inputs: Inputs, outputs: Outputs, config: DrawFigureConfig, context: Context) -> None:
    """Draw the figure that the configuration names.

    Raises
    ------
    ConfigError
        If an input file that the figure needs was not given.
    DataError
        If the files hold nothing that could be drawn.
    """
    with errors_name_files(inputs, config.figure):
        figure = _FIGURES[config.figure](inputs, config, context)
    style.save(figure, outputs.figure)


def _draw_frames(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    with open_photon_file(needed(inputs, "frames", config.figure)) as reader:
        if config.first_frame >= reader.n_frames:
            raise DataError(f"there is no frame {config.first_frame}; the file holds {reader.n_frames}")
        shown = reader.read(config.first_frame, config.first_frame + config.n_frames)
        return frames.draw(shown, reader.detector)


def _draw_powder(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    axis = None if inputs.crystal is None else read_crystal(inputs.crystal)[1]
    with open_photon_file(needed(inputs, "frames", config.figure)) as reader:
        photons = np.zeros(reader.detector.n_pixels, dtype=np.int64)
        for part in context.track(reader.chunks(), "sum frames", "chunks"):
            photons += np.bincount(part.pixel, weights=part.count, minlength=len(photons)).astype(np.int64)
        return powder.draw(photons, reader.n_frames, reader.detector, reader.beam, axis)


def _draw_convergence(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    paths = needed(inputs, "iterations", config.figure)
    if inputs.metrics and len(inputs.metrics) != len(paths):
        raise ConfigError(f"--metrics: expected one for each of the {len(paths)} runs, found {len(inputs.metrics)}")
    counts = [read_metrics(path).get("n_orientations") for path in inputs.metrics]
    known = [count if isinstance(count, int) else None for count in counts]
    return convergence.draw(
        [read_table(path) for path in paths], file_labels(paths, config.labels, folders=True), known
    )


def _draw_r_factor(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    paths = needed(inputs, "shells", config.figure)
    curves = []
    for path, label in zip(paths, file_labels(paths, config.labels, folders=True), strict=True):
        rows = read_table(path)
        curves.append(
            r_factor.RFactorCurve(
                label,
                _middles(rows),
                numbers(rows, "r_high_low"),
                chance=_optional(rows, "r_chance"),
                photons_per_peak=_optional(rows, "photons_per_peak"),
            )
        )
    return r_factor.draw(curves)


def _middles(rows: Rows) -> Any:
    return 0.5 * (numbers(rows, "q_low_inv_angstrom") + numbers(rows, "q_high_inv_angstrom"))


def _optional(rows: Rows, name: str) -> Any:
    """Return a column, or None where the table does not have it or it holds no value."""
    if not rows or name not in rows[0]:
        return None
    values = numbers(rows, name)
    return values if np.isfinite(values).any() else None


def _draw_bragg_diffuse(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    paths = needed(inputs, "shells", config.figure)
    curves = []
    for path, label in zip(paths, file_labels(paths, config.labels, folders=True), strict=True):
        rows = read_table(path)
        curves.append(bragg_diffuse.RatioCurve(label, _middles(rows), numbers(rows, "bragg_to_diffuse")))
    return bragg_diffuse.draw(curves)


def _evaluated(inputs: Inputs) -> dict[str, Value]:
    return {name: value for path in inputs.metrics for name, value in read_metrics(path).items()}


def _draw_patterson(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    found = read_evaluation(needed(inputs, "evaluation", config.figure))
    correlation = _evaluated(inputs).get("patterson_correlation_without_origin")
    return patterson.draw(
        found.patterson,
        found.reference_patterson,
        found.patterson_voxel_angstrom,
        correlation=float(correlation) if isinstance(correlation, (int, float)) else None,
        every=config.slice_step,
    )


def _draw_orientations(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    found = read_evaluation(needed(inputs, "evaluation", config.figure))
    return orientations.draw(
        found.true_angle_deg,
        found.best_angle_deg,
        found.angle_error_deg,
        found.photons,
        found.orientation_step_deg,
        found.tolerance_deg,
        found.chance_fraction,
    )


def _draw_rotations(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    (shells,) = needed(inputs, "shells", config.figure)[:1]
    rows = read_table(needed(inputs, "errors", config.figure))
    needed(inputs, "metrics", config.figure)
    merits = _evaluated(inputs)
    step, chance = (merits.get(name) for name in ("sampling_step_deg", "frames_within_one_step_chance"))
    return rotations.draw(
        read_table(shells),
        numbers(rows, "rotation_error_deg"),
        numbers(rows, "rotation_error_up_to_turn_deg"),
        float(step) if isinstance(step, (int, float)) else np.nan,
        float(chance) if isinstance(chance, (int, float)) else np.nan,
    )


def _draw_volume_slices(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    volume = read_volume_file(needed(inputs, "volume", config.figure)).volume
    reference = None if inputs.reference_volume is None else read_volume_file(inputs.reference_volume).volume
    return volume_slices.draw(volume, reference)


def _draw_reflections(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    found = read_evaluation(needed(inputs, "evaluation", config.figure))
    merits = _evaluated(inputs)
    comparisons = []
    for name, values in (("reference", found.reference_intensity), ("true", found.truth_intensity)):
        if np.isfinite(values).any():
            comparisons.append(reflections.Comparison(name, values, _notes(merits, name)))
    return reflections.draw(found.intensity, found.q_inv_angstrom, comparisons)


_MERITS = {
    "reference": {"cc_reference": "CC", "r_high_low_all": "R", "r_high_low_low_q": "R at low q"},
    "true": {"cc_truth": "CC", "r_truth_low_q": "R at low q"},
}


def _notes(merits: dict[str, Value], comparison: str) -> tuple[str, ...]:
    given = ((symbol, merits.get(name)) for name, symbol in _MERITS[comparison].items())
    return tuple(f"{symbol} = {value:.3f}" for symbol, value in given if isinstance(value, float))


def _draw_sweep(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    rows = read_table(needed(inputs, "table", config.figure))
    if config.x is None:
        raise ConfigError("figure 'sweep' needs x, the column of the swept parameter")
    metrics = config.metrics or sweep.usual_metrics(rows)
    return sweep.draw(rows, config.x, metrics, series=config.series, facet=config.facet)


def _draw_convergence_study(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    rows = read_table(needed(inputs, "table", config.figure))
    if config.x is None:
        raise ConfigError("figure 'convergence_study' needs x, the column of the horizontal axis")
    return convergence_study.draw(rows, config.x)


def _draw_pipeline(inputs: Inputs, config: DrawFigureConfig, context: Context) -> style.Figure:
    return pipeline.draw()


_FIGURES: dict[str, Callable[[Inputs, DrawFigureConfig, Context], style.Figure]] = {
    "frames": _draw_frames,
    "powder": _draw_powder,
    "convergence": _draw_convergence,
    "r_factor": _draw_r_factor,
    "patterson": _draw_patterson,
    "orientations": _draw_orientations,
    "rotations": _draw_rotations,
    "bragg_diffuse": _draw_bragg_diffuse,
    "volume_slices": _draw_volume_slices,
    "reflections": _draw_reflections,
    "sweep": _draw_sweep,
    "convergence_study": _draw_convergence_study,
    "pipeline": _draw_pipeline,
}
