"""Sampled orientations: unit quaternions with quadrature weights.

Quaternions are scalar first (w, x, y, z) and describe active, right-handed rotations of the crystal in the
laboratory: q_lab = R q_crystal, where R is the goniometer's rotation applied after U.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.data.point_group import PointGroup
from fewphoton.data.reduced_rotations import reduced_sample
from fewphoton.data.rotation_group import rotation_group_sample
from fewphoton.errors import DataError, GeometryError


def rotation_about_axis(axis: ArrayLike, angle_deg: ArrayLike) -> NDArray[np.float64]:
    """Matrices of active right-handed rotations by ``angle_deg`` `(...)` about ``axis`` `(3,)`, `(..., 3, 3)`.

    Raises
    ------
    GeometryError
        If the axis has no length or is not finite.
    """
    x, y, z = unit_axis(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.deg2rad(np.asarray(angle_deg, dtype=np.float64))[..., None, None]
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross))


def unit_axis(axis: ArrayLike) -> NDArray[np.float64]:
    """Return ``axis`` `(3,)` at unit length, or raise GeometryError where it has no finite length."""
    vector = frozen_array("rotation axis", axis, np.float64, (3,))
    length = float(np.linalg.norm(vector))
    if not 0 < length < np.inf:
        raise GeometryError(f"a rotation axis must have a finite length above zero, found {vector.tolist()}")
    return np.asarray(vector / length)


def rotation_matrices(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices of unit quaternions `(n, 4)`, scalar first, float64 `(n, 3, 3)`."""
    w, x, y, z = quaternion.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


@dataclass(frozen=True, eq=False)
class Orientations:
    """A finite sample of rotations.

    Parameters
    ----------
    quaternion : ndarray of float64, `(n, 4)`
        Unit quaternions, scalar first.
    weight : ndarray of float64, `(n,)`
        Quadrature weights, positive, summing to one: the prior probability of each orientation.
    angle_deg : ndarray of float64, `(n,)` or None
        Angle about the one axis where the sample is an axis scan.
    """

    quaternion: NDArray[np.float64]
    weight: NDArray[np.float64]
    angle_deg: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        quaternion = frozen_array("quaternion", self.quaternion, np.float64, (None, 4))
        weight = frozen_array("orientation weight", self.weight, np.float64, (len(quaternion),))
        if len(quaternion) == 0:
            raise DataError("an orientation sample must not be empty")
        # Written so that NaN, which compares false, is refused.
        if not np.abs(np.linalg.norm(quaternion, axis=1) - 1).max() <= 1e-9:
            raise DataError("quaternions must have unit length")
        if not (weight.min() > 0 and abs(weight.sum() - 1) <= 1e-9):
            raise DataError("orientation weights must be positive and sum to one")
        object.__setattr__(self, "quaternion", quaternion)
        object.__setattr__(self, "weight", weight)
        if self.angle_deg is not None:
            angle = frozen_array("angle_deg", self.angle_deg, np.float64, (len(quaternion),))
            object.__setattr__(self, "angle_deg", angle)

    def __len__(self) -> int:
        return len(self.quaternion)

    @classmethod
    def about_axis(cls, axis: ArrayLike, n_angles: int, start_deg: float = 0.0) -> Orientations:
        """Return ``n_angles`` equally spaced rotations over a full turn about ``axis`` `(3,)`."""
        if n_angles < 1:
            raise DataError(f"at least one angle is needed, found {n_angles}")
        unit = unit_axis(axis)
        angle = start_deg + 360.0 * np.arange(n_angles) / n_angles
        half = np.deg2rad(angle) / 2
        quaternion = np.column_stack([np.cos(half), np.sin(half)[:, None] * unit])
        return cls(quaternion, np.full(n_angles, 1.0 / n_angles), angle)

    def matrices(self) -> NDArray[np.float64]:
        """Rotation matrices, float64 `(n, 3, 3)`."""
        return rotation_matrices(self.quaternion)

    def shard(self, start: int, stop: int) -> NDArray[np.float64]:
        """Rotation matrices of the orientations ``start`` to ``stop - 1``, `(stop - start, 3, 3)`."""
        return rotation_matrices(self.quaternion[start:stop])

    @classmethod
    def over_rotation_group(cls, level: int, point_group: PointGroup | None = None) -> Orientations:
        """Sample all rotations by the 600-cell subdivided ``level`` times, up to the symmetry of the sample.

        10 (5 n^3 + n) rotations at level n, divided by the order of ``point_group``; neighbours are about 75/n degrees
        apart. See :func:`fewphoton.data.reduced_rotations.reduced_sample`.

        Raises
        ------
        DataError
            If the level is below 1.
        """
        if point_group is None:
            return cls(*rotation_group_sample(level))
        return cls(*reduced_sample(level, point_group))
