import gemmi
import numpy as np
import pytest

from fewphoton.data import Crystal
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import GeometryError

CELLS = {
    "P 1": (7, 8, 9, 80, 95, 100),
    "P -1": (7, 8, 9, 80, 95, 100),
    "P 21 21 21": (5.4, 8.1, 12.0, 90, 90, 90),
    "C 1 2 1": (20, 8, 9, 90, 105, 90),
    "A m m 2": (7, 8, 9, 90, 90, 90),
    "I -4 3 d": (21.47, 21.47, 21.47, 90, 90, 90),
    "F d -3 m": (5.43, 5.43, 5.43, 90, 90, 90),
    "R 3 :H": (10, 10, 30, 90, 90, 120),
}
HKL = np.stack(np.meshgrid(*[np.arange(-4, 5)] * 3, indexing="ij"), -1).reshape(-1, 3)


@pytest.mark.parametrize("group", CELLS)
def test_lengths_centring_and_absences_are_gemmis(group):
    crystal = Crystal(CELLS[group], group)
    cell, operations = gemmi.UnitCell(*CELLS[group]), gemmi.SpaceGroup(group).operations()
    expected = [np.sqrt(cell.calculate_1_d2(index)) for index in HKL.tolist()]
    np.testing.assert_allclose(crystal.q_inv_angstrom(HKL), expected, atol=1e-12)
    absent = np.array([operations.is_systematically_absent(index) for index in HKL.tolist()])
    np.testing.assert_array_equal(crystal.space_group_allows(HKL), ~absent)
    lattice = gemmi.GroupOps([gemmi.Op("x,y,z")])
    lattice.cen_ops = operations.cen_ops
    forbidden = np.array([lattice.is_systematically_absent(index) for index in HKL.tolist()])
    np.testing.assert_array_equal(crystal.centring_allows(HKL), ~forbidden)


@pytest.mark.parametrize(("group", "order"), [("P -1", 1), ("P 21 21 21", 4), ("I -4 3 d", 24), ("F d -3 m", 24)])
def test_laue_rotations_keep_lengths_and_classes(group, order):
    crystal = Crystal(CELLS[group], group)
    rotations = crystal.laue_rotations()
    assert len(rotations) == order
    point = np.array([[1, 2, 3]])
    turned = (rotations @ point[0]).astype(np.int32)
    np.testing.assert_allclose(crystal.q_inv_angstrom(turned), crystal.q_inv_angstrom(point)[0])
    classes = crystal.to_laue_asu(np.concatenate([turned, -turned]))
    assert len(np.unique(classes, axis=0)) == 1


def test_lattice_points_are_complete_and_without_the_origin(cubic_crystal):
    points = cubic_crystal.lattice_points(2.1 / 21.47)
    assert len(points) == 12 + 6  # twelve (110) and six (200)
    assert points.any(axis=1).all()


def test_ub_round_trip_forgives_small_strain():
    turn = rotation_about_axis((1, 2, 3), 40)
    crystal = Crystal(CELLS["P 21 21 21"], "P 21 21 21", turn)
    back = Crystal.from_ub(1.002 * crystal.ub_matrix, crystal.cell, crystal.space_group)
    np.testing.assert_allclose(back.u_matrix, turn, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space_group": "P 99"}, "unknown space group"),
        ({"cell": (21, 22, 21, 90, 90, 90)}, "contradicts the cubic space group"),
        ({"cell": (-1, 21, 21, 90, 90, 90)}, "six positive numbers"),
        ({"u_matrix": np.diag([1.0, 1, -1])}, "proper rotation"),
    ],
)
def test_impossible_crystals_are_refused(change, message):
    good = {"cell": (21, 21, 21, 90, 90, 90), "space_group": "I -4 3 d"}
    with pytest.raises(GeometryError, match=message):
        Crystal(**{**good, **change})


def test_wrong_ub_is_refused(cubic_crystal):
    with pytest.raises(GeometryError, match="stretches"):
        Crystal.from_ub(1.1 * cubic_crystal.ub_matrix, cubic_crystal.cell, cubic_crystal.space_group)
    with pytest.raises(GeometryError, match="right-handed"):
        Crystal.from_ub(-cubic_crystal.ub_matrix, cubic_crystal.cell, cubic_crystal.space_group)
