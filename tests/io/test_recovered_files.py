import json

import gemmi
import numpy as np
import pytest

from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.molecule_files import read_xyz
from fewphoton.io.recovered_files import KIND, read_recovered_file, write_best_molecule, write_recovered_file
from tests.simulate.molecules import made_up_molecule

ERRORS = np.random.default_rng(1).uniform(0.05, 0.3, (14, 3))
SOLUTIONS = [
    RecoveredMolecule(made_up_molecule(1), 1.0123456789012345, ERRORS),
    RecoveredMolecule(made_up_molecule(2), 1.5),
]


@pytest.fixture
def path(tmp_path, provenance):
    write_recovered_file(tmp_path / "found.json", SOLUTIONS, provenance)
    return tmp_path / "found.json"


def test_all_solutions_come_back_exactly(path):
    found = read_recovered_file(path)
    assert [solution.reduced_chi2 for solution in found] == [1.0123456789012345, 1.5]
    for one, other in zip(found, SOLUTIONS, strict=True):
        assert one.molecule.element == other.molecule.element
        for name in ("position_angstrom", "occupancy", "b_iso_angstrom2"):
            np.testing.assert_array_equal(getattr(one.molecule, name), getattr(other.molecule, name))
    np.testing.assert_array_equal(found[0].standard_error_angstrom, ERRORS)
    assert found[1].standard_error_angstrom is None


def test_the_file_is_plain_json(path):
    """An independent reader needs nothing but the keys."""
    content = json.loads(path.read_text())
    assert content["fewphoton_kind"] == KIND
    assert content["provenance"]["stage"] == "test"
    assert content["solutions"][1]["position_angstrom"][3] == made_up_molecule(2).position_angstrom[3].tolist()


def test_errors_without_bound_are_null(tmp_path, provenance):
    errors = ERRORS.copy()
    errors[3, 2] = np.inf
    write_recovered_file(tmp_path / "f.json", [RecoveredMolecule(made_up_molecule(1), 1.0, errors)], provenance)
    stored = json.loads((tmp_path / "f.json").read_text())["solutions"][0]["standard_error_angstrom"]
    assert stored[3][2] is None
    np.testing.assert_array_equal(read_recovered_file(tmp_path / "f.json")[0].standard_error_angstrom, errors)


def test_no_solution_is_a_result_but_no_molecule(tmp_path, provenance):
    write_recovered_file(tmp_path / "f.json", [], provenance)
    assert read_recovered_file(tmp_path / "f.json") == []
    with pytest.raises(DataError, match="no solution to write"):
        write_best_molecule(tmp_path / "b.xyz", tmp_path / "b.pdb", [])


def test_the_best_opens_elsewhere(tmp_path):
    write_best_molecule(tmp_path / "b.xyz", tmp_path / "b.pdb", SOLUTIONS)
    molecule, comment = read_xyz(tmp_path / "b.xyz")
    assert comment == "recovered from one shot, reduced chi2 1.01235"
    np.testing.assert_allclose(molecule.position_angstrom, made_up_molecule(1).position_angstrom, atol=1e-10)
    structure = gemmi.read_structure(str(tmp_path / "b.pdb"))
    atoms = list(structure[0][0][0])
    assert tuple(atom.element.name for atom in atoms) == molecule.element
    b_factor = [atom.b_iso for atom in atoms]
    np.testing.assert_allclose(b_factor, 8 * np.pi**2 * (ERRORS**2).mean(axis=1), atol=6e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(fewphoton_kind="metrics"), "fewphoton_kind.*expected recovered_molecules; found metrics"),
        (lambda c: c.pop("fewphoton_kind"), "a file of another program"),
        (lambda c: c.update(solutions={}), "solutions.*holds no list; found dict"),
        (lambda c: c["solutions"][1].pop("element"), r"solutions\[1\].*key 'element' is missing"),
        (lambda c: c["solutions"][0].update(element=["C"]), r"solutions\[0\].*expected shape \(1, 3\)"),
        (lambda c: c["solutions"][0].update(reduced_chi2=-1), r"solutions\[0\].*reduced chi²"),
        (lambda c: c["solutions"][0].update(reduced_chi2=None), r"solutions\[0\].*holds no molecule"),
        (lambda c: c["solutions"][0].update(position_angstrom="x"), r"solutions\[0\].*holds no molecule"),
        (lambda c: c["solutions"].append(5), r"solutions\[2\].*holds no molecule"),
    ],
)
def test_damage_is_named(path, change, message):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputFileError, match=rf"found\.json.*{message}"):
        read_recovered_file(path)


def test_truncated_foreign_and_missing_files_are_refused(path, tmp_path):
    path.write_text(path.read_text()[:-50])
    with pytest.raises(InputFileError, match="cannot be read as recovered molecules"):
        read_recovered_file(path)
    path.write_text("[1]")
    with pytest.raises(InputFileError, match="another program"):
        read_recovered_file(path)
    with pytest.raises(InputFileError, match="cannot be read"):
        read_recovered_file(tmp_path / "none.json")
