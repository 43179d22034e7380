"""Samples of the full rotation group: the 600-cell, its tetrahedra subdivided, as in EMC of unknown orientations.

The 120 vertices of the 600-cell are the unit quaternions of the icosahedral rotations. Each edge of its 600 tetrahedra
is cut into n parts, the points of the tetrahedral lattice are pushed out to the unit sphere, and one of each antipodal
pair is kept: 10 (5 n^3 + n) rotations, near evenly spread (Loh & Elser 2009, Phys. Rev. E 80, 026705,
doi:10.1103/PhysRevE.80.026705).

Weights. A point whose chord lattice lies at distance r from the origin stands for a volume proportional to r^-4 on
the sphere, times the share of the lattice cell that its tetrahedra fill: less than one on the edges and vertices, where
regular tetrahedra leave gaps. The sample and its weights keep the 600-cell's symmetry, so Wigner functions D^l are
integrated exactly up to l = 5 and for every l that is no sum of 6, 10 and 15; the worst error below l = 10 (at l = 6)
falls as n^-2: 0.0061 at n = 3, 0.0016 at n = 6, 0.0009 at n = 8. Equal weights stay at 0.013.
"""

from __future__ import annotations

import itertools
from functools import cache
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

from fewphoton.data.arrays import frozen_array
from fewphoton.data.point_group import PointGroup, chord_to_angle_deg, positive_quaternions
from fewphoton.errors import DataError

N_NEIGHBOURS = 12
"""Neighbours of a point in the subdivided 600-cell, wherever it lies."""
_DIHEDRAL = float(np.arccos(1 / 3))
_SHARES = (20 * (3 * _DIHEDRAL - np.pi) / (4 * np.pi), 5 * _DIHEDRAL / (2 * np.pi), 1.0, 1.0)
"""Part of the lattice cell that regular tetrahedra fill about a vertex, an edge, a face and inside."""
_AT_A_TIME = 4096
_WORKERS = 2


@cache
def _vertices() -> NDArray[np.float64]:
    """Vertices of the 600-cell, `(120, 4)`, the identity first; they are SciPy's icosahedral group and its negative."""
    golden = (1 + np.sqrt(5)) / 2
    units = [np.roll([sign, 0.0, 0.0, 0.0], place) for sign in (1.0, -1.0) for place in range(4)]
    halves = [np.array(signs) / 2 for signs in itertools.product((1.0, -1.0), repeat=4)]
    rest = []
    for order in itertools.permutations(range(4)):
        inversions = sum(a > b for a, b in itertools.combinations(order, 2))
        if inversions % 2 == 1:
            for a, b, c in itertools.product((1.0, -1.0), repeat=3):
                rest.append(np.array([a * golden, b, c / golden, 0.0])[list(order)] / 2)
    return np.array(units + halves + rest)


@cache
def _simplices() -> tuple[NDArray[np.int64], ...]:
    """Vertices, edges, faces and cells of the 600-cell as vertex numbers, one of each antipodal pair."""
    vertices = _vertices()
    touching = vertices @ vertices.T > 0.8
    antipode = (vertices @ vertices.T).argmin(axis=1)
    found: list[tuple[int, ...]] = [(vertex,) for vertex in range(len(vertices))]
    kept = []
    for dimension in range(4):
        if dimension:
            found = [
                (*simplex, int(vertex))
                for simplex in found
                for vertex in np.flatnonzero(touching[list(simplex)].all(axis=0))
                if vertex > simplex[-1]
            ]
        kept.append(np.array([one for one in found if one < tuple(sorted(antipode[list(one)].tolist()))]))
    return tuple(kept)


def n_rotations(level: int) -> int:
    """Rotations in the sample of a subdivision ``level``: 10 (5 n^3 + n).

    Raises
    ------
    DataError
        If the level is below 1.
    """
    if level < 1:
        raise DataError(f"the 600-cell is subdivided 1 time or more, found level {level}")
    return 10 * (5 * level**3 + level)


def rotation_group_sample(level: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sample all rotations.

    Parameters
    ----------
    level : int
        Parts that each edge of the 600-cell is cut into.

    Returns
    -------
    quaternion : ndarray of float64, `(n_rotations(level), 4)`
        Unit quaternions, the first component that is not zero positive; identity first.
    weight : ndarray of float64, `(n_rotations(level),)`
        Quadrature weights; sum 1.

    Raises
    ------
    DataError
        If the level is below 1.
    """
    n_rotations(level)
    points, weights = [], []
    for simplices, share in zip(_simplices(), _SHARES, strict=True):
        # Parts that sum to the level are gaps between increasing marks; a lower simplex owns the points with a zero.
        marks = list(itertools.combinations(range(1, level), simplices.shape[1] - 1))
        if not marks:
            continue
        ends = [np.full((len(marks), 1), end) for end in (0, level)]
        edges = np.concatenate([ends[0], np.array(marks, dtype=np.int64), ends[1]], axis=1)
        parts = (edges[:, 1:] - edges[:, :-1]) / level
        lattice = np.einsum("ck,skd->scd", parts, _vertices()[simplices]).reshape(-1, 4)
        radius = np.linalg.norm(lattice, axis=1)
        points.append(positive_quaternions(lattice / radius[:, None]))
        weights.append(share / radius**4)
    weight = np.concatenate(weights)
    return np.concatenate(points), weight / weight.sum()


def neighbours(level: int) -> NDArray[np.int32]:
    """Twelve neighbours of each rotation of the full sample along the edges of its lattice, int32 `(n, 12)`, sorted."""
    quaternion, _ = rotation_group_sample(level)
    # The lattice's thirteenth neighbour is sqrt(2) times as far, and pushing out stretches no direction by more than
    # 1.08 against another, so nearness tells neighbours from the rest at every level.
    _, found = cKDTree(np.concatenate([quaternion, -quaternion])).query(quaternion, k=N_NEIGHBOURS + 1)
    return np.sort(found[:, 1:] % len(quaternion), axis=1).astype(np.int32)


def spacing_deg(n_distinct: int, group_order: int = 1) -> float:
    """Angle between neighbours among ``n_distinct`` evenly spread rotations, up to a group of ``group_order``.

    All rotations have the volume 8 pi^2 in radians of the rotation angle, and each point of a close-packed lattice
    with the neighbour distance a takes a^3 / sqrt(2): 74.9/n degrees at level n (see :func:`mean_spacing_deg`).
    """
    return float(np.rad2deg(np.cbrt(np.sqrt(2) * 8 * np.pi**2 / (n_distinct * group_order))))


def mean_spacing_deg(level: int) -> float:
    """Mean angle between neighbouring rotations of the full sample: 72 degrees at level 1, near 75/n beyond."""
    quaternion, _ = rotation_group_sample(level)
    tree = cKDTree(np.concatenate([quaternion, -quaternion]))
    total, start = 0.0, 0
    # By symmetry the points of one vertex, edge, face and cell see what those of all others see.
    for dimension, simplices in enumerate(_simplices()):
        n_points = comb(level - 1, dimension)
        chord, _ = tree.query(quaternion[start : start + n_points], k=N_NEIGHBOURS + 1)
        total += len(simplices) * float(chord_to_angle_deg(chord[:, 1:]).sum())
        start += len(simplices) * n_points
    return total / (N_NEIGHBOURS * len(quaternion))


def covering_radius_deg(level: int) -> float:
    """Largest angle from any rotation to its nearest in the full sample.

    Exact: the farthest rotation is the circumcentre of a Delaunay cell, and by symmetry one tetrahedron of the 600-cell
    and what surrounds it hold all there are.
    """
    quaternion, _ = rotation_group_sample(level)
    tetrahedron = _vertices()[_simplices()[3][0]]
    centre = tetrahedron.sum(axis=0) / np.linalg.norm(tetrahedron.sum(axis=0))
    both = np.concatenate([quaternion, -quaternion])
    reach = np.arccos(tetrahedron[0] @ centre) + 3 * (np.pi / 5) / level
    near = both[both @ centre >= np.cos(min(reach, np.pi))]
    hull = ConvexHull(near).equations
    # The outward normal of a facet points to its circumcentre; the facet's distance is the cosine of the radius.
    inside = (hull[:, :4] @ np.linalg.inv(tetrahedron) >= -1e-9).all(axis=1)
    return float(np.rad2deg(2 * np.arccos(-hull[inside, 4].max())))


class RotationIndex:
    """Finds the samples nearest to any orientation, equivalent orientations counted as one.

    Parameters
    ----------
    quaternion : ndarray of float64, `(n, 4)`
        Unit quaternions.
    group : PointGroup, optional
        Symmetry; none by default.
    """

    def __init__(self, quaternion: NDArray[np.float64], group: PointGroup | None = None) -> None:
        sample = frozen_array("quaternion", quaternion, np.float64, (None, 4))
        images = sample if group is None else group.images(sample).reshape(-1, 4)
        self._n_images = 1 if group is None else len(group)
        self._n_samples = len(sample)
        self._quaternion = sample
        self._tree = cKDTree(np.concatenate([images, -images]))

    def _sample(self, row: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray(row % (self._n_samples * self._n_images) // self._n_images)

    def nearest(self, quaternion: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the number of the nearest sample and its angle in degrees for each of ``quaternion`` `(n, 4)`."""
        chord, row = self._tree.query(quaternion, workers=_WORKERS)
        return self._sample(row), chord_to_angle_deg(chord)

    def within(self, quaternion: NDArray[np.float64], radius_deg: float) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Find all samples within an angle of each of ``quaternion``.

        Parameters
        ----------
        quaternion : ndarray of float64, `(n, 4)`
            Unit quaternions.
        radius_deg : float
            Largest angle, the boundary included to rounding.

        Returns
        -------
        indptr : ndarray of int64, `(n + 1,)`
            Where the samples of each begin.
        index : ndarray of int32
            Samples, ascending for each.
        """
        chord = 2 * np.sin(np.deg2rad(min(radius_deg, 180.0)) / 4) + 1e-9
        lengths, found = [], []
        for start in range(0, len(quaternion), _AT_A_TIME):
            near = self._tree.query_ball_point(quaternion[start : start + _AT_A_TIME], chord, workers=_WORKERS)
            for rows in near:
                samples = np.unique(self._sample(np.asarray(rows, dtype=np.int64)))
                lengths.append(len(samples))
                found.append(samples.astype(np.int32))
        index = np.concatenate(found) if found else np.zeros(0, dtype=np.int32)
        return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64), index

    def neighbour_graph(self, radius_deg: float) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Other samples within an angle of each sample, in the form of :meth:`within`; symmetric."""
        indptr, index = self.within(self._quaternion, radius_deg)
        owner = np.repeat(np.arange(self._n_samples), np.diff(indptr))
        other = index != owner
        # Every sample finds itself once.
        return indptr - np.arange(self._n_samples + 1), index[other]
