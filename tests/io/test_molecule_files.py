import gemmi
import numpy as np
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.molecule_files import read_molecule
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
    with pytest.raises(InputFileError, match=r"bad\.cif: cannot be read as a molecule"):
        read_molecule(tmp_path / "bad.cif")
