"""Logs of snakemake, in its own words: starts, ends, failures, retries, Slurm's numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.snakemake_log import read_snakemake_log

HEAD = """\
Assuming unrestricted shared filesystem usage.

SNAKEMAKE
=========
  Date: 2026-11-21 16:48:43
  Host: node7
  Run directory: /work/place

Building DAG of jobs...
Job stats:
job              count
-------------  -------
collapse             2
reconstruct          2
all                  1
total                5

Select jobs to execute...
Execute 2 jobs...
"""

COLLAPSE = """\
[Sat Nov 21 16:50:00 2026]
localrule collapse:
    input: results/small/tiles/count_photons/base/frames.h5
    output: results/small/tiles/collapse/a/frames.h5, results/small/tiles/collapse/a/metrics.json
    log: results/small/tiles/logs/collapse/a.log
    jobid: 5
    benchmark: results/small/tiles/benchmarks/collapse/a.tsv
    reason: Missing output files: results/small/tiles/collapse/a/frames.h5
    wildcards: dataset=tiles, point=a
    resources: tmpdir=/tmp
"""

RECONSTRUCT = """\
[Sat Nov  1 16:50:10 2026]
rule reconstruct:
    input: results/small/tiles/collapse/a/frames.h5
    output: results/small/tiles/reconstruct/a/volume.h5
    log: results/small/tiles/logs/reconstruct/a.log
    jobid: 13
    benchmark: results/small/tiles/benchmarks/reconstruct/a.tsv
    reason: Missing output files: results/small/tiles/reconstruct/a/volume.h5
Job 13 has been submitted with SLURM jobid 42 (log: /work/place/.snakemake/slurm_logs/rule_reconstruct/42.log).
"""

FAILURE = """\
RuleException:
CalledProcessError in file "/work/workflow/rules/reconstruct.smk", line 44:
Command 'fewphoton reconstruct' returned non-zero exit status 1.
[Sat Nov 21 16:51:00 2026]
Error in rule reconstruct:
    message: SLURM-job '42' failed, SLURM status is: 'TIMEOUT'. Detailed failure reason unavailable.
    jobid: 13
    output: results/small/tiles/reconstruct/a/volume.h5
    log: results/small/tiles/logs/reconstruct/a.log (check log file(s) for error details)
    shell:
        fewphoton reconstruct --frames results/small/tiles/collapse/a/frames.h5
        rule pretender:
        (command exited with non-zero exit code)
    external_jobid: 42
Trying to restart job 13.
"""

FINISHED = """\
[Sat Nov 21 16:52:00 2026]
Finished jobid: 5 (Rule: collapse)
1 of 5 steps (20%) done
"""

END = "Complete log(s): /work/place/.snakemake/log/x.snakemake.log\nElapsed time: 0:02:37\n"


def read(folder: Path, text: str):
    path = folder / "2026-11-21T164843.1.snakemake.log"
    path.write_text(text)
    return read_snakemake_log(path)


def test_a_call_and_its_jobs(tmp_path):
    call = read(tmp_path, HEAD + COLLAPSE + RECONSTRUCT + FINISHED)
    assert (call.host, call.folder) == ("node7", "/work/place")
    assert call.planned == {"collapse": 2, "reconstruct": 2, "all": 1}
    assert not call.ended
    collapse, reconstruct = call.jobs[5], call.jobs[13]
    assert (collapse.state, reconstruct.state) == ("finished", "running")
    assert (collapse.ended - collapse.started).total_seconds() == 120
    assert collapse.outputs[1] == "results/small/tiles/collapse/a/metrics.json"
    assert collapse.key == ("collapse", "results/small/tiles/logs/collapse/a.log")
    assert reconstruct.slurm_jobid == 42
    assert reconstruct.started.day == 1
    assert read(tmp_path, HEAD + END).ended


def test_failures_retries_and_the_executors_words(tmp_path):
    call = read(tmp_path, HEAD + RECONSTRUCT + FAILURE)
    job = call.jobs[13]
    assert (job.state, job.starts) == ("failed", 1)
    assert "TIMEOUT" in job.message
    assert job.logs == ("results/small/tiles/logs/reconstruct/a.log",)
    assert set(call.jobs) == {13}
    again = read(tmp_path, HEAD + RECONSTRUCT + FAILURE + RECONSTRUCT.replace("42", "43"))
    assert (again.jobs[13].state, again.jobs[13].starts, again.jobs[13].slurm_jobid) == ("running", 2, 43)


def test_a_log_cut_anywhere_can_be_read(tmp_path):
    text = HEAD + COLLAPSE + RECONSTRUCT + FAILURE + FINISHED + END
    for cut in range(0, len(text), 37):
        call = read(tmp_path, text[:cut])
        assert set(call.jobs) <= {5, 13, -1}
    with pytest.raises(InputFileError, match="cannot be read"):
        read_snakemake_log(tmp_path)
