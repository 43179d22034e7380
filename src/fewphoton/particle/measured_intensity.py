"""What phasing takes from a Fourier volume: intensities, which of them were measured, and whether they are enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fewphoton.data import IntensityVolume
from fewphoton.errors import DataError
from fewphoton.particle.phasing import autocorrelation_support

SMALLEST_EDGE = 8
"""Voxels along an edge of the smallest volume that is phased."""
LEAST_OVERSAMPLING = 2.0
"""Voxels of the box over voxels of the particle below which intensities cannot determine the phases (Miao, Sayre &
Chapman 1998, doi:10.1364/JOSAA.15.001662)."""
_LARGEST_AUTOCORRELATION_SHARE = 0.5
"""Of the box; the autocorrelation's support is up to eight times as large as the particle's."""
_REMEDY = "reconstruct in a larger box (box_angstrom of simulate-particles; a larger cell of the crystal description)"


@dataclass(frozen=True, eq=False)
class MeasuredIntensity:
    """Intensities on the grid of a volume.

    Parameters
    ----------
    values : ndarray of float64, `(n, n, n)`
        Intensities, the zero frequency at index n // 2; 0 where nothing was measured.
    known : ndarray of bool, `(n, n, n)`
        Measured voxels.
    spacing_inv_angstrom : float
        Distance of voxels.
    """

    values: NDArray[np.float64]
    known: NDArray[np.bool_]
    spacing_inv_angstrom: float

    @classmethod
    def of(
        cls,
        volume: IntensityVolume,
        spacing_inv_angstrom: float,
        q_min_inv_angstrom: float = 0.0,
        q_max_inv_angstrom: float | None = None,
        least_relative_weight: float = 0.0,
    ) -> MeasuredIntensity:
        """Take the measured voxels of a volume.

        Parameters
        ----------
        volume : IntensityVolume
            Friedel mates averaged.
        spacing_inv_angstrom : float
            Distance of its voxels.
        q_min_inv_angstrom, q_max_inv_angstrom : float
            Limits of q; None: no upper limit.
        least_relative_weight : float
            Share of the median weight that a voxel's weight has to exceed.

        Raises
        ------
        DataError
            If the volume is too small, nothing was measured, a measured value is not finite, or none is above zero.
        """
        if volume.n < SMALLEST_EDGE:
            raise DataError(
                f"a volume of {volume.n} voxels an edge is too small to be phased, it takes {SMALLEST_EDGE} at least; "
                "reconstruct to higher q, or in a larger box"
            )
        weighed = volume.weight > 0
        if not weighed.any():
            raise DataError("no voxel of the volume was measured: all weights are zero; check the reconstruction")
        q = spacing_inv_angstrom * distance_from_centre(volume.values.shape)
        known = weighed & (volume.weight > least_relative_weight * np.median(volume.weight[weighed]))
        known &= q >= q_min_inv_angstrom
        if q_max_inv_angstrom is not None:
            known &= q <= q_max_inv_angstrom
        if not known.any():
            raise DataError(
                "no measured voxel is left between q_min_inv_angstrom and q_max_inv_angstrom "
                f"({q_min_inv_angstrom} to {q_max_inv_angstrom} 1/angstrom) and above least_relative_weight"
            )
        if not np.isfinite(volume.values[known]).all():
            wrong = np.argwhere(known & ~np.isfinite(volume.values))[0].tolist()
            raise DataError(f"measured voxel {wrong} is not finite; the reconstruction that made the volume failed")
        if not (volume.values[known] > 0).any():
            raise DataError("no measured voxel is above zero: the volume holds no photons; check the reconstruction")
        return cls(np.where(known, volume.values, 0.0), known, spacing_inv_angstrom)

    def measured_q_inv_angstrom(self) -> tuple[float, float]:
        """Radii of the innermost and the outermost shell of which at least half of the voxels were measured.

        Raises
        ------
        DataError
            If there is no such pair of shells.
        """
        radius = np.rint(distance_from_centre(self.known.shape)).astype(np.int64)
        # Shells beyond the shortest half edge are not whole.
        inside = radius <= min(self.known.shape) // 2
        share = np.bincount(radius[inside], self.known[inside]) / np.bincount(radius[inside])
        shells = np.flatnonzero(share >= 0.5)
        if len(shells) < 2:
            raise DataError(
                "fewer than two shells of the volume are measured by half; use more frames, or lower "
                "least_relative_weight"
            )
        return float(shells[0] * self.spacing_inv_angstrom), float(shells[-1] * self.spacing_inv_angstrom)

    def first_support(self, particle_diameter_angstrom: float | None = None) -> NDArray[np.bool_]:
        """Return a support to begin with: a ball of the particle's diameter, or that of the autocorrelation.

        Raises
        ------
        DataError
            If the box is too small for its particle.
        """
        box = 1 / self.spacing_inv_angstrom
        if particle_diameter_angstrom is not None:
            needed = LEAST_OVERSAMPLING ** (1 / 3) * particle_diameter_angstrom
            if box < needed:
                raise DataError(
                    f"a box of {box:.4g} angstrom is too small to phase a particle of {particle_diameter_angstrom:.4g} "
                    f"angstrom: at least {needed:.4g} are needed, twice the diameter is usual; {_REMEDY}"
                )
            away = distance_from_centre(self.known.shape) * box / min(self.known.shape)
            return np.asarray(away <= particle_diameter_angstrom / 2)
        support = autocorrelation_support(self.values, self.known)
        # Noise may lift voxels anywhere; the particle's own part is connected with the origin.
        parts, _ = ndimage.label(support)
        support = parts == parts[tuple(size // 2 for size in support.shape)]
        share = float(support.mean())
        if share > _LARGEST_AUTOCORRELATION_SHARE:
            raise DataError(
                f"the autocorrelation fills {100 * share:.0f} % of the box of {box:.4g} angstrom, so the particle is "
                f"too large for it, or the volume holds a background; {_REMEDY}"
            )
        return np.asarray(support)


def distance_from_centre(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the distance of each voxel from index n // 2 of each axis, in voxels."""
    along = np.meshgrid(*(np.arange(size) - size // 2 for size in shape), indexing="ij", sparse=True)
    return np.asarray(np.sqrt(sum(np.square(axis, dtype=np.float64) for axis in along)))


def require_room(support: NDArray[np.bool_], box_angstrom: float) -> float:
    """Return the voxels of the box over those of a support.

    Raises
    ------
    DataError
        If the support leaves too little of the box empty for the phases to be determined.
    """
    inside = int(support.sum())
    if inside == 0:
        raise DataError("the support is empty; lower shrink_share, or give particle_diameter_angstrom")
    oversampling = support.size / inside
    if oversampling < LEAST_OVERSAMPLING:
        raise DataError(
            f"the density fills {100 / oversampling:.0f} % of the box of {box_angstrom:.4g} angstrom, which leaves too "
            f"few empty voxels to determine phases; {_REMEDY}"
        )
    return oversampling
