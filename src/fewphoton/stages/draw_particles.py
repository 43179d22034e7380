"""draw-particles: one figure or table of single particles (Shenoy et al. 2023), with its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fewphoton.config.particle_figure import DrawParticlesConfig
from fewphoton.errors import DataError, InputFileError
from fewphoton.evaluate.accuracy_table import accuracy_cells
from fewphoton.evaluate.density_score import resolution_at_half
from fewphoton.evaluate.fourier_shell import ShellCorrelation
from fewphoton.figures import accuracy_table, particle_densities, shell_correlations, style, training_course
from fewphoton.io.metrics import read_table, write_table
from fewphoton.io.volumes import read_ccp4_map
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.figure_inputs import errors_name_files, labelled_files, needed
from fewphoton.stages.recovery_figures import kept_rows

Config = DrawParticlesConfig
_Drawn = tuple[style.Figure, list[dict[str, Any]]]

_CURVE_NAMES = {
    "density_fsc": "Fourier shell correlation with the truth",
    "volume_cc": "correlation of intensities with the truth",
}
_MEASURE_NAMES = {
    "loss": "loss",
    "misfit": "misfit",
    "held_out_log_likelihood": "log-likelihood a pixel\nof held-out frames",
    "held_out_pose_error_median_deg": "median pose error\nof held-out frames (°)",
}
_MERIT_NAMES = {
    "density_resolution_angstrom": "Resolution of the density at a correlation of 0.5 (Å)",
    "density_resolution_voxels": "Resolution of the density at a correlation of 0.5 (voxels)",
    "volume_resolution_angstrom": "Resolution of the Fourier volume at a correlation of 0.5 (Å)",
    "train_pose_error_median_deg": "Median pose error, frames learned from (°)",
    "train_pose_error_mean_deg": "Mean pose error, frames learned from (°)",
    "held_out_pose_error_median_deg": "Median pose error, frames kept apart (°)",
    "held_out_pose_error_mean_deg": "Mean pose error, frames kept apart (°)",
}
_PLACE_NAMES = {"n_frames": "frames", "photons_per_frame": "{} photons a frame", "particle": "particle"}


@dataclass(frozen=True)
class Inputs:
    """What the stage reads; each figure tells which of these it needs."""

    maps: tuple[str, ...] = path_field(
        "densities in one frame, CCP4/MRC maps, the truth first (densities)", optional=True, many=True
    )
    curves: tuple[str, ...] = path_field(
        "tables of curves that score-particles wrote, CSV (shell_correlations)", optional=True, many=True
    )
    traces: tuple[str, ...] = path_field("traces that train-xrai wrote, CSV (training)", optional=True, many=True)
    scores: tuple[str, ...] = path_field("tables of scores, CSV (accuracy_table)", optional=True, many=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    figure: Path = path_field("figure: .png, .svg or .pdf")
    table: Path | None = path_field("numbers of the figure, CSV", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: DrawParticlesConfig, context: Context) -> None:
    """Draw the figure that the configuration names.

    Raises
    ------
    ConfigError
        If an input that the figure needs was not given, or there are not as many labels as files.
    InputFileError
        If a file holds something else.
    DataError
        If the files hold nothing that could be drawn.
    """
    with errors_name_files(inputs, config.figure):
        figure, rows = _FIGURES[config.figure](inputs, config)
    style.save(figure, outputs.figure)
    if outputs.table is not None:
        write_table(outputs.table, rows)


def _labelled(inputs: Inputs, name: str, config: DrawParticlesConfig) -> dict[str, Path]:
    return labelled_files(needed(inputs, name, config.figure), config.labels)


def _draw_densities(inputs: Inputs, config: DrawParticlesConfig) -> _Drawn:
    shown: list[particle_densities.ShownDensity] = []
    rows: list[dict[str, Any]] = []
    n, voxel = 0, 0.0
    for label, path in _labelled(inputs, "maps", config).items():
        values, cell = read_ccp4_map(path)
        edge = cell[0] / len(values)
        if len(set(values.shape)) > 1 or not np.allclose(cell, (cell[0],) * 3 + (90.0,) * 3, rtol=1e-4):
            raise InputFileError(path, "is no map of a cubic box", found=f"{values.shape} voxels, cell {cell}")
        if not shown:
            n, voxel = len(values), edge
        density = _on_grid(np.asarray(values, dtype=np.float64), edge / voxel, n)
        correlation = float(np.corrcoef(density.ravel(), (shown[0].values if shown else density).ravel())[0, 1])
        note = f"correlation {correlation:.3f}" if shown else ""
        shown.append(particle_densities.ShownDensity(label, density, note))
        rows.append({"density": label, "correlation_with_first": correlation})
    first = shown[0].values
    n_voxels = int((first >= config.level_share * first.max()).sum())
    return particle_densities.draw(shown, voxel, n_voxels), [row | {"voxels_inside": n_voxels} for row in rows]


def _on_grid(values: NDArray[np.float64], voxels: float, n: int) -> NDArray[np.float64]:
    """Return a density on a grid of ``n`` voxels an edge with the same middle; its own voxels are ``voxels`` of these.

    Methods choose their own grids; beyond its box a density is zero.
    """
    if len(values) == n and abs(voxels - 1) < 1e-6:
        return values
    along = (np.arange(n) - n // 2) / voxels + len(values) // 2
    return np.asarray(ndimage.map_coordinates(values, np.meshgrid(along, along, along, indexing="ij"), order=3))


def _numbers(rows: list[dict[str, str]], name: str, path: Path) -> NDArray[np.float64]:
    try:
        return np.array([float(row[name] or "nan") for row in rows])
    except (KeyError, ValueError) as error:
        raise InputFileError(path, f"holds no column of numbers {name!r}: {error}") from error


def _draw_shell_correlations(inputs: Inputs, config: DrawParticlesConfig) -> _Drawn:
    curves, table = [], []
    chance = None
    for label, path in _labelled(inputs, "curves", config).items():
        rows = read_table(path)
        q, value = _numbers(rows, "q_inv_angstrom", path), _numbers(rows, config.curve, path)
        found = resolution_at_half(ShellCorrelation(q, value, np.ones(len(q), dtype=np.int64)))
        at = {"crossing": "{:.3g} Å", "at or beyond the edge": "≤ {:.3g} Å", "none": "no resolution"}[found.ending]
        curves.append(shell_correlations.LabelledCurve(f"{label}: {at.format(found.angstrom)}", q, value))
        by_chance = f"{config.curve}_chance"
        if chance is None and rows and by_chance in rows[0]:
            chance = shell_correlations.LabelledCurve("by chance", q, _numbers(rows, by_chance, path))
        table.append({"curve": label, "resolution_angstrom": found.angstrom, "resolution_is": found.ending})
    return shell_correlations.draw(curves, _CURVE_NAMES[config.curve], chance), table


def _draw_training(inputs: Inputs, config: DrawParticlesConfig) -> _Drawn:
    files = _labelled(inputs, "traces", config)
    read = {label: read_table(path) for label, path in files.items()}
    given = {name for rows in read.values() for row in rows for name in row}
    measures = [name for name in config.measures if name in given]
    if not measures:
        raise DataError(f"no trace has a column {' or '.join(config.measures)}; they have {', '.join(sorted(given))}")
    courses, table = [], []
    for label, rows in read.items():
        starts = list(dict.fromkeys(row.get("start", "") for row in rows))
        for start in starts:
            part = [row for row in rows if row.get("start", "") == start]
            name = label if len(starts) == 1 else f"{label}, start {start}"
            columns = {key: [row.get(key) or "nan" for row in part] for key in ("step", "seconds", *measures)}
            try:
                numbers = {key: np.array(column, dtype=np.float64) for key, column in columns.items()}
            except ValueError as error:
                raise InputFileError(files[label], f"is no trace of a training: {error}") from error
            values = {key: numbers[key] for key in measures}
            courses.append(training_course.TrainingCourse(name, numbers["step"], numbers["seconds"], values))
            last = {key: column[-1] for key, column in numbers.items()}
            table.append({"training": name, **last})
    return training_course.draw(courses, {name: _MEASURE_NAMES.get(name, name) for name in measures}), table


def _draw_accuracy_table(inputs: Inputs, config: DrawParticlesConfig) -> _Drawn:
    scores = kept_rows(needed(inputs, "scores", config.figure), config.only)
    cells = accuracy_cells(scores, config.merit, config.rows, config.columns, config.groups)
    named = _PLACE_NAMES.get(config.groups or "", "{}")
    wrapped = named if "{}" in named else "{}"
    unnamed = "without noise" if config.groups == "photons_per_frame" else ""
    # Columns that hold nothing in any row are left out.
    places = [
        place
        for place in dict.fromkeys((cell.group, cell.column) for cell in cells)
        if any(cell.n_runs for cell in cells if (cell.group, cell.column) == place)
    ]
    rows = [
        (
            row,
            [
                cell.text(config.digits)
                for place in places
                for cell in cells
                if cell.row == row and (cell.group, cell.column) == place
            ],
        )
        for row in dict.fromkeys(cell.row for cell in cells)
    ]
    head = [(wrapped.format(_word(group)) if group else unnamed, column) for group, column in places]
    caption = f"{_MERIT_NAMES.get(config.merit, config.merit)}: median (lowest to highest) over seeds"
    corner = _PLACE_NAMES.get(config.rows, config.rows)
    table = [asdict(cell) | {"merit": config.merit} for cell in cells if cell.n_runs]
    return accuracy_table.draw(head, [(_word(row), texts) for row, texts in rows], caption, corner), table


def _word(value: str) -> str:
    """Return a value as it is printed: whole numbers with their thousands apart."""
    try:
        number = float(value)
    except ValueError:
        return value
    return f"{number:,g}" if number < 1e15 and number == round(number) else value


_FIGURES: dict[str, Callable[[Inputs, DrawParticlesConfig], _Drawn]] = {
    "densities": _draw_densities,
    "shell_correlations": _draw_shell_correlations,
    "training": _draw_training,
    "accuracy_table": _draw_accuracy_table,
}
