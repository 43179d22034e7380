from itertools import permutations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fewphoton.data import Molecule, PositionGrid
from fewphoton.errors import DataError
from fewphoton.simulate.grid_snapping import snapped


def carbons(position):
    n_atoms = len(position)
    return Molecule(("C",) * n_atoms, np.asarray(position, float), np.ones(n_atoms), np.zeros(n_atoms))


def test_atoms_go_to_the_nearest_sites_where_those_are_free():
    grid = PositionGrid(1.0, (3, 3, 3))
    moved, shift = snapped(carbons([[0.1, 0, 0], [0.9, -0.2, 1.0]]), grid)
    np.testing.assert_array_equal(moved.position_angstrom, [[0, 0, 0], [1, 0, 1]])
    assert shift == pytest.approx(np.sqrt((0.01 + 0.01 + 0.04) / 2))


def test_two_atoms_near_one_site_are_parted():
    """Both are nearest to 0. One may stay: 0.4² + 0.51² is paid, which is less than 0.49² + 0.6²."""
    grid = PositionGrid(1.0, (3, 1, 1))
    moved, _ = snapped(carbons([[0.49, 0, 0], [0.4, 0, 0]]), grid)
    np.testing.assert_array_equal(moved.position_angstrom[:, 0], [1, 0])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), n_atoms=st.integers(1, 4))
def test_no_other_assignment_is_shorter(seed, n_atoms):
    """Against all ways to put the atoms on the sites of a small, crowded grid."""
    grid = PositionGrid(1.0, (2, 3, 1))
    position = np.random.default_rng(seed).uniform(-0.4, 0.4, (n_atoms, 3))
    moved, shift = snapped(carbons(position), grid)
    sites = grid.positions()
    cost = [((sites[list(order)] - position) ** 2).sum() for order in permutations(range(6), n_atoms)]
    assert shift**2 * n_atoms == pytest.approx(min(cost))
    assert len(set(grid.nearest_site(moved.position_angstrom))) == n_atoms


def test_every_site_can_be_taken():
    grid = PositionGrid(0.8, (2, 2, 2))
    moved, _ = snapped(carbons(np.random.default_rng(1).uniform(-0.7, 0.7, (8, 3))), grid)
    assert sorted(grid.nearest_site(moved.position_angstrom)) == list(range(8))


def test_what_does_not_fit_is_refused():
    with pytest.raises(DataError, match="1 of 2 positions lie outside the grid"):
        snapped(carbons([[0, 0, 0], [0, 0, 3.0]]), PositionGrid(1.0, (3, 3, 3)))
    with pytest.raises(DataError, match="3 atoms find no room on 2 sites"):
        snapped(carbons(np.zeros((3, 3))), PositionGrid(1.0, (1, 1, 2)))
