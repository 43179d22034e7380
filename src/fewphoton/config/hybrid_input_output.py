"""Configuration of hybrid input-output on a grid, with and without sparsity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from fewphoton.config.position_grid import PositionGridConfig
from fewphoton.config.section import Section

_Sites = Annotated[int, Field(ge=1)]


class HybridInputOutputConfig(Section):
    """Hybrid input-output between a grid and the measured sheet of the Ewald sphere."""

    grid: PositionGridConfig
    """Sites, or voxels."""
    basis: Literal["spheres", "voxels"] = "spheres"
    """`spheres`: a density for each element, spread by the element's atom model; `voxels`: one density of cubes."""
    sparse: bool = False
    """Keep only as many sites of each element as the composition has atoms, those with the largest coefficients."""
    support_shape: tuple[_Sites, _Sites, _Sites] | None = None
    """Box of sites in the middle of the grid that may hold density; None: the whole grid."""
    n_iterations: int = Field(default=600, ge=1)
    """Iterations of a start, those of error reduction included."""
    n_error_reduction: int = Field(default=100, ge=0)
    """Last iterations, which set what breaks the constraints to 0 instead of feeding it back, and only descend."""
    beta: float = Field(default=0.9, gt=0, le=2)
    """Feedback of what breaks the constraints."""
    regularization: float = Field(default=0.05, gt=0)
    """Tikhonov's parameter of the projection onto measured moduli, relative to the power of the strongest combination
    of detectors. Without it, detectors whose waves nearly agree would ask for huge densities."""
    first_excess: float = Field(default=20.0, ge=1)
    """With `sparse`: how many times the wanted number of sites is kept at first; the number falls to the wanted one
    over the iterations before error reduction, quadratically."""
    share_sites: bool = False
    """With `sparse`: let densities of different elements be kept on one site; otherwise the largest takes it."""
    refit: bool = True
    """With `sparse`: fit the amplitudes of the kept sites by least squares before a support is judged."""
    n_restarts: int = Field(default=10, ge=1)
    """Largest number of random starts."""
    n_solutions: int = Field(default=5, ge=1)
    """Distinct molecules to return, those with the smallest residuals."""
    listed_share: float = Field(default=0.01, gt=0, lt=1)
    """Without `sparse`: sites with more than this share of the largest density are listed as atoms."""
    n_listed: int = Field(default=4000, ge=1)
    """Without `sparse`: most sites to list, the densest first."""

    @model_validator(mode="after")
    def _fits_together(self) -> HybridInputOutputConfig:
        if self.sparse and self.basis == "voxels":
            raise ValueError("sparse needs the basis spheres: voxels belong to no element")
        if self.n_error_reduction > self.n_iterations:
            raise ValueError("n_error_reduction must not exceed n_iterations")
        if self.support_shape is not None and any(
            inner > outer for inner, outer in zip(self.support_shape, self.grid.shape, strict=True)
        ):
            raise ValueError(f"support_shape {self.support_shape} does not fit into the grid {self.grid.shape}")
        return self
