"""Molecules along the streamlined numbers of a grid's sites (Mutzafi et al. 2015, Fig. 2, doi:10.1038/ncomms8950)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gemmi
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fewphoton.data import Molecule, PositionGrid
from fewphoton.errors import DataError
from fewphoton.figures import atoms, style

_MANY = 120


@dataclass(frozen=True, eq=False)
class SitePanel:
    """One molecule, in the frame of the truth.

    Parameters
    ----------
    label : str
        Method, or the truth.
    molecule : Molecule
        Atoms; those beside the sites are drawn at the nearest one.
    note : str
        Short text at the right, for example the error.
    """

    label: str
    molecule: Molecule
    note: str = ""


@style.applied()
def draw(panels: Sequence[SitePanel], grid: PositionGrid) -> Figure:
    """Draw one panel a molecule: the charge of every atom over the number of its site.

    Sites are numbered in C order, z fastest. The charge is the atomic number times the occupancy; atoms of occupancy 0
    are left out. The first panel is the truth, whose sites go on as faint lines through the others. Each panel has its
    own scale of charges.

    Raises
    ------
    DataError
        If there is no panel, or an atom lies outside the grid.
    """
    if not panels:
        raise DataError("there is no molecule to draw along the sites of a grid")
    drawn = [_charges(panel.molecule, grid) for panel in panels]
    figure = style.new_figure(style.PAGE_MM, 14.0 + 27.0 * len(panels))
    axes_of = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for number, (axes, panel, (site, charge, element)) in enumerate(zip(axes_of, panels, drawn, strict=True)):
        # Leave room for the label and the note above the highest stem.
        height = 1.3 * float(charge.max(initial=0.0)) or 1.0
        if number:
            axes.vlines(drawn[0][0], 0, height, color=style.GAP, linewidth=0.6, zorder=0.5)
        _draw_stems(axes, site, charge, element)
        axes.set_ylim(0, height)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_ylabel("charge (e)")
        axes.annotate(panel.label, (0.006, 0.97), xycoords="axes fraction", va="top", bbox=_BEHIND)
        if panel.note:
            axes.annotate(
                panel.note, (0.994, 0.97), xycoords="axes fraction", ha="right", va="top", fontsize=7.0, bbox=_BEHIND
            )
        style.bare_spines(axes)
        style.letter(axes, "abcdefgh"[number % 8])
    axes_of[-1].set_xlim(-0.01 * grid.n_sites, 1.01 * grid.n_sites)
    sites = " × ".join(str(n) for n in grid.shape)
    axes_of[-1].set_xlabel(f"number of the site ({sites} sites, {grid.spacing_angstrom:.3g} Å apart)")
    handles, names = atoms.legend_handles(name for _, _, element in drawn for name in element)
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), columnspacing=1.4)
    return figure


_BEHIND = {"boxstyle": "square,pad=0.12", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}


def _charges(molecule: Molecule, grid: PositionGrid) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.str_]]:
    """Return site, charge and element of each atom that is there."""
    there = molecule.occupancy > 0
    element = np.array(molecule.element)[there]
    number = np.array([gemmi.Element(str(name)).atomic_number for name in element], dtype=np.float64)
    return grid.nearest_site(molecule.position_angstrom[there]), number * molecule.occupancy[there], element


def _draw_stems(axes: Axes, site: NDArray[np.int64], charge: NDArray[np.float64], element: NDArray[np.str_]) -> None:
    """Heavy elements lie behind light ones; a filled grid is drawn without room for its markers."""
    many = len(site) > _MANY
    for name in atoms.in_order(str(one) for one in element):
        mine = element == name
        colour = atoms.colour(name)
        axes.vlines(site[mine], 0, charge[mine], color=colour, linewidth=0.4 if many else 0.9, zorder=1.5)
        axes.plot(
            site[mine],
            charge[mine],
            linestyle="none",
            marker=atoms.marker(name),
            ms=1.6 if many else 4.2,
            color=colour,
            mec="none" if many else "white",
            mew=0.4,
            zorder=2,
        )
