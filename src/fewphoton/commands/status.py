"""status: what is done, running and failed in a run, and what to do about it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from fewphoton.commands.run_state import RunState, job_record, read_state, run_folder

_USUAL_SECONDS = 10.0
_LONGEST_LINE = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the run and the ways to show it."""
    parser.add_argument(
        "run_folder", type=Path, metavar="RUN", help="results folder of the run, its name, or its configuration"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=_USUAL_SECONDS,
        metavar="SECONDS",
        help=f"show it anew every so many seconds (default: {_USUAL_SECONDS:g}) until snakemake ends",
    )
    parser.epilog = "The exit status is 1 where a job failed and was not repeated."


def run(options: argparse.Namespace) -> int:
    """Show the state of the run; return 1 where a job failed."""
    while True:
        state = read_state(run_folder(options.run_folder))
        record = state_record(state)
        if options.watch is not None and sys.stdout.isatty():
            sys.stdout.write("\x1b[2J\x1b[H")
        print(json.dumps(record, indent=2) if options.json else text_of(record), flush=True)
        if options.watch is None or state.alive is False:
            return 1 if state.failed else 0
        time.sleep(max(options.watch, 0.1))


def state_record(state: RunState) -> dict[str, Any]:
    """Return the state of a run, JSON-ready."""
    done, waiting = state.count("done"), state.count("waiting")
    call = state.call
    finished = sum(job.state == "finished" for job in call.jobs.values())
    planned = sum(call.planned.values())
    left = None
    if state.alive and finished and call.started is not None:
        elapsed = (datetime.now() - call.started).total_seconds()
        left = elapsed * (planned - finished) / finished
    return {
        "run": state.folder.name,
        "folder": str(state.folder),
        "snakemake": {True: "running", False: "ended", None: "on another machine"}[state.alive],
        "snakemake_log": str(call.path),
        "host": call.host,
        "started": None if call.started is None else call.started.isoformat(),
        "last_word": None if call.last_word is None else call.last_word.isoformat(),
        "done": done,
        "waiting": waiting,
        "steps_finished": finished,
        "steps_planned": planned,
        "seconds_left_at_this_rate": left,
        "rules": {
            name: {
                "done": rule.done,
                "running": rule.running,
                "failed": rule.failed,
                "waiting": rule.waiting,
                "median_seconds": median(rule.seconds) if rule.seconds else None,
                "largest_memory_mb": max(rule.memory_mb, default=None),
            }
            for name, rule in state.rules.items()
        },
        "running": [job_record(job, state) for job in state.running],
        "failed": [job_record(job, state) for job in state.failed],
        "interrupted": [job_record(job, state) for job in state.interrupted],
        "next": _next_steps(state),
    }


def _next_steps(state: RunState) -> list[str]:
    """Return what the user can do now."""
    steps = []
    unlock = "snakemake --unlock --configfile ... , then " if state.locked else ""
    if state.alive is None:
        steps.append(f"snakemake was called on {state.call.host}; look there whether it still runs")
    if state.failed:
        steps.append(f"Mend what failed, then {unlock}call the same snakemake command again: what is done stays done")
    elif state.alive is False and (state.interrupted or state.count("waiting")):
        steps.append(f"The run is not complete: {unlock}call the same snakemake command again, and it goes on")
    return steps


def text_of(record: Mapping[str, Any]) -> str:
    """Return the state of a run for people."""
    head = f"run {record['run']}: snakemake {record['snakemake']}"
    if record["steps_planned"]:
        head += f", {record['steps_finished']} of {record['steps_planned']} steps of its last call"
    if record["seconds_left_at_this_rate"] is not None:
        head += f", about {_span(record['seconds_left_at_this_rate'])} left at this rate"
    lines = [head, "", f"{'rule':<24}{'done':>6}{'running':>9}{'failed':>8}{'waiting':>9}{'median':>11}{'memory':>11}"]
    for name, rule in record["rules"].items():
        seconds, memory = rule["median_seconds"], rule["largest_memory_mb"]
        counts = f"{rule['done']:>6}{rule['running'] or '-':>9}{rule['failed'] or '-':>8}{rule['waiting'] or '-':>9}"
        lines.append(
            f"{name:<24}{counts}"
            f"{'' if seconds is None else _span(seconds):>11}{'' if memory is None else f'{memory:.0f} MB':>11}"
        )
    for job in record["running"]:
        lines += ["", f"running: {job['rule']}{_where(job)}, for {_span(job['seconds'])}", f"  log {job['log']}"]
        if job["progress"] is not None:
            lines.append(f"  {_progress(job['progress'])}")
    for job in record["interrupted"]:
        lines += ["", f"left open: {job['rule']}{_where(job)}, when snakemake was killed", f"  log {job['log']}"]
    for job in record["failed"]:
        tries = f" after {job['starts']} tries" if job["starts"] > 1 else ""
        lines += ["", f"failed: {job['rule']}{_where(job)}{tries}", f"  log {job['log']}"]
        lines += [f"  | {line[:_LONGEST_LINE]}" for line in job["last_lines"] if job["way_out"] not in line]
        if job["executor"]:
            lines.append(f"  {job['executor']}")
        lines.append(f"  {job['error'] or 'way out'}: {job['way_out']}")
    return "\n".join([*lines, *(["", *record["next"]] if record["next"] else [])])


def _where(job: Mapping[str, Any]) -> str:
    if job["slurm_jobid"] is None:
        return ""
    state = f" {job['slurm_state']}" if job["slurm_state"] else ""
    return f" (Slurm job {job['slurm_jobid']}{state})"


def _progress(progress: Mapping[str, Any]) -> str:
    count = ""
    if progress["done"] is not None and progress["total"] is not None:
        count = f" {progress['done']:g} of {progress['total']:g}"
    left = progress["seconds_left"]
    return f"{progress['what']}{count}, {progress['rate']}" + ("" if left is None else f", {_span(left)} left")


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "unknown time"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return str(timedelta(seconds=round(seconds)))
