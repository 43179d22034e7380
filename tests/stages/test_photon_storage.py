"""Photons in memory or mapped: the same bytes, one reader a node, bounded memory, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.config import ReconstructConfig
from fewphoton.emc.communicator import Serial
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.volumes import read_volume_file
from fewphoton.stages.photon_storage import is_mapped, scratch_folder
from tests.stages.reconstruct_runs import EVERYTHING, arguments, launcher, write_inputs

OUTPUTS = ("volume.h5", "orientations.h5")
SMALL_BATCHES = {"batch_frames": 90, "batch_hits": 3000}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_inputs(tmp_path_factory.mktemp("storage"))


def options_of(folder: Path, storage: str, **more: Any) -> dict[str, Any]:
    scratch = folder / "scratch"
    return {"photon_storage": storage, "scratch_folder": str(scratch), **SMALL_BATCHES, **more}


def command_of(words: list[str], n_ranks: int, program: Sequence[str] = ("-m", "fewphoton")) -> list[str]:
    command = [sys.executable, *program, *words]
    return command if n_ranks == 1 else [launcher(), "-n", str(n_ranks), *command, "--expect-ranks", str(n_ranks)]


def start(
    words: list[str], n_ranks: int, program: Sequence[str] = ("-m", "fewphoton")
) -> subprocess.CompletedProcess[str]:
    command = command_of(words, n_ranks, program)
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def in_memory(folder) -> Path:
    assert main(arguments(folder, "memory", "--quiet", options=options_of(folder, "memory"))) == 0
    return folder / "memory"


@pytest.mark.parametrize("options", [{}, EVERYTHING], ids=["plain", "everything"])
def test_mapped_photons_give_the_same_bytes(folder, options, capsys):
    for storage in ("memory", "mapped"):
        words = arguments(folder, f"{len(options)}{storage}", "--quiet", options=options_of(folder, storage, **options))
        assert main(words) == 0
        assert ("photons mapped" in capsys.readouterr().err) == (storage == "mapped")
    for name in OUTPUTS:
        one, other = ((folder / f"{len(options)}{storage}" / name).read_bytes() for storage in ("memory", "mapped"))
        assert one == other
    assert list((folder / "scratch").iterdir()) == []


@pytest.mark.mpi
def test_ranks_that_share_photons_give_the_bytes_of_ranks_that_do_not(folder, in_memory):
    for storage in ("memory", "automatic"):
        done = start(arguments(folder, f"two-{storage}", options=options_of(folder, storage)), 2)
        assert done.returncode == 0, done.stderr
        assert ("photons mapped" in done.stderr) == (storage == "automatic")
    for name in OUTPUTS:
        assert (folder / "two-memory" / name).read_bytes() == (folder / "two-automatic" / name).read_bytes()
    assert 1 <= read_metrics(folder / "two-automatic" / "metrics.json")["slowest_to_mean_rank"] <= 2
    assert all(float(row["seconds_exchange"]) > 0 for row in read_table(folder / "two-automatic" / "iterations.csv"))
    one, two = (read_volume_file(place / "volume.h5").volume for place in (in_memory, folder / "two-automatic"))
    np.testing.assert_allclose(two.values, one.values, atol=1e-6 * one.values.max())
    assert list((folder / "scratch").iterdir()) == []


COUNTING = """
import sys
from fewphoton.cli import main
from fewphoton.io import photon_files
from fewphoton.stages import reconstruct

opened = 0
original = reconstruct.open_photon_file
def counting(path):
    global opened
    opened += 1
    return original(path)
reconstruct.open_photon_file = counting
code = main(sys.argv[1:])
print(f"opened {opened} times", flush=True)
sys.exit(code)
"""


@pytest.mark.mpi
def test_one_rank_of_a_node_reads_the_photon_file(folder):
    words = arguments(folder, "counted", "--quiet", iterations=1, options=options_of(folder, "mapped"))
    done = start(words, 2, ["-c", COUNTING])
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in done.stdout.splitlines() if line) == [f"opened {n} times" for n in (0, 1)]


# MPI makes files of its own when it starts, so the limit comes after.
LIMITED = """
import resource, sys
from fewphoton.cli import main
if "--expect-ranks" in sys.argv:
    from mpi4py import MPI
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("n_ranks", [1, pytest.param(2, marks=pytest.mark.mpi)])
def test_a_scratch_folder_without_room_is_told_before_anything_is_written(folder, n_ranks):
    name = f"no-room-{n_ranks}"
    words = arguments(folder, name, "--quiet", options=options_of(folder, "mapped"))
    done = start(words, n_ranks, ["-c", LIMITED])
    assert done.returncode != 0
    assert f"OutputFileError: {folder / 'scratch'}: cannot hold the photons of this run" in done.stderr
    assert "GB of room; found File too large" in done.stderr
    assert "scratch_folder" in done.stderr
    assert list((folder / "scratch").iterdir()) == []
    assert not (folder / name / "volume.h5").exists()


@pytest.mark.mpi
def test_a_killed_run_leaves_no_photons_behind(folder):
    name, n_ranks = "killed", 2
    words = arguments(folder, name, "--quiet", iterations=5000, options=options_of(folder, "mapped"))
    command = command_of(words, n_ranks)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            waiting_for((folder / name / "checkpoint.h5").exists)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert (folder / name / "checkpoint.h5").exists()
    waiting_for(lambda: not list((folder / "scratch").iterdir()))
    assert list((folder / "scratch").iterdir()) == []


def waiting_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


LARGER_THAN_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from fewphoton.data import FrameTable, Orientations, PhotonFrames, Crystal
from fewphoton.emc.communicator import Serial
from fewphoton.emc.photon_storage import InMemory
from fewphoton.emc.pixels import PixelRows
from fewphoton.emc.problem import Problem
from fewphoton.stages.photon_storage import MappedStorage

N_PIXELS, HITS, CHUNK, CHUNKS = 1000, 100, 5000, 30

def chunks():
    rng = np.random.default_rng(0)
    for _ in range(CHUNKS):
        pixel = np.arange(0, N_PIXELS, N_PIXELS // HITS) + rng.integers(0, N_PIXELS // HITS, (CHUNK, HITS))
        indptr = np.arange(CHUNK + 1) * HITS
        ones = np.ones(pixel.size, dtype=np.uint32)
        yield PhotonFrames(indptr, pixel.ravel().astype(np.uint32), ones, N_PIXELS, FrameTable.unknown(CHUNK))

rows = PixelRows(
    np.full((N_PIXELS, 3), 0.1), np.ones(N_PIXELS), np.ones(N_PIXELS, bool), np.arange(N_PIXELS, dtype=np.int32), 16, 4
)
crystal = Crystal((10, 10, 10, 90, 90, 90), "P 1")
orientations = Orientations.about_axis((0.0, 1.0, 0.0), 4)

def build(storage, n_chunks):
    first = (chunk for _, chunk in zip(range(n_chunks), chunks()))
    return Problem.build(first, rows, crystal, orientations, 5000, Serial(), storage=storage)

def private_bytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmData")).split()[1])

storage = MappedStorage(Path(sys.argv[2]), Serial()) if sys.argv[1] == "mapped" else InMemory()
build(storage, 1)
limit = private_bytes() + 100_000_000
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
try:
    problem = build(storage, CHUNKS)
except MemoryError:
    print("no memory")
else:
    arranged = sum(batch.nbytes for batch in problem.batches)
    assert arranged > 200_000_000, arranged
    print(int(sum(batch.by_pixel.count.sum() for batch in problem.batches)))
"""


@pytest.mark.parametrize(("storage", "told"), [("mapped", str(30 * 5000 * 100)), ("memory", "no memory")])
def test_photons_may_exceed_the_memory(tmp_path, storage, told):
    # Private memory is limited to 100 MB beyond what the program takes with few photons; photons take 240 MB.
    done = subprocess.run(
        [sys.executable, "-c", LARGER_THAN_MEMORY, storage, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == told, done.stderr


def test_automatic_maps_what_ranks_share_and_what_fills_memory():
    shared = Serial()
    shared.node_size = 2
    config = ReconstructConfig()
    assert config.photon_storage == "automatic"
    assert not is_mapped(config, Serial(), 249, 1000)
    assert is_mapped(config, Serial(), 251, 1000)
    assert is_mapped(config, shared, 1, 1000)
    assert not is_mapped(ReconstructConfig(photon_storage="memory"), shared, 900, 1000)
    assert is_mapped(ReconstructConfig(photon_storage="mapped"), Serial(), 1, 1000)


def test_scratch_folder_is_the_named_one_or_tmpdir_or_beside(monkeypatch, tmp_path):
    monkeypatch.delenv("TMPDIR", raising=False)
    beside = tmp_path / "run" / "checkpoint.h5"
    assert scratch_folder(ReconstructConfig(), beside) == tmp_path / "run"
    monkeypatch.setenv("TMPDIR", "/named")
    assert scratch_folder(ReconstructConfig(), beside) == Path("/named")
    assert scratch_folder(ReconstructConfig(scratch_folder="/mine"), beside) == Path("/mine")
