"""Configuration of draw-figure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fewphoton.config.section import Section

FigureName = Literal[
    "frames",
    "powder",
    "convergence",
    "r_factor",
    "patterson",
    "orientations",
    "rotations",
    "bragg_diffuse",
    "volume_slices",
    "reflections",
    "sweep",
    "convergence_study",
    "pipeline",
]


class DrawFigureConfig(Section):
    """One figure of the report; each figure reads only the input files that it needs."""

    figure: FigureName
    """Which figure to draw."""
    labels: tuple[str, ...] = ()
    """Names of the runs in the legend, in the order of the input files. Empty: the folders of the files."""
    first_frame: int = Field(default=0, ge=0)
    """frames: the first frame shown."""
    n_frames: int = Field(default=6, ge=1, le=60)
    """frames: how many successive frames are shown."""
    slice_step: int = Field(default=4, ge=1)
    """patterson: every so many slices one is shown (4 in the paper)."""
    x: str | None = None
    """sweep, convergence_study: column of the table on the horizontal axis."""
    metrics: tuple[str, ...] = ()
    """sweep: columns drawn against x. Empty: R(high-low) at low q and the share of oriented frames, where known."""
    series: str | None = None
    """sweep: column whose values part the rows into lines, for example the dataset."""
    facet: str | None = None
    """sweep: column whose values part the rows into panels side by side."""
