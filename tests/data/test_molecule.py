import numpy as np
import pytest

from fewphoton.data import Molecule
from fewphoton.errors import DataError

SQUARE = np.array([[0, 0, 0], [3, 0, 0], [0, 4, 0], [3, 4, 0.0]])


def molecule(position, element=None, **changes):
    n_atoms = len(position)
    columns = {"occupancy": np.ones(n_atoms), "b_iso_angstrom2": np.zeros(n_atoms)} | changes
    return Molecule(element or ("C",) * n_atoms, np.asarray(position, float), **columns)


@pytest.mark.parametrize(
    ("position", "diameter"),
    [
        (SQUARE, 5.0),
        (SQUARE[:1], 0.0),
        ([[0, 0, 0], [0, 0, 2.0], [0, 0, -5.0]], 7.0),
        ([*SQUARE, [1, 1, 12]], np.sqrt(4 + 9 + 144)),
    ],
)
def test_diameter_is_the_largest_distance(position, diameter):
    assert molecule(position).diameter_angstrom == pytest.approx(diameter)


def test_diameter_of_many_atoms_equals_all_pairs():
    position = np.random.default_rng(0).standard_normal((200, 3))
    distance = np.linalg.norm(position[:, None] - position[None], axis=2)
    assert molecule(position).diameter_angstrom == pytest.approx(distance.max(), rel=1e-12)


def test_centred_puts_the_box_about_the_origin():
    moved = molecule(SQUARE + 7.0).centred()
    np.testing.assert_allclose(moved.position_angstrom, SQUARE - [1.5, 2, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"position": np.zeros((0, 3))}, "needs atoms"),
        ({"element": ("C", "Qq", "N", "Zz")}, "unknown elements: Qq, Zz"),
        ({"position": SQUARE * np.nan}, "position_angstrom holds values that are not finite"),
        ({"occupancy": -np.ones(4)}, "occupancy must not be negative, found -1"),
        ({"b_iso_angstrom2": np.zeros(3)}, r"b_iso_angstrom2: expected shape \(4,\)"),
    ],
)
def test_what_is_no_molecule_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        molecule(**{"position": SQUARE} | changes)
