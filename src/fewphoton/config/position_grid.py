"""Configuration of a grid of sites for atoms."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fewphoton.config.section import Section

_Sites = Annotated[int, Field(ge=1)]


class PositionGridConfig(Section):
    """Sites on which a method may put atoms."""

    spacing_angstrom: float = Field(gt=0)
    """Distance of neighbouring sites."""
    shape: tuple[_Sites, _Sites, _Sites]
    """Sites along x, y and z; leave a margin about the molecule, as it is found only up to a shift."""
