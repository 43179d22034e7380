"""Configuration of draw-molecule: the figures of molecules from single shots (Mutzafi et al. 2015)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fewphoton.config.section import Section

MoleculeFigureName = Literal["site_stems", "balls", "error_curves", "precision", "time_to_solution"]


class DrawMoleculeConfig(Section):
    """One figure of recovered molecules; each figure reads only the input files that it needs."""

    figure: MoleculeFigureName
    """Which figure to draw."""
    labels: tuple[str, ...] = ()
    """site_stems, balls: names of the recovered molecules, in their order. Empty: names made from the files."""
    match_angstrom: float = Field(default=0.3, gt=0)
    """site_stems, balls: atoms of the right element nearer than this to the truth are matched."""
    spacing_angstrom: float = Field(default=0.78, gt=0)
    """site_stems: distance of the sites that atoms are drawn at."""
    shape: tuple[int, int, int] | None = None
    """site_stems: sites along x, y and z, about the origin of the truth. None: as many as hold all atoms, with the
    first true atom on a site."""
    bonds: bool = True
    """balls: draw sticks between atoms near enough for a bond."""
    ball_scale: float = Field(default=1.0, gt=0)
    """balls: factor on the covalent radii; 0.5 shows the sticks."""
    view_deg: tuple[float, float] | None = None
    """balls: azimuth about the beam, and elevation, of the eye. None: the truth at its widest."""
    x: str | None = None
    """error_curves, precision: column on the horizontal axis. None: `n_atoms` and `white_level`.
    Columns of a sweep may be named without the section that stands before them."""
    merit: str = "error"
    """error_curves: column whose median and quartiles are drawn."""
    success: str = "solved"
    """error_curves, time_to_solution: column that tells whether a molecule was solved."""
    seconds: str = "seconds"
    """time_to_solution: column with the time to the solution."""
    series: tuple[str, ...] = ("method",)
    """error_curves, precision, time_to_solution: columns whose values part the rows into curves."""
    panels: tuple[str, ...] = ()
    """error_curves: columns whose values part the curves into panels. Empty: one panel."""
    only: dict[str, str | float | tuple[str | float, ...]] = Field(default_factory=dict)
    """Figures of tables: rows are kept whose column has this value, or one of these. Empty: all rows."""
