"""Configuration of match-patterns and refine-poses: poses of single particles by matching, merging and local search."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fewphoton.config.section import Section


class _PoseEstimation(Section):
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`; `auto`: an accelerator where there is one."""
    voxels_per_cell: int = Field(default=2, ge=1, le=8)
    """Voxels of the Fourier volume per 1/L, L being the edge of the box. Linear interpolation wants voxels a quarter of
    1/diameter wide: 2 in a box of twice the diameter, 1 in one of four times."""
    fluence: Literal["equal", "per_frame"] = "equal"
    """`equal`: all frames have the same fluence; `per_frame`: each has the factor that explains its photons best."""
    n_rings: int = Field(default=12, ge=1)
    """Rings of q whose amplitudes are weighted by their inverse variance, in frames without noise."""
    held_out_fraction: float = Field(default=0.05, gt=0, le=0.5)
    """Part of the frames that is scored against the volume of the others before it joins the final volume."""
    frames_in_memory_gb: float = Field(default=2.0, ge=0)
    """Dense patterns are kept on the device up to this size, else read anew at each pass."""
    seed: int = Field(default=0, ge=0)
    """Seed of the held-out frames and of all other random draws."""


class AnnealingConfig(Section):
    """How a start from nothing is led: low q and flat probabilities first."""

    iterations: int = Field(default=20, ge=1)
    """Iterations until all pixels count with their full likelihood."""
    first_q_fraction: float = Field(default=1.0, gt=0, le=1)
    """Pixels up to this fraction of the largest q enter the likelihood of the first iteration; the fraction rises
    evenly."""
    first_beta: float = Field(default=1.0, gt=0, le=1)
    """Exponent of the likelihood in the first iteration; it rises by equal factors. No matter to the best match."""


class MatchPatternsConfig(_PoseEstimation):
    """Match every frame with every orientation of a fixed sample, merge, and repeat."""

    level: int = Field(default=5, ge=1)
    """Subdivision of the 600-cell: 10 (5 n^3 + n) rotations, 6,300 at level 5, 109,980 at level 13."""
    assignment: Literal["best", "posterior"] = "best"
    """`best`: a frame is merged where it matches best, as in M-TIP; `posterior`: everywhere, with its probability, as
    in EMC."""
    iterations: int = Field(default=10, ge=1)
    """Iterations of the chosen start, those that chose it among others included."""
    starts: int = Field(default=1, ge=1)
    """Random starts. The one under which held-out frames are most likely goes on."""
    start_iterations: int = Field(default=10, ge=1)
    """Iterations of each start, where there are several."""
    start_contrast: float = Field(default=0.5, gt=0, le=3)
    """Standard deviation of the logarithm of the random factors by which a start departs from its mean in a shell."""
    start_width_voxels: float = Field(default=3.0, gt=0)
    """Width over which these factors vary (standard deviation of a Gaussian), in voxels."""
    annealing: AnnealingConfig | None = None
    """Optional: low q and flat probabilities first."""

    @model_validator(mode="after")
    def _starts_are_part_of_the_iterations(self) -> MatchPatternsConfig:
        if self.starts > 1 and self.start_iterations > self.iterations:
            raise ValueError(
                f"start_iterations must not exceed iterations, found {self.start_iterations} and {self.iterations}"
            )
        return self


class CandidatesConfig(Section):
    """Iterations in which a frame is merged at several poses with their probabilities."""

    level: int = Field(default=6, ge=1)
    """Subdivision of the 600-cell whose best rotations are the candidates."""
    per_frame: int = Field(default=6, ge=1)
    """Candidates of each frame. Each brings 26 neighbours at a third of the sample's step: all 27 are tried."""
    iterations: int = Field(default=5, ge=1)
    """Iterations."""


class RefinePosesConfig(_PoseEstimation):
    """Improve given poses: merge and local search in turn, with new matches for the frames that fit worst."""

    rounds: int = Field(default=4, ge=1)
    """Rounds of merging and local search."""
    search_steps: int = Field(default=4, ge=1)
    """Steps of the local search in a round."""
    first_step_deg: float = Field(default=5.0, gt=0, le=30)
    """Rotation over which the first round's first step looks; it shrinks by equal factors to last_step_deg."""
    last_step_deg: float = Field(default=0.5, gt=0, le=30)
    """Rotation over which the last step looks."""
    rematch_rounds: int = Field(default=2, ge=0)
    """Rounds, from the first on, after which the worst frames are matched anew over all rotations."""
    rematch_fraction: float = Field(default=0.3, ge=0, le=1)
    """Part of the frames that is matched anew: those that differ most from their views, by their own likelihood."""
    rematch_level: int = Field(default=5, ge=1)
    """Subdivision of the 600-cell of this match."""
    rematch_candidates: int = Field(default=3, ge=1)
    """Best rotations of the match from which a local search starts."""
    candidates: CandidatesConfig | None = None
    """Optional, for frames of so few photons that many poses explain them: before the rounds, iterations in which a
    frame is merged at several poses with their probabilities."""
    merge: Literal["best", "posterior"] = "best"
    """The final volume has each frame at its `best` pose, or at all its candidates with their probabilities
    (`posterior`, needs candidates; no rounds of local search follow them then)."""
    sharpenings: int = Field(default=0, ge=0)
    """How often the final volume is corrected by what its views lack of the frames."""

    @model_validator(mode="after")
    def _steps_shrink(self) -> RefinePosesConfig:
        if self.last_step_deg > self.first_step_deg:
            raise ValueError(
                f"last_step_deg must not exceed first_step_deg, found {self.last_step_deg} and {self.first_step_deg}"
            )
        if self.merge == "posterior" and self.candidates is None:
            raise ValueError("merge: posterior needs candidates")
        return self
