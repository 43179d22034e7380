from __future__ import annotations

from collections import Counter
from itertools import count

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.residue_basis import random_orientation
from fewphoton.ankylography.residues import noise_weights, recover_by_residues
from fewphoton.config.residue_basis import AnnealConfig, RelocationConfig, ResidueBasisConfig
from fewphoton.data.molecule import Molecule
from fewphoton.data.shot import Shot
from fewphoton.errors import DataError
from fewphoton.simulate.peptide import build_peptide

SEQUENCE = ("GLY", "ALA")
ANNEAL = AnnealConfig(sweeps=300, restarts=30, largest_detectors=250)


def truth() -> Molecule:
    return build_peptide(SEQUENCE, [(50, 150), (-80, 140)], 177, 0.015, 0.03, seed=4)


def shot_of(molecule: Molecule, noise_level: float = 1e-4, photons: float | None = None) -> tuple[Shot, np.ndarray]:
    rng = np.random.default_rng(8)
    place = molecule.position_angstrom @ random_orientation(rng).T
    q = ewald_sphere(1.0, 1000)
    composition = dict(Counter(molecule.element))
    model = ForwardModel.build(q, tuple(composition), "sphere")
    intensity = model.intensity(place, model.kinds(molecule.element))
    sigma = float(np.sqrt(noise_level * (intensity**2).mean()))
    if photons is None:
        measured = intensity + sigma * rng.standard_normal(len(q))
    else:
        measured, sigma = rng.poisson(photons * intensity) / photons, 0.0
    return Shot(1.0, q, measured, sigma, photons, composition), place


def largest_error(found: Molecule, molecule: Molecule, place: np.ndarray) -> float:
    different = np.array(found.element)[:, None] != np.array(molecule.element)
    errors = []
    for hand in (1, -1):
        here = hand * (found.position_angstrom - found.position_angstrom.mean(axis=0)) + place.mean(axis=0)
        pair = linear_sum_assignment(np.where(different, 1e3, cdist(here, place)))[1]
        errors.append(np.linalg.norm(here - place[pair], axis=1).max())
    return min(errors)


@pytest.mark.parametrize("photons", [None, 20.0])
def test_dipeptide_outside_the_class_of_shapes_is_found(photons: float | None) -> None:
    shot, place = shot_of(truth(), photons=photons)
    lines: list[str] = []
    found = recover_by_residues(
        shot, ResidueBasisConfig(sequence=SEQUENCE, anneal=ANNEAL), 1, lambda: False, lines.append
    )
    assert largest_error(found[0].molecule, truth(), place) < 0.1
    assert found[0].reduced_chi2 == pytest.approx(1, abs=0.15)
    assert [one.reduced_chi2 for one in found] == sorted(one.reduced_chi2 for one in found)
    assert "noise floor" in lines[-1]


def test_sequence_is_found_from_the_residues() -> None:
    shot, place = shot_of(truth())
    config = ResidueBasisConfig(residues={"ALA": 1, "GLY": 1}, anneal=ANNEAL)
    found = recover_by_residues(shot, config, 2, lambda: False, lambda _: None)
    assert largest_error(found[0].molecule, truth(), place) < 0.1


def test_free_residues_find_their_places() -> None:
    shot, place = shot_of(truth())
    config = ResidueBasisConfig(
        sequence=SEQUENCE, joined=False, anneal=ANNEAL, relocation=RelocationConfig(every_sweeps=4, box_angstrom=10)
    )
    found = recover_by_residues(shot, config, 1, lambda: False, lambda _: None)
    assert largest_error(found[0].molecule, truth(), place) < 0.1


def test_same_seed_gives_the_same_atoms_and_stop_ends_the_search() -> None:
    shot, _ = shot_of(truth())
    results = []
    for seed in (5, 5, 6):
        asked = count()
        config = ResidueBasisConfig(sequence=SEQUENCE, anneal=AnnealConfig(sweeps=100, largest_detectors=200))
        found = recover_by_residues(shot, config, seed, lambda asked=asked: next(asked) >= 1, lambda _: None)
        results.append(found[0].molecule.position_angstrom)
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 1e-3


def test_rigid_residues_keep_the_library_s_bonds() -> None:
    shot, _ = shot_of(truth())
    config = ResidueBasisConfig(
        sequence=SEQUENCE,
        anneal=AnnealConfig(sweeps=50, restarts=1, largest_detectors=100),
        refinement={"atoms": False},
    )
    (found,) = recover_by_residues(shot, config, 1, lambda: False, lambda _: None)
    ideal = build_peptide(SEQUENCE, [(50, 150), (-80, 140)])
    place, expected = found.molecule.position_angstrom, ideal.position_angstrom
    assert np.linalg.norm(place[1] - place[0]) == pytest.approx(np.linalg.norm(expected[1] - expected[0]), abs=1e-6)


def test_wrong_residues_are_refused() -> None:
    shot, _ = shot_of(truth())
    with pytest.raises(DataError, match="GLY-GLY holds C4 H8 N2 O3, the shot's molecule C5 H10 N2 O3"):
        recover_by_residues(shot, ResidueBasisConfig(sequence=("GLY", "GLY")), 1, lambda: False, lambda _: None)
    with pytest.raises(DataError, match="XYZ"):
        recover_by_residues(shot, ResidueBasisConfig(sequence=("XYZ",)), 1, lambda: False, lambda _: None)
    config = ResidueBasisConfig(sequence=SEQUENCE, anneal=AnnealConfig(largest_q_inv_angstrom=0.001))
    with pytest.raises(DataError, match="no detector at or below"):
        recover_by_residues(shot, config, 1, lambda: False, lambda _: None)


def test_dark_detectors_of_counted_photons_have_the_weight_of_one_photon() -> None:
    shot, _ = shot_of(truth(), photons=4.0)
    weight = noise_weights(shot, np.linspace(0, 10, len(shot)))
    assert weight[0] == pytest.approx(16)
    assert weight[-1] == pytest.approx(0.4)
