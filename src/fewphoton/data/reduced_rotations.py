"""Samples of the orientations that a crystal's or a particle's own symmetry leaves distinct."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull
from scipy.spatial.transform import Rotation

from fewphoton.data.point_group import PointGroup, positive_quaternions, quaternion_inverse, quaternion_product
from fewphoton.data.rotation_group import RotationIndex, covering_radius_deg, rotation_group_sample

_POINTS_PER_CELL = 200
_POINTS_AT_MOST = 2_000_000


def alignment(group: PointGroup) -> NDArray[np.float64]:
    """Turn that brings as many operations of ``group`` as can be among the 600-cell's own, a quaternion `(4,)`.

    With the turn a, the sample q_i a is carried onto itself by those operations. C1, C2, C3, C5, D2, D3, D5, T and I
    fit whole, whatever their axes; of C4, C6, D4, D6 and O a subgroup of index 2 does.
    """
    own = rotation_group_sample(1)[0]
    operations = positive_quaternions(group.quaternion)
    best, most = np.array([1.0, 0.0, 0.0, 0.0]), 0
    # Finite groups of rotations have two generators: once both coincide with the 600-cell's, so does what they span.
    for first, second in itertools.combinations_with_replacement(operations, 2):
        pair = _matching_pair(own, first, second)
        if pair is None:
            continue
        # One vector says all where both lie along one axis.
        n_vectors = 1 if np.linalg.norm(np.cross(*pair)) < 1e-7 else 2
        rotation, _ = Rotation.align_vectors(pair[:n_vectors], np.stack([first[1:], second[1:]])[:n_vectors])
        turn = rotation.as_quat(scalar_first=True)
        shared = int(_are_own(group.turned(turn), own).sum())
        if shared > most:
            best, most = turn, shared
        if most == len(group):
            break
    return best


def _are_own(group: PointGroup, own: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which operations of ``group`` are among ``own``, `(n_operations,)`."""
    return np.asarray(np.abs(group.quaternion @ own.T).max(axis=1) > 1 - 1e-9)


def _matching_pair(
    own: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Vector parts of two of the 600-cell's operations of the same angles and mutual inclination, `(2, 3)`."""
    if min(np.linalg.norm(first[1:]), np.linalg.norm(second[1:])) < 1e-7:
        return None
    signed = np.concatenate([own, -own])
    like_first = signed[np.abs(signed[:, 0] - first[0]) < 1e-7]
    like_second = signed[np.abs(signed[:, 0] - second[0]) < 1e-7]
    if len(like_first) == 0 or len(like_second) == 0:
        return None
    # All operations of one angle are equivalent in the 600-cell, so any will do for the first.
    fits = np.abs(like_second[:, 1:] @ like_first[0, 1:] - second[1:] @ first[1:]) < 1e-7
    return np.stack([like_first[0, 1:], like_second[fits.argmax(), 1:]]) if fits.any() else None


def reduced_sample(level: int, group: PointGroup) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sample the orientations that ``group`` leaves distinct.

    The full sample is first turned by :func:`alignment`. For a group that then fits whole, one sample of each class of
    equivalent ones is taken: ``n_rotations(level) / len(group)`` in all, as exact as the full sample. For other groups
    (those with fourfold or sixfold axes) the samples in the fundamental zone are taken, and equivalents of samples
    outside where these would leave a gap at the zone's boundary: the same number within a few percent, and a covering
    radius of at most 2 times that of the full sample (1.1 to 1.35 in practice, from level 3 on). Weights are volumes of
    Voronoi cells: the full sample's own inside the zone, estimated to a few percent along its boundary (to a fifth for
    samples of several 100 000).

    Parameters
    ----------
    level : int
        Of the full sample.
    group : PointGroup
        Symmetry.

    Returns
    -------
    quaternion : ndarray of float64, `(n, 4)`
        Unit quaternions in the fundamental zone.
    weight : ndarray of float64, `(n,)`
        Their weights; sum 1.
    """
    quaternion, weight = rotation_group_sample(level)
    turn = alignment(group)
    quaternion = positive_quaternions(quaternion_product(quaternion, turn))
    inside = group.in_fundamental_zone(quaternion)
    reduced, share = quaternion[inside], weight[inside]
    if not _fits(group, turn):
        # Half an angle of rotation is the angle between quaternions.
        radius = np.deg2rad(covering_radius_deg(level)) / 2
        others = group.reduce(quaternion[~inside])
        # A ball that lies in the zone holds a sample of the zone wherever it is: no gap there.
        others = others[_clearance(others, group) < radius]
        gaps = _gaps(reduced, others, level, group)
        known = np.concatenate([share * len(group), np.zeros(len(gaps))])
        reduced = np.concatenate([reduced, gaps])
        # The cell of a sample this far inside has all its neighbours in the zone, as in the full sample.
        cut = _clearance(reduced, group) < 3 * radius
        cut[len(share) :] = True
        share = np.where(cut, _cell_volumes(reduced, group, 4 * radius), known)
    return reduced, share / share.sum()


def _clearance(quaternion: NDArray[np.float64], group: PointGroup) -> NDArray[np.float64]:
    """Lower bound of the angle between quaternions of the zone `(n, 4)` and its boundary, in radians, `(n,)`."""
    # Both scalar products change by no more than the angle that the quaternion moves by.
    largest = np.partition(np.abs(quaternion @ quaternion_inverse(group.quaternion).T), -2, axis=1)[:, -2:]
    return np.asarray((largest[:, 1] - largest[:, 0]) / 2)


def _fits(group: PointGroup, turn: NDArray[np.float64]) -> bool:
    """Tell whether all of ``group``, turned, is among the 600-cell's own rotations."""
    return bool(_are_own(group.turned(turn), rotation_group_sample(1)[0]).all())


def _gaps(
    inside: NDArray[np.float64], others: NDArray[np.float64], level: int, group: PointGroup
) -> NDArray[np.float64]:
    """Those of ``others`` `(n, 4)` that lie farther than a covering radius from ``inside`` and from each other."""
    radius = covering_radius_deg(level)
    distance = np.round(RotationIndex(inside, group).nearest(others)[1], 6)
    order = np.argsort(-distance, kind="stable")
    candidates = others[order[distance[order] > radius]]
    indptr, index = RotationIndex(candidates, group).neighbour_graph(radius)
    taken = np.zeros(len(candidates), dtype=bool)
    for number in range(len(candidates)):
        taken[number] = not taken[index[indptr[number] : indptr[number + 1]]].any()
    return np.asarray(candidates[taken])


def reduced_covering_radius_deg(level: int, group: PointGroup) -> float:
    """Largest angle from any rotation to its nearest in the reduced sample, equivalent ones counted as one.

    As :func:`fewphoton.data.rotation_group.covering_radius_deg` for groups that fit into the 600-cell's own, and more
    for others: exact too, from the circumcentres of Delaunay cells in the fundamental zone.
    """
    if _fits(group, alignment(group)):
        return covering_radius_deg(level)
    sample, _ = reduced_sample(level, group)
    images = group.images(sample).reshape(-1, 4)
    both = np.concatenate([images, -images])
    # Equivalent rotations have equally far samples, so circumcentres in the zone tell all; the zone is about identity.
    margin = 2 * np.deg2rad(covering_radius_deg(level))
    reach = np.arccos(sample[:, 0].min()) + margin
    hull = ConvexHull(both[both[:, 0] >= np.cos(min(reach, np.pi))]).equations
    centre = hull[:, :4]
    inside = centre[:, 0] >= np.abs(centre @ quaternion_inverse(group.quaternion).T).max(axis=1) - 1e-7
    return float(np.rad2deg(2 * np.arccos(-hull[inside, 4].max())))


def _cell_volumes(quaternion: NDArray[np.float64], group: PointGroup, depth: float) -> NDArray[np.float64]:
    """Volumes of Voronoi cells as parts of all rotations, `(n,)`, by counting points of an even sequence in them.

    Only points of clearance below ``depth`` are counted, so cells that reach deeper come out too small.
    """
    n_points = min(_POINTS_PER_CELL * len(quaternion), _POINTS_AT_MOST)
    points = _even_sequence(n_points)
    points = points[_clearance(points, group) < depth]
    count = np.bincount(RotationIndex(quaternion, group).nearest(points)[0], minlength=len(quaternion))
    return np.maximum(count, 1) / n_points


def _even_sequence(n: int) -> NDArray[np.float64]:
    """Return ``n`` evenly spread rotations, `(n, 4)`: the super-Fibonacci spiral (Alexa 2022, CVPR)."""
    step = np.arange(n) + 0.5
    inner, outer = np.sqrt(step / n), np.sqrt(1 - step / n)
    one, two = 2 * np.pi * step / np.sqrt(2), 2 * np.pi * step / 1.533751168755204288118041
    return np.column_stack([inner * np.sin(one), inner * np.cos(one), outer * np.sin(two), outer * np.cos(two)])
