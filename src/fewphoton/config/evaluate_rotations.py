"""Configuration of evaluate-rotations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fewphoton.config.section import Section


class EvaluateRotationsConfig(Section):
    """Score a reconstruction over all rotations against the truth of a simulation."""

    alignment: Literal["automatic", "rotation", "lattice"] = "automatic"
    """What brings the reconstruction into the frame of the truth: any `rotation`, as for single particles; a rotation
    of the `lattice` onto itself, as for crystals; `automatic`: any where the grid has one voxel a cell."""
    n_shells: int = Field(default=12, ge=1)
    """Resolution shells of equal width in q."""
    shuffles: int = Field(default=3, ge=1)
    """Random exchanges of orientations between frames, and random rotations of the volume, that give the levels of
    chance."""
    seed: int = Field(default=0, ge=0)
    """Seed of these."""
