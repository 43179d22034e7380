"""Rings of equal width about the beam, and which pixel lies in which."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError

RadialUnit = Literal["r_m", "q_inv_angstrom"]


@dataclass(frozen=True, eq=False)
class AzimuthalBins:
    """Rings of a detector, without pixel splitting: each pixel lies in one ring or in none.

    Parameters
    ----------
    frame_shape : tuple of int
        `(n_slow, n_fast)`.
    unit : str
        ``r_m``: distance from the beam axis in metres; ``q_inv_angstrom``: 2 sin(theta) / wavelength.
    edges : ndarray of float64, `(n_bins + 1,)`
        Equally spaced, increasing.
    radius : ndarray of float32, `(n_pixels,)`
        Radius of each pixel's centre; NaN where the pixel is masked or outside the radial range.
    bin_of_pixel : ndarray of uint16, `(n_pixels,)`
        Ring of each pixel; ``n_bins`` where the radius is NaN.
    normalization : ndarray of float32, `(n_pixels,)`, optional
        Denominator of equation 1 (flat field, solid angle, polarization, absorption); None: 1 everywhere.
    """

    frame_shape: tuple[int, int]
    unit: RadialUnit
    edges: NDArray[np.float64]
    radius: NDArray[np.float32]
    bin_of_pixel: NDArray[np.uint16]
    normalization: NDArray[np.float32] | None = field(default=None)

    def __post_init__(self) -> None:
        n_pixels = self.frame_shape[0] * self.frame_shape[1]
        object.__setattr__(self, "edges", frozen_array("ring edges", self.edges, np.float64, (None,)))
        if not 1 <= self.n_bins < 2**16 - 1 or not (np.diff(self.edges) > 0).all():
            raise DataError(f"rings need 2 to 65535 increasing edges, found {len(self.edges)}")
        object.__setattr__(self, "radius", frozen_array("radius", self.radius, np.float32, (n_pixels,)))
        bins = frozen_array("ring of pixel", self.bin_of_pixel, np.uint16, (n_pixels,))
        object.__setattr__(self, "bin_of_pixel", bins)
        if (bins > self.n_bins).any() or ((bins == self.n_bins) != np.isnan(self.radius)).any():
            raise DataError("exactly the pixels with a radius must lie in a ring")
        if self.normalization is not None:
            norm = frozen_array("normalization", self.normalization, np.float32, (n_pixels,))
            if not (np.isfinite(norm[bins < self.n_bins]) & (norm[bins < self.n_bins] > 0)).all():
                raise DataError("normalization must be finite and positive in all rings; mask pixels where it is not")
            object.__setattr__(self, "normalization", norm)

    @property
    def n_bins(self) -> int:
        """Number of rings."""
        return len(self.edges) - 1

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middle of each ring, float64 `(n_bins,)`."""
        return np.asarray((self.edges[1:] + self.edges[:-1]) / 2)

    @property
    def step(self) -> float:
        """Width of a ring."""
        return float(self.edges[-1] - self.edges[0]) / self.n_bins

    @property
    def usable(self) -> NDArray[np.bool_]:
        """True for pixels in rings, bool `(n_pixels,)`."""
        return np.asarray(self.bin_of_pixel < self.n_bins)

    @cached_property
    def ring_ptr(self) -> NDArray[np.int64]:
        """Where each ring starts when pixels are sorted by ring, int64 `(n_bins + 1,)`."""
        sizes = np.bincount(self.bin_of_pixel, minlength=self.n_bins + 1)[: self.n_bins]
        return np.concatenate([[0], np.cumsum(sizes)])

    @cached_property
    def place(self) -> NDArray[np.uint32]:
        """Place of each pixel when sorted by ring, uint32 `(n_pixels,)`; pixels in none share the place after all."""
        order = np.argsort(self.bin_of_pixel, kind="stable")
        place = np.empty(len(order), dtype=np.uint32)
        place[order] = np.arange(len(order), dtype=np.uint32)
        return np.minimum(place, np.uint32(self.ring_ptr[-1]))

    @cached_property
    def pixel_step(self) -> float:
        """Bound on the difference in radius between pixels that touch in a row or column of a panel.

        Half as much again as all but 2 % of the differences: those are of neighbours in the array that belong to
        different panels.
        """
        radius = self.radius.reshape(self.frame_shape)
        steps = [np.abs(np.diff(radius, axis=axis)).ravel()[::17] for axis in (0, 1)]
        known = np.concatenate(steps)
        known = known[np.isfinite(known)]
        return 1.5 * float(np.quantile(known, 0.98)) if len(known) else float(self.edges[-1] - self.edges[0])

    def digest(self) -> str:
        """SHA-256 (hex) of all that fixes the rings."""
        state = hashlib.sha256(repr((self.frame_shape, self.unit)).encode())
        state.update(self.edges.tobytes())
        state.update(self.radius.tobytes())
        state.update(self.bin_of_pixel.tobytes())
        if self.normalization is not None:
            state.update(self.normalization.tobytes())
        return state.hexdigest()
