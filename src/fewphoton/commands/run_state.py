"""The state of a run, gathered from snakemake's logs, the stages' logs, benchmarks and Slurm."""

from __future__ import annotations

import csv
import os
import platform
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fewphoton.commands.finding import answer_of
from fewphoton.config.load import load_run, read_mapping
from fewphoton.errors import ConfigError
from fewphoton.io.snakemake_log import LoggedCall, LoggedJob, read_snakemake_log
from fewphoton.io.stage_log import failure_reason, last_progress, log_tail

_TAIL_LINES = 6
_SQUEUE_PATIENCE_S = 20.0


@dataclass
class RuleState:
    """Jobs of one rule."""

    done: int = 0
    running: int = 0
    failed: int = 0
    waiting: int = 0
    seconds: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)


@dataclass
class RunState:
    """What is done, running and failed in a run.

    Parameters
    ----------
    folder : Path
        Results of the run.
    alive : bool or None
        Whether the last call of snakemake still runs; None: it was made on another machine.
    call : LoggedCall
        The last call that worked on the run.
    rules : dict of str to RuleState
        By rule, in the order of their first job.
    running, failed, interrupted : list of LoggedJob
        Jobs without an end in a call that still runs; jobs whose last start failed; jobs that a call left open when it
        was killed.
    slurm_states : dict of int to str
        States of Slurm's jobs, where squeue tells.
    """

    folder: Path
    workplace: Path
    alive: bool | None
    call: LoggedCall
    rules: dict[str, RuleState]
    running: list[LoggedJob]
    failed: list[LoggedJob]
    interrupted: list[LoggedJob]
    slurm_states: dict[int, str]
    locked: bool

    def count(self, name: str) -> int:
        """Return the sum of one kind of jobs over all rules."""
        return sum(getattr(rule, name) for rule in self.rules.values())


def run_folder(given: Path) -> Path:
    """Return the results' folder of a run that is named by it, by its name, or by its configuration.

    Raises
    ------
    ConfigError
        If there is no such folder.
    """
    candidates = [given, Path("results") / given]
    if given.suffix in (".yaml", ".yml") and given.is_file():
        candidates = [Path("results") / _run_of(given)]
    for candidate in candidates:
        if candidate.is_dir():
            return Path(os.path.abspath(candidate))
    raise ConfigError(
        f"{given}: no such run. Name its folder (results/<run>), its name, or its configuration; a run that never "
        "started has no folder"
    )


def _run_of(configuration: Path) -> str:
    """Return the name of a run; of a run over several papers as well, and where a scale renames it."""
    content = read_mapping(configuration)
    return str(content.get("run")) if "papers" in content else load_run(configuration).run


def read_state(folder: Path) -> RunState:
    """Gather the state of a run.

    Raises
    ------
    ConfigError
        If no log of snakemake mentions the run.
    """
    workplace = next((place for place in folder.parents if (place / ".snakemake").is_dir()), None)
    if workplace is None:
        raise ConfigError(f"{folder}: snakemake left no folder .snakemake above it, so nothing is known of its jobs")
    prefix = f"{folder.relative_to(workplace).as_posix()}/"
    calls = [read_snakemake_log(path) for path in sorted((workplace / ".snakemake/log").glob("*.snakemake.log"))]
    calls = [call for call in calls if any(_belongs(job, prefix) for job in call.jobs.values())]
    if not calls:
        raise ConfigError(f"{folder}: no log in {workplace / '.snakemake/log'} mentions a job of this run")
    last = calls[-1]
    alive = _alive(last, workplace)
    latest: dict[tuple[str, str], tuple[LoggedCall, LoggedJob]] = {}
    for call in calls:
        for job in call.jobs.values():
            if _belongs(job, prefix):
                latest[job.key] = (call, job)
    waiting = _waiting(last)
    rules: dict[str, RuleState] = {}
    running, failed, interrupted = [], [], []
    # What an earlier call left of a rule is repeated where the last one still plans jobs of it; failures come first.
    known = sorted(latest.values(), key=lambda item: (item[0] is last, item[1].state != "failed"))
    repeated = dict(waiting)
    for call, job in known:
        if call is not last and repeated.get(job.rule, 0) > 0:
            repeated[job.rule] -= 1
            continue
        rule = rules.setdefault(job.rule, RuleState())
        if job.state == "finished":
            rule.done += 1
            _add_benchmark(rule, workplace, job)
        elif job.state == "failed":
            rule.failed += 1
            failed.append(job)
        elif call is last and alive is not False:
            rule.running += 1
            running.append(job)
        else:
            interrupted.append(job)
    for name, number in waiting.items():
        rules.setdefault(name, RuleState()).waiting = number
    states = _slurm_states([job for job in (*running, *interrupted) if job.slurm_jobid is not None])
    locks = workplace / ".snakemake/locks"
    locked = alive is False and locks.is_dir() and any(locks.iterdir())
    return RunState(folder, workplace, alive, last, rules, running, failed, interrupted, states, locked)


def job_record(job: LoggedJob, state: RunState) -> dict[str, Any]:
    """Return what is known of a running or failed job, JSON-ready."""
    logs = [state.workplace / name for name in job.logs]
    text = "\n".join(log_tail(path) for path in logs)
    record: dict[str, Any] = {
        "rule": job.rule,
        "log": str(logs[0]) if logs else None,
        "started": None if job.started is None else job.started.isoformat(),
        "starts": job.starts,
        "slurm_jobid": job.slurm_jobid,
        "slurm_state": state.slurm_states.get(job.slurm_jobid or -1),
    }
    if job.state == "failed":
        kind, way_out = failure_reason(text, job.message)
        lines = list(dict.fromkeys(line for line in text.splitlines() if line.strip()))[-_TAIL_LINES:]
        return {**record, "error": kind, "way_out": way_out, "last_lines": lines, "executor": job.message or None}
    progress = last_progress(text)
    seconds = None if job.started is None else (datetime.now() - job.started).total_seconds()
    return {**record, "seconds": seconds, "progress": None if progress is None else vars(progress)}


def _waiting(call: LoggedCall) -> dict[str, int]:
    """Jobs of each rule that a call planned and did not start."""
    started = Counter(job.rule for job in call.jobs.values())
    left = {name: planned - started[name] for name, planned in call.planned.items()}
    return {name: number for name, number in left.items() if number > 0 and name != "all"}


def _belongs(job: LoggedJob, prefix: str) -> bool:
    return any(name.startswith(prefix) for name in (*job.outputs, *job.logs))


def _alive(call: LoggedCall, workplace: Path) -> bool | None:
    """Tell whether a call still runs: a process of snakemake in that folder, where this is its machine."""
    if call.ended:
        return False
    if call.host and call.host != platform.node():
        return None
    return any(
        folder == workplace.resolve() and any(Path(word).name == "snakemake" for word in command)
        for command, folder in _processes(Path("/proc"))
    )


def _processes(system: Path) -> Iterable[tuple[list[str], Path]]:
    """Words of the command lines and working folders of the processes that this user may look at."""
    for process in system.glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode("utf-8", errors="replace").split("\0")
            yield words, (process / "cwd").resolve(strict=True)
        except OSError:
            continue


def _add_benchmark(rule: RuleState, workplace: Path, job: LoggedJob) -> None:
    if job.benchmark is None:
        return
    try:
        with (workplace / job.benchmark).open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle, delimiter="\t"):
                rule.seconds.append(float(row["s"]))
                if row.get("max_rss", "-") not in ("-", "", None):
                    rule.memory_mb.append(float(row["max_rss"]))
    except (OSError, KeyError, ValueError):
        return  # a benchmark that was removed or is of another version says nothing


def _slurm_states(jobs: list[LoggedJob]) -> dict[int, str]:
    if not jobs or shutil.which("squeue") is None:
        return {}
    numbers = ",".join(str(job.slurm_jobid) for job in jobs)
    status, output, _ = answer_of(
        ["squeue", "--noheader", "--states=all", f"--jobs={numbers}", "--format=%i|%T|%M|%R"], _SQUEUE_PATIENCE_S
    )
    states = {}
    for line in output.splitlines() if status == 0 else ():
        number, name, time, reason = (line.split("|") + [""] * 4)[:4]
        if number.isdigit():
            states[int(number)] = f"{name} {time} {reason}".strip()
    return states
