"""Configuration of integrate-spots: intensities at predicted positions and their quality."""

from __future__ import annotations

from pydantic import Field, model_validator

from fewphoton.config.section import Section


class FrameRun(Section):
    """Successive frames of one sweep."""

    experiment: int = Field(default=0, ge=0)
    """Experiment, counted from 0 over all experiment lists in the order in which they are given."""
    first_image: int | None = Field(default=None, ge=0)
    """Number of the run's first image in the scan, as the experiment counts them; None: the scan's first."""
    n_frames: int | None = Field(default=None, ge=1)
    """Frames of the run; None (for the last run): all that are left."""


class IntegrateSpotsConfig(Section):
    """Sum counts at predicted positions, merge equivalents, and judge the result by resolution shell.

    The list of spots follows from geometry and mask alone, so that runs over different versions of the same frames
    integrate the same spots.
    """

    runs: tuple[FrameRun, ...] = Field(default=(FrameRun(),), min_length=1)
    """Which frames belong to which experiment of rotation data, in the order of the frames. Stills need none."""
    space_group: str | None = None
    """Space group for absences and merging; None: that of the experiments, which often know the point group alone."""
    d_min_angstrom: float | None = Field(default=None, gt=0)
    """Resolution limit; None: the largest q of an unmasked pixel."""
    mosaicity_deg: float | None = Field(default=None, gt=0)
    """Standard deviation of the rocking curve; None: what the experiment tells."""
    rocking_sigmas: float = Field(default=3.0, gt=0)
    """Images within this many standard deviations (widened by 1/zeta) of the crossing are summed; spots for which
    some of them were not taken are left out."""
    zeta_min: float = Field(default=0.05, gt=0, lt=1)
    """Spots that pass the Ewald sphere more slowly, near the rotation axis, are left out."""
    excitation_error_max_inv_angstrom: float = Field(default=1e-3, gt=0)
    """Stills: lattice points within this distance of the Ewald sphere are integrated."""
    disc_radius_px: float = Field(default=3.0, gt=0)
    """Pixels whose centre lies within this distance of the predicted position are summed."""
    ring_inner_px: float = Field(default=4.0, gt=0)
    """The background is taken from pixels beyond this distance,"""
    ring_outer_px: float = Field(default=8.0, gt=0)
    """and up to this one, outside the discs of all other spots."""
    smallest_valid_counts: float = 0.0
    """Values below are gaps."""
    saturation_counts: float | None = Field(default=None, gt=0)
    """Values above are no measurements; None: the trusted range of the experiment, or one below the largest value of
    an unsigned number type (which marks masked pixels)."""
    counts_per_photon: float = Field(default=1.0, gt=0)
    """The variance of a sum of counts is the sum times this."""
    scaling_rounds: int = Field(default=0, ge=0)
    """Stills: rounds in which each frame's scale is fitted to the merged mean of all before equivalents are compared,
    as crystals differ in size; 0: frames are taken as they are. Observations are written unscaled."""
    n_shells: int = Field(default=8, ge=1)
    """Resolution shells of equal volume in reciprocal space."""
    strong_i_over_sigma: float = Field(default=10.0, gt=0)
    """Spots above this are compared with their predicted positions."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random halves for CC1/2."""
    chunk_frames: int = Field(default=8, ge=1)
    """Frames read at a time; it does not change the result."""

    @model_validator(mode="after")
    def _radii_rise(self) -> IntegrateSpotsConfig:
        if not self.disc_radius_px <= self.ring_inner_px < self.ring_outer_px:
            raise ValueError(
                f"expected disc_radius_px <= ring_inner_px < ring_outer_px, found {self.disc_radius_px}, "
                f"{self.ring_inner_px}, {self.ring_outer_px}"
            )
        if any(run.n_frames is None for run in self.runs[:-1]):
            raise ValueError("every run but the last needs n_frames")
        return self
