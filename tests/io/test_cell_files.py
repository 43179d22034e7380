"""Unit cells of every kind of file that knows one."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest

from fewphoton.data import Crystal
from fewphoton.errors import FewphotonError
from fewphoton.io.cell_files import read_cell
from fewphoton.io.crystal_description import write_crystal
from tests.conftest import ROOT

CELL = (79.1, 79.1, 37.9, 90.0, 90.0, 90.0)


def test_crystfel_cells_come_in_angstrom_whatever_their_unit(tmp_path):
    path = tmp_path / "lysozyme.cell"
    path.write_text(
        "CrystFEL unit cell file version 1.0\n\nlattice_type = tetragonal\ncentering = P\nunique_axis = c\n\n"
        "a = 79.1 A\nb = 7.91 nm\nc = 37.9 A\nal = 90.0 deg\nbe = 90.0 deg\nga = 90.0 deg\n"
    )
    found = read_cell(path)
    assert found.cell == pytest.approx(CELL)
    assert found.space_group is None
    path.write_text("a = 79.1 A\n")
    with pytest.raises(FewphotonError, match=r"lysozyme\.cell: .*missing"):
        read_cell(path)
    path.write_text("a = 79 A\nb = 79 A\nc = 79 A\nal = 0 deg\nbe = 90 deg\nga = 90 deg\n")
    with pytest.raises(FewphotonError, match=r"lysozyme\.cell: .*encloses no volume"):
        read_cell(path)
    path.write_text("a = 79.1 furlong\n")
    with pytest.raises(FewphotonError, match="furlong"):
        read_cell(path)


def test_structures_and_reflections(tmp_path):
    structure = gemmi.Structure()
    structure.cell = gemmi.UnitCell(*CELL)
    structure.spacegroup_hm = "P 43 21 2"
    structure.add_model(gemmi.Model(1))
    (tmp_path / "model.pdb").write_text(structure.make_pdb_string())
    structure.make_mmcif_document().write_file(str(tmp_path / "model.cif"))
    mtz = gemmi.Mtz(with_base=True)
    mtz.cell, mtz.spacegroup = structure.cell, gemmi.SpaceGroup("P 43 21 2")
    mtz.set_data(np.array([[1, 0, 0]], dtype=np.float32))
    mtz.write_to_file(str(tmp_path / "merged.mtz"))
    for name in ("model.pdb", "model.cif", "merged.mtz"):
        found = read_cell(tmp_path / name)
        assert found.cell == pytest.approx(CELL), name
        assert found.space_group == "P 43 21 2", name
        assert found.origin == str(tmp_path / name)
    small = read_cell(ROOT / "config/structures/dimolybdenum_i43d.cif")
    assert small.space_group == "I -4 3 d"


def test_our_own_description_knows_the_orientation(tmp_path):
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    crystal = Crystal(CELL, "P 43 21 2", turn)
    write_crystal(tmp_path / "crystal.yaml", crystal, np.array([1.0, 0.0, 0.0]))
    found = read_cell(tmp_path / "crystal.yaml")
    np.testing.assert_allclose(found.ub_inv_angstrom, crystal.ub_matrix)
    np.testing.assert_array_equal(found.rotation_axis, [1, 0, 0])


@pytest.mark.parametrize("name", ["nowhere.pdb", "notes.txt", "broken.mtz", "empty.cif"])
def test_files_without_a_cell_are_refused(name, tmp_path):
    if name != "nowhere.pdb":
        (tmp_path / name).write_text("data_x\n" if name == "empty.cif" else "no crystal")
    with pytest.raises(FewphotonError, match=Path(name).stem):
        read_cell(tmp_path / name)


@pytest.mark.real_data
def test_a_dials_experiment_knows_cell_and_orientation(data_dir):
    found = read_cell(data_dir / "l_cysteine_i19" / "11_integrated.expt")
    Crystal.from_ub(found.ub_inv_angstrom, found.cell, found.space_group)
    assert found.rotation_axis is not None
