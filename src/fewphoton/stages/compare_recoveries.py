"""compare-recoveries: what was published of single-shot recoveries, with our results of the same beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.config.compare_recoveries import CompareRecoveriesConfig
from fewphoton.errors import ConfigError, InputFileError
from fewphoton.evaluate.proportions import quartiles, wilson_interval
from fewphoton.evaluate.recovery_table import column_numbers
from fewphoton.io.metrics import read_table, write_table
from fewphoton.stages.contract import Context, path_field

Config = CompareRecoveriesConfig

_WORDS = ("figure", "published")
_RANGE = ("fewest_atoms", "most_atoms")
_KEYS = ("study", "molecule", "method", "atom_model", "wavelength_angstrom", "noise_level", "photons_per_shot")
COLUMNS = (*_WORDS, *_KEYS, *_RANGE)
"""Columns that a table of published results may have."""


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    published: Path = path_field(
        "published results (CSV): columns figure and published are words; study, molecule, method, atom_model, "
        "wavelength_angstrom, noise_level, photons_per_shot, fewest_atoms and most_atoms tell which recoveries of ours "
        "belong to them, empty where any does"
    )
    molecules: Path | None = path_field("our table of single molecules (CSV): molecule and label", optional=True)
    studies: tuple[str, ...] = path_field("our tables of recoveries (CSV), a study each", optional=True, many=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    comparison: Path = path_field("published results, a row for each and each of our methods (CSV)")


def run(inputs: Inputs, outputs: Outputs, config: CompareRecoveriesConfig, context: Context) -> None:
    """Set them side by side.

    Raises
    ------
    ConfigError
        If there is not one name for each study.
    InputFileError
        If the published table is empty or has an unknown column.
    """
    if len(config.studies) != len(inputs.studies):
        raise ConfigError(f"studies: {len(config.studies)} names for {len(inputs.studies)} tables")
    published = read_table(inputs.published)
    strange = [name for row in published[:1] for name in row if name not in COLUMNS]
    if strange or not published:
        raise InputFileError(
            inputs.published,
            "is no table of published results",
            expected=f"rows with columns among {', '.join(COLUMNS)}",
            found=", ".join(strange) or "no row",
        )
    ours: list[dict[str, Any]] = []
    if inputs.molecules is not None:
        ours += [row | {"study": "", "method": row["label"]} for row in read_table(inputs.molecules)]
    for name, path in zip(config.studies, inputs.studies, strict=True):
        ours += [row | {"study": name} for row in read_table(path)]
    write_table(outputs.comparison, [line for row in published for line in _lines(row, ours)])


def _lines(published: Mapping[str, str], ours: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a published result with the results of each of our methods; once, without them, where we have none."""
    told = {name: published.get(name) or None for name in COLUMNS if name in published and name != "method"}
    chosen = [row for row in ours if _belongs(row, published)]
    lines = []
    for method in dict.fromkeys(row["method"] for row in chosen):
        rows = [row for row in chosen if row["method"] == method]
        n_solved = int((column_numbers(rows, "solved") == 1).sum())
        rate = wilson_interval(n_solved, len(rows))
        missing = column_numbers(rows, "n_atoms") - column_numbers(rows, "n_matched")
        lines.append(
            told
            | {
                "method": method,
                "n_runs": len(rows),
                "n_solved": n_solved,
                "success_rate": rate.share,
                "success_rate_low": rate.low,
                "success_rate_high": rate.high,
                "error_median": quartiles(column_numbers(rows, "error")).median,
                "unmatched_atoms_median": float(np.nanmedian(missing)) if np.isfinite(missing).any() else None,
                "seconds_median": quartiles(column_numbers(rows, "seconds")).median,
            }
        )
    return lines or [told | {"method": published.get("method") or None, "n_runs": 0}]


def _belongs(row: Mapping[str, Any], published: Mapping[str, str]) -> bool:
    # What is published of no study in particular is that of a single molecule.
    if (published.get("study") or "") != row["study"]:
        return False
    for name in _KEYS[1:]:
        wanted = published.get(name)
        if wanted and not _equal(row.get(name), wanted):
            return False
    fewest, most = (published.get(name) or limit for name, limit in zip(_RANGE, ("0", "inf"), strict=True))
    return float(fewest) <= float(row.get("n_atoms") or "nan") <= float(most)


def _equal(value: Any, wanted: str) -> bool:
    try:
        return bool(np.isclose(float(value), float(wanted), rtol=1e-9, atol=0))
    except (TypeError, ValueError):
        return str(value) == wanted
