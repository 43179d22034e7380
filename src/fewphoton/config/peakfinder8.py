"""Configuration of the peakfinder8 peak finder."""

from __future__ import annotations

from pydantic import Field, model_validator

from fewphoton.config.section import Section


class Peakfinder8Config(Section):
    """Thresholds of peakfinder8; the defaults are CrystFEL's, but for the threshold, which suits photon counts."""

    threshold: float = Field(default=10.0, ge=0)
    """Lowest value that a pixel of a peak must exceed, in the unit of the frames. CrystFEL's 800 is meant for ADU of
    integrating detectors; take about the largest background value for photon counts, 0 for the rings' own thresholds
    alone."""
    min_snr: float = Field(default=5.0, gt=0)
    """Standard deviations above the mean of its ring that a pixel of a peak must exceed; also the least intensity of a
    peak over the standard deviation of its local background."""
    min_pixels: int = Field(default=2, ge=1)
    """Fewest connected pixels of a peak."""
    max_pixels: int = Field(default=200, ge=1)
    """Most connected pixels of a peak."""
    local_background_radius_px: int = Field(default=3, ge=1)
    """The local background comes from pixels within twice this distance of the peak."""
    fast: bool = False
    """Take the statistics of each ring from at most 100 of its pixels, spread evenly over it."""
    min_radius_px: float | None = Field(default=None, ge=0)
    """Pixels nearer to the beam are not used. None: no limit."""
    max_radius_px: float | None = Field(default=None, ge=0)
    """Pixels farther from the beam are not used. None: no limit."""

    @model_validator(mode="after")
    def _ordered_limits(self) -> Peakfinder8Config:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels ({self.min_pixels}) must not exceed max_pixels ({self.max_pixels})")
        if None not in (self.min_radius_px, self.max_radius_px) and self.min_radius_px > self.max_radius_px:  # type: ignore[operator]
            raise ValueError(
                f"min_radius_px ({self.min_radius_px}) must not exceed max_radius_px ({self.max_radius_px})"
            )
        return self
