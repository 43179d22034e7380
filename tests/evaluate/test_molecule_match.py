import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data import Molecule
from fewphoton.errors import DataError
from fewphoton.evaluate.molecule_match import match_molecules
from tests.evaluate.molecules import changed, random_molecule, whole

WATER = whole("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])


@settings(max_examples=25, deadline=None)
@given(st.integers(3, 25), st.integers(0, 10**6), st.sampled_from([(1, 1, 1), (-1, -1, -1)]))
def test_order_place_and_hand_cost_nothing(n_atoms, seed, signs):
    truth = random_molecule(n_atoms, seed)
    found = match_molecules(truth, changed(truth, seed, signs, (4, -3, 2)))
    assert found.is_solved
    assert found.rms_angstrom() < 1e-9
    assert found.alignment.error < 1e-6
    assert found.element_accuracy() == 1
    assert found.is_on_right_sites(0.5)
    np.testing.assert_allclose(found.aligned.position_angstrom[found.partner], truth.position_angstrom, atol=1e-9)
    assert [found.aligned.element[n] for n in found.partner] == list(truth.element)


def test_errors_are_after_the_shift_of_least_squares():
    truth = random_molecule(20, 1)
    rng = np.random.default_rng(2)
    offset = rng.normal(0, 0.03, (20, 3))
    found = match_molecules(truth, whole(truth.element, truth.position_angstrom + offset + [1, 1, 1]))
    centred = offset - offset.mean(axis=0)
    np.testing.assert_allclose(found.displacement_angstrom, centred, atol=1e-9)
    assert found.rms_angstrom() == pytest.approx(np.sqrt((centred**2).sum(axis=1).mean()))
    bound = np.full((20, 3), 0.03)
    assert found.rms_over_bound(bound) == pytest.approx(np.sqrt((centred**2).mean()) / 0.03)
    assert found.rms_over_standard_error(bound) == pytest.approx(np.sqrt((centred**2).mean()) / 0.03)


def test_bound_and_errors_by_hand():
    """A stretched water: atoms off by 0.1, -0.05, -0.05 along x."""
    stretched = np.add(WATER.position_angstrom, [[0.1, 0, 0], [-0.05, 0, 0], [-0.05, 0, 0]])
    found = match_molecules(WATER, whole("OHH", stretched))
    np.testing.assert_allclose(found.distance_angstrom, [0.1, 0.05, 0.05], atol=1e-9)
    bound = np.array([[0.1, 1, 1], [0.2, 1, 1], [0.2, 1, 1]])
    assert found.rms_over_bound(bound) == pytest.approx(np.sqrt(0.015 / (0.01 + 0.04 + 0.04 + 6)))
    stated = np.array([[0.1, 1, 1], [0.05, 1, 1], [0.025, 0, 0]])
    assert found.rms_over_standard_error(stated) == pytest.approx(np.sqrt((1 + 1 + 4) / 7))
    np.testing.assert_array_equal(found.is_heavy, [True, False, False])


def test_one_misplaced_hydrogen():
    truth = random_molecule(17, 3)
    number = truth.element.index("H")
    moved = truth.position_angstrom.copy()
    moved[number] += [0.6, 0.6, 0.6]
    found = match_molecules(truth, whole(truth.element, moved))
    np.testing.assert_array_equal(np.flatnonzero(~found.is_matched), [number])
    np.testing.assert_allclose(found.distance_angstrom[number], 0.6 * np.sqrt(3), atol=1e-9)
    np.testing.assert_allclose(np.delete(found.distance_angstrom, number), 0, atol=1e-9)
    assert not found.is_solved
    assert 0 < found.alignment.error < 0.1
    assert not found.is_on_right_sites(0.5)
    assert found.rms_angstrom(found.is_matched) < 1e-9


def test_exchanged_elements_are_placed_but_not_matched():
    truth = random_molecule(16, 4, "CCNOHHHH")
    names = list(truth.element)
    carbon, oxygen = names.index("C"), names.index("O")
    names[carbon], names[oxygen] = "O", "C"
    found = match_molecules(truth, whole(names, truth.position_angstrom))
    assert found.is_matched.sum() == 14
    assert found.element_accuracy() == pytest.approx(14 / 16)


def test_like_atoms_are_paired_as_brings_most_within_reach():
    """The nearest pairs first would leave the third atom without a partner."""
    truth = whole("CCC", [[0, 0, 0], [0.28, 0, 0], [0, 9, 0]])
    recovered = whole("CCC", [[0.14, 0, 0], [0.42, 0, 0], [0, 9, 0]])
    found = match_molecules(truth, recovered)
    assert found.is_solved


def test_missing_and_surplus_atoms():
    truth = random_molecule(10, 5, "CNO")
    short = whole(truth.element[:-1], truth.position_angstrom[:-1])
    found = match_molecules(truth, short)
    assert found.is_matched.sum() == 9
    assert not found.is_solved
    assert found.rms_angstrom() == np.inf
    assert np.isnan(found.displacement_angstrom[-1]).all()
    assert not found.is_on_right_sites(1.0)
    more = whole(
        (*truth.element, truth.element[0]), np.concatenate([truth.position_angstrom, truth.position_angstrom[:1] + 4])
    )
    found = match_molecules(truth, more)
    assert (found.n_surplus, found.is_matched.sum(), found.is_solved) == (1, 10, False)


def test_a_filled_grid_matches_by_its_strongest_atoms_only():
    """Atoms of every element on every site hold the truth, and yet have found nothing."""
    axis = 1.5 * np.arange(4)
    sites = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    truth = whole("CNO", sites[[0, 21, 42]])
    everything = np.tile(sites, (3, 1))
    elements = tuple(np.repeat(["C", "N", "O"], len(sites)))
    occupancy = np.random.default_rng(0).uniform(0.9, 1, len(everything))
    filled = Molecule(elements, everything, occupancy, np.zeros(len(everything)))
    found = match_molecules(truth, filled)
    assert found.n_surplus == len(everything) - 3
    assert not found.is_solved
    assert found.is_matched.sum() < 3
    assert found.alignment.error > 0.5
    there = occupancy.copy() * 0
    there[[0, 64 + 21, 128 + 42]] = 1
    sparse = match_molecules(truth, Molecule(elements, everything, there, np.zeros(len(everything))))
    assert sparse.is_solved


def test_the_strongest_atoms_of_an_element_take_part_wherever_they_stand():
    truth = random_molecule(6, 7, "CN")
    strays = random_molecule(6, 8, "CN")
    both = Molecule(
        strays.element + truth.element,
        np.concatenate([strays.position_angstrom + 6, truth.position_angstrom]),
        np.repeat([0.2, 1.0], 6),
        np.zeros(12),
    )
    found = match_molecules(truth, both)
    assert found.is_matched.all()
    assert found.n_surplus == 6
    assert found.element_accuracy() == 1


def test_sites_of_a_grid():
    rng = np.random.default_rng(6)
    sites = rng.permutation(np.stack(np.meshgrid(*[np.arange(7)] * 3), axis=-1).reshape(-1, 3))[:12]
    truth = whole(["C", "N", "O", "H"] * 3, 0.78 * sites)
    inverted = changed(truth, 1, (-1, -1, -1), 0.78 * np.array([3, -2, 1]))
    assert match_molecules(truth, inverted).is_on_right_sites(0.78)
    assert match_molecules(truth, changed(truth, 1, noise_angstrom=0.05)).is_on_right_sites(0.78)
    wrong = truth.position_angstrom.copy()
    wrong[3] += [0, 0, 0.78]
    assert not match_molecules(truth, whole(truth.element, wrong)).is_on_right_sites(0.78)


def test_faults():
    found = match_molecules(WATER, WATER)
    with pytest.raises(DataError, match="Cramér-Rao"):
        found.rms_over_bound(np.ones((2, 3)))
    with pytest.raises(DataError, match="Cramér-Rao"):
        found.rms_over_bound(np.zeros((3, 3)))
    with pytest.raises(DataError, match="standard errors"):
        found.rms_over_standard_error(np.ones((4, 3)))
    with pytest.raises(DataError, match="spacing"):
        found.is_on_right_sites(0.0)
    with pytest.raises(DataError, match="tolerance"):
        match_molecules(WATER, WATER, 0.0)
    apart = match_molecules(WATER, whole("C", [[0, 0, 0]]))
    assert not apart.is_matched.any()
    assert np.isnan(apart.rms_over_bound(np.ones((3, 3))))
    assert np.isnan(apart.rms_angstrom(apart.is_matched))


@pytest.fixture(scope="module")
def threonine(request):
    data = request.getfixturevalue("data_dir")
    rows = (data / "small_molecules" / "threonine.xyz").read_text().splitlines()[2:]
    words = [row.split() for row in rows if row.strip()]
    return whole([row[0] for row in words], [[float(x) for x in row[1:4]] for row in words])


@pytest.mark.real_data
def test_what_the_error_means_for_threonine(threonine):
    """A hydrogen in the wrong place costs little, an exchanged C and O more, the mirror nearly everything."""
    hydrogen = threonine.position_angstrom.copy()
    hydrogen[8] += [-3, 0, 0]
    misplaced = match_molecules(threonine, whole(threonine.element, hydrogen))
    assert 0.01 < misplaced.alignment.error < 0.04
    assert misplaced.is_matched.sum() == 16
    names = list(threonine.element)
    names[0], names[2] = names[2], names[0]
    exchanged = match_molecules(threonine, whole(names, threonine.position_angstrom))
    assert 0.03 < exchanged.alignment.error < 0.1
    mirrored = match_molecules(threonine, changed(threonine, 0, (1, 1, -1)))
    assert mirrored.alignment.error > 0.4
    assert mirrored.alignments["z_mirrored"].error < 1e-6
    found = match_molecules(threonine, changed(threonine, 0, (-1, -1, -1), (1, 2, 3), 0.01))
    assert (found.alignment.hand, found.is_solved) == ("inverted", True)
