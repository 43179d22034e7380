import csv
import json

import numpy as np
import pytest

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.fisher_information import CramerRaoBound, fisher_information
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.config.score_molecule import ScoreMoleculeConfig
from fewphoton.data import Molecule, Shot
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.errors import InputFileError
from fewphoton.io.molecule_files import read_xyz, write_pdb, write_xyz
from fewphoton.io.provenance import Provenance
from fewphoton.io.recovered_files import write_recovered_file
from fewphoton.io.shot_files import write_shot_file
from fewphoton.stages import score_molecule
from fewphoton.stages.contract import Context
from fewphoton.stages.score_molecule import Inputs, Outputs
from tests.evaluate.molecules import changed, random_molecule

QUIET = Context(progress=False)
PROVENANCE = Provenance("test", {}, {})
TRUTH = random_molecule(12, 4)


def write_truth(path, molecule=TRUTH):
    q = ewald_sphere(0.7, 50)
    composition = {name: molecule.element.count(name) for name in dict.fromkeys(molecule.element)}
    shot = Shot(0.7, q, np.ones(50), 0.1, None, composition)
    write_shot_file(path, shot, PROVENANCE, molecule)
    return path


def write_solutions(path, molecules, errors=None):
    solutions = [RecoveredMolecule(molecule, 1.0 + n, errors) for n, molecule in enumerate(molecules)]
    write_recovered_file(path, solutions, PROVENANCE)
    return path


def scored(folder, truth, recovered, shot=None, **config):
    outputs = Outputs(folder / "m.json", folder / "aligned.xyz", folder / "all.csv")
    score_molecule.run(Inputs(truth, recovered, shot), outputs, ScoreMoleculeConfig(**config), QUIET)
    with outputs.solutions.open(newline="") as handle:
        return json.loads(outputs.metrics.read_text()), read_xyz(outputs.molecule), list(csv.DictReader(handle))


def test_headline_is_the_methods_choice_and_not_the_truths(tmp_path):
    wrong, right = random_molecule(12, 50), changed(TRUTH, 1, (-1, -1, -1), (1, 2, 3), 0.01)
    recovered = write_solutions(tmp_path / "r.json", [wrong, right])
    metrics, _, rows = scored(tmp_path, write_truth(tmp_path / "shot.h5"), recovered)
    assert not metrics["solved"]
    assert metrics["error"] > 0.4
    assert (metrics["reduced_chi2"], metrics["n_solutions"]) == (1.0, 2)
    assert (metrics["rank_of_best"], metrics["rank_of_solved"], metrics["n_matched_of_best"]) == (2, 2, 12)
    assert metrics["error_of_best"] == pytest.approx(float(rows[1]["error"]))
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert rows[1]["hand"] == "inverted"
    assert "rank" not in metrics


def test_the_solution_is_written_as_it_lies_upon_the_truth(tmp_path):
    errors = np.full((12, 3), 0.01)
    found = changed(TRUTH, 1, (-1, -1, -1), (1, 2, 3), 0.01)
    recovered = write_solutions(tmp_path / "r.json", [found], errors)
    metrics, (aligned, comment), _ = scored(tmp_path, write_truth(tmp_path / "shot.h5"), recovered)
    assert (metrics["solved"], metrics["hand"], metrics["n_close"]) == (True, "inverted", 12)
    assert metrics["all_heavy_close"]
    assert metrics["rms_over_standard_error"] == pytest.approx(1, abs=0.3)
    assert metrics["error_inverted"] == metrics["error"] < metrics["error_as_found"]
    assert not metrics["mirror_fits_better"]
    assert "inverted" in comment
    distance = np.linalg.norm(TRUTH.position_angstrom[:, None] - aligned.position_angstrom[None], axis=2)
    assert distance.min(axis=1).max() < 0.06
    assert metrics["rms_all_angstrom"] == pytest.approx(np.sqrt(np.mean(distance.min(axis=1) ** 2)))


def test_the_mirror_is_told(tmp_path):
    recovered = write_solutions(tmp_path / "r.json", [changed(TRUTH, 1, (1, 1, -1))])
    metrics, _, _ = scored(tmp_path, write_truth(tmp_path / "shot.h5"), recovered)
    assert metrics["mirror_fits_better"]
    assert metrics["error_z_mirrored"] < 1e-6 < metrics["error"]
    assert not metrics["solved"]


@pytest.mark.parametrize("suffix", ["xyz", "pdb"])
def test_molecules_of_other_programs(tmp_path, suffix):
    """Files of atoms alone have neither misfit nor rank."""
    write = {"xyz": write_xyz, "pdb": write_pdb}[suffix]
    write(tmp_path / f"truth.{suffix}", TRUTH)
    write(tmp_path / f"found.{suffix}", changed(TRUTH, 2, shift=(1, 1, 1)))
    metrics, _, _ = scored(tmp_path, tmp_path / f"truth.{suffix}", tmp_path / f"found.{suffix}")
    assert metrics["solved"]
    assert metrics["reduced_chi2"] is None
    assert metrics["rms_all_angstrom"] < 2e-3


def test_sites_of_a_grid_and_tolerances(tmp_path):
    sites = np.random.default_rng(0).permutation(np.argwhere(np.ones((4, 4, 4))))[:8]
    truth = Molecule(tuple("CCNOHHHH"), 0.8 * sites, np.ones(8), np.zeros(8))
    write_xyz(tmp_path / "truth.xyz", truth)
    write_xyz(tmp_path / "found.xyz", changed(truth, 1, (-1, -1, -1), noise_angstrom=0.05))
    metrics, _, _ = scored(tmp_path, tmp_path / "truth.xyz", tmp_path / "found.xyz", grid_spacing_angstrom=0.8)
    assert metrics["on_right_sites"]
    strict = {"match_angstrom": 0.02, "close_angstrom": 0.01}
    metrics, _, _ = scored(tmp_path, tmp_path / "truth.xyz", tmp_path / "found.xyz", **strict)
    assert "on_right_sites" not in metrics
    assert metrics["n_matched"] < 8
    assert metrics["n_close"] <= metrics["n_matched"]


def shot_of(truth, n_detectors, sigma, photons=None):
    q = ewald_sphere(0.7, n_detectors)
    composition = {name: truth.element.count(name) for name in dict.fromkeys(truth.element)}
    return Shot(0.7, q, np.ones(n_detectors), sigma, photons, composition)


@pytest.mark.parametrize("photons", [None, 5.0])
def test_errors_drawn_from_the_bound_have_its_size(tmp_path, photons):
    shot = shot_of(TRUTH, 500, 3.0, photons)
    model = ForwardModel.of(shot)
    kind = model.kinds(TRUTH.element)
    variance = shot.variance(model.intensity(TRUTH.position_angstrom, kind))
    information = fisher_information(model, variance, TRUTH.position_angstrom, kind)
    covariance = CramerRaoBound.of(information, 12).covariance
    write_shot_file(tmp_path / "shot.h5", shot, PROVENANCE, TRUTH)
    write_xyz(tmp_path / "truth.xyz", TRUTH)
    rng, squares = np.random.default_rng(0), []
    for number in range(20):
        offset = rng.multivariate_normal(np.zeros(36), covariance, method="eigh").reshape(12, 3)
        found = Molecule(TRUTH.element, -(TRUTH.position_angstrom + offset), np.ones(12), np.zeros(12))
        recovered = write_solutions(tmp_path / "r.json", [found])
        # The truth may be a shot itself, or the shot is given beside it.
        given = (tmp_path / "shot.h5", None) if number % 2 else (tmp_path / "truth.xyz", tmp_path / "shot.h5")
        metrics, _, _ = scored(tmp_path, given[0], recovered, given[1])
        squares.append(metrics["rms_over_bound"] ** 2)
        assert metrics["bound_rms_angstrom"] == pytest.approx(np.sqrt(np.trace(covariance) / 12))
    assert np.mean(squares) == pytest.approx(1, abs=0.25)
    assert metrics["bound_rms_angstrom"] < 0.1
    freed, _, _ = scored(tmp_path, tmp_path / "shot.h5", recovered, free_amplitudes=True)
    assert freed["bound_rms_angstrom"] > metrics["bound_rms_angstrom"]


def test_shots_that_bound_nothing(tmp_path, capsys):
    recovered = write_solutions(tmp_path / "r.json", [TRUTH])
    for n_detectors, sigma, word in ((500, 0.0, ""), (10, 1.0, "no Cramér-Rao bound")):
        write_shot_file(tmp_path / "shot.h5", shot_of(TRUTH, n_detectors, sigma), PROVENANCE, TRUTH)
        metrics, _, _ = scored(tmp_path, tmp_path / "shot.h5", recovered)
        assert "rms_over_bound" not in metrics
        assert metrics["solved"]
        assert word in capsys.readouterr().err


def test_heavy_atoms_may_be_close_where_a_hydrogen_is_not(tmp_path):
    moved = TRUTH.position_angstrom.copy()
    moved[TRUTH.element.index("H")] += [0.9, 0, 0]
    recovered = write_solutions(tmp_path / "r.json", [Molecule(TRUTH.element, moved, np.ones(12), np.zeros(12))])
    metrics, _, _ = scored(tmp_path, write_truth(tmp_path / "shot.h5"), recovered)
    assert metrics["all_heavy_close"]
    assert (metrics["n_close"], metrics["n_matched"], metrics["solved"]) == (11, 11, False)
    assert metrics["n_heavy_close"] == metrics["n_heavy_matched"] == metrics["n_heavy_atoms"]


def test_missing_atoms_leave_no_rms_of_all(tmp_path):
    short = Molecule(TRUTH.element[1:], TRUTH.position_angstrom[1:], np.ones(11), np.zeros(11))
    recovered = write_solutions(tmp_path / "r.json", [short])
    metrics, _, _ = scored(tmp_path, write_truth(tmp_path / "shot.h5"), recovered)
    assert metrics["rms_all_angstrom"] is None
    assert metrics["rms_matched_angstrom"] < 1e-6
    assert (metrics["n_recovered_atoms"], metrics["n_matched"], metrics["solved"]) == (11, 11, False)


def test_faults(tmp_path):
    truth = write_truth(tmp_path / "shot.h5")
    none = write_solutions(tmp_path / "none.json", [])
    for recovered, word in ((none, "no solution"), (tmp_path / "nothing.json", "cannot be read")):
        with pytest.raises(InputFileError, match=word):
            scored(tmp_path, truth, recovered)
    measured = tmp_path / "measured.h5"
    write_shot_file(measured, Shot(0.7, ewald_sphere(0.7, 5), np.ones(5), 0.1, None, {"C": 1}), PROVENANCE)
    with pytest.raises(InputFileError, match="truth"):
        scored(tmp_path, measured, none)
    assert not (tmp_path / "m.json").exists()


@pytest.mark.real_data
def test_threonine(data_dir, tmp_path):
    source = data_dir / "small_molecules" / "threonine.xyz"
    found = changed(read_xyz(source)[0], 3, (-1, -1, -1), (0.3, 0.4, 5), 0.02)
    write_xyz(tmp_path / "found.xyz", found)
    metrics, _, _ = scored(tmp_path, source, tmp_path / "found.xyz")
    assert (metrics["n_atoms"], metrics["n_heavy_atoms"], metrics["n_close"]) == (17, 8, 17)
    assert metrics["solved"]
    assert 0.01 < metrics["error"] < 0.1
