import numpy as np
import pytest

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.misfit_weights import wilson_intensity
from fewphoton.ankylography.search_problem import (
    Lattice,
    SearchProblem,
    chosen_detectors,
    closest_distances,
    compact_edge_angstrom,
    search_weights,
)
from fewphoton.data import Shot
from fewphoton.data.form_factors import covalent_radius_angstrom
from fewphoton.errors import ConfigError, DataError
from tests.ankylography.random_shots import GRID, random_shot, small_search

COMPOSITION = {"C": 3, "H": 2, "O": 1}


@pytest.fixture(scope="module")
def shot():
    return random_shot(COMPOSITION, 1)[0]


def build(shot, **options):
    config = small_search(**options)
    return SearchProblem.build(
        shot, ForwardModel.of(shot), config, config.q_max_inv_angstrom, config.detectors, config.model_error
    )


def test_detectors_are_spread_evenly_over_the_range_of_q(shot):
    length = np.linalg.norm(shot.q_inv_angstrom, axis=1)
    for number, reach in ((30, 0.8), (1000, 0.8), (20, 0.5)):
        chosen = chosen_detectors(shot, reach, number)
        within = np.sort(length[length <= reach])
        assert len(chosen) == len(set(chosen)) == min(number, len(within))
        found = length[chosen]
        assert (np.diff(found) >= 0).all()
        assert found[0] == within[0]
        assert found[-1] == within[-1]
        rank = np.searchsorted(within, found)
        assert np.ptp(np.diff(rank)) <= 1


def test_too_few_detectors_are_an_error(shot):
    with pytest.raises(DataError, match=r"detectors lie below q = 0\.1 .* fewer than the 15 coordinates of 6 atoms"):
        chosen_detectors(shot, 0.1, 100)


def test_weights_hold_noise_and_model_error(shot):
    mean = wilson_intensity(shot, ForwardModel.of(shot))
    np.testing.assert_allclose(search_weights(shot, ForwardModel.of(shot), 0.0), shot.white_sigma_electron2**-2)
    expected = 1 / (shot.white_sigma_electron2**2 + (0.3 * mean) ** 2)
    np.testing.assert_allclose(search_weights(shot, ForwardModel.of(shot), 0.3), expected)
    silent = Shot(0.8, shot.q_inv_angstrom, shot.intensity_electron2.clip(0), 0.0, None, COMPOSITION)
    np.testing.assert_allclose(search_weights(silent, ForwardModel.of(silent), 0.0), (1e-9 * mean.max()) ** -2)
    counted = Shot(0.8, shot.q_inv_angstrom, shot.intensity_electron2.clip(0), 0.0, 2.0, COMPOSITION)
    np.testing.assert_allclose(search_weights(counted, ForwardModel.of(counted), 0.0), 2 / mean)


def test_closest_distances_by_contacts():
    names = ("C", "H", "O")
    np.testing.assert_array_equal(closest_distances(names, small_search(closest_angstrom=0.7)), np.full((3, 3), 0.7))
    covalent = closest_distances(names, small_search(contacts="covalent"))
    radius = {name: covalent_radius_angstrom(name) for name in names}
    assert covalent[0, 2] == covalent[2, 0] == pytest.approx(0.85 * (radius["C"] + radius["O"]))
    assert covalent[0, 1] == pytest.approx(0.85 * (radius["C"] + radius["H"]))
    assert covalent[1, 1] == 1.35


@pytest.mark.parametrize("box", [(4.0, 3.0, 5.0), (1.3, 7.7, 2.6), (3.6, 3.6, 3.6)])
def test_a_lattice_shifted_by_half_a_step_still_fills_the_box(shot, box):
    problem = build(shot, box_angstrom=box, closest_angstrom=0.3)
    lattice = problem.lattice
    shape = np.array([len(lattice.along_x), len(lattice.along_y), len(lattice.along_z)])
    np.testing.assert_array_equal(problem.half_box, np.array(box) / 2)
    assert ((shape - 1) / 2 * lattice.step - lattice.step / 2 >= np.array(box) / 2 - 1e-9).all()
    assert ((shape - 1) / 2 * lattice.step <= np.array(box) / 2 + 1.5 * lattice.step).all()
    assert lattice.n_sites == shape.prod()
    assert not lattice.centred
    assert problem.local.centred
    assert problem.local.n_sites == 7 * 7 * 5
    np.testing.assert_array_equal(problem.local.step, [0.1, 0.1, 0.2])


def test_waves_of_a_lattice(shot):
    q = shot.q_inv_angstrom[:9]
    lattice = Lattice.build(q, (0.4, 0.5, 0.6), (4, 3, 2), centred=False)
    np.testing.assert_allclose(lattice.along_x[3, 0], np.cos(2 * np.pi * q[:, 0] * 0.6), atol=1e-6)
    np.testing.assert_allclose(lattice.along_y[0, 1], np.sin(2 * np.pi * q[:, 1] * -0.5), atol=1e-6)
    np.testing.assert_allclose(lattice.along_z[1, 1], np.sin(2 * np.pi * q[:, 2] * 0.3), atol=1e-6)
    phase = 2 * np.pi * (q[:, 0] * -0.2 + q[:, 1] * 0.5)
    assert lattice.cosines.shape == (18, 6)
    np.testing.assert_allclose(lattice.cosines[:9, 5], np.cos(phase), atol=1e-6)
    np.testing.assert_allclose(lattice.sines[9:, 5], np.sin(2 * phase), atol=1e-6)


def test_what_the_search_measures(shot):
    problem = build(shot, detectors=25)
    chosen = chosen_detectors(shot, 0.8, 25)
    np.testing.assert_array_equal(problem.kind, [0, 0, 0, 1, 1, 2])
    assert problem.model.elements == ("C", "H", "O")
    np.testing.assert_array_equal(problem.model.q_inv_angstrom, shot.q_inv_angstrom[chosen])
    np.testing.assert_array_equal(problem.model.factor, ForwardModel.of(shot).factor[:, chosen])
    np.testing.assert_array_equal(problem.measured, shot.intensity_electron2[chosen])
    np.testing.assert_array_equal(problem.weight, search_weights(shot, ForwardModel.of(shot), 0.2)[chosen])


def test_grids_have_their_own_sites_and_no_small_moves(shot):
    problem = build(shot, grid=GRID)
    assert problem.local is None
    assert problem.lattice.n_sites == 125
    np.testing.assert_allclose(problem.half_box, 1.8, atol=1e-5)
    assert (problem.half_box > 1.8).all()


def test_the_box_without_a_size_holds_the_ball_of_the_atoms(shot):
    """A cube about a ball of 8 cubic angstrom an atom at least, the volume in crystals of organic molecules."""
    problem = build(shot, box_angstrom=None)
    edge = compact_edge_angstrom(6)
    np.testing.assert_allclose(problem.half_box, edge / 2)
    assert edge >= 2 * (3 * 48 / (4 * np.pi)) ** (1 / 3)
    assert compact_edge_angstrom(48) == pytest.approx(2 * edge)


@pytest.mark.parametrize("contacts", ["uniform", "covalent"])
def test_neighbouring_sites_of_a_grid_are_open(shot, contacts):
    closest = closest_distances(("C", "H"), small_search(grid=GRID, contacts=contacts, closest_angstrom=2.0))
    assert (closest < 0.9).all()
    assert (closest > 0.8).all() if contacts == "uniform" else (closest > 0.7).all()
    assert closest_distances(("C", "H"), small_search(grid=GRID, closest_angstrom=0.3)).max() == 0.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": {"spacing_angstrom": 1.0, "shape": (2, 2, 1)}}, "a grid of 4 sites cannot hold 6 atoms"),
        ({"box_angstrom": (0.4, 0.4, 0.4)}, r"a box of 0\.40 x 0\.40 x 0\.40 angstrom cannot hold 6 atoms 0\.80"),
        ({"box_angstrom": (0.3, 0.3, 0.3), "contacts": "covalent"}, r"cannot hold 6 atoms 0\.82"),
    ],
)
def test_atoms_need_room(shot, options, message):
    with pytest.raises(ConfigError, match=message):
        build(shot, **options)


def test_the_uniform_distance_is_no_matter_for_covalent_contacts(shot):
    problem = build(shot, contacts="covalent", closest_angstrom=9.0)
    assert problem.closest.max() < 2
