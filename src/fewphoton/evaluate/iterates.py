"""How good each iterate of a reconstruction was: R(high-low) against the iteration and the wall time.

The answer never enters the reconstruction; it is looked up afterwards in the intensities that were traced.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, IntensityVolume, IterateTrace, Reflections
from fewphoton.errors import DataError
from fewphoton.evaluate.agreement import amplitude_scale, r_factor
from fewphoton.evaluate.integrate import (
    half_way_voxels,
    integrate,
    lattice_points_in_grid,
    refuse_overlap,
    sphere_offsets,
    sphere_weights,
)
from fewphoton.evaluate.merge import match

WITHIN = 0.05
"""An iterate is as good as another when its R exceeds the other's by no more than this part."""


USUAL_RADIUS_VOXELS = 2.0
"""Radius of a peak's sphere in the paper."""


class TracedPeaks:
    """Sums over the spheres about all lattice points of a grid, for one volume after another.

    Parameters
    ----------
    crystal : Crystal
        Centring.
    n_voxels, voxels_per_cell : int
        Grid.
    radius_voxels : float, optional
        Radius of the spheres. Default: 2 voxels, or half-way to the nearest other lattice point where that is less.

    Raises
    ------
    DataError
        If the spheres overlap.
    """

    def __init__(
        self, crystal: Crystal, n_voxels: int, voxels_per_cell: int, radius_voxels: float | None = None
    ) -> None:
        if radius_voxels is None:
            radius_voxels = min(USUAL_RADIUS_VOXELS, half_way_voxels(crystal, voxels_per_cell))
        refuse_overlap(crystal, voxels_per_cell, radius_voxels)
        self._crystal, self._radius = crystal, radius_voxels
        self.hkl = lattice_points_in_grid(n_voxels, voxels_per_cell, crystal, radius_voxels)
        centre = self.hkl.astype(np.int64) * voxels_per_cell + n_voxels // 2
        h, k, m = np.moveaxis(centre[:, None, :] + sphere_offsets(radius_voxels)[None], 2, 0)
        self._place = (h * n_voxels + k) * n_voxels + m

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum ``values`` `(n, n, n)`, which are 0 where nothing was measured, over each sphere, float64 `(m,)`."""
        return np.asarray(values.reshape(-1)[self._place].sum(axis=1))

    def trace(
        self,
        iteration: NDArray[np.int64],
        seconds: NDArray[np.float64],
        sums: NDArray[np.float64],
        volume: IntensityVolume,
        symmetrized: bool = False,
    ) -> IterateTrace:
        """Make the trace of a finished reconstruction.

        Parameters
        ----------
        iteration, seconds : ndarray, `(n,)`
            See :class:`fewphoton.data.IterateTrace`.
        sums : ndarray of float64, `(n, m)`
            What :meth:`sums` gave for each iterate.
        volume : IntensityVolume
            Its weights tell which part of each sphere the iterates know; points of which integration knows nothing are
            left out.
        symmetrized : bool
            Whether equivalents were averaged in each iterate.
        """
        found = integrate(volume, self._crystal, self._radius)
        known = np.isin(_keys(self.hkl), _keys(found.hkl))
        measured = (volume.weight.reshape(-1)[self._place[known]] > 0).sum(axis=1)
        scale = self._place.shape[1] / measured
        weight = sphere_weights(volume, self.hkl[known], self._radius)
        return IterateTrace(
            iteration,
            seconds,
            self.hkl[known],
            sums[:, known] * scale,
            weight,
            self._radius / volume.voxels_per_cell,
            symmetrized,
        )


def _keys(hkl: NDArray[np.int32]) -> NDArray[np.int64]:
    """One number a lattice point."""
    h, k, m = hkl.astype(np.int64).T + (1 << 20)
    return np.asarray((h << 42) | (k << 21) | m)


def r_by_iterate(
    trace: IterateTrace, crystal: Crystal, reference: Reflections, low_q_fraction: float
) -> NDArray[np.float64]:
    """R(high-low) at low q of each traced iterate (equation 3 of Ayyer et al. 2015), float64 `(n,)`.

    Parameters
    ----------
    trace : IterateTrace
        Iterates.
    crystal : Crystal
        Laue group and absences; equivalents are averaged with the weights of the trace.
    reference : Reflections
        Merged.
    low_q_fraction : float
        Low q ends at this fraction of the largest q that both have, as in :func:`fewphoton.evaluate.compare.compare`.

    Raises
    ------
    DataError
        If the trace and the reference have no reflection in common.
    """
    usable = crystal.space_group_allows(trace.hkl)
    unique, group = np.unique(crystal.to_laue_asu(trace.hkl[usable]), axis=0, return_inverse=True)
    group = group.ravel()
    weight = trace.weight[usable]
    mass = np.bincount(group, weight, minlength=len(unique))
    high = match(Reflections.bare(unique, np.ones(len(unique))), reference)
    common = np.isfinite(high) & (mass > 0)
    if not common.any():
        raise DataError("the traced iterates and the reference have no reflection in common")
    q = crystal.q_inv_angstrom(unique[common])
    near = q <= low_q_fraction * q.max()
    found = np.empty(len(trace.iteration))
    for number, intensity in enumerate(trace.intensity):
        merged = np.bincount(group, weight * intensity[usable], minlength=len(unique))[common] / mass[common]
        scale = amplitude_scale(high[common], merged)
        found[number] = r_factor(high[common][near], merged[near], scale)
    return found


def first_within(r: NDArray[np.float64], limit: float) -> int | None:
    """Return the place in ``r`` `(n,)` from which on it never exceeds ``limit`` again; None if it ends above."""
    above = np.flatnonzero(~(r <= limit))
    first = int(above[-1]) + 1 if len(above) else 0
    return first if first < len(r) else None
