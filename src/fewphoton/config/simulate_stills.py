"""Configuration of simulate-stills: snapshots of randomly oriented crystals (serial crystallography)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from fewphoton.config.section import Section

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PixelPair = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
GapPair = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]

_LARGEST = {"uint16": 2**16 - 1, "uint32": 2**32 - 1}


class StillDetector(Section):
    """A flat detector of equal modules, normal to the beam, whose gaps are part of the frame; default: Eiger 4M."""

    modules: PixelPair = (4, 2)
    """Modules along the slow (vertical) and fast (horizontal) axis of the frame."""
    module_pixels: PixelPair = (514, 1030)
    """Pixels of a module along slow and fast."""
    gap_pixels: GapPair = (37, 10)
    """Pixels of the frame between modules along slow and fast; they see nothing."""
    pixel_size_m: Positive = 75e-6
    """Edge of a pixel."""
    distance_m: Positive = 0.15
    """From the sample to the detector plane."""
    beam_stop_radius_m: float = Field(default=2.5e-3, ge=0)
    """Pixels nearer to the beam centre are masked."""


class StillBackground(Section):
    """Scattering that does not come from the crystal: a water ring, air scatter, and a flat rest (fluorescence)."""

    mean_photons: float = Field(default=1.0, ge=0, le=1000)
    """Mean over the usable pixels of a frame of scale 1, photons per pixel."""
    scale_spread: float = Field(default=0.2, ge=0, le=2)
    """Standard deviation of the logarithm of the frames' scales (log-normal, mean 1)."""
    water_share: Share = 0.55
    """Share of the background photons in the water ring."""
    air_share: Share = 0.30
    """Share in the air scatter, which falls exponentially with q; what the two leave is flat."""
    water_q_inv_angstrom: Positive = 0.32
    """Crest of the water ring (3.1 angstrom)."""
    water_inner_width_inv_angstrom: Positive = 0.07
    """Standard deviation of the ring below its crest."""
    water_outer_width_inv_angstrom: Positive = 0.14
    """Standard deviation of the ring above its crest."""
    air_decay_inv_angstrom: Positive = 0.10
    """Air scatter falls by e over this q."""

    @model_validator(mode="after")
    def _shares_fit(self) -> StillBackground:
        if self.water_share + self.air_share > 1:
            raise ValueError("water_share and air_share exceed 1 together")
        return self


class SimulateStillsConfig(Section):
    """Monochromatic snapshots of randomly oriented crystals; the default is a protein on an Eiger 4M."""

    structure: Path | None = None
    """PDB, mmCIF or CIF file with cell, space group and atoms; None where the dataset names a structure_file."""
    wavelength_angstrom: Positive = 1.0
    """Wavelength; a geometry file brings its own."""
    polarization_fraction: Share = 0.99
    """Part of the beam polarized along x; a geometry file brings its own."""
    detector: StillDetector = StillDetector()
    """Modules, pixel size, distance; a geometry file takes its place."""
    n_frames: int = Field(default=100, ge=1)
    """Frames."""
    hit_fraction: Share = 0.3
    """Probability that a frame meets a crystal; the others hold background alone."""
    photons_per_crystal: Positive = 50_000.0
    """Expected Bragg photons on the usable pixels in a frame with a crystal of scale 1, mean over orientations."""
    crystal_scale_spread: float = Field(default=0.5, ge=0, le=3)
    """Standard deviation of the logarithm of the crystals' scales (log-normal, mean 1)."""
    excitation_width_inv_angstrom: Positive = 3e-4
    """Standard deviation of a lattice point along the normal of the Ewald sphere, the same at all q."""
    mosaicity_deg: float = Field(default=0.05, ge=0, le=5)
    """Standard deviation of the mosaic blocks' tilt: widens lattice points by q cos(theta) times this."""
    bandwidth: float = Field(default=5e-4, ge=0, le=0.1)
    """Relative standard deviation of the wavelength: widens the Ewald sphere by wavelength q²/2 times this."""
    spot_sigma_px: Annotated[float, Field(ge=0.1, le=20)] = 1.0
    """Standard deviation of a spot on the detector, in pixels."""
    b_factor_angstrom2: float = Field(default=0.0, ge=0)
    """Isotropic displacement added to that of the structure."""
    solvent_contrast: Share = 0.75
    """Solvent between molecules, by Babinet's principle: F of the atoms is multiplied by 1 - this exp(-B s²)."""
    solvent_b_factor_angstrom2: Positive = 200.0
    """B of the solvent's fall with s = q / 2."""
    d_min_angstrom: Positive | None = None
    """Crystals scatter to this resolution; None: to the corner of the detector."""
    background: StillBackground = StillBackground()
    """Scattering that does not come from the crystal."""
    dead_pixels: int = Field(default=200, ge=0)
    """Pixels, drawn once, that are masked beside gaps, beam stop and the mask of the geometry."""
    dtype: Literal["uint16", "uint32"] = "uint16"
    """Number type of the frames; masked pixels hold its largest value."""
    saturation_photons: int | None = Field(default=None, ge=1)
    """Pixels count no further than this; None: to one below the largest value of the number type."""
    seed: int = Field(default=1, ge=0)
    """Seed of all random draws."""
    chunk_frames: int = Field(default=8, ge=1)
    """Frames made at a time; every frame has its own random stream, so it does not change the result."""

    @property
    def masked_value(self) -> int:
        """What masked pixels hold."""
        return _LARGEST[self.dtype]

    @property
    def largest_count(self) -> int:
        """What a saturated pixel holds."""
        return self.masked_value - 1 if self.saturation_photons is None else self.saturation_photons

    @model_validator(mode="after")
    def _saturation_below_mask(self) -> SimulateStillsConfig:
        if self.largest_count >= self.masked_value:
            raise ValueError(
                f"saturation_photons must lie below {self.masked_value}, the {self.dtype} mark of masked pixels"
            )
        return self
