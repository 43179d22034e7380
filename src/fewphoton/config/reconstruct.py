"""Configuration of reconstruct (EMC) and of assemble (merging with known angles)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fewphoton.config.section import Section


class GridConfig(Section):
    """The cubic grid in hkl space."""

    voxels_per_cell: int = Field(default=10, ge=2)
    """Voxels per reciprocal cell edge (Ayyer et al. 2015, section 4.3: 10)."""
    n_voxels: int | None = Field(default=None, ge=8)
    """Voxels along an edge (366 in the paper). None: as many as the detector reaches."""


class _Merging(Section):
    grid: GridConfig = GridConfig()
    """Voxels and extent of the volume."""
    corrections: bool = True
    """Divide solid angle and polarization out of the volume (and put them into the expected counts)."""
    q_max_inv_angstrom: float | None = Field(default=None, gt=0)
    """Pixels beyond this q are left out altogether. None: none."""


class AssembleConfig(_Merging):
    """Merge frames of known angles into a volume: the reference of a comparison."""

    angle_offset_deg: float = 0.0
    """Added to every recorded angle."""
    shuffle_seed: int | None = Field(default=None, ge=0)
    """Exchange the recorded angles between frames at random: what orientations found by chance would give."""


class ReconstructConfig(_Merging):
    """Expand-maximize-compress about one known axis, orientations unknown (Ayyer et al. 2015, section 2)."""

    n_orientations: int | None = Field(default=None, ge=1)
    """Equally spaced angles over a full turn. None: pi times the voxels along an edge (1150 for 366)."""
    axis_margin_pixels: float = Field(default=11.0, ge=0)
    """Pixels nearer than this to the projected rotation axis do not enter the orientation probabilities (paper: 11);
    they are merged all the same."""
    start_width_voxels: float = Field(default=2.0, gt=0)
    """Standard deviation of the starting model's Gaussians, in voxels (paper: 2)."""
    start_background: float = Field(default=0.01, ge=0)
    """Level between the Gaussians, as a fraction of their mean height."""
    seed: int = Field(default=0, ge=0)
    """Seed of the starting model."""
    max_iterations: int = Field(default=200, ge=1)
    """Iterations at the most."""
    tolerance: float = Field(default=1e-5, ge=0)
    """Stop when the relative rms change of the volume between iterates falls below this."""
    intensity_floor: float = Field(default=1e-6, gt=0, lt=1)
    """Smallest expected count, as a fraction of the mean expected count, before its logarithm is taken."""
    view_weights: Literal["uniform", "exposure"] = "uniform"
    """How views are averaged by compress: `uniform` as in the paper, or by the frames each view received."""
    beta_start: float = Field(default=1.0, gt=0, le=1)
    """Exponent of the likelihood at the first iteration: 1 is the paper's; below 1 anneals."""
    beta_factor: float = Field(default=1.2, ge=1)
    """The exponent grows by this factor every beta_every iterations until it reaches 1."""
    beta_every: int = Field(default=5, ge=1)
    """See beta_factor."""
    batch_frames: int = Field(default=8192, ge=1)
    """Frames whose probabilities are held in memory at a time."""
    checkpoint_every: int = Field(default=10, ge=1)
    """Iterations between checkpoints."""
    tasks: int = Field(default=1, ge=1)
    """MPI ranks; orientations are sharded over them."""

    @model_validator(mode="after")
    def _annealing_must_end(self) -> ReconstructConfig:
        if self.beta_start < 1 and self.beta_factor == 1:
            raise ValueError("beta_start below 1 needs beta_factor above 1, or the exponent never reaches 1")
        return self
