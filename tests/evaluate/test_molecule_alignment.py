import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.data import Molecule
from fewphoton.evaluate.molecule_alignment import EXACT_HANDS, HANDS, align, best_exact
from fewphoton.evaluate.sphere_overlap import SphereDensity, error_of_product, reconstruction_error
from tests.evaluate.molecules import changed, random_molecule, whole


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(sorted(HANDS)),
    st.integers(2, 20),
    st.integers(0, 10**6),
    st.tuples(*[st.floats(-9, 9) for _ in range(3)]),
)
def test_every_form_is_undone(hand, n_atoms, seed, shift):
    truth = random_molecule(n_atoms, seed)
    found = align(truth, changed(truth, seed, HANDS[hand], shift))
    assert found[hand].error < 1e-6
    # signs² = 1: what takes the recovered molecule back is the same form, with the shift taken along.
    np.testing.assert_allclose(found[hand].shift_angstrom, -np.array(shift) * HANDS[hand], atol=1e-5)
    assert list(found) == list(HANDS)


@pytest.mark.parametrize("atom_model", ["sphere", "free_atom"])
def test_exact_forms_are_those_of_equal_intensities(atom_model):
    truth = random_molecule(12, 8)
    model = ForwardModel.build(ewald_sphere(0.7, 400, 90.0), ("C", "N", "O", "H"), atom_model)

    def intensity(signs):
        return model.intensity(truth.position_angstrom * signs, model.kinds(truth.element))

    same = intensity(HANDS["as_found"])
    differences = {name: np.linalg.norm(intensity(signs) / same - 1) for name, signs in HANDS.items()}
    assert [name for name, value in differences.items() if value < 1e-9] == list(EXACT_HANDS)


def test_inversion_is_exact_and_the_mirror_is_not():
    truth = random_molecule(15, 1)
    inverted = best_exact(align(truth, changed(truth, 2, (-1, -1, -1), (1, 2, 3))))
    assert (inverted.hand, inverted.is_exact) == ("inverted", True)
    assert inverted.error < 1e-6
    mirrored = align(truth, changed(truth, 2, (1, 1, -1)))
    assert best_exact(mirrored).hand in EXACT_HANDS
    assert best_exact(mirrored).error > 0.3
    assert mirrored["z_mirrored"].error < 1e-6
    assert not mirrored["z_mirrored"].is_exact


def test_a_molecule_that_is_its_own_inverse_counts_as_found():
    half = random_molecule(5, 3).position_angstrom
    truth = whole("CNOHO" * 2, np.concatenate([half + 4, -half - 4]))
    assert best_exact(align(truth, changed(truth, 4, shift=(0.2, 0.1, 0.7)))).hand == "as_found"


def test_applied_gives_the_stated_error():
    truth = random_molecule(12, 5)
    recovered = changed(truth, 6, (-1, -1, -1), (3, 1, -2), noise_angstrom=0.1)
    for one in align(truth, recovered).values():
        laid = one.applied(recovered)
        assert reconstruction_error(SphereDensity.of(truth), SphereDensity.of(laid)) == pytest.approx(one.error)


@pytest.mark.parametrize("seed", range(3))
def test_no_shift_of_a_dense_search_is_better(seed):
    """Poor solutions too are laid where their overlap is largest, not only near ones."""
    truth, recovered = random_molecule(9, seed), random_molecule(9, seed + 50)
    source, recovery = SphereDensity.of(truth), SphereDensity.of(recovered)
    axis = np.arange(-3.5, 3.51, 0.25)
    starts = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    products = source.inner_product(recovery, starts)
    highest = 0.0
    for start in starts[np.argsort(-products)[:10]]:
        ended = minimize(lambda shift: -source.inner_product(recovery, shift[None])[0], start, method="Nelder-Mead")
        highest = max(highest, -ended.fun)
    dense = error_of_product(highest, source.norm(), recovery.norm())
    assert align(truth, recovered)["as_found"].error <= dense + 2e-3


def test_molecules_without_a_common_element():
    found = align(whole("C", [[0, 0, 0]]), whole("O", [[5, 5, 5]]))
    assert found["as_found"].error < 0.2
    np.testing.assert_allclose(found["as_found"].shift_angstrom, -5, atol=0.2)


def test_a_filled_grid_of_weak_atoms_is_laid_by_its_strong_ones():
    truth = random_molecule(8, 9, radius_angstrom=2.5)
    rng = np.random.default_rng(0)
    noise = Molecule(("C",) * 400, rng.uniform(-3, 3, (400, 3)), np.full(400, 0.01), np.zeros(400))
    strong = changed(truth, 1, (-1, -1, -1), (0.5, 0.4, 0.3))
    both = Molecule(
        strong.element + noise.element,
        np.concatenate([strong.position_angstrom, noise.position_angstrom]),
        np.concatenate([strong.occupancy, noise.occupancy]),
        np.zeros(408),
    )
    best = best_exact(align(truth, both))
    assert best.hand == "inverted"
    np.testing.assert_allclose(best.shift_angstrom, [0.5, 0.4, 0.3], atol=0.02)
