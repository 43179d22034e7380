"""Configuration of simulate-particles: snapshots of single particles in random orientations."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from fewphoton.config.section import Section
from fewphoton.config.simulate import Positive, SquareDetector


class PulseConfig(Section):
    """The X-ray pulse, from which the photons of a frame follow."""

    photons: Positive = 1e12
    """Photons in a pulse."""
    focus_area_m2: Positive = 7.9e-13
    """Area over which they are spread evenly (default: a disc of 1 micrometre diameter)."""


class SimulateParticlesConfig(Section):
    """Snapshots of one molecule in orientations drawn uniformly from all rotations."""

    structure: Path | None = None
    """PDB or mmCIF file; None where the dataset names a structure_file."""
    chains: tuple[str, ...] = ()
    """Chains that make the particle; none: all."""
    waters: bool = False
    """Keep the water molecules of the file."""
    b_factors: bool = False
    """Apply the displacements B of the file; without them atoms are at rest."""
    photon_energy_kev: Positive = 4.6
    """Photon energy."""
    polarization_fraction: float = Field(default=1.0, ge=0, le=1)
    """Part of the beam polarized along x."""
    detector: SquareDetector = SquareDetector()
    """Pixels, distance, beam stop."""
    n_frames: int = Field(default=1000, ge=1)
    """Frames."""
    photons_per_frame: Positive | None = None
    """Mean photons that the particle scatters to the usable pixels, over all orientations."""
    pulse: PulseConfig | None = None
    """In place of photons_per_frame: fluence, from which photons follow by Thomson scattering."""
    noise: Literal["poisson", "none"] = "poisson"
    """`poisson`: photons are drawn, and frames are photon files; `none`: frames are the expected photons themselves, in
    a pattern file. Orientations and fluences are the same."""
    fluence_spread: float = Field(default=0.0, ge=0, le=3)
    """Standard deviation of the logarithm of the frames' fluences (log-normal, mean 1)."""
    background_photons_per_frame: float = Field(default=0.0, ge=0)
    """Mean photons of a flat background in a frame, beside those of the particle; does not vary with the fluence."""
    box_angstrom: Positive | None = None
    """Edge L of the cubic box that stands for a unit cell: voxels of the Fourier volume are 1/L apart. None: twice
    the particle's diameter."""
    intensity: Literal["grid", "exact"] = "grid"
    """`grid`: cubic splines through a dense grid of |F|², within 1e-3 of the exact sum in every shell of q;
    `exact`: a Fourier sum over all atoms for every pixel of every frame, thousands of times slower."""
    grid_oversampling: float = Field(default=3.0, ge=1, le=8)
    """Density of that grid along each axis, relative to one point every 1/(2 diameter)."""
    truth_n_voxels: int | None = Field(default=None, ge=8)
    """Voxels along an edge of the true volume. None: as many as the detector reaches."""
    seed: int = Field(default=1, ge=0)
    """Seed of all random draws."""
    chunk_frames: int = Field(default=256, ge=1)
    """Frames made at a time; every frame has its own random stream, so it does not change the result."""

    @model_validator(mode="after")
    def _brightness_is_given_once(self) -> SimulateParticlesConfig:
        if (self.photons_per_frame is None) == (self.pulse is None):
            raise ValueError("give exactly one of photons_per_frame and pulse")
        return self
