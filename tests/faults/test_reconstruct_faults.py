"""What may happen to a reconstruction on a cluster: lost ranks and nodes, other rank counts, full disks, bad files.

Every job has a time limit that only a hang can reach.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.volumes import read_volume_file
from tests.stages.reconstruct_runs import arguments, launcher, write_inputs

OUTPUTS = ("volume.h5", "orientations.h5")
HANG_SECONDS = 120

# Ranks named in the second word end without a word of their own when so many iterations are done.
DYING = """
import os, signal, sys
from fewphoton.cli import main
from fewphoton.emc import reconstruct as loop

n_done, dying = int(sys.argv[1]), [int(rank) for rank in sys.argv[2].split(",")]
advance = loop._advance

def dying_advance(state, course, crystal, config, communicator):
    if len(state.records) == n_done and communicator.rank in dying:
        os.kill(os.getpid(), signal.SIGKILL)
    return advance(state, course, crystal, config, communicator)

loop._advance = dying_advance
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("faults"))


def start(words: list[str], n_ranks: int, *program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(program or ("-m", "fewphoton")), *words]
    if n_ranks > 1:
        command = [launcher(), "-n", str(n_ranks), *command, "--expect-ranks", str(n_ranks)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)


def killed(folder: Path, name: str, n_ranks: int, dying: str) -> Path:
    """A run whose ``dying`` ranks were killed after 7 iterations; the last checkpoint is that of 6."""
    done = start(arguments(folder, name, "--quiet"), n_ranks, "-c", DYING, "7", dying)
    assert done.returncode != 0
    assert not (folder / name / "volume.h5").exists()
    with h5py.File(folder / name / "checkpoint.h5") as file:
        assert len(file["records/iteration"]) == 6
    return folder / name


@pytest.fixture(scope="module")
def untouched(folder) -> dict[int, Path]:
    """Runs that nothing happened to, by number of ranks."""
    assert main(arguments(folder, "untouched-1", "--quiet")) == 0
    done = start(arguments(folder, "untouched-2", "--quiet"), 2)
    assert done.returncode == 0, done.stderr
    return {n_ranks: folder / f"untouched-{n_ranks}" for n_ranks in (1, 2)}


@pytest.fixture(scope="module")
def lost(folder) -> dict[int, Path]:
    """Runs that lost all their ranks, by number of ranks."""
    return {1: killed(folder, "lost-1", 1, "0"), 2: killed(folder, "lost-2", 2, "0,1")}


@pytest.mark.mpi
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_resume_on_another_number_of_ranks(folder, untouched, lost, before, after):
    place = folder / f"{before}-to-{after}"
    shutil.copytree(lost[before], place)
    done = start(arguments(folder, place.name, "--quiet"), after)
    assert done.returncode == 0, done.stderr
    one, other = (read_volume_file(where / "volume.h5").volume for where in (untouched[1], place))
    # Ranks add the parts of sums in another order: float64 sums of volumes differ by 1e-15, float32 probabilities by
    # 1e-7 of themselves, and 12 iterations let that grow about tenfold.
    np.testing.assert_allclose(other.values, one.values, atol=1e-6 * one.values.max())
    np.testing.assert_allclose(other.weight, one.weight, rtol=1e-9, atol=1e-9 * one.weight.max())
    first, second = (read_orientation_file(where / "orientations.h5") for where in (untouched[1], place))
    assert np.mean(first.best_orientation == second.best_orientation) > 0.99


@pytest.mark.mpi
def test_a_lost_node_is_resumed_to_the_same_bytes(folder, untouched, lost):
    place = folder / "node"
    shutil.copytree(lost[2], place)
    assert_resumed_to_the_same_bytes(folder, place, untouched)


@pytest.mark.mpi
@pytest.mark.parametrize("dying", ["0", "1"])
def test_a_killed_rank_ends_the_job_and_a_resume_gives_the_same_bytes(folder, untouched, dying):
    assert_resumed_to_the_same_bytes(folder, killed(folder, f"killed-{dying}", 2, dying), untouched)


def assert_resumed_to_the_same_bytes(folder: Path, place: Path, untouched: dict[int, Path]) -> None:
    done = start(arguments(folder, place.name, "--quiet"), 2)
    assert done.returncode == 0, done.stderr
    for name in OUTPUTS:
        assert (place / name).read_bytes() == (untouched[2] / name).read_bytes()
    assert sorted(path.name for path in place.iterdir()) == sorted(path.name for path in untouched[2].iterdir())


# MPI makes files of its own when it starts, so the limit comes after.
LIMITED = """
import resource, sys
from fewphoton.cli import main
if "--expect-ranks" in sys.argv:
    from mpi4py import MPI
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
sys.exit(main(sys.argv[2:]))
"""


@contextlib.contextmanager
def tiny_disk(place: Path, n_bytes: int) -> Iterator[None]:
    """A file system of ``n_bytes`` at ``place``."""
    place.mkdir(exist_ok=True)
    mounting = ["mount", "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", str(place)]
    done = subprocess.run(mounting, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a file system can be mounted by root alone (the limit of file sizes is tested): {done.stderr}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(("kind", "n_ranks"), [("file size limit", 1), pytest.param("disk", 2, marks=pytest.mark.mpi)])
def test_a_full_disk_at_the_checkpoint_is_a_typed_error_and_the_former_stays(folder, untouched, lost, kind, n_ranks):
    size = (untouched[1] / "checkpoint.h5").stat().st_size
    place = folder / f"full-{n_ranks}"
    options = {"scratch_folder": str(folder), "photon_storage": "memory"}
    with contextlib.ExitStack() as stack:
        if kind == "disk":
            stack.enter_context(tiny_disk(place, size * 3 // 2))
        place.mkdir(exist_ok=True)
        shutil.copy(lost[1] / "checkpoint.h5", place / "checkpoint.h5")
        former = (place / "checkpoint.h5").read_bytes()
        program = ("-m", "fewphoton") if kind == "disk" else ("-c", LIMITED, str(size // 2))
        done = start(arguments(folder, place.name, "--quiet", options=options), n_ranks, *program)
        assert done.returncode != 0
        assert f"OutputFileError: {place / 'checkpoint.h5'}" in done.stderr
        assert "Check free space" in done.stderr
        assert "Traceback" not in done.stderr
        assert [path.name for path in place.iterdir()] == ["checkpoint.h5"]
        assert (place / "checkpoint.h5").read_bytes() == former


def damaged(untouched: dict[int, Path], place: Path, name: str, where: Any, value: float) -> None:
    place.mkdir()
    shutil.copy(untouched[1] / "checkpoint.h5", place / "checkpoint.h5")
    with h5py.File(place / "checkpoint.h5", "r+") as file:
        file[name][where] = value


@pytest.mark.parametrize(("value", "n_ranks"), [(np.nan, 1), pytest.param(np.inf, 2, marks=pytest.mark.mpi)])
def test_a_checkpoint_with_numbers_that_are_none_is_refused(folder, untouched, n_ranks, value):
    place = folder / f"damaged-{value}-{n_ranks}"
    damaged(untouched, place, "volume", (3, 4, 5), value)
    done = start(arguments(folder, place.name, "--quiet", iterations=12), n_ranks)
    assert done.returncode != 0
    assert f"InputFileError: {place / 'checkpoint.h5'} [volume]" in done.stderr
    assert "Remove the checkpoint" in done.stderr
    assert not (place / "volume.h5").exists()


@pytest.mark.mpi
@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(folder, untouched, kept, capsys):
    place = folder / f"truncated-{kept}"
    place.mkdir()
    content = (untouched[1] / "checkpoint.h5").read_bytes()
    (place / "checkpoint.h5").write_bytes(content[: int(kept * len(content))])
    words = arguments(folder, place.name, "--quiet")
    if kept == 0.5:
        done = start(words, 2)
        code, told = done.returncode, done.stderr
    else:
        code, told = main(words), capsys.readouterr().err
    assert code != 0
    assert f"InputFileError: {place / 'checkpoint.h5'}" in told
    assert "Remove the checkpoint" in told
    assert not (place / "volume.h5").exists()


def test_a_checkpoint_of_another_photon_file_is_not_resumed_from(folder, untouched, tmp_path, capsys):
    from fewphoton.io.photon_files import read_photon_file, write_photon_file
    from fewphoton.io.provenance import Provenance

    photons, detector, beam = read_photon_file(folder / "frames.h5")
    with write_photon_file(tmp_path / "frames.h5", detector, beam, Provenance("test", {}, {})) as writer:
        writer.append(photons.take(slice(0, 300)))
    shutil.copy(folder / "crystal.yaml", tmp_path / "crystal.yaml")
    (tmp_path / "out").mkdir()
    shutil.copy(untouched[1] / "checkpoint.h5", tmp_path / "out" / "checkpoint.h5")
    for name, is_told in (("out", True), ("fresh", False)):
        assert main(arguments(tmp_path, name, "--quiet")) == 0
        assert ("another version of fewphoton: starting anew" in capsys.readouterr().err) == is_told
    assert (tmp_path / "out" / "volume.h5").read_bytes() == (tmp_path / "fresh" / "volume.h5").read_bytes()
