from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from fewphoton.data.peptide_chain import PeptideChain
from fewphoton.errors import DataError
from fewphoton.simulate.peptide import build_peptide

SEQUENCE = ("ALA", "GLY", "SER")
TORSIONS = [(60.0, -40.0), (-75.0, 160.0), (-100.0, 150.0)]


def test_peptide_has_the_torsions_asked_for() -> None:
    molecule = build_peptide(SEQUENCE, TORSIONS, omega_deg=175)
    chain = PeptideChain.build(SEQUENCE)
    wanted = {("phi", n): phi for n, (phi, _) in enumerate(TORSIONS)}
    wanted |= {("psi", n): psi for n, (_, psi) in enumerate(TORSIONS)} | {("omega", 0): 175, ("omega", 1): 175}
    found = {(t.name, t.residue): t.angle_deg(molecule.position_angstrom) for t in chain.torsions}
    for key, angle in wanted.items():
        assert found[key] == pytest.approx(angle)
    assert Counter(molecule.element) == {"C": 8, "N": 3, "O": 5, "H": 15}
    np.testing.assert_allclose(molecule.position_angstrom.mean(axis=0), 0, atol=1e-12)


def test_changed_geometry_is_near_the_asked_spread_and_repeatable() -> None:
    ideal = build_peptide(SEQUENCE, TORSIONS)
    changed = [build_peptide(SEQUENCE, TORSIONS, 180, 0.015, 0.03, seed=seed) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(changed[0].position_angstrom, changed[1].position_angstrom)
    assert np.abs(changed[0].position_angstrom - changed[2].position_angstrom).max() > 0.01
    pair, n_bonds = PeptideChain.build(SEQUENCE).neighbour_pairs()

    def distances(place: np.ndarray) -> np.ndarray:
        return np.linalg.norm(place[pair[:, 0]] - place[pair[:, 1]], axis=1)

    change = distances(changed[0].position_angstrom) - distances(ideal.position_angstrom)
    # Angles about one atom depend on each other, so their sum cannot take every change that is asked for.
    assert 0.005 < change[:n_bonds].std() < 0.025
    assert 0.01 < change[n_bonds:].std() < 0.05
    assert pdist(changed[0].position_angstrom).min() > 0.9


def test_proline_keeps_the_phi_of_its_ring() -> None:
    molecule = build_peptide(("GLY", "PRO"), [(60, 150), (0, 140)])
    assert Counter(molecule.element) == {"C": 7, "N": 2, "O": 3, "H": 12}


def test_torsions_are_needed_for_every_residue() -> None:
    with pytest.raises(DataError, match="3 residues need as many"):
        build_peptide(SEQUENCE, TORSIONS[:2])
