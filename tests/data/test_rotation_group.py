"""The 600-cell samples; Wigner functions are tested through their characters and through matrix polynomials."""

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewphoton.data import Orientations
from fewphoton.data.point_group import PointGroup, positive_quaternions, quaternion_product, rotation_angles_deg
from fewphoton.data.rotation_group import (
    N_NEIGHBOURS,
    RotationIndex,
    covering_radius_deg,
    mean_spacing_deg,
    n_rotations,
    neighbours,
    rotation_group_sample,
)
from fewphoton.errors import DataError


def random_quaternions(n, seed=0):
    return Rotation.random(n, np.random.default_rng(seed)).as_quat(scalar_first=True)


def character(degree, quaternion):
    """Trace of the Wigner matrix D^l: sin((2 l + 1) w / 2) / sin(w / 2) for a turn by w."""
    half = np.arccos(np.clip(np.abs(quaternion[:, 0]), 0, 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.sin((2 * degree + 1) * half) / np.sin(half)
    return np.where(half < 1e-7, 2 * degree + 1, value)


@pytest.mark.parametrize(("level", "expected"), [(1, 60), (2, 420), (3, 1380), (4, 3240), (5, 6300), (6, 10860)])
def test_counts(level, expected):
    quaternion, weight = rotation_group_sample(level)
    assert len(quaternion) == len(weight) == n_rotations(level) == 10 * (5 * level**3 + level) == expected


@pytest.mark.parametrize("level", [0, -1])
def test_levels_below_one_are_refused(level):
    for function in (n_rotations, rotation_group_sample, neighbours, covering_radius_deg, mean_spacing_deg):
        with pytest.raises(DataError, match="level"):
            function(level)


@pytest.mark.parametrize("level", range(1, 7))
def test_rotations_are_distinct_and_of_unit_length(level):
    quaternion, weight = rotation_group_sample(level)
    np.testing.assert_allclose(np.linalg.norm(quaternion, axis=1), 1, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(quaternion[0], [1, 0, 0, 0])
    np.testing.assert_array_equal(positive_quaternions(quaternion), quaternion)
    _, angle = RotationIndex(np.delete(quaternion, 0, axis=0)).nearest(quaternion[:1])
    assert angle[0] > 60 / level
    indptr, _ = RotationIndex(quaternion).within(quaternion, 40 / level)
    np.testing.assert_array_equal(np.diff(indptr), 1)
    assert weight.min() > 0
    assert weight.sum() == pytest.approx(1, abs=1e-13)


def test_the_first_level_is_the_icosahedral_group():
    """SciPy's, and its neighbours are the twelve turns by 72 degrees."""
    quaternion, weight = rotation_group_sample(1)
    group = positive_quaternions(Rotation.create_group("I").as_quat(scalar_first=True))
    np.testing.assert_allclose(np.abs(group @ quaternion.T).max(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(weight, 1 / 60)
    angle = rotation_angles_deg(quaternion[0], quaternion[neighbours(1)[0]])
    np.testing.assert_allclose(angle, 72)


@pytest.mark.parametrize("level", [1, 2, 3, 5])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_sample_and_its_weights_keep_the_symmetry_of_the_600_cell(level, side):
    quaternion, weight = rotation_group_sample(level)
    index = RotationIndex(quaternion)
    for turn in rotation_group_sample(1)[0][[0, 7, 23, 41, 59]]:
        pair = (turn, quaternion) if side == "left" else (quaternion, turn)
        number, angle = index.nearest(quaternion_product(*pair))
        assert angle.max() < 1e-6
        np.testing.assert_array_equal(np.sort(number), np.arange(len(quaternion)))
        np.testing.assert_allclose(weight[number], weight, rtol=1e-12)


def test_the_second_level_adds_the_middles_of_the_edges():
    quaternion, weight = rotation_group_sample(2)
    vertices = np.concatenate([rotation_group_sample(1)[0], -rotation_group_sample(1)[0]])
    near = np.argwhere(np.triu(vertices @ vertices.T > 0.8, 1))
    assert len(near) == 720
    middles = (vertices[near[:, 0]] + vertices[near[:, 1]]) / 2
    index, angle = RotationIndex(quaternion).nearest(middles / np.linalg.norm(middles, axis=1)[:, None])
    assert angle.max() < 1e-6
    assert sorted(set(index.tolist())) == list(range(60, 420))
    # Five tetrahedra fill 5 * 70.53 of 360 degrees about an edge, twenty 0.877 of the sphere about a vertex.
    fill_edge = 5 * np.degrees(np.arccos(1 / 3)) / 360
    fill_vertex = 20 * (3 * np.arccos(1 / 3) - np.pi) / (4 * np.pi)
    pushed = np.linalg.norm(middles[0]) ** -4
    np.testing.assert_allclose(weight[100] / weight[0], fill_edge * pushed / fill_vertex, rtol=1e-12)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_moments_of_the_rotation_matrix_up_to_degree_five(level):
    """Degree 2: mean R_ij R_kl = d_ik d_jl / 3; degree 3: mean R_ij R_kl R_mn = e_ikm e_jln / 6; then powers."""
    quaternion, weight = rotation_group_sample(level)
    matrices = Orientations(quaternion, weight).matrices()
    unit = np.eye(3)
    epsilon = np.linalg.det(unit[np.array(list(itertools.product(range(3), repeat=3)))]).reshape(3, 3, 3)
    np.testing.assert_allclose(np.einsum("r,rij", weight, matrices), 0, atol=1e-14)
    second = np.einsum("r,rij,rkl->ikjl", weight, matrices, matrices)
    np.testing.assert_allclose(second, np.einsum("ik,jl->ikjl", unit, unit) / 3, atol=1e-14)
    third = np.einsum("r,rij,rkl,rmn->ikmjln", weight, matrices, matrices, matrices, optimize=True)
    np.testing.assert_allclose(third, np.einsum("ikm,jln->ikmjln", epsilon, epsilon) / 6, atol=1e-14)
    # <(u . R v)^n> of unit vectors is the mean of cos^n over the sphere: 0, 1/5, 0.
    u, v = np.array([0.48, 0.6, 0.64]), np.array([-0.36, 0.48, 0.8])
    cosine = np.einsum("i,rij,j", u, matrices, v)
    np.testing.assert_allclose([weight @ cosine**4, weight @ cosine**5], [0.2, 0], atol=1e-14)


def test_wigner_functions_are_integrated_as_stated():
    """Exact where l is no sum of 6, 10 and 15; at l = 6 the error falls as n^-2, with equal weights it does not."""
    exact = [1, 2, 3, 4, 5, 7, 8, 9, 11, 13, 14, 17, 19, 23, 29]
    error_at_6 = {}
    for level in (3, 4, 6, 8):
        quaternion, weight = rotation_group_sample(level)
        # The mean of D^l over a sample with both-sided icosahedral symmetry is a projector times its trace.
        for degree in exact:
            assert abs(weight @ character(degree, quaternion)) < 1e-12, (level, degree)
        error_at_6[level] = abs(weight @ character(6, quaternion))
    np.testing.assert_allclose([error_at_6[3], error_at_6[6], error_at_6[8]], [0.0061, 0.0016, 0.0009], atol=6e-5)
    assert error_at_6[3] / error_at_6[6] == pytest.approx(4, rel=0.05)
    assert error_at_6[4] / error_at_6[8] == pytest.approx(4, rel=0.05)
    assert abs(character(6, quaternion).mean()) > 10 * error_at_6[8]
    for degree in (10, 12, 15, 16):
        assert abs(weight @ character(degree, quaternion)) < error_at_6[8]


def test_weights_are_the_volumes_nearest_to_each_sample():
    """The part of random rotations whose nearest sample lies on a vertex, edge, face or inside a cell."""
    level = 4
    quaternion, weight = rotation_group_sample(level)
    number, _ = RotationIndex(quaternion).nearest(random_quaternions(400_000))
    count = np.bincount(number, minlength=len(quaternion))
    class_of = np.unique(np.round(weight, 12), return_inverse=True)[1]
    for kind in range(class_of.max() + 1):
        members = class_of == kind
        volume = count[members].sum() / count.sum()
        assert volume == pytest.approx(weight[members].sum(), rel=0.15)
    assert np.corrcoef(np.bincount(class_of, count) / np.bincount(class_of), np.unique(weight.round(12)))[0, 1] > 0.97


@pytest.mark.parametrize("level", [1, 2, 3, 5])
def test_neighbours_are_those_of_the_lattice(level):
    """Naive twin: points of one tetrahedron whose parts differ by one step from one vertex to another."""
    quaternion, _ = rotation_group_sample(level)
    vertices = np.concatenate([rotation_group_sample(1)[0], -rotation_group_sample(1)[0]])
    near = np.abs(vertices @ vertices.T - np.cos(np.pi / 5)) < 1e-9
    index = RotationIndex(quaternion)
    lists = [set() for _ in quaternion]
    parts = [p for p in itertools.product(range(level + 1), repeat=4) if sum(p) == level]
    steps = [(i, j) for i in range(4) for j in range(4) if i != j]
    for simplex in tetrahedra(near):
        points = np.array(parts) @ vertices[list(simplex)]
        number = index.nearest(points / np.linalg.norm(points, axis=1)[:, None])[0]
        place = dict(zip(parts, number.tolist(), strict=True))
        for part in parts:
            for i, j in steps:
                moved = list(part)
                moved[i] -= 1
                moved[j] += 1
                if tuple(moved) in place:
                    lists[place[part]].add(place[tuple(moved)])
    np.testing.assert_array_equal(neighbours(level), [sorted(found) for found in lists])


def tetrahedra(near):
    """Cliques of four that contain a vertex of the first half: each antipodal pair of cells at least once."""
    for a in range(60):
        around = np.flatnonzero(near[a])
        for b, c, d in itertools.combinations(around, 3):
            if near[b, c] and near[b, d] and near[c, d]:
                yield a, b, c, d


@pytest.mark.parametrize("level", [1, 2, 4])
def test_the_neighbour_graph_is_symmetric(level):
    table = neighbours(level)
    n = len(table)
    assert table.dtype == np.int32
    assert table.shape == (n_rotations(level), N_NEIGHBOURS)
    graph = np.zeros((n, n), dtype=bool)
    graph[np.arange(n)[:, None], table] = True
    assert not graph.diagonal().any()
    np.testing.assert_array_equal(graph, graph.T)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_mean_spacing_over_all_pairs(level):
    quaternion, _ = rotation_group_sample(level)
    angle = rotation_angles_deg(quaternion[:, None], quaternion[neighbours(level)])
    assert mean_spacing_deg(level) == pytest.approx(angle.mean(), rel=1e-12)


def test_spacing_falls_as_one_over_the_level():
    assert mean_spacing_deg(1) == pytest.approx(72)
    spacing = np.array([level * mean_spacing_deg(level) for level in range(1, 9)])
    assert (np.diff(spacing) > 0).all()
    assert spacing[-1] == pytest.approx(75, rel=0.01)


@pytest.mark.parametrize("level", [1, 2, 3, 4])
def test_covering_radius_against_random_rotations(level):
    """Never exceeded, and nearly reached; level 1 by hand: the centre of a cell, arccos(phi^2 / (2 sqrt 2))."""
    radius = covering_radius_deg(level)
    quaternion, _ = rotation_group_sample(level)
    farthest = RotationIndex(quaternion).nearest(random_quaternions(200_000))[1].max()
    assert 0.96 * radius < farthest <= radius
    if level == 1:
        golden = (1 + np.sqrt(5)) / 2
        assert radius == pytest.approx(2 * np.degrees(np.arccos(golden**2 / (2 * np.sqrt(2)))), rel=1e-12)


def test_nearest_and_within_against_all_pairs():
    sample, _ = rotation_group_sample(2)
    queries = random_quaternions(60, 3)
    for group in (None, PointGroup.named("O")):
        index = RotationIndex(sample, group)
        symmetry = group or PointGroup.named("C1")
        angle = np.stack([symmetry.angles_deg(np.broadcast_to(q, sample.shape), sample) for q in queries])
        number, nearest = index.nearest(queries)
        np.testing.assert_allclose(nearest, angle.min(axis=1), atol=1e-9)
        np.testing.assert_allclose(angle[np.arange(60), number], nearest, atol=1e-9)
        indptr, found = index.within(queries, 30.0)
        assert indptr.dtype == np.int64
        assert found.dtype == np.int32
        for row in range(60):
            np.testing.assert_array_equal(found[indptr[row] : indptr[row + 1]], np.flatnonzero(angle[row] <= 30.0))


def test_the_graph_of_a_radius_is_symmetric_and_finds_the_lattice_neighbours():
    level = 3
    sample, _ = rotation_group_sample(level)
    indptr, index = RotationIndex(sample).neighbour_graph(85 / level)
    np.testing.assert_array_equal(np.diff(indptr), N_NEIGHBOURS)
    np.testing.assert_array_equal(index.reshape(-1, N_NEIGHBOURS), neighbours(level))
    group = PointGroup.named("D4")
    indptr, index = RotationIndex(sample[:200], group).neighbour_graph(25)
    graph = np.zeros((200, 200), dtype=bool)
    graph[np.repeat(np.arange(200), np.diff(indptr)), index] = True
    assert not graph.diagonal().any()
    assert graph.any()
    np.testing.assert_array_equal(graph, graph.T)


def test_nothing_within_nothing():
    indptr, index = RotationIndex(rotation_group_sample(1)[0]).within(np.zeros((0, 4)), 10.0)
    np.testing.assert_array_equal(indptr, [0])
    assert len(index) == 0
    assert index.dtype == np.int32
    with pytest.raises(DataError, match="shape"):
        RotationIndex(np.zeros((3, 3)))


def test_the_noun():
    sample = Orientations.over_rotation_group(2)
    assert len(sample) == 420
    assert sample.angle_deg is None
    np.testing.assert_array_equal(sample.quaternion, rotation_group_sample(2)[0])
    np.testing.assert_allclose(
        sample.matrices(), Rotation.from_quat(sample.quaternion, scalar_first=True).as_matrix(), atol=1e-14
    )
    with pytest.raises(DataError, match="level"):
        Orientations.over_rotation_group(0)
