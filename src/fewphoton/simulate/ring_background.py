"""Background of a liquid jet or a plate: water ring, air scatter, flat rest; quantised so that it is drawn fast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.simulate_stills import StillBackground
from fewphoton.data import Beam, Detector
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.errors import GeometryError

MASKED_LEVEL = 65535
_N_LEVELS = 2048
_DEEPEST = 1e-4  # of the brightest pixel; what is darker counts as this


def background_mean(config: StillBackground, detector: Detector, beam: Beam) -> NDArray[np.float64]:
    """Return the expected background photons of a frame of scale 1, float64 `(n_pixels,)`; NaN on masked pixels.

    Water and air scatter into the pixel's solid angle with the beam's polarization; the flat part (fluorescence)
    knows the solid angle alone. Each part is scaled to its share of the photons on the usable pixels.

    Raises
    ------
    GeometryError
        If no pixel is usable, or a part reaches none of them.
    """
    usable = ~detector.masked
    if not usable.any():
        raise GeometryError("no usable pixel is left: gaps, mask, beam stop and dead pixels cover the detector")
    q = np.linalg.norm(q_vectors(detector, beam)[usable], axis=1)
    solid_angle = detector.solid_angles_sr()[usable]
    scattered = solid_angle * polarization_factors(detector, beam)[usable]
    inside = q < config.water_q_inv_angstrom
    width = np.where(inside, config.water_inner_width_inv_angstrom, config.water_outer_width_inv_angstrom)
    parts = (
        ("water", config.water_share, scattered * np.exp(-0.5 * ((q - config.water_q_inv_angstrom) / width) ** 2)),
        ("air", config.air_share, scattered * np.exp(-(q - q.min()) / config.air_decay_inv_angstrom)),
        ("flat", 1 - config.water_share - config.air_share, solid_angle),
    )
    total = np.zeros(len(q))
    for name, share, shape in parts:
        if share > 0:
            if not shape.sum() > 0:
                raise GeometryError(f"the {name} background reaches no usable pixel; set its share to 0")
            total += share * shape / shape.mean()
    mean = np.full(detector.n_pixels, np.nan)
    mean[usable] = config.mean_photons * total
    return mean


@dataclass(frozen=True, eq=False)
class BackgroundLevels:
    """A background whose pixels take few different values.

    Parameters
    ----------
    mean : ndarray of float64, `(n_levels,)`
        Expected photons of a pixel of each level, rising.
    level : ndarray of uint16, `(n_pixels,)`
        Level of each pixel; :data:`MASKED_LEVEL` on masked ones.
    """

    mean: NDArray[np.float64]
    level: NDArray[np.uint16]

    @classmethod
    def of(cls, mean: NDArray[np.float64]) -> BackgroundLevels:
        """Round ``mean`` `(n_pixels,)` (NaN on masked pixels) to at most 2048 levels in geometric steps.

        Steps are below half a percent, as the range ends at a ten-thousandth of the brightest pixel, to which darker
        pixels are raised.
        """
        level = np.full(len(mean), MASKED_LEVEL, dtype=np.uint16)
        usable = np.isfinite(mean)
        values = mean[usable]
        top = float(values.max(initial=0.0))
        if top == 0.0:
            level[usable] = 0
            return cls(np.zeros(1), level)
        values = np.maximum(values, _DEEPEST * top)
        low = float(values.min())
        steps = np.geomspace(low, top, _N_LEVELS) if top > low else np.array([top])
        # Both ends are exact, so that the rounding of the logarithm cannot leave the range.
        stride = np.log(top / low) / (_N_LEVELS - 1) if top > low else 1.0
        level[usable] = np.clip(np.rint(np.log(values / low) / stride), 0, len(steps) - 1)
        return cls(steps, level)

    def map(self) -> NDArray[np.float64]:
        """Return the expected photons of each pixel, float64 `(n_pixels,)`; NaN on masked pixels."""
        values = np.full(len(self.level), np.nan)
        usable = self.level != MASKED_LEVEL
        values[usable] = self.mean[self.level[usable]]
        return values
