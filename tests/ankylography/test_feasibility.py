from dataclasses import replace

import numpy as np
import pytest

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.feasibility import predict_feasibility
from fewphoton.ankylography.fisher_information import CramerRaoBound, fisher_information
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.noise import white_noise_sigma
from fewphoton.data import Shot
from fewphoton.data.random_molecule import random_molecule
from fewphoton.errors import DataError

COMPOSITION = {"C": 4, "H": 3, "N": 1, "O": 2}


def shot_of(level=1e-3, n=400, largest=180.0, composition=COMPOSITION):
    """A shot of no molecule in particular: intensities are what the prediction must not look at."""
    q = ewald_sphere(0.7, n, largest)
    model = ForwardModel.build(q, tuple(composition), "sphere")
    molecule = random_molecule(composition, np.random.default_rng(99))
    truth = model.intensity(molecule.position_angstrom, model.kinds(molecule.element))
    sigma = white_noise_sigma(truth, level)
    return Shot(0.7, q, truth, sigma, None, composition), molecule


def test_prediction_is_near_the_bound_of_the_molecule_itself():
    shot, molecule = shot_of()
    model = ForwardModel.of(shot)
    kind = model.kinds(molecule.element)
    information = fisher_information(model, shot.variance(shot.intensity_electron2), molecule.position_angstrom, kind)
    actual = np.median(CramerRaoBound.of(information, 10).standard_error_angstrom)
    verdict = predict_feasibility(shot)
    assert not verdict.hopeless
    assert verdict.n_unknowns == 27
    assert verdict.n_measurements == 400
    assert actual / 2 < verdict.median_standard_error_angstrom < 2 * actual
    assert f"{verdict.n_usable} of 400 detectors" in verdict.reason


def test_intensities_are_not_looked_at():
    shot, _ = shot_of()
    other = replace(shot, intensity_electron2=np.zeros(400))
    assert predict_feasibility(other) == predict_feasibility(shot)
    assert predict_feasibility(shot, seed=2) != predict_feasibility(shot)


def test_noise_makes_it_hopeless():
    loud, _ = shot_of(level=100.0)
    verdict = predict_feasibility(loud)
    assert verdict.hopeless
    assert verdict.median_standard_error_angstrom > 0.5
    assert "more than 0.5" in verdict.reason
    quiet = predict_feasibility(shot_of(level=1e-5)[0])
    assert quiet.n_usable > verdict.n_usable


def test_few_photons_make_it_hopeless():
    shot, _ = shot_of()
    bright = replace(shot, white_sigma_electron2=0.0, photons_per_electron2=10.0)
    assert not predict_feasibility(bright).hopeless
    assert predict_feasibility(replace(bright, photons_per_electron2=1e-5)).hopeless


def test_few_detectors_make_it_hopeless():
    verdict = predict_feasibility(shot_of(n=26)[0])
    assert verdict.hopeless
    assert verdict.reason == "26 detectors cannot fix 27 coordinates"
    assert verdict.median_standard_error_angstrom == np.inf


def test_usable_detectors_are_those_above_their_noise():
    """Straight ahead two C and two H expect 2 x 36 + 2 x 1 = 74 electron²."""
    shot = Shot(0.7, np.zeros((12, 3)), np.zeros(12), 73.0, None, {"C": 2, "H": 2})
    assert predict_feasibility(shot).n_usable == 12
    assert predict_feasibility(replace(shot, white_sigma_electron2=75.0)).n_usable == 0


def test_one_direction_many_times_makes_it_hopeless():
    shot, _ = shot_of()
    verdict = predict_feasibility(replace(shot, q_inv_angstrom=np.tile(shot.q_inv_angstrom[:20], (20, 1))))
    assert verdict.hopeless
    assert "do not fix 27 coordinates" in verdict.reason


def test_without_noise_nothing_is_hopeless():
    verdict = predict_feasibility(replace(shot_of()[0], white_sigma_electron2=0.0))
    assert (verdict.hopeless, verdict.median_standard_error_angstrom) == (False, 0.0)


def test_a_single_atom_is_refused():
    shot, _ = shot_of()
    with pytest.raises(DataError, match="single atom"):
        predict_feasibility(replace(shot, composition={"C": 1}))
