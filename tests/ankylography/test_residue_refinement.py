from __future__ import annotations

import numpy as np
import pytest

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.residue_basis import Moves
from fewphoton.ankylography.residue_refinement import DistanceRestraints, Motions, WeightedIntensities, refine
from fewphoton.data.peptide_chain import PeptideChain

CHAIN = PeptideChain.build(("GLY", "ALA"))


def data_of(place: np.ndarray, n: int = 400) -> tuple[WeightedIntensities, np.ndarray]:
    model = ForwardModel.build(ewald_sphere(1.0, n, 60), ("C", "H", "N", "O"), "sphere")
    kind = model.kinds(CHAIN.element)
    intensity = model.intensity(place, kind)
    return WeightedIntensities(model, intensity, 1 / (1 + (0.1 * intensity.mean()) ** 2 * np.ones(n))), kind


@pytest.mark.parametrize("moves", [Moves.joined(CHAIN, peptide_bonds=True), Moves.free(CHAIN)])
def test_velocities_are_derivatives_of_finite_motions(moves: Moves) -> None:
    motions = Motions(moves)
    place = CHAIN.position_angstrom
    velocity = motions.velocities(place)
    step = 1e-6
    for number in range(len(motions)):
        ahead, back = (motions.moved(place, sign * step * np.eye(len(motions))[number]) for sign in (1, -1))
        np.testing.assert_allclose((ahead - back) / (2 * step), velocity[number], atol=1e-8)


def test_coordinates_of_free_residues_and_of_a_chain_are_counted_once() -> None:
    # Six torsions (phi, psi of two residues, a methyl group, an acid's hydrogen), three turns and shifts a residue.
    assert len(Motions(Moves.free(CHAIN))) == 6 + 2 * 6
    # The peptide bond's torsion comes on top; the whole turns about three axes, and its shifts change nothing.
    assert len(Motions(Moves.joined(CHAIN, peptide_bonds=True))) == 7 + 3


def test_derivatives_of_restraints() -> None:
    restraints = DistanceRestraints.of(CHAIN, 0.02, 0.05)
    deviations, _ = restraints.deviations(CHAIN.position_angstrom)
    np.testing.assert_allclose(deviations, 0, atol=1e-10)
    place = CHAIN.position_angstrom + 0.1 * np.random.default_rng(0).standard_normal((len(CHAIN), 3))
    _, slope = restraints.deviations(place)
    for column in (0, 7, 3 * len(CHAIN) - 1):
        nudge = np.zeros(3 * len(CHAIN))
        nudge[column] = 1e-6
        ahead, back = (restraints.deviations(place + sign * nudge.reshape(-1, 3))[0] for sign in (1, -1))
        np.testing.assert_allclose((ahead - back) / 2e-6, slope[:, column], atol=1e-6)


def test_torsions_are_refined_to_the_truth() -> None:
    truth = CHAIN.with_torsions({("phi", 1): -70.0, ("psi", 0): 150.0, ("omega", 0): 178.0})
    data, kind = data_of(truth)
    start = CHAIN.with_torsions({("phi", 1): -60.0, ("psi", 0): 142.0})
    place, misfit = refine(data, kind, start, Motions(Moves.joined(CHAIN, peptide_bonds=True)))
    assert misfit < 1e-8 * float(data.weight @ data.intensity**2)
    np.testing.assert_allclose(place - place.mean(axis=0), truth - truth.mean(axis=0), atol=1e-3)


def test_atoms_are_refined_to_the_truth_and_restraints_hold_where_data_are_weak() -> None:
    rng = np.random.default_rng(3)
    truth = CHAIN.position_angstrom
    start = truth + 0.05 * rng.standard_normal(truth.shape)
    data, kind = data_of(truth)
    place, _ = refine(data, kind, start, restraints=DistanceRestraints.of(CHAIN, 0.02, 0.05))
    np.testing.assert_allclose(place - place.mean(axis=0), truth - truth.mean(axis=0), atol=5e-3)
    weak = WeightedIntensities(data.model, data.intensity, 1e-9 * data.weight)
    restraints = DistanceRestraints.of(CHAIN, 0.02, 0.05)
    held, _ = refine(weak, kind, start, restraints=restraints)
    assert np.abs(restraints.deviations(held)[0]).max() < 0.05
    assert np.abs(restraints.deviations(start)[0]).max() > 2


def test_refinement_never_ends_worse_than_it_began() -> None:
    data, kind = data_of(CHAIN.position_angstrom)
    start = CHAIN.with_torsions({("phi", 1): 20.0, ("psi", 0): -30.0})
    before = float(data.weight @ (data.model.intensity(start, kind) - data.intensity) ** 2)
    _, after = refine(data, kind, start, iterations=3)
    assert after < before
    same, unchanged = refine(data, kind, start, iterations=0)
    np.testing.assert_array_equal(same, start)
    assert unchanged == pytest.approx(before)
