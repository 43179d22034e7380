import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from fewphoton.data import Molecule
from fewphoton.errors import DataError
from fewphoton.evaluate.sphere_overlap import SphereDensity, reconstruction_error
from tests.evaluate.molecules import changed, random_molecule, whole


def error(first, second):
    return reconstruction_error(SphereDensity.of(first), SphereDensity.of(second))


def sampled(density, points):
    """Density at points, atom by atom."""
    values = np.zeros(len(points))
    for centre, rho, radius in zip(
        density.position_angstrom, density.density_per_angstrom3, density.radius_angstrom, strict=True
    ):
        values += rho * (np.linalg.norm(points - centre, axis=1) < radius)
    return values


def test_inner_product_is_the_integral_over_space():
    first = SphereDensity.of(random_molecule(6, 0))
    second = SphereDensity.of(changed(random_molecule(6, 0), 1, noise_angstrom=0.3))
    places = np.concatenate([first.position_angstrom, second.position_angstrom])
    low, high = places.min(axis=0) - 0.8, places.max(axis=0) + 0.8
    points = qmc.scale(qmc.Sobol(3, rng=np.random.default_rng(0)).random_base2(20), low, high)
    a, b = sampled(first, points), sampled(second, points)
    volume = np.prod(high - low)
    assert first.inner_product(second)[0] == pytest.approx(volume * np.mean(a * b), rel=5e-3)
    assert first.norm() == pytest.approx(np.sqrt(volume * np.mean(a * a)), rel=5e-3)
    quadrature = 1 - np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))
    assert reconstruction_error(first, second) == pytest.approx(quadrature, abs=2e-3)


def test_one_sphere_by_hand():
    """A carbon holds 6 electrons in a ball of its radius, so <f, f> = 36 / volume."""
    carbon = SphereDensity.of(whole("C", [[0, 0, 0]]))
    volume = 4 / 3 * np.pi * carbon.radius_angstrom[0] ** 3
    assert carbon.norm() ** 2 == pytest.approx(36 / volume)
    half = Molecule(("C",), np.zeros((1, 3)), np.array([0.5]), np.zeros(1))
    assert SphereDensity.of(half).norm() ** 2 == pytest.approx(9 / volume)


def test_equal_spheres_a_radius_apart():
    """Two balls of radius R at distance R share 5/16 of their volume."""
    radius = SphereDensity.of(whole("O", [[0, 0, 0]])).radius_angstrom[0]
    assert error(whole("O", [[0, 0, 0]]), whole("O", [[0, 0, radius]])) == pytest.approx(1 - 5 / 16)


def test_shifts_move_the_second():
    first, second = random_molecule(4, 2), random_molecule(4, 3)
    shift = np.array([[0.0, 0, 0], [0.3, -0.2, 0.5]])
    moved = whole(second.element, second.position_angstrom + shift[1])
    products = SphereDensity.of(first).inner_product(SphereDensity.of(second), shift)
    expected = [SphereDensity.of(first).inner_product(SphereDensity.of(one))[0] for one in (second, moved)]
    np.testing.assert_allclose(products, expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 10**6), st.floats(0.1, 5))
def test_error_is_a_distance_of_shapes(n_atoms, seed, scale):
    first, second = random_molecule(n_atoms, seed), random_molecule(4, seed + 1)
    assert error(first, first) == pytest.approx(0, abs=1e-14)
    assert 0 <= error(first, second) <= 1
    assert error(first, second) == pytest.approx(error(second, first), abs=1e-14)
    scaled = Molecule(second.element, second.position_angstrom, scale * second.occupancy, second.b_iso_angstrom2)
    assert error(first, scaled) == pytest.approx(error(first, second), abs=1e-13)
    far = whole(second.element, second.position_angstrom + 50)
    assert error(first, far) == 1


def test_overlapping_atoms_of_one_place_add():
    two = Molecule(("C", "C"), np.zeros((2, 3)), np.array([0.25, 0.75]), np.zeros(2))
    assert error(two, whole("C", [[0, 0, 0]])) == pytest.approx(0, abs=1e-15)


def test_coinciding_centres_to_rounding_have_no_error():
    """Where a lens formula cancels, atoms 1e-17 angstrom apart would overlap by anything."""
    truth = random_molecule(20, 5)
    nearly = whole(truth.element, truth.position_angstrom * (1 + 2e-16))
    assert error(truth, nearly) < 1e-14


def test_atoms_that_are_not_there():
    empty = Molecule(("C",), np.zeros((1, 3)), np.zeros(1), np.zeros(1))
    with pytest.raises(DataError, match="occupancy 0"):
        SphereDensity.of(empty)
    partly = Molecule(("C", "O"), np.zeros((2, 3)), np.array([1.0, 0.0]), np.zeros(2))
    assert len(SphereDensity.of(partly).radius_angstrom) == 1
