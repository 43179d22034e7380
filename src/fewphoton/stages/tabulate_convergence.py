"""tabulate-convergence: iterations and wall time of all points of a sweep, beside the plain iteration's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config import TabulateConvergenceConfig
from fewphoton.errors import ConfigError, InputFileError
from fewphoton.evaluate.iterates import first_within
from fewphoton.io.metrics import read_table, write_table
from fewphoton.stages.contract import Context, path_field

Config = TabulateConvergenceConfig

PRESET = "reconstruct.preset"
ORIENTED = "frames_oriented_fraction"
_KEPT = (
    "photons_per_frame_mean",
    "n_frames",
    "converged",
    "stopped_by",
    "iterations",
    "last_change",
    ORIENTED,
    f"{ORIENTED}_chance",
    "orientation_error_median_deg",
    "cc_truth",
    "cc_truth_unmerged",
    "cc_half_shared_orientations",
    "r_high_low_low_q_shuffled_orientations",
)
"""Metrics that the table takes over."""


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    table: Path = path_field("table of all metrics (CSV)")
    iterates: tuple[str, ...] = path_field("R of the iterates of each row of the table (CSV)", many=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    convergence: Path = path_field("table (CSV), a row for each row of the table of metrics")


@dataclass(frozen=True, eq=False)
class _Course:
    """R at low q against iteration and wall time."""

    iteration: NDArray[np.float64]
    seconds: NDArray[np.float64]
    r: NDArray[np.float64]

    @classmethod
    def read(cls, path: str) -> _Course:
        rows = read_table(path)
        try:
            columns = (
                [float(row[name] or "nan") for row in rows] for name in ("iteration", "seconds", "r_high_low_low_q")
            )
            course = cls(*(np.array(column) for column in columns))
        except (KeyError, ValueError) as error:
            raise InputFileError(path, f"is no table of iterates: {error}") from error
        if not len(course.r):
            raise InputFileError(path, "holds no iterate")
        return course

    def reaches(self, limit: float) -> tuple[int | None, float | None]:
        """Return iteration and seconds from which on R stays at or below a limit."""
        place = first_within(self.r, limit)
        return (None, None) if place is None else (int(self.iteration[place]), float(self.seconds[place]))


def run(inputs: Inputs, outputs: Outputs, config: TabulateConvergenceConfig, context: Context) -> None:
    """Join and compare.

    Raises
    ------
    ConfigError
        If there is not one table of iterates for each row.
    """
    rows = read_table(inputs.table)
    if len(rows) != len(inputs.iterates):
        raise ConfigError(f"{len(inputs.iterates)} tables of iterates for {len(rows)} rows of {inputs.table}")
    courses = [_Course.read(path) for path in inputs.iterates]
    failures = _failures(rows, config)
    together = list(zip(rows, courses, failures, strict=True))
    # A failed plain iteration sets no standard.
    plain = {_frames_and_start(row): course for row, course, failed in together if _is_plain(row) and not failed}
    write_table(
        outputs.convergence,
        [_line(row, course, plain.get(_frames_and_start(row)), failed, config) for row, course, failed in together],
    )


def _is_plain(row: Mapping[str, str]) -> bool:
    return row.get(PRESET, "none") == "none"


def _swept(row: Mapping[str, str]) -> dict[str, str]:
    """Dataset and swept values of a row: only these have names of the form ``stage.key``."""
    return {name: value for name, value in row.items() if name == "dataset" or "." in name}


def _frames(row: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in _swept(row).items() if not name.startswith("reconstruct."))


def _frames_and_start(row: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in _swept(row).items() if name != PRESET)


def _failures(rows: Sequence[Mapping[str, str]], config: TabulateConvergenceConfig) -> list[bool | None]:
    """Tell which rows oriented too few frames; None where the truth is not known.

    R would not do: added background raises it as much as wrong orientations.
    """
    shares = [float(row.get(ORIENTED) or "nan") for row in rows]
    best: dict[Any, float] = {}
    for row, share in zip(rows, shares, strict=True):
        best[_frames(row)] = max(best.get(_frames(row), 0.0), share)
    return [
        None
        if np.isnan(share)
        else share < config.failed_below_best * best[_frames(row)]
        or share < config.failed_below_chance * float(row.get(f"{ORIENTED}_chance") or 0)
        for row, share in zip(rows, shares, strict=True)
    ]


def _line(
    row: Mapping[str, str],
    course: _Course,
    plain: _Course | None,
    failed: bool | None,
    config: TabulateConvergenceConfig,
) -> dict[str, Any]:
    final = float(course.r[-1])
    own = course.reaches((1 + config.within) * final)
    target = np.nan if plain is None else (1 + config.within) * float(plain.r[-1])
    theirs = course.reaches(target)
    return {
        **_swept(row),
        **{name: row.get(name) or None for name in _KEPT},
        "seconds": float(course.seconds[-1]),
        "r_high_low_low_q_last_iterate": final,
        "failed": failed,
        "iterations_to_final_r": own[0],
        "seconds_to_final_r": own[1],
        "iterations_to_plain_r": theirs[0],
        "seconds_to_plain_r": theirs[1],
    }
