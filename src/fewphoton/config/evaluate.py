"""Configuration of evaluate, and of what judges iterates and whole runs."""

from __future__ import annotations

from pydantic import Field

from fewphoton.config.section import Section


class EvaluateConfig(Section):
    """Integrate peaks, merge, and compare with a reference."""

    peak_radius_voxels: float = Field(default=2.0, gt=0)
    """Radius of the sphere in which a peak is integrated (Ayyer et al. 2015: 2 voxels)."""
    subtract_diffuse: bool = False
    """Subtract the local diffuse level (mean from the sphere to half-way to the next lattice point) from each peak. The
    paper sums the sphere as it is."""
    n_shells: int = Field(default=10, ge=1)
    """Resolution shells of equal width in q."""
    low_q_fraction: float = Field(default=0.5, gt=0, le=1)
    """Low q, for the single-number R(high-low), is below this fraction of the largest measured q."""
    patterson_voxels: int = Field(default=53, ge=8)
    """Voxels along an edge of the Patterson map (53 in the paper)."""
    frame_tolerance_steps: float = Field(default=1.0, gt=0)
    """A frame counts as oriented when its angle is within this many orientation steps of the truth."""
    frame_tolerance_deg: float | None = Field(default=None, gt=0)
    """The same in degrees, in place of steps."""
    shuffles: int = Field(default=20, ge=1)
    """Random permutations of intensities among reflections of similar q that give the level of chance."""
    seed: int = Field(default=0, ge=0)
    """Seed of the permutations."""


class ScoreIteratesConfig(Section):
    """R(high-low) of each traced iterate."""

    low_q_fraction: float = Field(default=0.5, gt=0, le=1)
    """Low q is below this fraction of the largest q that trace and reference have."""
    within: float = Field(default=0.05, ge=0)
    """An iterate is as good as the last one when its R, and that of all after it, exceeds the last by no more than this
    part."""


class TabulateConvergenceConfig(Section):
    """Convergence of all points of a sweep beside that of the plain iteration on the same frames."""

    within: float = Field(default=0.05, ge=0)
    """A point has reached the plain iteration's R when its own, and that of all later iterates, exceeds it by no more
    than this part."""
    failed_below_best: float = Field(default=0.5, gt=0, le=1)
    """A reconstruction has failed when it orients less than this part of what the best one of the same frames does."""
    failed_below_chance: float = Field(default=10.0, ge=1)
    """It has failed as well when it orients fewer than this many times the frames that chance would."""


class ComparePublishedConfig(Section):
    """Our metrics beside published ones."""

    also: tuple[str, ...] = (
        "converged",
        "last_change",
        "frames_oriented_fraction",
        "r_high_low_low_q",
        "r_high_low_low_q_shuffled_orientations",
    )
    """Further columns of our table, of which nothing was published."""
