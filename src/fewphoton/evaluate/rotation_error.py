"""Errors of recovered orientations in the full rotation group, up to what no reconstruction can know.

A reconstruction fixes its volume up to one rotation A of the sample, and each frame up to the sample's own symmetry:
found orientations R_i and true ones T_i describe the same frames when R_i A = T_i S_i with S_i in the symmetry group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.data.point_group import (
    PointGroup,
    positive_quaternions,
    quaternion_inverse,
    quaternion_product,
    rotation_angles_deg,
)
from fewphoton.errors import DataError

_N_STARTS = 200
_N_SCORED = 2000
_MAX_STEPS = 200
_SMALLEST_DEG = 1e-6
_NO_SYMMETRY = PointGroup(np.array([[1.0, 0.0, 0.0, 0.0]]))


@dataclass(frozen=True, eq=False)
class RotationErrors:
    """Errors of a set of orientations after the best common alignment.

    Parameters
    ----------
    error_deg : ndarray of float64, `(n_frames,)`
        Angle between found and true orientation, 0 to 180; NaN where either is unknown.
    alignment : ndarray of float64, `(4,)`
        A of this module: multiply found orientations with it from the right to compare them with the true ones. One of
        as many equally good ones as the symmetry group has operations.
    """

    error_deg: NDArray[np.float64]
    alignment: NDArray[np.float64]

    @property
    def mean_deg(self) -> float:
        """Mean error of known frames; NaN without any."""
        known = self.error_deg[np.isfinite(self.error_deg)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def median_deg(self) -> float:
        """Median error of known frames; NaN without any."""
        known = self.error_deg[np.isfinite(self.error_deg)]
        return float(np.median(known)) if len(known) else float("nan")

    @property
    def rms_deg(self) -> float:
        """Root mean square error of known frames; NaN without any."""
        known = self.error_deg[np.isfinite(self.error_deg)]
        return float(np.sqrt((known**2).mean())) if len(known) else float("nan")

    def fraction_within(self, tolerance_deg: float) -> float:
        """Part of the known frames whose error does not exceed ``tolerance_deg``; NaN without any."""
        known = self.error_deg[np.isfinite(self.error_deg)]
        return float((known <= tolerance_deg).mean()) if len(known) else float("nan")


def rotation_errors_deg(
    found: NDArray[np.float64], true: NDArray[np.float64], group: PointGroup | None = None
) -> NDArray[np.float64]:
    """Angles between orientations, the smallest over equivalent ones, without any alignment.

    Parameters
    ----------
    found, true : ndarray of float64, `(n_frames, 4)`
        Unit quaternions; rows with NaN are unknown.
    group : PointGroup, optional
        Symmetry of the true sample.

    Returns
    -------
    ndarray of float64, `(n_frames,)`
        Degrees, NaN where unknown.

    Raises
    ------
    DataError
        If the sets differ in length, or known quaternions have no unit length.
    """
    first, second, known = _paired(found, true)
    error = np.full(len(known), np.nan)
    error[known] = (group or _NO_SYMMETRY).angles_deg(first[known], second[known])
    return error


def align_rotations(
    found: NDArray[np.float64], true: NDArray[np.float64], group: PointGroup | None = None
) -> RotationErrors:
    """Find the rotation of the sample that brings two sets of orientations closest, and what errors remain.

    The sum of the error angles is made small, not that of their squares, so frames that were placed at random do not
    pull the alignment as long as the others agree better than chance. The best of up to 200 frames' own answers is
    improved by iteratively reweighted means (Hartley et al. 2013, Int. J. Comput. Vis. 103, 267-305).

    Parameters
    ----------
    found, true : ndarray of float64, `(n_frames, 4)`
        Unit quaternions; rows with NaN are unknown.
    group : PointGroup, optional
        Symmetry of the true sample.

    Returns
    -------
    RotationErrors
        All NaN with the identity as alignment when no frame is known.

    Raises
    ------
    DataError
        If the sets differ in length, or known quaternions have no unit length.
    """
    first, second, known = _paired(found, true)
    symmetry = group or _NO_SYMMETRY
    if not known.any():
        return RotationErrors(np.full(len(known), np.nan), np.array([1.0, 0.0, 0.0, 0.0]))
    # A frame alone would have A = R^-1 T S.
    answer = quaternion_product(quaternion_inverse(first[known]), second[known])
    scored = _spread(answer, _N_SCORED)
    starts = _spread(answer, _N_STARTS)
    totals = [_errors(start, scored, symmetry).sum() for start in starts]
    alignment = starts[int(np.argmin(totals))]
    alignment = _refined(alignment, answer, symmetry)
    error = np.full(len(known), np.nan)
    error[known] = _errors(alignment, answer, symmetry)
    return RotationErrors(error, positive_quaternions(alignment[None])[0])


def _paired(
    found: NDArray[np.float64], true: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    first = frozen_array("found orientations", found, np.float64, (None, 4))
    second = frozen_array("true orientations", true, np.float64, (len(first), 4))
    known = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    for name, quaternion in (("found", first), ("true", second)):
        if known.any() and np.abs(np.linalg.norm(quaternion[known], axis=1) - 1).max() > 1e-6:
            raise DataError(f"{name} orientations must be unit quaternions (w, x, y, z)")
    return first, second, known


def _spread(rows: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """At most ``n`` rows, evenly taken."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(np.int64))]


def _errors(alignment: NDArray[np.float64], answer: NDArray[np.float64], group: PointGroup) -> NDArray[np.float64]:
    return group.angles_deg(np.broadcast_to(alignment, answer.shape), answer)


def _refined(alignment: NDArray[np.float64], answer: NDArray[np.float64], group: PointGroup) -> NDArray[np.float64]:
    """Lower the sum of angles by means of the equivalent answers nearest to the last, weighted by inverse errors."""
    total, best = np.inf, alignment
    for _ in range(_MAX_STEPS):
        current = np.broadcast_to(alignment, answer.shape)
        nearest = group.nearest_images(current, answer)
        error = rotation_angles_deg(nearest, current)
        if not error.sum() < total:
            break
        total, best = float(error.sum()), alignment
        # The mean of rotations is the largest eigenvector of the sum of q q^T, whatever the signs of q. The bound on
        # the weights lets the mean leave the frame that the start came from, which has no error of its own.
        moment = (nearest / np.maximum(error, _SMALLEST_DEG)[:, None]).T @ nearest
        alignment = np.linalg.eigh(moment)[1][:, -1]
    return np.asarray(best)
