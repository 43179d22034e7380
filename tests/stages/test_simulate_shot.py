from collections import Counter

import h5py
import numpy as np
import pytest
from scipy.spatial.distance import pdist

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.config import SimulateShotConfig
from fewphoton.data import Molecule, PositionGrid
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.metrics import read_metrics
from fewphoton.io.molecule_files import read_molecule, write_xyz
from fewphoton.io.provenance import read_provenance
from fewphoton.io.shot_files import read_shot_file, read_true_molecule
from fewphoton.stages.contract import Context
from fewphoton.stages.simulate_shot import Inputs, Outputs, run
from tests.simulate.molecules import made_up_molecule, pdb_text

NAMES = ("shot.h5", "truth.h5", "molecule.xyz", "metrics.json")
RANDOM = {"random": {"n_atoms": 12, "seed": 5}, "n_detectors": 600, "white_level": 1e-3}
GRID = {"grid": {"spacing_angstrom": 0.78, "shape": [11, 11, 11]}}


def simulate(folder, **options):
    run(Inputs(), Outputs(*(folder / name for name in NAMES)), SimulateShotConfig(**options), Context(1, None, False))
    return read_shot_file(folder / "shot.h5"), read_true_molecule(folder / "truth.h5")


def whole_atoms(molecule):
    return Molecule(molecule.element, molecule.position_angstrom, np.ones(len(molecule)), np.zeros(len(molecule)))


def test_files_fit_each_other(tmp_path):
    shot, truth = simulate(tmp_path, **RANDOM | {"beam_stop_deg": 10.0})
    metrics = read_metrics(tmp_path / "metrics.json")
    seen = read_molecule(tmp_path / "molecule.xyz")
    assert dict(shot.composition) == Counter(truth.element) == {"C": 3, "H": 6, "N": 1, "O": 2}
    np.testing.assert_allclose(seen.position_angstrom, truth.position_angstrom, atol=1e-9)
    assert pdist(truth.position_angstrom).min() >= 1.0
    model = ForwardModel.of(shot)
    expected = model.intensity(truth.position_angstrom, model.kinds(truth.element))
    misfit = ((shot.intensity_electron2 - expected) ** 2 / shot.variance(expected)).mean()
    assert misfit == pytest.approx(1.0, abs=5 * np.sqrt(2 / len(shot)))
    assert metrics["usable_detectors"] == len(shot) < metrics["n_detectors"] == 600
    assert metrics["white_sigma_electron2"] == pytest.approx(np.sqrt(1e-3 * metrics["power_electron4"]))
    assert metrics["photons_per_electron2"] is None
    assert metrics["rms_shift_to_grid_angstrom"] == 0
    assert metrics["hopeless"] is False
    assert 0 < metrics["standard_error_median_angstrom"] < 0.2
    assert metrics["standard_error_x_median_angstrom"] < metrics["standard_error_z_median_angstrom"]


def test_the_shot_does_not_give_the_atoms_away(tmp_path):
    simulate(tmp_path, **RANDOM | {"orientation_seed": 11})
    with h5py.File(tmp_path / "shot.h5") as file:
        assert sorted(file) == ["provenance", "shot"]
        told = read_provenance(file)
    assert not {"random", "structure", "orientation_seed"} & set(told["config"])
    assert told["inputs"] == {}
    with h5py.File(tmp_path / "truth.h5") as file:
        assert read_provenance(file)["config"]["random"]["seed"] == 5


def test_atoms_go_to_sites_of_the_grid(tmp_path):
    _, free = simulate(tmp_path, **RANDOM)
    _, truth = simulate(tmp_path, **RANDOM | GRID)
    grid = PositionGrid(0.78, (11, 11, 11))
    site = grid.nearest_site(truth.position_angstrom)
    assert len(set(site)) == 12
    np.testing.assert_allclose(grid.positions(site), truth.position_angstrom, atol=1e-12)
    shift = np.sqrt(((truth.position_angstrom - free.position_angstrom) ** 2).sum(axis=1).mean())
    assert read_metrics(tmp_path / "metrics.json")["rms_shift_to_grid_angstrom"] == pytest.approx(shift)


@pytest.mark.parametrize("suffix", ["xyz", "pdb"])
def test_structures_are_read_turned_and_centred(tmp_path, suffix):
    given = whole_atoms(made_up_molecule())
    path = tmp_path / f"given.{suffix}"
    if suffix == "xyz":
        write_xyz(path, given)
    else:
        path.write_text(pdb_text(given) + "END\n")
    options = {"structure": path, "n_detectors": 50, "photons_per_shot": 1e6, "atom_model": "free_atom"}
    _, still = simulate(tmp_path, **options)
    np.testing.assert_allclose(still.position_angstrom, given.centred().position_angstrom, atol=1e-3)
    _, turned = simulate(tmp_path, **options | {"orientation_seed": 3})
    np.testing.assert_allclose(pdist(turned.position_angstrom), pdist(given.position_angstrom), atol=2e-3)
    assert np.abs(turned.position_angstrom - still.position_angstrom).max() > 1
    np.testing.assert_allclose(turned.position_angstrom, turned.centred().position_angstrom, atol=1e-9)
    assert turned.element == given.element


def test_orientations_keep_the_hand(tmp_path):
    _, still = simulate(tmp_path, **RANDOM)
    _, turned = simulate(tmp_path, **RANDOM | {"orientation_seed": 3})
    one, other = (m.position_angstrom[1:4] - m.position_angstrom[0] for m in (still, turned))
    assert np.linalg.det(one) == pytest.approx(np.linalg.det(other))


def test_the_same_configuration_gives_the_same_bytes(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        simulate(tmp_path / place, **RANDOM | GRID | {"photons_per_shot": 1e5})
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_a_hopeless_shot_is_warned_of(tmp_path, capsys):
    """Twenty detectors cannot fix twelve atoms: there is no bound, and its metrics are empty."""
    simulate(tmp_path, **RANDOM | {"n_detectors": 20})
    assert "20 detectors cannot fix 33 coordinates" in capsys.readouterr().err
    metrics = read_metrics(tmp_path / "metrics.json")
    assert metrics["hopeless"] is True
    assert metrics["standard_error_median_angstrom"] is None
    simulate(tmp_path, **RANDOM)
    assert capsys.readouterr().err == ""


def test_only_the_shot_is_written_where_nothing_else_is_asked_for(tmp_path):
    run(Inputs(), Outputs(tmp_path / "shot.h5"), SimulateShotConfig(**RANDOM), Context(1, None, False))
    assert [path.name for path in tmp_path.iterdir()] == ["shot.h5"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"grid": {"spacing_angstrom": 0.5, "shape": [5, 5, 5]}}, DataError, "outside the grid"),
        ({"random": {"composition": {"Qq": 3}}}, DataError, "unknown elements: Qq"),
        ({"random": {"composition": {"C": 1}}}, DataError, "single atom"),
        ({"random": {"n_atoms": 12, "shortest_distance_angstrom": 5.0}}, DataError, "found no room"),
        ({"random": None, "structure": "none.xyz"}, InputFileError, "no such file"),
    ],
)
def test_mistakes_leave_no_files(tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        simulate(tmp_path, **RANDOM | changes)
    assert not list(tmp_path.iterdir())
