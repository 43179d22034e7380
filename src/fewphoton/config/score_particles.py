"""Configuration of score-particles: a reconstruction of a single particle against the truth of its simulation."""

from __future__ import annotations

from pydantic import Field

from fewphoton.config.section import Section
from fewphoton.config.simulate import Positive


class ScoreParticlesConfig(Section):
    """Errors of poses, and shell correlations of Fourier volume and density with the true structure."""

    chains: tuple[str, ...] = ()
    """Chains of the structure that make the particle; none: all. As in simulate_particles."""
    waters: bool = False
    """Keep the water molecules of the structure."""
    b_factors: bool = False
    """Apply the displacements B of the structure; without them atoms are at rest."""
    voxel_angstrom: Positive | None = None
    """Voxel in which resolutions are told beside angstrom. None: that of the density, or box over voxels of the
    Fourier volume."""
    grid_oversampling: float = Field(default=3.0, ge=1, le=8)
    """Density of the grid of true intensities, relative to one point every 1/(2 diameter), on which the rotation of the
    volume is sought; scores do not use it."""
    shuffles: int = Field(default=3, ge=1)
    """Random rotations of the true structure that give the level of chance: what compact densities share anyway."""
    seed: int = Field(default=0, ge=0)
    """Seed of these."""
