"""Configuration of simulate-rotation: a crystal turned before an area detector."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from fewphoton.config.section import Section

Positive = Annotated[float, Field(gt=0)]


class SimulatedDetector(Section):
    """Tiles of a flat detector normal to the beam."""

    tiles: tuple[int, int] = (2, 3)
    """Tiles along the slow (vertical) and fast (horizontal) axis of the frame: the MMPAD is 2 x 3."""
    tile_pixels: int = Field(default=128, ge=4)
    """Pixels along a tile's edge."""
    pixel_size_m: Positive = 150e-6
    """Edge of a pixel."""
    gap_pixels: int = Field(default=4, ge=0)
    """Pixels missing between tiles."""
    distance_m: Positive = 0.037
    """From the sample to the detector plane."""
    beam_stop_radius_m: float = Field(default=1.5e-3, ge=0)
    """Pixels nearer to the beam centre are masked."""


class SquareDetector(Section):
    """A flat square detector without gaps, normal to the beam and centred on it."""

    pixels: int = Field(default=128, ge=4)
    """Pixels along an edge."""
    pixel_size_m: Positive = 7.8125e-4
    """Edge of a pixel (default: 0.1 m in 128 pixels)."""
    distance_m: Positive = 0.2
    """From the sample to the detector plane."""
    beam_stop_radius_m: float = Field(default=2e-3, ge=0)
    """Pixels nearer to the beam centre are masked."""


class SimulatedReadout(Section):
    """How photons become ADU."""

    adu_per_photon: Positive = 40.0
    """Mean gain."""
    gain_spread: float = Field(default=0.03, ge=0, lt=0.3)
    """Relative standard deviation of the gain over pixels."""
    offset_adu: float = Field(default=1000.0, ge=0)
    """Mean offset."""
    offset_spread_adu: float = Field(default=25.0, ge=0)
    """Standard deviation of the offset over pixels."""
    read_noise_adu: Positive = 5.0
    """Standard deviation of the read noise (MMPAD: an eighth of a photon)."""
    hot_pixels: int = Field(default=3, ge=0)
    """Pixels that read a random high value in every frame."""
    dead_pixels: int = Field(default=3, ge=0)
    """Pixels that always read their offset."""
    bad_frame_fraction: float = Field(default=2e-4, ge=0, lt=0.1)
    """Frames read with a wrong offset (absurd totals)."""


class CrystalScatteringConfig(Section):
    """What a crystal scatters, as Bragg peaks, diffusely, and beside what background."""

    diffuse_fraction: float = Field(default=0.25, ge=0, lt=1)
    """Share of the photons in smooth diffuse scattering of the crystal (all atoms, uncorrelated displacements)."""
    background_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of the photons in background that does not turn with the crystal (air scatter)."""
    size_broadening_inv_angstrom: Positive = 2.5e-3
    """Standard deviation of the reflections, the same at all q (focus, pixel size, divergence)."""
    mosaicity_deg: float = Field(default=0.15, ge=0)
    """Tangential standard deviation of the reflections, growing with q."""
    bandwidth: float = Field(default=0.004, ge=0)
    """Relative standard deviation of the wavelength: radial streaks growing with q."""
    b_factor_angstrom2: float = Field(default=2.0, ge=0)
    """Isotropic displacement added to that of the structure."""

    @model_validator(mode="after")
    def _shares_leave_room(self) -> CrystalScatteringConfig:
        if self.diffuse_fraction + self.background_fraction >= 1:
            raise ValueError("diffuse_fraction and background_fraction leave no photons for the Bragg peaks")
        return self


class SimulateRotationConfig(CrystalScatteringConfig):
    """A rotation experiment on one crystal; defaults are those of Ayyer et al. 2015, section 3."""

    structure: Path
    """CIF with cell, space group and atoms."""
    wavelength_angstrom: Positive = 0.71073
    """Mo K-alpha by default."""
    detector: SimulatedDetector = SimulatedDetector()
    """Tiles, pixel size, distance."""
    u_euler_deg: tuple[float, float, float] = (31.0, 47.0, 13.0)
    """Orientation U = Rz(a) Ry(b) Rz(c) of the crystal at omega = 0."""
    rotation_axis: tuple[float, float, float] = (0.0, 1.0, 0.0)
    """Goniometer axis in the laboratory (+y is up)."""
    n_batches: int = Field(default=4321, ge=1)
    """Uninterrupted series of exposures."""
    frames_per_batch: int = Field(default=1000, ge=1)
    """Exposures in a series."""
    rotation_per_frame_deg: Positive = 1e-3
    """Rotation in one exposure."""
    batch_spacing_deg: Positive | None = None
    """From the start of one batch to the next; None: batches follow each other over n_turns."""
    n_turns: int = Field(default=12, ge=1)
    """Full turns over which the batches are spread when batch_spacing_deg is None."""
    exposures_per_pattern: int = Field(default=1, ge=1)
    """Successive exposures whose photons are drawn from one expected pattern, that of the middle of their rotation: 10
    exposures of 0.001 degree stay far inside the width of a reflection, and take a tenth of the time. frames_per_batch
    and chunk_frames must be multiples of it."""
    photons_per_frame: Positive = 3.2
    """Mean photons in an exposure, background included."""
    fluence_spread: float = Field(default=0.0, ge=0)
    """Standard deviation over mean of the crystal's intensity from exposure to exposure (gamma-distributed, mean 1)."""
    background_spread: float = Field(default=0.0, ge=0)
    """Standard deviation over mean of the background from exposure to exposure (gamma-distributed)."""
    readout: SimulatedReadout | None = SimulatedReadout()
    """ADU model; null writes photon frames only."""
    truth_voxels_per_cell: int = Field(default=10, ge=2)
    """Voxels per reciprocal cell edge of the true volume."""
    truth_n_voxels: int = Field(default=366, ge=8)
    """Voxels along an edge of the true volume."""
    seed: int = Field(default=1, ge=0)
    """Seed of all random draws."""
    chunk_frames: int = Field(default=250, ge=1)
    """Frames made at a time (each chunk has its own random stream, so this is part of the result)."""

    @model_validator(mode="after")
    def _patterns_fill_batches(self) -> SimulateRotationConfig:
        for name in ("frames_per_batch", "chunk_frames"):
            if getattr(self, name) % self.exposures_per_pattern:
                raise ValueError(
                    f"{name} ({getattr(self, name)}) must be a multiple of exposures_per_pattern "
                    f"({self.exposures_per_pattern})"
                )
        return self
