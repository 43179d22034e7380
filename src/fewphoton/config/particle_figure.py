"""Configuration of draw-particles: figures and tables of single particles (Shenoy et al. 2023)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fewphoton.config.section import Section

ParticleFigureName = Literal["densities", "shell_correlations", "training", "accuracy_table"]


class DrawParticlesConfig(Section):
    """One figure of single particles; each figure reads only the input files that it needs."""

    figure: ParticleFigureName
    """Which figure to draw."""
    labels: tuple[str, ...] = ()
    """densities, shell_correlations, training: names of the files, in their order. Empty: names made from the files."""
    level_share: float = Field(default=0.2, gt=0, lt=1)
    """densities: surface of the first density at this share of its maximum; the others enclose the same volume."""
    curve: Literal["density_fsc", "volume_cc"] = "density_fsc"
    """shell_correlations: of the densities, or of the Fourier volumes."""
    measures: tuple[str, ...] = ("loss", "held_out_log_likelihood")
    """training: columns of the traces that are drawn; those that no trace has are left out."""
    merit: str = "density_resolution_voxels"
    """accuracy_table: column of the scores whose median the cells give."""
    rows: str = "n_frames"
    """accuracy_table: column whose values are the rows."""
    groups: str | None = "photons_per_frame"
    """accuracy_table: column whose values part the columns into groups. None: one group."""
    columns: str = "method"
    """accuracy_table: column whose values are the columns of each group."""
    digits: int = Field(default=1, ge=0, le=6)
    """accuracy_table: decimals."""
    only: dict[str, str | float | tuple[str | float, ...]] = Field(default_factory=dict)
    """accuracy_table: rows of the scores are kept whose column has this value, or one of these. Empty: all rows."""
