"""Configuration of signal separation: sparsify, densify, find-peaks, veto (Kieffer et al. 2025)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from fewphoton.config.peakfinder8 import Peakfinder8Config
from fewphoton.config.section import Section

ErrorModel = Literal["poisson", "azimuthal", "hybrid", "poisson_tail", "variance"]


class BackgroundConfig(Section):
    """Background by sigma-clipping in rings about the beam."""

    n_bins: int = Field(default=800, ge=1, le=65000)
    """Rings of equal width."""
    unit: Literal["r_m", "q_inv_angstrom"] = "r_m"
    """What the rings divide equally: distance from the beam axis in metres, or q = 2 sin(theta) / lambda."""
    radial_range: tuple[float, float] | None = None
    """Smallest and largest radius, in `unit`; pixels outside count as masked. None: all."""
    error_model: ErrorModel = "poisson"
    """Standard deviation of a ring: `poisson` (from the counts), `azimuthal` (from their scatter), `hybrid` (clip by
    azimuthal, end with poisson), `poisson_tail` (clip counts by their Poisson probability: right below about 10
    counts a pixel, where the others are biased), or `variance` (by variance_formula)."""
    variance_formula: str | None = None
    """Variance of a pixel as a formula of its raw value I, such as `5*I + 8`; for the error model `variance`."""
    cutoff_clip: float = Field(default=0.0, ge=0)
    """Values this many standard deviations from the mean are discarded; never below Chauvenet's criterion, which 0
    stands for."""
    clip_cycles: int = Field(default=5, ge=0)
    """Clipping passes at most; a ring stops by itself where nothing more is discarded."""
    solid_angle: bool = False
    """Divide by each pixel's relative solid angle."""
    polarization: bool = False
    """Divide by the polarization factor of the beam."""
    minimum_valid: float | None = None
    """Values below are bad reads. None: 0 for integers, no limit for others."""
    saturation: float | None = None
    """Values at or above are saturated: they stay out of the background and are flagged in peaks. None: the type's
    largest value marks a bad pixel, and nothing is saturated."""
    noise: float = Field(default=1.0, ge=0)
    """Read-out noise added in quadrature to the standard deviation where pixels are picked, in the frames' unit."""

    @model_validator(mode="after")
    def _formula_goes_with_its_model(self) -> BackgroundConfig:
        if (self.error_model == "variance") != (self.variance_formula is not None):
            raise ValueError("variance_formula and error_model: variance go together")
        if self.radial_range is not None and not self.radial_range[0] < self.radial_range[1]:
            raise ValueError(f"radial_range must rise, found {self.radial_range}")
        return self


class SparsifyConfig(BackgroundConfig):
    """Keep the pixels that stand out of the background."""

    cutoff_pick: float = Field(default=3.0, ge=0)
    """Pixels above mean + this many standard deviations are kept; the share of pure background that stays is the
    normal tail: 16 % at 1, 2.3 % at 2, 0.13 % at 3."""
    link_source: bool = False
    """Add external links to the raw frames, for programs that need them."""


class DensifyConfig(Section):
    """Rebuild frames from strong pixels and background curves."""

    format: Literal["nxmx", "lima", "cbf"] = "nxmx"
    """`nxmx`: Eiger-like HDF5; `lima`: HDF5 as LImA writes it; `cbf`: one miniCBF a frame."""
    noise: bool = True
    """Draw the background at random (XDS, CrystFEL), or put its mean (CrysAlis)."""
    seed: int = Field(default=0, ge=0)
    """Seed of the noise; each frame has a random stream of its own."""


class FindPeaksConfig(BackgroundConfig):
    """Find Bragg peaks."""

    method: Literal["rings", "sums", "peakfinder8"] = "rings"
    """`rings`: local maxima with strong neighbours above the ring background (Kieffer et al. 2025); `sums`: local
    maxima whose 3 x 3 sum background does not explain, which finds more weak peaks; `peakfinder8` (Barty et al.
    2014)."""
    cutoff_peak: float = Field(default=3.0, gt=0)
    """Peaks' pixels lie at least this many standard deviations above the background."""
    patch_size: int = Field(default=5, ge=3)
    """Edge of the square around a maximum, odd, in pixels."""
    false_probability: float = Field(default=3e-7, gt=0, lt=0.5)
    """`sums`: probability of a pixel without a peak to pass by chance; times the pixels, false peaks a frame."""
    connected: int = Field(default=3, ge=1)
    """Pixels in the patch, the maximum among them, that must lie above the cut-off."""
    peakfinder8: Peakfinder8Config = Peakfinder8Config()
    """Parameters of peakfinder8."""

    @model_validator(mode="after")
    def _patch_has_a_middle(self) -> FindPeaksConfig:
        if self.patch_size % 2 == 0:
            raise ValueError(f"patch_size must be odd, found {self.patch_size}")
        if self.connected > self.patch_size**2:
            raise ValueError(f"a patch of {self.patch_size} x {self.patch_size} has no {self.connected} pixels")
        return self


class VetoConfig(Section):
    """Tell hits from blanks."""

    minimum_peaks: int = Field(default=20, ge=0)
    """Frames with fewer peaks are rejected (20 in the paper)."""
    minimum_intensity: float = Field(default=0.0, ge=0)
    """Frames whose peaks sum to less are rejected."""


class ImportSparseConfig(Section):
    """Sparse frames to photon frames."""

    subtract_background: bool = True
    """Subtract the interpolated background before counts are rounded."""
    adu_per_photon: float = Field(default=1.0, gt=0)
    """Gain: 1 for counting detectors."""


class ExportCrystfelConfig(Section):
    """What CrystFEL needs beside the peaks."""

    frames_path: str = "/entry_1/data_1/data"
    """Dataset of the frames in the file of the peaks; find-peaks links them there."""
