import gemmi
import numpy as np
import pytest

from fewphoton.data import Molecule
from fewphoton.errors import InputFileError, OutputFileError
from fewphoton.io.molecule_files import read_molecule, read_xyz, write_pdb, write_xyz
from tests.simulate.molecules import made_up_molecule, pdb_text

MADE_UP = made_up_molecule()


@pytest.fixture
def pdb(tmp_path):
    path = tmp_path / "two.pdb"
    other = made_up_molecule(9)
    path.write_text(pdb_text(MADE_UP, "A") + pdb_text(other, "B") + pdb_text(other, "W", "HOH") + "END\n")
    return path


def test_chains_are_chosen_and_waters_left_out(pdb):
    both = read_molecule(pdb)
    assert len(both) == 2 * len(MADE_UP)
    assert len(read_molecule(pdb, waters=True)) == 3 * len(MADE_UP)
    one = read_molecule(pdb, ["A"])
    assert one.element == MADE_UP.element
    np.testing.assert_allclose(one.position_angstrom, MADE_UP.position_angstrom, atol=6e-4)
    np.testing.assert_allclose(one.b_iso_angstrom2, MADE_UP.b_iso_angstrom2, atol=6e-3)
    np.testing.assert_allclose(one.occupancy, MADE_UP.occupancy, atol=6e-3)


def test_mmcif_and_pdb_agree(pdb, tmp_path):
    gemmi.read_structure(str(pdb)).make_mmcif_document().write_file(str(tmp_path / "two.cif"))
    first, second = read_molecule(pdb, ["B"]), read_molecule(tmp_path / "two.cif", ["B"])
    assert first.element == second.element
    np.testing.assert_allclose(first.position_angstrom, second.position_angstrom, atol=1e-6)


def test_what_cannot_be_read_is_named(pdb, tmp_path):
    with pytest.raises(InputFileError, match=r"no chain C, Q; found chains A, B, W"):
        read_molecule(pdb, ["C", "A", "Q"])
    with pytest.raises(InputFileError, match=r"none\.pdb: no such file"):
        read_molecule(tmp_path / "none.pdb")
    (tmp_path / "empty.pdb").write_text("REMARK nothing\n")
    with pytest.raises(InputFileError, match=r"empty\.pdb: holds no"):
        read_molecule(tmp_path / "empty.pdb")
    (tmp_path / "bad.cif").write_bytes(bytes(range(256)))
    (tmp_path / "bad.pdb").write_bytes(pdb.read_bytes().replace(b"GLY A", b"GLY \xff"))
    for name in ("bad.cif", "bad.pdb"):
        with pytest.raises(InputFileError, match=rf"{name}: cannot be read as a molecule"):
            read_molecule(tmp_path / name)


def test_xyz_comes_back_with_its_comment(tmp_path):
    path = tmp_path / "m.xyz"
    write_xyz(path, MADE_UP, "two words\nand a break")
    molecule, comment = read_xyz(path)
    assert comment == "two words and a break"
    assert molecule.element == read_molecule(path).element == MADE_UP.element
    np.testing.assert_allclose(molecule.position_angstrom, MADE_UP.position_angstrom, atol=1e-10)
    np.testing.assert_array_equal(molecule.occupancy, 1)
    np.testing.assert_array_equal(molecule.b_iso_angstrom2, 0)


def test_xyz_lines_by_hand(tmp_path):
    """What other programs write: tabs, more columns, exponents, lines that follow."""
    path = tmp_path / "other.XYZ"
    path.write_text("2\n\nC\t0.0 1.5 -2e0 0.33\nCl 1 2 3\n2\nanother frame\n")
    molecule = read_molecule(path)
    assert molecule.element == ("C", "Cl")
    np.testing.assert_array_equal(molecule.position_angstrom, [[0, 1.5, -2], [1, 2, 3]])
    write_xyz(path, molecule)
    lines = path.read_text().split("\n")
    assert lines[:2] == ["2", ""]
    assert lines[2].split() == ["C", "0.0000000000", "1.5000000000", "-2.0000000000"]
    assert len(lines) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1.*is no XYZ file.*found an empty file"),
        ("HEADER\n", "line 1.*expected the atoms; found 'HEADER'"),
        ("0\n\n", "is truncated"),
        ("3\n\nC 0 0 0\nC 0 0 1\n", "is truncated; expected 3 atoms after two lines; found 4 lines"),
        ("1\n\nC 0 0\n", r"line 3.*expected element x y z; found 'C 0 0'"),
        ("1\n\nC 0 0 z\n", r"line 3.*holds no atom"),
        ("1\n\nQq 0 0 0\n", "unknown elements: Qq"),
        ("1\n\nC 0 0 nan\n", "not finite"),
    ],
)
def test_broken_xyz_is_named(tmp_path, text, message):
    path = tmp_path / "broken.xyz"
    path.write_text(text)
    with pytest.raises(InputFileError, match=rf"broken\.xyz.*{message}"):
        read_molecule(path)


def test_xyz_faults_outside_the_text(tmp_path):
    write_xyz(tmp_path / "m.xyz", MADE_UP)
    with pytest.raises(InputFileError, match="no chain A; found an XYZ file, without chains"):
        read_molecule(tmp_path / "m.xyz", ["A"])
    (tmp_path / "binary.xyz").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputFileError, match="cannot be read as XYZ"):
        read_molecule(tmp_path / "binary.xyz")


def test_pdb_comes_back(tmp_path):
    write_pdb(tmp_path / "m.pdb", MADE_UP, "made up")
    molecule = read_molecule(tmp_path / "m.pdb")
    assert molecule.element == MADE_UP.element
    np.testing.assert_allclose(molecule.position_angstrom, MADE_UP.position_angstrom, atol=6e-4)
    np.testing.assert_allclose(molecule.occupancy, MADE_UP.occupancy, atol=6e-3)
    np.testing.assert_allclose(molecule.b_iso_angstrom2, MADE_UP.b_iso_angstrom2, atol=6e-3)
    names = [atom.name for atom in gemmi.read_structure(str(tmp_path / "m.pdb"))[0][0][0]]
    assert names[:4] == ["C1", "C2", "N1", "O1"]
    assert len(set(names)) == len(names)


def test_pdb_holds_the_variances_of_the_positions(tmp_path):
    """Errors of 0.1, 0.2 and 0.3 angstrom have variances of mean 0.14/3, a B of 8 pi² times that."""
    errors = np.full((len(MADE_UP), 3), 0.05)
    errors[1] = [0.1, 0.2, 0.3]
    errors[2] = [0.1, np.inf, 0.1]
    write_pdb(tmp_path / "m.pdb", MADE_UP, "", errors)
    atoms = list(gemmi.read_structure(str(tmp_path / "m.pdb"))[0][0][0])
    assert atoms[1].b_iso == pytest.approx(8 * np.pi**2 * 0.14 / 3, abs=6e-3)
    assert atoms[1].aniso.elements_pdb() == pytest.approx([0.01, 0.04, 0.09, 0, 0, 0], abs=1e-6)
    assert atoms[2].aniso.u22 == pytest.approx(999.99 / (8 * np.pi**2), abs=1e-4)
    assert atoms[0].b_iso == pytest.approx(0.2, abs=6e-3)


def test_what_pdb_cannot_hold_is_refused(tmp_path):
    far = Molecule(("C",), np.array([[0.0, 0.0, -1234.0]]), np.ones(1), np.zeros(1))
    with pytest.raises(OutputFileError, match="no coordinates beyond 999 angstrom"):
        write_pdb(tmp_path / "m.pdb", far)
    many = Molecule(("C",) * 1000, np.zeros((1000, 3)), np.ones(1000), np.zeros(1000))
    with pytest.raises(OutputFileError, match="no names for more than 999 atoms of element C"):
        write_pdb(tmp_path / "m.pdb", many)
    assert not list(tmp_path.iterdir())
