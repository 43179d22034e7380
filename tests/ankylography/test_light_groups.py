from __future__ import annotations

import numpy as np
import pytest

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.light_groups import same_atoms, turn_light_group, turned_group
from fewphoton.ankylography.residue_refinement import DistanceRestraints, WeightedIntensities
from fewphoton.data.peptide_chain import PeptideChain

CHAIN = PeptideChain.build(("GLY", "ALA"))
ACID = next(torsion for torsion in CHAIN.torsions if CHAIN.atom_name[torsion.dihedral[3]] == "HXT")
AMINE = next(torsion for torsion in CHAIN.torsions if (torsion.name, torsion.residue) == ("phi", 0))


@pytest.mark.parametrize("torsion", [ACID, AMINE])
def test_a_wrong_group_is_turned_and_a_right_one_left(torsion: object) -> None:
    model = ForwardModel.build(ewald_sphere(1.0, 500), ("C", "H", "N", "O"), "sphere")
    kind = model.kinds(CHAIN.element)
    truth = CHAIN.position_angstrom
    data = WeightedIntensities(model, model.intensity(truth, kind), np.ones(500))
    restraints = DistanceRestraints.of(CHAIN, 0.03, 0.08)
    assert turn_light_group(data, kind, CHAIN, truth, restraints) is None
    wrong = turned_group(torsion, truth, 120.0)  # type: ignore[arg-type]
    assert wrong is not None
    assert not same_atoms(CHAIN.element, wrong, CHAIN.element, truth)
    righted = turn_light_group(data, kind, CHAIN, wrong, restraints)
    assert righted is not None
    assert same_atoms(CHAIN.element, righted, CHAIN.element, truth)


def test_only_the_small_side_moves() -> None:
    turned = turned_group(AMINE, CHAIN.position_angstrom, 120.0)
    assert turned is not None
    moved = np.linalg.norm(turned - CHAIN.position_angstrom, axis=1) > 1e-9
    assert {CHAIN.atom_name[atom] for atom in np.flatnonzero(moved)} == {"H", "H2"}
    middle = next(torsion for torsion in CHAIN.torsions if torsion.name == "omega")
    assert turned_group(middle, CHAIN.position_angstrom, 120.0) is None


def test_same_atoms_up_to_shift_inversion_and_exchange() -> None:
    place = CHAIN.position_angstrom
    order = np.random.default_rng(0).permutation(len(CHAIN))
    element = [CHAIN.element[atom] for atom in order]
    assert same_atoms(CHAIN.element, place, element, 5 - place[order])
    off = place.copy()
    off[0] += 0.5
    assert not same_atoms(CHAIN.element, place, CHAIN.element, off)
    other = ["O" if number == 0 else name for number, name in enumerate(CHAIN.element)]
    assert not same_atoms(CHAIN.element, place, other, place)
