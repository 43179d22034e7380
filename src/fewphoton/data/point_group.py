"""Quaternion algebra, and the finite groups of rotations that leave a crystal's or a particle's intensity unchanged.

Quaternions are scalar first, (w, x, y, z); q and -q are the same rotation. An orientation turns the sample into the
laboratory, so symmetry acts from the right: the orientations R and R S, with S in the group, give the same frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from fewphoton.data.arrays import frozen_array
from fewphoton.data.crystal import Crystal
from fewphoton.errors import DataError

_SAME = 1e-8
_AT_A_TIME = 65536


def quaternion_product(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hamilton products of `(..., 4)` with `(..., 4)`, broadcast: ``second`` turns first, then ``first``."""
    a, b = np.broadcast_arrays(first, second)
    product = np.empty(a.shape)
    product[..., 0] = a[..., 0] * b[..., 0] - (a[..., 1:] * b[..., 1:]).sum(axis=-1)
    product[..., 1:] = a[..., :1] * b[..., 1:] + b[..., :1] * a[..., 1:] + np.cross(a[..., 1:], b[..., 1:])
    return product


def quaternion_inverse(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverses of unit quaternions `(..., 4)`."""
    return np.asarray(quaternion * np.array([1.0, -1.0, -1.0, -1.0]))


def positive_quaternions(quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of q and -q, the one whose first component that is not zero is positive, `(n, 4)`."""
    clear = np.abs(quaternion) > _SAME
    leading = np.take_along_axis(quaternion, clear.argmax(axis=-1)[..., None], axis=-1)
    return np.asarray(np.where(leading < 0, -quaternion, quaternion))


def rotation_angles_deg(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles of the rotations that take ``first`` `(..., 4)` to ``second`` `(..., 4)`, 0 to 180, `(...)`."""
    # Chords keep their digits where the arc cosine of the scalar product loses half of them.
    difference = np.linalg.norm(first - second, axis=-1)
    total = np.linalg.norm(first + second, axis=-1)
    return chord_to_angle_deg(np.minimum(difference, total))


def chord_to_angle_deg(chord: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation angle between two unit quaternions whose difference has the length ``chord``, sqrt(2) at the most."""
    return np.asarray(np.rad2deg(4 * np.arcsin(np.clip(chord / 2, 0.0, np.sqrt(0.5)))))


@dataclass(frozen=True, eq=False)
class PointGroup:
    """A finite group of rotations in the frame that orientations act on.

    Parameters
    ----------
    quaternion : ndarray of float64, `(n_operations, 4)`
        Unit quaternions of its operations, each rotation once, the identity included.

    Raises
    ------
    DataError
        If these rotations do not form a group.
    """

    quaternion: NDArray[np.float64]

    def __post_init__(self) -> None:
        quaternion = frozen_array("point group", self.quaternion, np.float64, (None, 4))
        if len(quaternion) == 0 or not np.abs(np.linalg.norm(quaternion, axis=1) - 1).max() <= _SAME:
            raise DataError("a point group needs unit quaternions, the identity at least")
        products = quaternion_product(quaternion[:, None], quaternion[None, :]).reshape(-1, 4)
        same = np.abs(products @ quaternion.T) > 1 - _SAME
        distinct = (np.abs(quaternion @ quaternion.T) > 1 - _SAME).sum() == len(quaternion)
        if not distinct or not same.any(axis=1).all():
            raise DataError(f"the {len(quaternion)} rotations given form no group (a repeat, or a product outside)")
        object.__setattr__(self, "quaternion", quaternion)

    def __len__(self) -> int:
        return len(self.quaternion)

    @classmethod
    def named(cls, symbol: str) -> PointGroup:
        """Return C1, C2, ..., D2, D3, ..., T, O or I in their usual setting.

        Cyclic and dihedral groups turn about z, the twofold axes of Dn lie in the xy plane with one along x; T, O and
        I have twofold or fourfold axes along x, y and z (SciPy's setting of each group).
        """
        try:
            return cls(Rotation.create_group(symbol).as_quat(scalar_first=True))
        except ValueError as error:
            raise DataError(f"unknown group of rotations {symbol!r}; write C4, D3, T, O or I") from error

    @classmethod
    def of_crystal(cls, crystal: Crystal) -> PointGroup:
        """Return the proper rotations of the crystal's Laue group, in the laboratory at goniometer zero.

        With q = R U B h these are the rotations S for which R and R S see equivalent reflections everywhere, Friedel
        mates counted as equivalent.
        """
        ub = crystal.ub_matrix
        turns = ub @ crystal.laue_rotations().astype(np.float64) @ np.linalg.inv(ub)
        # Cells match their symmetry within a tolerance only; the nearest rotations are off by its square.
        left, _, right = np.linalg.svd(turns)
        turns = left @ right
        return cls(Rotation.from_matrix(turns).as_quat(scalar_first=True))

    def turned(self, quaternion: ArrayLike) -> PointGroup:
        """Return the group of the sample after the sample was turned by ``quaternion`` `(4,)`: q S q^-1."""
        turn = np.asarray(quaternion, dtype=np.float64)
        return PointGroup(quaternion_product(quaternion_product(turn, self.quaternion), quaternion_inverse(turn)))

    def images(self, quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
        """All orientations equivalent to each of ``quaternion`` `(n, 4)`, `(n, n_operations, 4)`."""
        return quaternion_product(quaternion[:, None], self.quaternion[None, :])

    def angles_deg(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        """Smallest angle between ``first`` `(n, 4)` and any orientation equivalent to ``second`` `(n, 4)`, `(n,)`."""
        best = self.nearest_images(first, second)
        return rotation_angles_deg(first, best)

    def nearest_images(self, first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of the orientations equivalent to each of ``second`` `(n, 4)`, the one nearest to ``first``, `(n, 4)`."""
        nearest = np.empty_like(second)
        for start in range(0, len(second), _AT_A_TIME):
            part = slice(start, start + _AT_A_TIME)
            # |first . (second s)| = |(second^-1 first) . s|, four multiplications an operation.
            relative = quaternion_product(quaternion_inverse(second[part]), first[part])
            operation = np.abs(relative @ self.quaternion.T).argmax(axis=1)
            nearest[part] = quaternion_product(second[part], self.quaternion[operation])
        return nearest

    def reduce(self, quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map orientations to the fundamental zone: the smallest rotation among the equivalent ones.

        On the boundary of the zone, where several are smallest, the one with the largest x, then y, then z is taken,
        so that equivalent orientations always meet in one.

        Parameters
        ----------
        quaternion : ndarray of float64, `(n, 4)`
            Orientations.

        Returns
        -------
        ndarray of float64, `(n, 4)`
            Representatives, first component that is not zero positive.
        """
        reduced = np.empty_like(quaternion)
        for start in range(0, len(quaternion), _AT_A_TIME):
            part = quaternion[start : start + _AT_A_TIME]
            scalar = np.abs(part @ quaternion_inverse(self.quaternion).T)
            largest = scalar.max(axis=1)
            operation = scalar.argmax(axis=1)
            tied = np.flatnonzero((scalar > largest[:, None] - _SAME).sum(axis=1) > 1)
            out = positive_quaternions(quaternion_product(part, self.quaternion[operation]))
            images = positive_quaternions(self.images(part[tied]))
            candidate = scalar[tied] > largest[tied, None] - _SAME
            for component in range(1, 4):
                value = np.where(candidate, images[..., component], -np.inf)
                candidate &= value > value.max(axis=1, keepdims=True) - _SAME
            out[tied] = images[np.arange(len(tied)), candidate.argmax(axis=1)]
            reduced[start : start + _AT_A_TIME] = out
        return reduced

    def in_fundamental_zone(self, quaternion: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which of ``quaternion`` `(n, 4)` represent their class of equivalent orientations, `(n,)`."""
        moved = np.linalg.norm(self.reduce(quaternion) - positive_quaternions(quaternion), axis=1)
        return np.asarray(moved < 10 * _SAME)
