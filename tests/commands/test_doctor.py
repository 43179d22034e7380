"""doctor: what works is told to work, what is missing or broken is told apart, and only needed parts decide."""

from __future__ import annotations

import json
import mmap
import os
from pathlib import Path

import pytest

from fewphoton.cli import main
from fewphoton.commands import doctor, machine_room
from fewphoton.commands.finding import Finding
from fewphoton.config.executor_profile import ExecutorProfile, read_profile
from fewphoton.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0


def program(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def fake_package(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / f"{name}.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


def test_files_are_tried_in_a_process_of_their_own():
    finding = doctor.try_library("files", PATIENCE_S)
    assert finding.state == "works"
    assert finding.remedy is None
    assert "bitshuffle-lz4" in finding.found[1]


def test_a_library_that_is_not_there_is_missing(tmp_path, monkeypatch):
    fake_package(tmp_path, "finufft", "raise ModuleNotFoundError(\"No module named 'finufft'\")\n", monkeypatch)
    finding = doctor.try_library("particles", PATIENCE_S)
    assert finding.state == "missing"
    assert finding.remedy == "pip install -e '.[particles]' in the clone"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import os\nos.abort()\n", "the trial ended with status -6"),
        ("raise OSError('libfinufft.so: wrong ELF class')\n", "wrong ELF class"),
        ("import numpy\ndef nufft1d1(x, c, n, eps):\n    return numpy.zeros(n)\n", "wrong numbers"),
    ],
)
def test_a_library_that_fails_its_trial_is_broken(text, message, tmp_path, monkeypatch):
    fake_package(tmp_path, "finufft", text, monkeypatch)
    finding = doctor.try_library("particles", PATIENCE_S)
    assert finding.state == "broken"
    assert message in " ".join(finding.found)


@pytest.mark.mpi
def test_two_ranks_meet():
    finding = doctor.try_mpi("mpiexec", ExecutorProfile(), PATIENCE_S)
    assert finding.state == "works", finding.found
    assert "2 ranks met" in finding.found[0]


def test_a_launcher_that_starts_single_programs_is_found_out(tmp_path):
    solo = program(tmp_path, "solo", 'shift 2; exec "$@"')
    finding = doctor.try_mpi(str(solo), ExecutorProfile(), PATIENCE_S)
    assert finding.state == "broken"
    assert "1 rank(s), expected 2" in " ".join(finding.found)


def test_a_launcher_that_is_absent_or_silent(tmp_path):
    assert doctor.try_mpi("no-such-launcher -x", ExecutorProfile(), PATIENCE_S).state == "missing"
    finding = doctor.try_mpi(str(program(tmp_path, "slow", "exec sleep 30")), ExecutorProfile(), 0.3)
    assert finding.state == "broken"
    assert "no answer within 0.3 s" in " ".join(finding.found)


def test_srun_gets_partition_and_account(tmp_path):
    told = program(tmp_path, "srun", 'echo "$@" >&2; exit 1')
    finding = doctor.try_mpi(f"{told} --mpi=pmix", ExecutorProfile("x", "main", "beam7"), PATIENCE_S)
    assert "--mpi=pmix --partition=main --account=beam7 -n 2" in finding.found[1]


def slurm_commands(folder: Path, sinfo: str, age: int) -> None:
    for name in ("sbatch", "squeue", "scancel"):
        program(folder, name, "exit 0")
    program(folder, "srun", 'printf "MPI plugin types are...\\n\\tnone\\n\\tpmi2\\n\\tpmix\\n"')
    program(folder, "sinfo", sinfo)
    program(folder, "scontrol", f'echo "MinJobAge               = {age} sec"')


def test_slurm_is_asked_for_its_partitions(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    line = "gpu*|up|2-00:00:00|8|64|512000|gpu:a100:4"
    slurm_commands(tmp_path, f'echo "{line}"', 600)
    finding = machine_room.find_slurm(PATIENCE_S)
    assert finding.state == "works"
    assert finding.found[0] == "partition gpu* (up): 8 node(s), 64 CPUs, 512000 MB, limit 2-00:00:00, gpu:a100:4"
    assert finding.found[1] == "srun --mpi: none, pmi2, pmix"
    slurm_commands(tmp_path, f'echo "{line}"', 30)
    forgetful = machine_room.find_slurm(PATIENCE_S)
    assert forgetful.state == "broken"
    assert "to 10 or less" in str(forgetful.remedy)
    slurm_commands(tmp_path, "echo 'Unable to contact slurm controller' >&2; exit 1", 600)
    silent = machine_room.find_slurm(PATIENCE_S)
    assert (silent.state, silent.found) == ("broken", ("Unable to contact slurm controller",))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert machine_room.find_slurm(PATIENCE_S).state == "missing"


def test_space_tells_disk_and_memory(tmp_path, monkeypatch):
    finding = machine_room.find_space(tmp_path)
    assert "GB free here" in finding.found[0]
    monkeypatch.setattr(machine_room, "machine_memory_bytes", lambda: 2**29)
    poor = machine_room.find_space(tmp_path)
    assert poor.state == "broken"
    assert "0.5 GB allowed" in poor.found[1]


def test_shared_memory_of_killed_mpi_programs_is_told_from_that_of_running_ones(tmp_path, monkeypatch):
    for name in ("mpich_shm_1_0", "mpich_shm_2_0", "sem.other"):
        (tmp_path / name).write_bytes(bytes(4096))
    with (tmp_path / "mpich_shm_1_0").open("r+b") as file, mmap.mmap(file.fileno(), 0):
        assert machine_room.left_shared_memory(tmp_path) == [tmp_path / "mpich_shm_2_0"]
        monkeypatch.setattr(machine_room, "left_shared_memory", lambda: [tmp_path / "mpich_shm_2_0"])
        finding = machine_room.find_space(tmp_path)
    assert finding.state == "works"
    assert f"rm {tmp_path / 'mpich_shm_2_0'}" in finding.found[-1]


@pytest.fixture
def torn(monkeypatch):
    """All parts work but those named."""

    def of(*broken: str) -> None:
        def finding(name: str) -> Finding:
            good = name not in broken
            return Finding(
                name, "works" if good else "broken", (f"found {name}",), "a use", None if good else "mend it"
            )

        monkeypatch.setattr(doctor, "try_library", lambda name, timeout: finding(name))
        monkeypatch.setattr(doctor, "try_mpi", lambda launcher, profile, timeout: finding("mpi"))
        monkeypatch.setattr(doctor, "find_slurm", lambda timeout: finding("slurm"))
        monkeypatch.setattr(doctor, "find_space", lambda folder: finding("space"))

    return of


@pytest.mark.parametrize(
    ("broken", "targets", "status"),
    [
        (("torch", "slurm"), [], 0),
        (("torch",), ["xrai"], 1),
        (("torch",), ["demo", "xrai"], 1),
        (("mpi",), [], 1),
        (("mpi",), ["stages"], 0),
        (("slurm",), ["slurm", "--profile", str(ROOT / "slurm")], 1),
        (("kernels",), ["particles"], 1),
    ],
)
def test_only_needed_parts_decide(broken, targets, status, torn, capsys):
    torn(*broken)
    assert main(["doctor", *targets]) == status
    text = capsys.readouterr().out
    assert text.count("do:") == len(broken)
    assert ("everything that it needs works" in text) == (status == 0)


def test_findings_as_json(torn, capsys):
    torn("torch")
    assert main(["doctor", "demo", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    parts = {part["part"]: part for part in record["parts"]}
    assert set(parts) == {part for target in doctor.TARGETS.values() for part in target}
    assert parts["torch"]["state"] == "broken"
    assert not parts["torch"]["needed"]
    assert parts["mpi"]["needed"]
    assert record["works"]


def test_the_launcher_is_the_profiles(torn, monkeypatch, tmp_path):
    torn()
    seen = []
    monkeypatch.setattr(
        doctor, "try_mpi", lambda launcher, *rest: seen.append(launcher) or Finding("mpi", "works", ("",), "")
    )
    main(["doctor"])
    main(["doctor", "slurm", "--profile", str(ROOT / "slurm")])
    main(["doctor", "slurm", "--profile", str(ROOT / "slurm"), "--launcher", "srun --mpi=pmix"])
    assert seen == ["mpiexec", "srun --mpi=pmi2", "srun --mpi=pmix"]
    assert main(["doctor", "slurm", "--profile", str(tmp_path)]) == 1
    assert main(["doctor", "everything"]) == 1


def test_profiles_are_read_in_both_forms(tmp_path):
    assert read_profile(ROOT / "slurm").launcher == "srun --mpi=pmi2"
    (tmp_path / "config.yaml").write_text("default-resources: ['launcher=srun --mpi=pmix', slurm_partition=main]\n")
    found = read_profile(tmp_path)
    assert (found.launcher, found.partition, found.account) == ("srun --mpi=pmix", "main", None)
    assert found.srun_options() == ["--partition=main"]
    (tmp_path / "config.yaml").write_text("[1]\n")
    with pytest.raises(ConfigError, match="expected keys and values"):
        read_profile(tmp_path)
