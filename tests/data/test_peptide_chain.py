from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data.peptide_chain import C_N_ANGSTROM, PeptideChain, dihedral_deg, placed_atom
from fewphoton.data.residue_library import amino_acid, residue_library
from fewphoton.errors import DataError

ANGLE = st.floats(-179, 179)


def atom(chain: PeptideChain, residue: int, name: str) -> np.ndarray:
    (number,) = (n for n in np.flatnonzero(chain.residue == residue) if chain.atom_name[n] == name)
    return chain.position_angstrom[number]


def difference_deg(one: float, other: float) -> float:
    return abs((one - other + 180) % 360 - 180)


def test_dihedral_by_hand() -> None:
    # Seen from the second to the third point (down the +z axis from below), y is counterclockwise of x.
    points = np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 1.0]])
    assert dihedral_deg(*points, np.array([1.0, 0, 1])) == pytest.approx(0)
    assert dihedral_deg(*points, np.array([-1.0, 0, 1])) == pytest.approx(180)
    # Looking along +z, clockwise runs from +x to +y: positive by IUPAC.
    assert dihedral_deg(*points, np.array([0, 1.0, 1])) == pytest.approx(90)


@given(ANGLE, st.floats(20, 160), st.floats(0.9, 2))
@settings(max_examples=30, deadline=None)
def test_placed_atom_has_what_was_asked_for(torsion: float, angle: float, length: float) -> None:
    rng = np.random.default_rng(1)
    first, second, third = rng.standard_normal((3, 3))
    place = placed_atom(first, second, third, length, angle, torsion)
    assert np.linalg.norm(place - third) == pytest.approx(length)
    one, two = second - third, place - third
    cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
    assert np.rad2deg(np.arccos(cosine)) == pytest.approx(angle)
    assert difference_deg(dihedral_deg(first, second, third, place), torsion) < 1e-6


def test_library_holds_l_amino_acids_of_known_composition() -> None:
    library = residue_library()
    assert sorted(entry.letter for entry in library.values()) == sorted("ACDEFGHIKLMNPQRSTVWY")
    assert sorted(amino_acid("THR").element) == sorted(["C"] * 4 + ["N"] + ["O"] * 3 + ["H"] * 9)
    for acid in library.values():
        vector = acid.position_angstrom[acid.bond[:, 0]] - acid.position_angstrom[acid.bond[:, 1]]
        length = np.linalg.norm(vector, axis=1)
        assert length.min() > 0.9
        assert length.max() < 1.9
        if "CB" in acid.atom_name:
            # CORN rule: seen from the hydrogen, CO, R and N run clockwise in the L form.
            ca = acid.atom("CA")
            carbon, side, nitrogen = (acid.atom(name) - ca for name in ("C", "CB", "N"))
            assert np.dot(np.cross(carbon, side), nitrogen) > 0


def test_unknown_residues_are_named() -> None:
    with pytest.raises(DataError, match="XYZ"):
        PeptideChain.build(["GLY", "XYZ"])
    with pytest.raises(DataError, match="at least one"):
        PeptideChain.build([])


@pytest.mark.parametrize("sequence", [("GLY", "GLY", "ALA"), ("PRO", "LYS", "PRO", "TRP"), ("SER",)])
def test_chain_has_the_bonds_of_its_residues_and_peptide_bonds(sequence: tuple[str, ...]) -> None:
    chain = PeptideChain.build(sequence)
    vector = chain.position_angstrom[chain.bond[:, 0]] - chain.position_angstrom[chain.bond[:, 1]]
    length = np.linalg.norm(vector, axis=1)
    n_rings = sum({"PRO": 1, "TRP": 2}.get(name, 0) for name in sequence)
    assert len(chain.bond) == len(chain) - 1 + n_rings
    assert 0.95 < length.min() < length.max() < 1.56
    for residue in range(len(sequence) - 1):
        assert np.linalg.norm(atom(chain, residue, "C") - atom(chain, residue + 1, "N")) == pytest.approx(C_N_ANGSTROM)
    n_waters = len(sequence) - 1
    assert len(chain) == sum(len(amino_acid(name).element) for name in sequence) - 3 * n_waters
    gap = np.linalg.norm(chain.position_angstrom[:, None] - chain.position_angstrom, axis=2)
    assert gap[np.triu_indices(len(chain), 1)].min() > 0.95


def test_peptide_group_is_planar_and_its_angles_are_ideal() -> None:
    chain = PeptideChain.build(("ALA", "GLY"))
    ca, carbon, oxygen = (atom(chain, 0, name) for name in ("CA", "C", "O"))
    nitrogen, hydrogen, next_ca = (atom(chain, 1, name) for name in ("N", "H", "CA"))
    assert difference_deg(dihedral_deg(ca, carbon, nitrogen, next_ca), 180) < 1e-6
    assert difference_deg(dihedral_deg(oxygen, carbon, nitrogen, next_ca), 0) < 2
    assert difference_deg(dihedral_deg(oxygen, carbon, nitrogen, hydrogen), 180) < 2

    def angle(one: np.ndarray, middle: np.ndarray, other: np.ndarray) -> float:
        a, b = one - middle, other - middle
        return float(np.rad2deg(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))

    assert angle(ca, carbon, nitrogen) == pytest.approx(116.6)
    assert angle(carbon, nitrogen, next_ca) == pytest.approx(121.7)
    assert angle(carbon, nitrogen, hydrogen) == pytest.approx(angle(next_ca, nitrogen, hydrogen))


@given(ANGLE, ANGLE, ANGLE)
@settings(max_examples=20, deadline=None)
def test_torsions_are_set_and_all_else_stays(phi: float, psi: float, omega: float) -> None:
    chain = PeptideChain.build(("ALA", "SER", "GLY"))
    wanted = {("phi", 1): phi, ("psi", 1): psi, ("omega", 0): omega}
    place = chain.with_torsions(wanted)
    for torsion in chain.torsions:
        key = (torsion.name, torsion.residue)
        if torsion.name == "chi":
            continue
        before = torsion.angle_deg(chain.position_angstrom)
        assert difference_deg(torsion.angle_deg(place), wanted.get(key, before)) < 1e-6
    pair, _ = chain.neighbour_pairs()

    def distances(at: np.ndarray) -> np.ndarray:
        return np.linalg.norm(at[pair[:, 0]] - at[pair[:, 1]], axis=1)

    np.testing.assert_allclose(distances(place), distances(chain.position_angstrom), atol=1e-9)


def test_torsions_of_gly_gly_ala() -> None:
    chain = PeptideChain.build(("GLY", "GLY", "ALA"))
    names = sorted((torsion.name, torsion.residue) for torsion in chain.torsions)
    expected = [(name, residue) for name in ("phi", "psi") for residue in range(3)]
    expected += [("omega", 0), ("omega", 1), ("chi", 2), ("chi", 2)]
    assert names == sorted(expected)
    with pytest.raises(DataError, match="omega in residue 2"):
        chain.with_torsions({("omega", 2): 0.0})


def test_neighbour_pairs_of_glycine() -> None:
    chain = PeptideChain.build(("GLY",))
    pair, n_bonds = chain.neighbour_pairs()
    assert n_bonds == 9
    # Angles: N 3, CA 6, C 3, OXT 1.
    assert len(pair) - n_bonds == 13
    assert len({tuple(row) for row in pair.tolist()}) == len(pair)
