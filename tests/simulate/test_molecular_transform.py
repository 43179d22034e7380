import numpy as np
import pytest

from fewphoton.data import Molecule
from fewphoton.data.form_factors import form_factors
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import ConfigError, DataError
from fewphoton.simulate import molecular_transform
from fewphoton.simulate.molecular_transform import MolecularTransform
from tests.simulate.molecules import made_up_molecule


def direct_sum(molecule, q, b_factors):
    stol2 = (q**2).sum(axis=1) / 4
    factor = np.stack([form_factors(name, stol2) for name in molecule.element], axis=1)
    if b_factors:
        factor = factor * np.exp(-molecule.b_iso_angstrom2 * stol2[:, None])
    return (factor * molecule.occupancy * np.exp(2j * np.pi * q @ molecule.position_angstrom.T)).sum(axis=1)


@pytest.mark.parametrize("b_factors", [False, True])
def test_amplitude_is_the_sum_over_atoms(b_factors):
    molecule = made_up_molecule()
    q = np.random.default_rng(1).uniform(-0.3, 0.3, (400, 3))
    found = MolecularTransform(molecule, 0.52, b_factors=b_factors).amplitude(q)
    expected = direct_sum(molecule, q, b_factors)
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


def test_one_atom_scatters_its_form_factor():
    atom = Molecule(("S",), np.array([[3.0, -2.0, 7.0]]), np.array([0.5]), np.array([20.0]))
    q = np.array([[0, 0, 0], [0, 0.2, 0], [0.1, 0, -0.1]])
    stol2 = (q**2).sum(axis=1) / 4
    found = MolecularTransform(atom, 0.2, b_factors=True).intensity(q)
    np.testing.assert_allclose(found, (0.5 * form_factors("S", stol2) * np.exp(-20 * stol2)) ** 2, rtol=1e-7)
    assert found[0] == pytest.approx(64, rel=2e-3)  # half of 16 electrons, squared; the tables end at 15.99


@pytest.mark.parametrize(("n", "b_factors"), [(16, False), (17, True)])
def test_grid_holds_the_exact_values(n, b_factors):
    transform = MolecularTransform(made_up_molecule(), 0.3, b_factors=b_factors)
    grid = transform.intensity_grid(n, 0.02)
    axis = (np.arange(n) - n // 2) * 0.02
    q = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    np.testing.assert_allclose(grid.ravel(), transform.intensity(q), atol=1e-6 * grid.max())
    assert grid[n // 2, n // 2, n // 2] == grid.max()


def test_displacements_of_every_size_are_met():
    """From atoms at rest to very loose ones, the interpolation in B stays at its stated error."""
    b_factor = np.concatenate([[0.0], np.geomspace(0.1, 300, 60)])
    stol2 = np.linspace(0, 0.05, 50)
    part = molecular_transform._Displacements.of(b_factor, 0.05)
    found = part.weight.T @ np.exp(-part.node[:, None] * stol2)
    np.testing.assert_allclose(found, np.exp(-b_factor[:, None] * stol2), atol=3e-8)


def test_an_element_without_form_factor_is_refused():
    atom = Molecule(("Es",), np.zeros((1, 3)), np.ones(1), np.zeros(1))
    with pytest.raises(DataError, match="no X-ray form factor of element 'Es'"):
        MolecularTransform(atom, 0.1, b_factors=False)


def test_missing_library_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "finufft", None)
    with pytest.raises(ConfigError, match=r"\.\[particles\]"):
        MolecularTransform(made_up_molecule(), 0.1, b_factors=False).amplitude(np.zeros((1, 3)))


@pytest.mark.parametrize("n", [24, 25])
def test_the_density_has_its_electrons_where_the_atoms_are(n):
    """Two atoms by hand: in the right places, hand included, and with all their electrons."""
    atoms = Molecule(("S", "C"), np.array([[4.0, -2.0, 6.0], [-5.0, 3.0, 1.0]]), np.ones(2), np.zeros(2))
    box = 24.0
    density = MolecularTransform(atoms, 2.0, b_factors=False).density_grid(n, box)
    assert density.sum() == pytest.approx(22, rel=1e-3)
    place = (np.array(np.unravel_index(density.argmax(), density.shape)) - n // 2) * box / n
    np.testing.assert_allclose(place, [4, -2, 6], atol=box / n)
    axis = (np.arange(n) - n // 2) * box / n
    away = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1) - [-5.0, 3.0, 1.0]
    assert density[(away**2).sum(axis=-1) < 9].sum() == pytest.approx(6, abs=0.7)


def test_turned_atoms_have_the_turned_transform():
    turn = rotation_about_axis([1, -2, 0.5], 50.0)
    molecule = made_up_molecule()
    q = np.random.default_rng(2).uniform(-0.2, 0.2, (50, 3))
    found = MolecularTransform(molecule.turned(turn), 0.4, b_factors=True).amplitude(q @ turn.T)
    expected = MolecularTransform(molecule, 0.4, b_factors=True).amplitude(q)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
