import numpy as np
import pytest

from fewphoton.ankylography.grid_solutions import GridSolutions
from fewphoton.ankylography.sparse_problem import SparseProblem
from fewphoton.data.position_grid import PositionGrid
from tests.ankylography.site_shots import SPACING, site_shot

KIND = np.array([0, 1, 0])
INDEX = np.array([[0, 1, 2], [2, 1, 1], [1, 0, 2]])


def solutions(n_best):
    shot, *_ = site_shot(1, {"C": 2, "O": 1}, n_detectors=30)
    return GridSolutions(SparseProblem.of(shot, PositionGrid(SPACING, (5, 5, 5)), "none", 1.0), n_best)


def add(found, objective, index, kind=KIND, amplitude=1.0):
    site = np.ravel_multi_index(tuple(np.asarray(index).T), (5, 5, 5))
    found.add(objective, kind, site, np.full(len(kind), amplitude))


@pytest.mark.parametrize(
    "index",
    [INDEX + np.array([1, 2, 0]), [4, 4, 4] - INDEX, [3, 4, 2] - INDEX, INDEX[[2, 1, 0]]],
    ids=["shifted", "inverted", "inverted and shifted", "like atoms exchanged"],
)
def test_what_scatters_alike_counts_once_and_the_better_stays(index):
    found = solutions(3)
    add(found, 2.0, INDEX)
    add(found, 1.0, index, amplitude=0.5)
    add(found, 3.0, INDEX, amplitude=0.7)
    assert found.best == 1.0
    assert len(found.molecules()) == 1
    np.testing.assert_array_equal(found.molecules()[0].molecule.occupancy, 0.5)


def test_what_scatters_otherwise_is_kept_apart_in_order():
    found = solutions(3)
    assert found.best == np.inf
    mirrored = INDEX * [1, 1, -1] + [0, 0, 4]
    add(found, 3.0, INDEX)
    add(found, 1.0, mirrored)
    add(found, 2.0, INDEX, kind=np.array([1, 0, 0]))
    assert len(found.molecules()) == 3
    add(found, 0.5, INDEX + np.array([[0, 0, 0], [0, 0, 1], [0, 0, 0]]), amplitude=0.9)
    add(found, 9.0, INDEX + np.array([[0, 0, 0], [0, 2, 1], [0, 0, 0]]))
    kept = [(one.molecule.element, one.molecule.occupancy[0]) for one in found.molecules()]
    assert kept == [(("C", "C", "O"), 0.9), (("C", "C", "O"), 1.0), (("C", "C", "O"), 1.0)]
    assert found.best == 0.5


def test_molecules_are_on_the_sites_with_chi2_of_their_intensities():
    shot, grid, kind, site = site_shot(2, {"C": 2, "O": 1})
    found = GridSolutions(SparseProblem.of(shot, grid, "none", 1.0), 1)
    order = np.array([2, 0, 1])
    found.add(0.0, kind[order], site[order], np.ones(3))
    (one,) = found.molecules()
    assert one.molecule.element == ("C", "C", "O")
    np.testing.assert_array_equal(one.molecule.position_angstrom[2], grid.positions(site[2]))
    assert one.reduced_chi2 < 1e-9
