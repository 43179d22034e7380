"""Configuration of phase: a density from the Fourier intensities of a single particle."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fewphoton.config.section import Section
from fewphoton.config.simulate import Positive

PhasingMethod = Literal["error_reduction", "hybrid_input_output", "raar", "difference_map"]


class PhasingStep(Section):
    """Iterations of one method."""

    method: PhasingMethod
    """`error_reduction`, `hybrid_input_output`, `raar` or `difference_map`."""
    iterations: int = Field(ge=1)
    """How many."""


class PhaseConfig(Section):
    """Phases by iterated projections from several random starts, with shrink-wrap."""

    steps: tuple[PhasingStep, ...] = Field(
        default=(
            PhasingStep(method="difference_map", iterations=100),
            PhasingStep(method="raar", iterations=200),
            PhasingStep(method="error_reduction", iterations=80),
        ),
        min_length=1,
    )
    """Methods in their order; error reduction at the end settles the density."""
    beta: float = Field(default=0.9, gt=0, le=1)
    """Relaxation of hybrid input-output and of RAAR."""
    shrink_every: int = Field(default=20, ge=0)
    """Iterations between updates of the support; 0: it stays as it was at first."""
    shrink_share: float = Field(default=0.12, gt=0, lt=1)
    """Share of the blurred density's maximum above which a voxel belongs to the support."""
    blur_voxel: Positive = 2.0
    """Standard deviation of that blur at the first update; it falls by 1 % at each."""
    final_blur_voxel: Positive = 1.0
    """What it falls to."""
    free_share: float = Field(default=0.03, gt=0, le=0.3)
    """Share of the measured voxels that the iterations do not see; starts are ranked by the error on them."""
    n_starts: int = Field(default=8, ge=1)
    """Starts from random phases."""
    keep_within: float = Field(default=2.0, ge=1)
    """Starts are averaged whose error on the free voxels is within this factor of the lowest one."""
    particle_diameter_angstrom: Positive | None = None
    """Largest extent of the particle: the first support is a ball of that diameter. None: the part of space where the
    autocorrelation is above 4 % of its maximum."""
    q_min_inv_angstrom: float = Field(default=0.0, ge=0)
    """Voxels nearer to the centre count as not measured, whatever their weight."""
    q_max_inv_angstrom: Positive | None = None
    """Voxels farther out count as not measured. None: all measured ones are taken."""
    least_relative_weight: float = Field(default=0.0, ge=0, lt=1)
    """Voxels count as not measured where their weight is not above this share of the median weight."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random phases and of the draw of free voxels."""
