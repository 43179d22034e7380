"""status: done, running, failed and interrupted jobs of a run, told from what snakemake and the stages left."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fewphoton.cli import main
from fewphoton.commands import status
from tests.io.test_snakemake_log import COLLAPSE, END, FAILURE, FINISHED, HEAD, RECONSTRUCT

FIRST, SECOND = "2026-11-21T164843.1.snakemake.log", "2026-11-21T174843.1.snakemake.log"
HERE = HEAD.replace("node7", platform.node())


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    (tmp_path / ".snakemake/log").mkdir(parents=True)
    logs = tmp_path / "results/small/tiles/logs"
    for stage in ("collapse", "reconstruct"):
        (logs / stage).mkdir(parents=True)
    (logs / "reconstruct/a.log").write_text(
        "iteration 10: change 1e-3, 0.50 s (at most 60 s left)\nfewphoton: ConvergenceError: no photons. Mend it\n"
    )
    benchmark = tmp_path / "results/small/tiles/benchmarks/collapse/a.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\th:m:s\tmax_rss\n12.5\t0:00:12\t265.3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def log(place: Path, name: str, text: str) -> None:
    (place / ".snakemake/log" / name).write_text(text)


def told(capsys, *words: str) -> tuple[int, dict]:
    code = main(["status", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_failed_run_names_the_way_out(place, capsys):
    log(place, FIRST, HERE + COLLAPSE + RECONSTRUCT + FINISHED + FAILURE + END)
    code, record = told(capsys, "results/small")
    assert code == 1
    assert (record["snakemake"], record["done"]) == ("ended", 1)
    assert record["rules"]["collapse"] == {
        "done": 1,
        "running": 0,
        "failed": 0,
        "waiting": 1,
        "median_seconds": 12.5,
        "largest_memory_mb": 265.3,
    }
    failed = record["failed"][0]
    assert (failed["rule"], failed["error"], failed["slurm_jobid"]) == ("reconstruct", "ConvergenceError", 42)
    assert failed["way_out"] == "no photons. Mend it"
    assert failed["last_lines"][0].startswith("iteration 10")
    assert main(["status", "small"]) == 1
    text = capsys.readouterr().out
    assert "failed: reconstruct (Slurm job 42)" in text
    assert "ConvergenceError: no photons. Mend it" in text
    assert "call the same snakemake command again" in text


def test_a_later_call_puts_failures_right(place, capsys):
    log(place, FIRST, HERE + COLLAPSE + RECONSTRUCT + FINISHED + FAILURE + END)
    done = RECONSTRUCT + "[Sat Nov 21 17:52:00 2026]\nFinished jobid: 13 (Rule: reconstruct)\n"
    log(
        place, SECOND, HERE.replace("collapse             2\n", "").replace("reconstruct          2", "reconstruct   1")
    )
    code, record = told(capsys, "small")
    # The second call plans reconstruct anew but started nothing that belongs to the run yet.
    assert code == 1
    log(place, SECOND, HERE.replace("collapse             2\n", "").replace("ct          2", "ct  1") + done + END)
    code, record = told(capsys, "small")
    assert (code, record["failed"], record["done"]) == (0, [], 2)
    assert record["next"] == []


def test_what_is_planned_again_is_waiting_not_failed(place, capsys):
    log(place, FIRST, HERE + RECONSTRUCT + FAILURE + END)
    log(place, SECOND, HERE + COLLAPSE + FINISHED + END)
    code, record = told(capsys, "small")
    assert code == 0
    assert record["rules"]["reconstruct"]["waiting"] == 2
    assert record["failed"] == []
    assert "not complete" in record["next"][0]


def test_only_as_many_earlier_jobs_are_repeated_as_are_planned(place, capsys):
    other = (COLLAPSE + FINISHED).replace("/a", "/b").replace("jobid: 5", "jobid: 6")
    log(place, FIRST, HERE + COLLAPSE + FINISHED + other + END)
    assert told(capsys, "small")[1]["rules"]["collapse"]["done"] == 2
    log(place, SECOND, HERE.replace("collapse             2", "collapse             1") + RECONSTRUCT + FAILURE + END)
    _, record = told(capsys, "small")
    assert (record["rules"]["collapse"]["done"], record["rules"]["collapse"]["waiting"]) == (1, 1)
    assert (record["rules"]["reconstruct"]["failed"], record["rules"]["reconstruct"]["waiting"]) == (1, 1)


def test_a_killed_snakemake_leaves_jobs_open(place, capsys):
    log(place, FIRST, HERE + COLLAPSE + RECONSTRUCT + FINISHED)
    (place / ".snakemake/locks").mkdir()
    (place / ".snakemake/locks/0.output.lock").touch()
    code, record = told(capsys, "small")
    assert (code, record["snakemake"]) == (0, "ended")
    assert [job["rule"] for job in record["interrupted"]] == ["reconstruct"]
    assert "--unlock" in record["next"][0]
    assert main(["status", "small"]) == 0
    assert "left open: reconstruct" in capsys.readouterr().out


def test_a_running_snakemake_is_known_by_its_process(place, capsys):
    log(place, FIRST, HERE + COLLAPSE + RECONSTRUCT + FINISHED)
    (place / "results/small/tiles/logs/reconstruct/a.log").write_text(
        "iteration 10: change 1e-3, 0.50 s (at most 60 s left)\n"
    )
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)", "snakemake"]
    with subprocess.Popen(sleeper, cwd=place) as process:
        try:
            code, record = told(capsys, "small")
            text = status.text_of(record)
        finally:
            process.kill()
    assert (code, record["snakemake"]) == (0, "running")
    job = record["running"][0]
    assert (job["rule"], job["progress"]["seconds_left"]) == ("reconstruct", 60)
    assert record["seconds_left_at_this_rate"] > 0
    assert "running: reconstruct (Slurm job 42)" in text
    assert "iteration 10, 0.50 s an iteration, 0:01:00 left" in text


def test_another_machine_cannot_be_asked(place, capsys):
    log(place, FIRST, HEAD + COLLAPSE + RECONSTRUCT)
    code, record = told(capsys, "small")
    assert (code, record["snakemake"]) == (0, "on another machine")
    assert "node7" in record["next"][0]
    assert len(record["running"]) == 2


def test_slurm_tells_states_of_its_jobs(place, capsys, monkeypatch):
    log(place, FIRST, HEAD + RECONSTRUCT)
    squeue = place / "bin/squeue"
    squeue.parent.mkdir()
    squeue.write_text('#!/bin/sh\ncase "$*" in *--jobs=42*) echo "42|PENDING|0:00|(Priority)";; esac\n')
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{squeue.parent}{os.pathsep}{os.environ['PATH']}")
    _, record = told(capsys, "small")
    assert record["running"][0]["slurm_state"] == "PENDING 0:00 (Priority)"


def test_runs_are_named_in_three_ways(place, capsys):
    log(place, FIRST, HERE + COLLAPSE + FINISHED + END)
    simulate = {"structure": "x.cif"}
    (place / "run.yaml").write_text(yaml.safe_dump({"run": "small", "datasets": {"tiles": {"simulate": simulate}}}))
    for name in ("small", "results/small", str(place / "results/small"), "run.yaml"):
        assert told(capsys, name)[1]["done"] == 1
    assert main(["status", "large"]) == 1
    assert "no such run" in capsys.readouterr().err
    (place / "results/other").mkdir()
    assert main(["status", "other"]) == 1
    assert "mentions a job" in capsys.readouterr().err


def test_watching_ends_with_the_run(place, capsys, monkeypatch):
    log(place, FIRST, HEAD + COLLAPSE)
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            log(place, FIRST, HEAD + COLLAPSE + FINISHED + END)

    monkeypatch.setattr(status.time, "sleep", nap)
    assert main(["status", "small", "--watch", "3"]) == 0
    assert naps == [3, 3]
    assert capsys.readouterr().out.count("run small:") == 3
