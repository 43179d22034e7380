"""Configuration of score-molecule."""

from __future__ import annotations

from pydantic import Field

from fewphoton.config.section import Section


class ScoreMoleculeConfig(Section):
    """Score the solutions of a recovery against the true molecule."""

    match_angstrom: float = Field(default=0.3, gt=0)
    """Atoms of the right element nearer than this to the truth are matched."""
    close_angstrom: float = Field(default=0.1, gt=0)
    """Atoms nearer than this count as close."""
    grid_spacing_angstrom: float | None = Field(default=None, gt=0)
    """Spacing of the grid that the true atoms sit on: the metrics then tell whether every atom is on its right site.
    None: the truth sits on no grid."""
    free_amplitudes: bool = False
    """The Cramér-Rao bound is that of positions recovered together with unknown amplitudes of the atoms."""
