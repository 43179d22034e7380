"""draw-molecule: one figure of molecules recovered from single shots (Mutzafi et al. 2015), and its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.molecule_figure import DrawMoleculeConfig
from fewphoton.data import Molecule, PositionGrid
from fewphoton.evaluate.molecule_match import MoleculeMatch, match_molecules
from fewphoton.figures import ball_drawing, site_stems, style
from fewphoton.io.metrics import write_table
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.figure_inputs import errors_name_files, labelled_files, needed
from fewphoton.stages.recovered_solutions import molecule_of, read_solutions, read_truth
from fewphoton.stages.recovery_figures import RECOVERY_FIGURES, kept_rows

Config = DrawMoleculeConfig
_Drawn = tuple[style.Figure, list[dict[str, Any]]]
_ON_A_SITE = 1e-3


@dataclass(frozen=True)
class Inputs:
    """What the stage reads; each figure tells which of these it needs."""

    truth: Path | None = path_field(
        "true molecule: a simulated shot (HDF5), XYZ, PDB or mmCIF (site_stems, balls)", optional=True
    )
    recovered: tuple[str, ...] = path_field(
        "recovered molecules, one file a method: JSON, XYZ, PDB, mmCIF (site_stems, balls)", optional=True, many=True
    )
    scores: tuple[str, ...] = path_field(
        "tables of scored recoveries, CSV (error_curves, precision, time_to_solution)", optional=True, many=True
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    figure: Path = path_field("figure: .png, .svg or .pdf")
    table: Path | None = path_field("numbers of the figure, CSV", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: DrawMoleculeConfig, context: Context) -> None:
    """Draw the figure that the configuration names.

    Raises
    ------
    ConfigError
        If an input file that the figure needs was not given.
    DataError
        If the files hold nothing that could be drawn.
    """
    with errors_name_files(inputs, config.figure):
        figure, rows = _FIGURES[config.figure](inputs, config)
    style.save(figure, outputs.figure)
    if outputs.table is not None:
        write_table(outputs.table, rows)


def _matches(inputs: Inputs, config: DrawMoleculeConfig) -> tuple[Molecule, dict[str, MoleculeMatch]]:
    """Return the truth, and the solution that each method ranks first laid upon it, by label."""
    truth = read_truth(needed(inputs, "truth", config.figure))
    files = labelled_files(inputs.recovered, config.labels)
    best = {label: molecule_of(read_solutions(path)[0]) for label, path in files.items()}
    return truth, {label: match_molecules(truth, molecule, config.match_angstrom) for label, molecule in best.items()}


def _note(match: MoleculeMatch) -> str:
    surplus = f", {match.n_surplus} too many" if match.n_surplus else ""
    hand = ", shown inverted" if match.alignment.hand == "inverted" else ""
    return f"ε = {match.alignment.error:.3f}; {match.is_matched.sum()} of {len(match.truth)} atoms{surplus}{hand}"


def _draw_site_stems(inputs: Inputs, config: DrawMoleculeConfig) -> _Drawn:
    truth, found = _matches(inputs, config)
    molecules = {"truth": truth, **{label: match.aligned for label, match in found.items()}}
    notes = {label: _note(match) for label, match in found.items()}
    spacing = config.spacing_angstrom
    if config.shape is None:
        grid = _grid_around(truth, list(molecules.values()), spacing)
    else:
        grid = PositionGrid(spacing, config.shape)
    panels = [site_stems.SitePanel(label, one, notes.get(label, "")) for label, one in molecules.items()]
    rows = []
    for label, one in molecules.items():
        there = np.flatnonzero(one.occupancy > 0)
        sites = grid.nearest_site(one.position_angstrom[there]).tolist()
        rows += [
            {"molecule": label, "site": site, "element": one.element[number], "occupancy": float(one.occupancy[number])}
            for number, site in zip(there, sites, strict=True)
        ]
    return site_stems.draw(panels, grid), rows


def _grid_around(truth: Molecule, molecules: list[Molecule], spacing: float) -> PositionGrid:
    """Return the smallest grid that holds all atoms and has the first true atom on a site."""
    every = np.concatenate([molecule.position_angstrom[molecule.occupancy > 0] for molecule in molecules])
    anchor = truth.position_angstrom[0]
    # An atom halfway between two sites must find either of them.
    low = np.floor((every.min(axis=0) - anchor) / spacing + _ON_A_SITE)
    high = np.ceil((every.max(axis=0) - anchor) / spacing - _ON_A_SITE)
    x, y, z = (int(n) for n in high - low + 1)
    cx, cy, cz = (float(value) for value in anchor + spacing * (low + high) / 2)
    return PositionGrid(spacing, (x, y, z), (cx, cy, cz))


def _draw_balls(inputs: Inputs, config: DrawMoleculeConfig) -> _Drawn:
    truth, found = _matches(inputs, config)
    panels = [ball_drawing.BallPanel("truth", truth)]
    rows = [_atom("truth", truth, number, "") for number in range(len(truth))]
    for label, match in found.items():
        wrong, places = _misplaced(match)
        panels.append(ball_drawing.BallPanel(label, match.aligned, _note(match), places, wrong))
        rows += [_atom(label, match.aligned, n, bool(wrong[n])) for n in range(len(match.aligned))]
    view = None if config.view_deg is None else ball_drawing.view_from_angles(*config.view_deg)
    return ball_drawing.draw(panels, bonds=config.bonds, ball_scale=config.ball_scale, view=view), rows


def _atom(label: str, molecule: Molecule, number: int, misplaced: bool | str) -> dict[str, Any]:
    x, y, z = molecule.position_angstrom[number]
    place = {"x_angstrom": x, "y_angstrom": y, "z_angstrom": z}
    named = {"molecule": label, "element": molecule.element[number], **place}
    return named | {"occupancy": molecule.occupancy[number], "misplaced": misplaced}


def _misplaced(match: MoleculeMatch) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which recovered atoms are at no true place of their element, and where each of them should be."""
    n_atoms = len(match.aligned)
    wrong, places = np.ones(n_atoms, dtype=bool), np.full((n_atoms, 3), np.nan)
    paired = match.partner >= 0
    partner, matched = match.partner[paired], match.is_matched[paired]
    wrong[partner[matched]] = False
    places[partner[~matched]] = match.truth.position_angstrom[paired][~matched]
    return wrong & (match.aligned.occupancy > 0), places


def _draw_from_tables(inputs: Inputs, config: DrawMoleculeConfig) -> _Drawn:
    rows = kept_rows(needed(inputs, "scores", config.figure), config.only)
    return RECOVERY_FIGURES[config.figure](rows, config)


_FIGURES: dict[str, Callable[[Inputs, DrawMoleculeConfig], _Drawn]] = {
    "site_stems": _draw_site_stems,
    "balls": _draw_balls,
    **dict.fromkeys(RECOVERY_FIGURES, _draw_from_tables),
}
