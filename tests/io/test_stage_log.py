"""Progress and reasons of failure, from the ends of stages' logs."""

from __future__ import annotations

import io

import pytest
from tqdm import tqdm

from fewphoton.io.stage_log import failure_reason, last_progress, log_tail


def test_progress_bars_are_read_as_tqdm_writes_them(tmp_path):
    stream = io.StringIO()
    bar = tqdm(total=400, desc="count photons", unit=" chunks", file=stream, ascii=True, mininterval=0)
    bar.update(100)
    bar.refresh()
    (tmp_path / "x.log").write_text(stream.getvalue())
    found = last_progress(log_tail(tmp_path / "x.log"))
    assert (found.what, found.done, found.total) == ("count photons", 100, 400)
    assert "chunks/s" in found.rate
    bar.close()


@pytest.mark.parametrize(
    ("line", "what", "done", "total", "seconds"),
    [
        ("frames:  50%|#####     | 1.50k/3.00k [01:10<1:01:10, 20.0 frames/s]", "frames", 1500, 3000, 3670),
        ("frames:   0%|          | 0/235 [00:00<?, ? chunks/s]", "frames", 0, 235, None),
        (
            "iteration 40 (900 frames, 250 orientations): change 1.96e-04, log-likelihood per photon -3.1112, "
            "information 6.073 nat, 0.13 s (at most 21 s left)",
            "iteration 40",
            None,
            None,
            21,
        ),
    ],
)
def test_lines_that_tell_progress(line, what, done, total, seconds):
    found = last_progress(f"iteration 1: nothing\n{line}\nsome remark\n")
    assert (found.what, found.done, found.total, found.seconds_left) == (what, done, total, seconds)


def test_logs_without_progress(tmp_path):
    assert last_progress("converged after 76 iterations\n") is None
    assert log_tail(tmp_path / "nowhere.log") == ""
    (tmp_path / "long.log").write_bytes(b"x" * 200_000 + b"\rend \xff")
    assert log_tail(tmp_path / "long.log").splitlines()[-1].startswith("end")


@pytest.mark.parametrize(
    ("text", "message", "kind", "part"),
    [
        ("a\nfewphoton: InputFileError: x.h5: no such file. Bring it\nAbort(1)\n", "", "InputFileError", "Bring it"),
        ("fewphoton: rank 3: ConvergenceError: no photons\n", "", "ConvergenceError", "no photons"),
        ("slurmstepd: error: *** JOB 7 CANCELLED AT 2026 DUE TO TIME LIMIT ***\n", "", None, "time limit"),
        ("x\n", "SLURM-job '42' failed, SLURM status is: 'OUT_OF_MEMORY'.", None, "mem_mb"),
        ("numpy._core._exceptions._ArrayMemoryError: MemoryError\n", "", None, "mem_mb"),
        ("MPIDI_POSIX_comm_bootstrap(288).......: Out of memory\n", "", None, "/dev/shm"),
        ("OSError: [Errno 28] No space left on device\n", "", None, "free some space"),
        ("Traceback (most recent call last):\n  x\nKeyError: 1\n", "", None, "report"),
        ("", "", None, "log is empty"),
        ("half a line\n", "", None, "last lines"),
    ],
)
def test_reasons_of_failure(text, message, kind, part):
    found, way_out = failure_reason(text, message)
    assert found == kind
    assert part in way_out
