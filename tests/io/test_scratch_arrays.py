"""Scratch files: what is mapped is what was written, room is made sure of, nothing stays behind."""

import gc
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fewphoton.errors import OutputFileError
from fewphoton.io.machine_memory import available_memory_bytes, filesystem_in_memory, machine_memory_bytes
from fewphoton.io.scratch_arrays import ScratchArrays

GROUPS = [
    [np.arange(5, dtype=np.int64), np.zeros(0, dtype=np.int32), np.array([1.5], dtype=np.float32)],
    [np.arange(100_001, dtype=np.int32), np.linspace(0, 1, 7)],
]


def test_mapped_arrays_are_those_written_read_only_and_on_cache_lines(tmp_path):
    with ScratchArrays.created(tmp_path) as scratch, ScratchArrays.shared(scratch.path) as other:
        scratch.remove_name()
        scratch.reserve(10_000_000)
        places = [scratch.append(group) for group in GROUPS]
        scratch.trim()
        found, seen = scratch.mapped(places), other.mapped(places)
    assert list(tmp_path.iterdir()) == []
    gc.collect()
    for arrays in (found, seen):
        for group, wanted in zip(arrays, GROUPS, strict=True):
            for array, original in zip(group, wanted, strict=True):
                assert array.dtype == original.dtype
                np.testing.assert_array_equal(array, original)
                assert not array.flags.writeable
                assert array.ctypes.data % 64 == 0 or not array.size


def test_nothing_written_is_nothing_mapped(tmp_path):
    with ScratchArrays.created(tmp_path) as scratch:
        assert scratch.mapped([]) == []


def test_an_error_leaves_no_file(tmp_path):
    def failing() -> None:
        with ScratchArrays.created(tmp_path) as scratch:
            scratch.append(GROUPS[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_typed_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputFileError, match="scratch_folder"), ScratchArrays.created(tmp_path / "file" / "in"):
        pass
    with pytest.raises(OutputFileError, match="not seen"), ScratchArrays.shared(tmp_path / "other"):
        pass


def test_a_disk_without_room_is_told_before_anything_is_written(tmp_path):
    with ScratchArrays.created(tmp_path) as scratch:
        with pytest.raises(OutputFileError, match=r"expected 1000000000\.000 GB of room; found .* GB free"):
            scratch.reserve(10**18)
        assert scratch.path.stat().st_size == 0


def test_a_limit_of_file_sizes_is_told_as_well(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with ScratchArrays.created(tmp_path) as scratch:
            with pytest.raises(OutputFileError, match=r"0\.002 GB of room; found File too large"):
                scratch.reserve(2_000_000)
            assert scratch.path.stat().st_size == 0
            scratch.append([np.zeros(100_000)])
            with pytest.raises(OutputFileError, match="File too large"):
                scratch.append([np.zeros(100_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_killed_process_leaves_no_file(tmp_path):
    program = (
        "import sys, time, numpy as np\nfrom pathlib import Path\n"
        "from fewphoton.io.scratch_arrays import ScratchArrays\n"
        "with ScratchArrays.created(Path(sys.argv[1])) as scratch:\n"
        "    scratch.remove_name()\n    scratch.append([np.ones(500_000)])\n"
        "    print('filled', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "filled\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_room_that_was_reserved_and_not_used_is_given_back(tmp_path):
    n_bytes = 300_000_000
    with ScratchArrays.created(tmp_path) as scratch:
        scratch.remove_name()
        before = os.fstat(scratch._handle).st_blocks
        scratch.reserve(n_bytes)
        assert (os.fstat(scratch._handle).st_blocks - before) * 512 >= n_bytes
        places = scratch.append([np.ones(1000)])
        scratch.trim()
        assert os.fstat(scratch._handle).st_blocks * 512 < 100_000
        arrays = scratch.mapped([places])
    np.testing.assert_array_equal(arrays[0][0], 1.0)


def test_memory_of_the_machine_heeds_control_groups(tmp_path):
    whole = machine_memory_bytes(tmp_path)
    assert whole == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    (tmp_path / "proc/self").mkdir(parents=True)
    inner = tmp_path / "sys/fs/cgroup/job/step"
    inner.mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/job/step\n")
    (inner / "memory.max").write_text("max\n")
    (inner.parent / "memory.max").write_text("4096000\n")
    assert machine_memory_bytes(tmp_path) == 4096000
    older = tmp_path / "sys/fs/cgroup/memory/batch"
    older.mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("5:cpu,memory:/batch\n3:devices:/batch\n")
    (older / "memory.limit_in_bytes").write_text("2048000\n")
    assert machine_memory_bytes(tmp_path) == 2048000


def test_free_memory_and_folders_in_memory(tmp_path):
    assert available_memory_bytes(tmp_path) is None
    assert not filesystem_in_memory(Path("/dev/shm/x"), tmp_path)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 2000 kB\nMemAvailable:    1000 kB\n")
    assert available_memory_bytes(tmp_path) == 1_024_000
    (tmp_path / "proc/self/mounts").write_text(
        "/dev/a / ext4 rw 0 0\ntmpfs /scratch\\040here tmpfs rw 0 0\n/dev/b /scratch\\040here/disk xfs rw 0 0\n"
    )
    assert filesystem_in_memory(Path("/scratch here/x"), tmp_path)
    assert not filesystem_in_memory(Path("/scratch here/disk/x"), tmp_path)
    assert not filesystem_in_memory(Path("/home"), tmp_path)
