import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fewphoton.data.position_grid import PositionGrid
from fewphoton.errors import DataError


def test_sites_by_hand():
    """Three sites lie at -h, 0, h and four at -1.5 h to 1.5 h; z runs fastest."""
    grid = PositionGrid(0.5, (1, 3, 4), (10.0, 0.0, 0.0))
    position = grid.positions()
    assert grid.n_sites == len(position) == 12
    np.testing.assert_allclose(position[:5, 0], 10.0)
    np.testing.assert_allclose(position[:5, 1], [-0.5, -0.5, -0.5, -0.5, 0.0])
    np.testing.assert_allclose(position[:5, 2], [-0.75, -0.25, 0.25, 0.75, -0.75])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.tuples(*3 * [st.integers(1, 7)]),
    spacing=st.floats(0.01, 10),
    centre=st.tuples(*3 * [st.floats(-9, 9)]),
    shift=st.floats(-0.49, 0.49),
)
def test_every_site_is_nearest_to_its_surroundings(shape, spacing, centre, shift):
    grid = PositionGrid(spacing, shape, centre)
    np.testing.assert_array_equal(grid.nearest_site(grid.positions() + shift * spacing), np.arange(grid.n_sites))


def test_positions_outside_are_refused():
    grid = PositionGrid(1.0, (3, 3, 3))
    assert grid.nearest_site(np.array([1.49, -1.49, 0.0])) == 2 * 9 + 0 * 3 + 1
    with pytest.raises(DataError, match=r"1 of 2 positions lie outside the grid of \(3, 3, 3\) sites 1 angstrom apart"):
        grid.nearest_site(np.array([[0, 0, 0], [0, 0, 1.6]]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, (3, 3, 3)), "spacing must be positive, found 0.0"),
        ((np.nan, (3, 3, 3)), "spacing must be positive, found nan"),
        ((1.0, (3, 0, 3)), "three numbers of sites of at least 1"),
        ((1.0, (3, 3)), "three numbers of sites of at least 1"),
        ((1.0, (3, 3, 3), (0.0, np.inf, 0.0)), "centre of three finite numbers"),
    ],
)
def test_impossible_grids_are_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        PositionGrid(*arguments)
