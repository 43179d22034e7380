"""recover-molecule as people start it: files in, files out, ranks, interruptions and faults."""

import json
import re
import subprocess
import sys
from contextlib import nullcontext

import h5py
import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.data import Molecule, Shot
from fewphoton.emc.communicator import Serial
from fewphoton.io.metrics import read_metrics
from fewphoton.io.molecule_files import read_molecule
from fewphoton.io.provenance import Provenance
from fewphoton.io.recovered_files import read_recovered_file
from fewphoton.io.search_checkpoint import SearchCheckpointFile
from fewphoton.io.shot_files import read_shot_file, read_true_molecule, write_shot_file
from fewphoton.stages import recover_molecule
from tests.stages.reconstruct_runs import launcher

OUTPUTS = ("recovered.json", "molecule.xyz", "model.pdb")
SHOT = {
    "random": {"composition": {"C": 3, "N": 1, "O": 1}, "seed": 4},
    "wavelength_angstrom": 0.8,
    "n_detectors": 300,
    "largest_angle_deg": 90,
    "white_level": 1e-4,
}
SEARCH = {
    "box_angstrom": [4.0, 4.0, 4.0],
    "replicas": 5,
    "hottest": 0.5,
    "coldest": 0.01,
    "detectors": 80,
    "closest_angstrom": 0.8,
    "polish_every": 2,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("recover")
    words = ["--shot", str(place / "shot.h5"), "--truth", str(place / "truth.h5"), "--quiet"]
    assert main(["simulate-shot", *words, "--config-json", json.dumps(SHOT)]) == 0
    return place


def arguments(folder, name, *extra, shot="shot.h5", **options):
    out = folder / name
    config = {"fewphoton": SEARCH | options.pop("search", {})} | options
    words = ["recover-molecule", "--shot", str(folder / shot), "--config-json", json.dumps(config)]
    for flag, file in zip(("recovered", "molecule", "model"), OUTPUTS, strict=True):
        words += [f"--{flag}", str(out / file)]
    words += ["--metrics", str(out / "metrics.json"), "--checkpoint", str(out / "checkpoint.h5")]
    return [*words, "--threads", "1", *extra]


@pytest.fixture(scope="module")
def done(folder):
    assert main(arguments(folder, "done", "--quiet")) == 0
    return folder / "done"


def altered(folder, name, **changes):
    shot = read_shot_file(folder / "shot.h5")
    fields = {key: getattr(shot, key) for key in Shot.__dataclass_fields__}
    write_shot_file(folder / name, Shot(**fields | changes), Provenance("test", {}, {}))


def test_the_molecule_is_recovered(folder, done):
    solutions = read_recovered_file(done / "recovered.json")
    truth = read_true_molecule(folder / "truth.h5")
    best = solutions[0].molecule
    assert sorted(best.element) == sorted(truth.element)
    expected = truth.position_angstrom - truth.position_angstrom.mean(axis=0)
    errors = []
    for place in (best.position_angstrom, -best.position_angstrom):
        gap = np.linalg.norm(place[:, None] - expected[None], axis=-1)
        gap[np.array(best.element)[:, None] != np.array(truth.element)[None]] = np.inf
        errors.append(gap.min(axis=1).max())
    assert min(errors) < 0.05
    np.testing.assert_allclose(
        read_molecule(done / "molecule.xyz").position_angstrom, best.position_angstrom, atol=1e-6
    )
    np.testing.assert_allclose(read_molecule(done / "model.pdb").position_angstrom, best.position_angstrom, atol=1e-3)
    metrics = read_metrics(done / "metrics.json")
    assert metrics["method"] == "fewphoton"
    assert metrics["n_solutions"] == len(solutions)
    assert metrics["reduced_chi2"] == solutions[0].reduced_chi2
    assert metrics["standard_error_median_angstrom"] == np.median(solutions[0].standard_error_angstrom)
    assert metrics["seconds"] > 0
    assert not (done / "checkpoint.h5").exists()


def test_threads_and_repetition_change_no_byte(folder, done):
    words = arguments(folder, "threads", "--quiet")
    words[words.index("--threads") + 1] = "2"
    assert main(words) == 0
    for name in OUTPUTS:
        assert (folder / "threads" / name).read_bytes() == (done / name).read_bytes(), name


class Killed(Exception):
    pass


@pytest.mark.parametrize("rounds", [1, 2, "last"])
def test_an_interrupted_search_goes_on_to_the_same_bytes(folder, done, monkeypatch, capsys, rounds):
    name = f"killed{rounds}"
    checkpoint = folder / name / "checkpoint.h5"
    keep = recover_molecule._CheckpointMemory.keep
    kept = []

    def dying(self, state):
        keep(self, state)
        kept.append(state.sweep)
        if len(kept) == rounds:
            raise Killed

    with monkeypatch.context() as patch:
        if rounds == "last":
            patch.setattr(recover_molecule, "_of_all_ranks", lambda *rest: (_ for _ in ()).throw(Killed))
        else:
            patch.setattr(recover_molecule._CheckpointMemory, "keep", dying)
        with pytest.raises(Killed):
            main(arguments(folder, name, "--quiet"))
    assert checkpoint.exists()
    assert not (folder / name / "recovered.json").exists()
    assert main(arguments(folder, name)) == 0
    assert "goes on after sweep" in capsys.readouterr().err
    assert not checkpoint.exists()
    for output in OUTPUTS:
        assert (folder / name / output).read_bytes() == (done / output).read_bytes(), output


def test_a_checkpoint_of_another_search_is_not_used(folder, done, monkeypatch, capsys):
    def dying(self, state):
        self.file.write(vars(state))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(recover_molecule._CheckpointMemory, "keep", dying)
        with pytest.raises(Killed):
            main(arguments(folder, "other", "--quiet", seed=9))
    assert main(arguments(folder, "other")) == 0
    assert "goes on" not in capsys.readouterr().err
    for name in OUTPUTS:
        assert (folder / "other" / name).read_bytes() == (done / name).read_bytes(), name


def test_a_broken_checkpoint_is_a_typed_error_and_its_removal_helps(folder, capsys):
    place = folder / "broken"
    place.mkdir()
    (place / "checkpoint.h5").write_text("no checkpoint")
    words = arguments(folder, "broken", "--quiet", time_budget_s=1e-6)
    assert main(words) == 1
    message = capsys.readouterr().err
    assert "InputFileError" in message
    assert "checkpoint.h5" in message
    assert "Remove it" in message
    assert not (place / "recovered.json").exists()
    (place / "checkpoint.h5").unlink()
    assert main(words) == 0


def test_the_time_budget_ends_a_search_with_what_there_is(folder, capsys):
    shot = read_shot_file(folder / "shot.h5")
    altered(folder, "silent.h5", intensity_electron2=shot.intensity_electron2.clip(0), white_sigma_electron2=1e-9)
    assert main(arguments(folder, "budget", shot="silent.h5", time_budget_s=1e-6)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert sum("sweep 2:" in line for line in lines) == 1
    assert not any("sweep 4:" in line for line in lines)
    assert read_recovered_file(folder / "budget" / "recovered.json")


@pytest.mark.mpi
def test_ranks_search_on_their_own_and_share_what_they_find(folder, done):
    words = arguments(folder, "ranks", "--expect-ranks", "2", tasks=2)
    ran = subprocess.run(
        [launcher(), "-n", "2", sys.executable, "-m", "fewphoton", *words],
        check=True,
        timeout=300,
        capture_output=True,
        text=True,
    )
    assert "rank 0:" in ran.stderr
    assert "rank 1:" in ran.stderr
    one, both = (read_recovered_file(place / "recovered.json") for place in (done, folder / "ranks"))
    assert both[0].reduced_chi2 <= one[0].reduced_chi2 + 0.05
    assert [item.reduced_chi2 for item in both] == sorted(item.reduced_chi2 for item in both)
    assert not list((folder / "ranks").glob("checkpoint*"))


@pytest.mark.mpi
def test_ranks_that_were_left_a_round_apart_go_on_to_the_same_bytes(folder):
    """A job dies after one rank has saved its second round, and the other has not."""
    script = folder / "dying.py"
    script.write_text(
        "import os, sys, time\n"
        "from fewphoton.cli import main\n"
        "from fewphoton.stages import recover_molecule\n"
        "keep, kept = recover_molecule._CheckpointMemory.keep, []\n"
        "def dying(self, state):\n"
        "    kept.append(state.sweep)\n"
        "    mine = self.file.path.stem.endswith(sys.argv[1])\n"
        "    if len(kept) == 2 and mine:\n"
        "        other = self.file.path.with_name(f'checkpoint_{1 - int(sys.argv[1])}.done')\n"
        "        while not other.exists():\n"
        "            time.sleep(0.01)\n"
        "        os._exit(9)\n"
        "    keep(self, state)\n"
        "    if len(kept) == 2:\n"
        "        self.file.path.with_suffix('.done').touch()\n"
        "recover_molecule._CheckpointMemory.keep = dying\n"
        "sys.exit(main(sys.argv[2:]))\n"
    )
    launch = [launcher(), "-n", "2", sys.executable]
    whole, parted = (arguments(folder, name, "--expect-ranks", "2", tasks=2) for name in ("whole", "parted"))
    done = subprocess.run([*launch, "-m", "fewphoton", *whole], check=True, timeout=300, capture_output=True, text=True)
    assert done.stderr.count("sweep 4:") == 2, "the search ends too early for this test"
    killed = subprocess.run([*launch, script, "0", *parted], check=False, timeout=300, capture_output=True)
    assert killed.returncode != 0
    assert not (folder / "parted" / "recovered.json").exists()
    again = subprocess.run(
        [*launch, "-m", "fewphoton", *parted], check=True, timeout=300, capture_output=True, text=True
    )
    assert "goes on after sweep 2" in again.stderr
    assert "goes on after sweep 4" in again.stderr
    for name in OUTPUTS:
        assert (folder / "parted" / name).read_bytes() == (folder / "whole" / name).read_bytes(), name


@pytest.mark.mpi
def test_a_failing_rank_ends_the_job(folder):
    words = arguments(folder, "failing", "--expect-ranks", "2", "--quiet", shot="missing.h5", tasks=2)
    ran = subprocess.run(
        [launcher(), "-n", "2", sys.executable, "-m", "fewphoton", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode != 0
    assert "missing.h5" in ran.stderr


def test_a_wrong_stoichiometry_is_warned_of(folder, capsys):
    altered(folder, "fewer.h5", composition={"C": 2, "H": 2})
    assert main(arguments(folder, "fewer", "--quiet", shot="fewer.h5", time_budget_s=1e-6)) == 0
    message = capsys.readouterr().err
    assert "the composition is doubtful" in message
    assert "more than all atoms of C2 H2 scatter in phase" in message
    assert main(arguments(folder, "right", "--quiet", time_budget_s=1e-6)) == 0
    assert "doubtful" not in capsys.readouterr().err


def test_a_hopeless_shot_is_warned_of(folder, capsys):
    altered(folder, "noisy.h5", white_sigma_electron2=1e5)
    assert main(arguments(folder, "noisy", "--quiet", shot="noisy.h5", time_budget_s=1e-6)) == 0
    assert "there is little hope of success" in capsys.readouterr().err
    assert main(arguments(folder, "hopeful", "--quiet", time_budget_s=1e-6)) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search": {"q_max_inv_angstrom": 0.1}}, "DataError: .*fewer than the 12 coordinates of 5 atoms"),
        ({"search": {"box_angstrom": [0.2, 0.2, 0.2]}}, "ConfigError: a box of .* cannot hold 5 atoms"),
        (
            {"search": {"grid": {"spacing_angstrom": 1.0, "shape": [2, 2, 1]}}},
            "ConfigError: a grid of 4 sites cannot hold 5 atoms",
        ),
        ({"method": "gespar"}, "ConfigError: .*method gespar needs the section gespar"),
        ({"shot": "missing.h5"}, r"InputFileError: .*missing\.h5.*no such file"),
        ({"shot": "nan.h5"}, r"InputFileError: .*nan\.h5.*intensity_electron2 holds 1 values that are not finite"),
        ({"shot": "unknown.h5"}, r"InputFileError: .*unknown\.h5.*unknown elements in the composition: Q"),
    ],
)
def test_mistakes_leave_no_files(folder, capfd, options, message):
    for name in ("nan.h5", "unknown.h5"):
        if not (folder / name).exists():
            altered(folder, name)
            with h5py.File(folder / name, "r+") as file:
                if name == "nan.h5":
                    file["shot/intensity_electron2"][3] = np.nan
                else:
                    file["shot/composition_element"][0] = b"Q"
    assert main(arguments(folder, "mistake", "--quiet", **options)) == 1
    assert re.search(message, capfd.readouterr().err, re.DOTALL)
    assert not (folder / "mistake").exists()


def test_a_truth_in_the_file_is_not_looked_at(folder, done):
    """The same shot with the truth in its file, and with a wrong one."""
    truth = read_true_molecule(folder / "truth.h5")
    wrong = Molecule(truth.element, truth.position_angstrom[::-1] * 1.1, truth.occupancy, truth.b_iso_angstrom2)
    write_shot_file(folder / "wrong.h5", read_shot_file(folder / "shot.h5"), Provenance("test", {}, {}), wrong)
    for name in ("truth.h5", "wrong.h5"):
        assert main(arguments(folder, "with_truth", "--quiet", shot=name)) == 0
        assert (folder / "with_truth" / "model.pdb").read_bytes() == (done / "model.pdb").read_bytes()


class SecondOfTwo(Serial):
    """Rank 1 of a world in which rank 0 ends in its first round; asked for the furthest sweep first, then for ends."""

    rank = 1
    size = 2

    def __init__(self):
        self.asked = 0

    def maximum(self, values):
        self.asked += 1
        values[:] = max(values[0], self.asked == 3)


def test_a_rank_ends_when_another_has_found_the_molecule(folder, monkeypatch, capsys):
    """Only rank 0 writes results; each rank has a checkpoint of its own."""
    shot = read_shot_file(folder / "shot.h5")
    altered(folder, "silent.h5", intensity_electron2=shot.intensity_electron2.clip(0), white_sigma_electron2=1e-9)
    monkeypatch.setattr(recover_molecule, "world", lambda expected: nullcontext(SecondOfTwo()))
    written = []
    write = SearchCheckpointFile.write

    def noted(self, parts):
        written.append(self.path.name)
        write(self, parts)

    monkeypatch.setattr(SearchCheckpointFile, "write", noted)
    assert main(arguments(folder, "second", shot="silent.h5", tasks=2, search={"max_sweeps": 20})) == 0
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("rank 1:") for line in lines)
    assert sum("sweep" in line for line in lines) == 1
    assert written == ["checkpoint_1.h5"]
    assert not list((folder / "second").iterdir())
