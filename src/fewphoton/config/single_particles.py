"""Configuration of the single particles of a run: from simulated frames to densities, and patterns of real runs."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from fewphoton.config.dataset import StructureFile
from fewphoton.config.frames import CountPhotonsConfig
from fewphoton.config.phase import PhaseConfig
from fewphoton.config.pose_estimation import MatchPatternsConfig, RefinePosesConfig
from fewphoton.config.reconstruct import ReconstructConfig
from fewphoton.config.score_particles import ScoreParticlesConfig
from fewphoton.config.section import Name, Section
from fewphoton.config.select_patterns import DrawPatternsConfig, SelectPatternsConfig
from fewphoton.config.simulate import Positive
from fewphoton.config.simulate_particles import SimulateParticlesConfig
from fewphoton.config.sweep import JOIN
from fewphoton.config.train_xrai import TrainXraiConfig

_FIRST = ("reconstruct", "train_xrai", "match_patterns")


class PoseMethodConfig(Section):
    """A way from frames to poses and a Fourier volume: one of the first three, and refinement where it is given."""

    reconstruct: ReconstructConfig | None = None
    """EMC over all rotations; left out for frames without noise."""
    train_xrai: TrainXraiConfig | None = None
    """Encoder and decoder (X-RAI)."""
    match_patterns: MatchPatternsConfig | None = None
    """Matches over a fixed sample of rotations."""
    refine_poses: RefinePosesConfig | None = None
    """Optional: local search and new matches after it."""
    phase: PhaseConfig | None = None
    """Phasing of its volume. None: that of the particle."""

    @model_validator(mode="after")
    def _one_begins(self) -> PoseMethodConfig:
        given = [name for name in _FIRST if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a method begins with exactly one of {', '.join(_FIRST)}; found {given or 'none'}")
        if self.reconstruct is not None and self.reconstruct.orientations.sampled != "rotation_group":
            raise ValueError("particles need reconstruct.orientations.sampled: rotation_group")
        return self

    @property
    def first(self) -> str:
        """Name of the stage that finds poses from nothing."""
        return next(name for name in _FIRST if getattr(self, name) is not None)


class ParticleConfig(Section):
    """One molecule, frames of it in several numbers and brightnesses, and methods that all get the same frames."""

    structure_file: StructureFile | None = None
    """The structure is a file of a public data set; simulate_particles then names none."""
    simulate_particles: SimulateParticlesConfig
    """The frames."""
    n_frames: tuple[int, ...] = ()
    """Numbers of frames that take the place of that of simulate_particles. Empty: that one alone."""
    photons_per_frame: tuple[Positive | None, ...] = ()
    """Mean photons that take the place of those of simulate_particles; null: frames without noise. Empty: as there."""
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)
    """Seeds of the methods: every one of them runs once with each, on the same frames."""
    methods: dict[Name, PoseMethodConfig] = Field(min_length=1)
    """Methods by the names that figures and tables give them."""
    phase: PhaseConfig = PhaseConfig()
    """How densities are found."""
    voxel_angstrom: Positive | None = None
    """Voxel in which resolutions are told. None: that of each density."""

    @model_validator(mode="after")
    def _structure_is_given_once(self) -> ParticleConfig:
        if (self.structure_file is None) == (self.simulate_particles.structure is None):
            raise ValueError("give the structure once: as structure_file, or in simulate_particles")
        for name in ("n_frames", "photons_per_frame", "seeds"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise ValueError(f"{name}: values must differ, found {list(values)}")
        return self

    def frame_sets(self) -> dict[str, SimulateParticlesConfig]:
        """Return the simulations of all sets of frames by the names of their folders."""
        base = self.simulate_particles
        found = {}
        for n_frames in self.n_frames or (base.n_frames,):
            if not self.photons_per_frame:
                brightness: list[tuple[str, dict[str, Any]]] = [("as_given", {})]
            else:
                brightness = [
                    (f"{photons:g}", {"photons_per_frame": photons, "pulse": None, "noise": "poisson"})
                    if photons is not None
                    else ("none", {"noise": "none"})
                    for photons in self.photons_per_frame
                ]
            for label, changes in brightness:
                name = f"frames~{n_frames}{JOIN}photons~{label}" if self.photons_per_frame else f"frames~{n_frames}"
                found[name] = SimulateParticlesConfig.model_validate(
                    base.model_dump() | {"n_frames": n_frames} | changes
                )
        return found

    def score(self) -> ScoreParticlesConfig:
        """Return how results are scored: against the structure as it was simulated."""
        same = self.simulate_particles
        return ScoreParticlesConfig(
            chains=same.chains, waters=same.waters, b_factors=same.b_factors, voxel_angstrom=self.voxel_angstrom
        )


class RealPatternsConfig(Section):
    """Patterns of a real run: photons counted, hits and single particles selected, and drawn."""

    files: tuple[str, ...] = Field(min_length=1)
    """Frames: files, or HDF5 datasets as `file.h5::/path`; names below `folder` where that is given."""
    geometry: str
    """Geometry, as count-photons reads it: our own .yaml, .poni, CrystFEL .geom or NXmx."""
    masks: tuple[str, ...] = ()
    """Images whose pixels other than 0 are masked."""
    labels: tuple[str, ...] = ()
    """Label of each frame: 1 wanted, 0 not, negative unknown."""
    folder: str | None = None
    """Folder of a public data set below data_dir; files, masks and labels are then names in it, fetched and checked."""
    url: str | None = None
    """Public address of that folder; used where data_dir is not given."""
    sha256: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of each file, checked after fetching and on local copies alike."""
    count_photons: CountPhotonsConfig = CountPhotonsConfig()
    """ADU to photons."""
    select_patterns: SelectPatternsConfig = SelectPatternsConfig()
    """Hits, and patterns of one particle."""
    draw_patterns: DrawPatternsConfig = DrawPatternsConfig()
    """Their figure."""

    @model_validator(mode="after")
    def _one_job_counts(self) -> RealPatternsConfig:
        if self.count_photons.jobs != 1:
            raise ValueError("count_photons: patterns are counted by one job; leave jobs out")
        return self


class SingleParticlesConfig(Section):
    """Single particles: simulated ones up to the density, and patterns of real ones."""

    particles: dict[Name, ParticleConfig] = Field(default_factory=dict)
    """Simulated particles by name."""
    patterns: dict[Name, RealPatternsConfig] = Field(default_factory=dict)
    """Runs of real patterns by name."""
    merits: tuple[str, ...] = (
        "density_resolution_voxels",
        "train_pose_error_median_deg",
        "train_pose_error_mean_deg",
    )
    """Scores of which a table is drawn for each particle: rows are numbers of frames, columns photons and methods."""

    @model_validator(mode="after")
    def _something_is_there(self) -> SingleParticlesConfig:
        if not self.particles and not self.patterns:
            raise ValueError("single_particles needs particles or patterns")
        return self
