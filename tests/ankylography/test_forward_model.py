import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.data import Molecule, Shot
from fewphoton.data.form_factors import form_factors, sphere_form_factors
from fewphoton.errors import DataError
from fewphoton.simulate.molecular_transform import MolecularTransform
from tests.ankylography.scatterers import NAMES, OCCUPANCY, POSITION, central_differences, small_model

MODELS = ("sphere", "free_atom")


@pytest.mark.parametrize("atom_model", MODELS)
def test_amplitude_is_the_sum_over_atoms(atom_model):
    """A loop over atoms and directions with the factors of the tables: phase 2 pi q·r, plus sign."""
    model, kind = small_model(atom_model, n=9)
    for q, found in zip(model.q_inv_angstrom, model.amplitude(POSITION, kind, OCCUPANCY), strict=True):
        length = np.array([np.linalg.norm(q)])
        expected = 0j
        for name, place, share in zip(NAMES, POSITION, OCCUPANCY, strict=True):
            sphere = atom_model == "sphere"
            factor = sphere_form_factors(name, length) if sphere else form_factors(name, (length / 2) ** 2)
            expected += share * factor[0] * np.exp(2j * np.pi * (q @ place))
        assert found == pytest.approx(expected, rel=1e-12)


def test_free_atoms_agree_with_the_non_uniform_transform():
    model, kind = small_model("free_atom", n=300)
    molecule = Molecule(NAMES, POSITION, OCCUPANCY, np.zeros(5))
    expected = MolecularTransform(molecule, 3.0, b_factors=False).amplitude(model.q_inv_angstrom)
    np.testing.assert_allclose(model.amplitude(POSITION, kind, OCCUPANCY), expected, atol=1e-6)


def test_forward_scattering_counts_the_electrons():
    model = ForwardModel.build(np.zeros((1, 3)), ("C", "H", "N", "O"), "sphere")
    assert model.intensity(POSITION, model.kinds(NAMES))[0] == pytest.approx((6 + 7 + 6 + 8 + 1) ** 2)


def test_friedel_pairs_have_the_same_intensity():
    model, kind = small_model()
    opposite = ForwardModel(-model.q_inv_angstrom, model.elements, model.factor)
    np.testing.assert_allclose(opposite.amplitude(POSITION, kind), np.conj(model.amplitude(POSITION, kind)), rtol=1e-12)


def test_what_the_intensity_cannot_tell_and_what_it_can():
    """Shifts and the inversion leave |F|² alone; the mirror along the beam and turns do not."""
    model, kind = small_model()
    seen = model.intensity(POSITION, kind)
    for other in (POSITION + np.array([3.1, -0.7, 12.0]), -POSITION):
        np.testing.assert_allclose(model.intensity(other, kind), seen, rtol=1e-9, atol=1e-9 * seen.max())
    turned = Rotation.from_euler("y", 20, degrees=True).apply(POSITION)
    for other in (POSITION * [1, 1, -1], turned):
        assert np.abs(model.intensity(other, kind) - seen).max() > 0.01 * seen.max()


@pytest.mark.parametrize("atom_model", MODELS)
@pytest.mark.parametrize("occupancy", [None, OCCUPANCY])
def test_jacobian_is_the_derivative(atom_model, occupancy):
    model, kind = small_model(atom_model)
    share = np.ones(5) if occupancy is None else occupancy
    found = model.jacobian(POSITION, kind, occupancy, amplitudes=True)
    expected = central_differences(
        lambda p: model.intensity(p[:15].reshape(5, 3), kind, p[15:]), np.concatenate([POSITION.ravel(), share])
    )
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())
    np.testing.assert_array_equal(model.jacobian(POSITION, kind, occupancy), found[:, :15])


@pytest.mark.parametrize("amplitudes", [False, True])
def test_curvature_is_the_derivative_of_the_jacobian(amplitudes):
    model, kind = small_model()
    share = np.random.default_rng(1).standard_normal(len(model.q_inv_angstrom))
    found = model.curvature(share, POSITION, kind, OCCUPANCY, amplitudes=amplitudes)
    parameters = np.concatenate([POSITION.ravel(), OCCUPANCY])[: 20 if amplitudes else 15]

    def slope(p):
        present = p[15:] if amplitudes else OCCUPANCY
        return share @ model.jacobian(p[:15].reshape(5, 3), kind, present, amplitudes=amplitudes)

    expected = central_differences(slope, parameters)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(found, found.T, atol=1e-9 * np.abs(found).max())


def test_a_shot_names_the_model():
    q = small_model()[0].q_inv_angstrom
    shot = Shot(0.7, q, np.ones(len(q)), 0.1, None, {"O": 1, "C": 2}, "free_atom")
    model = ForwardModel.of(shot)
    assert model.elements == ("O", "C")
    np.testing.assert_array_equal(model.kinds(["C", "O", "C"]), [1, 0, 1])
    expected = form_factors("C", (np.linalg.norm(q, axis=1) / 2) ** 2)
    np.testing.assert_array_equal(model.factor[1], expected)


@pytest.mark.parametrize("atom_model", MODELS)
def test_unknown_elements_are_refused(atom_model):
    with pytest.raises(DataError, match="unknown element: 'Qq'"):
        ForwardModel.build(np.zeros((1, 3)), ("C", "Qq"), atom_model)
