"""The end of a stage's log: how far it is, and why it failed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TAIL_BYTES = 64 * 1024
_BAR = re.compile(
    r"(?P<label>[^\r\n|]*?):?\s+(?P<percent>\d+)%\|[^|]*\|\s*(?P<done>\S+)/(?P<total>\S+)\s+"
    r"\[(?P<elapsed>[\d:]+)<(?P<left>[\d:?]+),\s*(?P<rate>[^\]]+)\]"
)
_ITERATION = re.compile(r"iteration (?P<number>\d+)\b.*?, (?P<seconds>[\d.]+) s \(at most (?P<left>\d+) s left\)")
_TYPED = re.compile(r"fewphoton: (?:rank \d+: )?(?P<kind>\w+Error): (?P<text>.*)")
_CAUSES = (
    (
        r"MPIDI_(POSIX|SHM)_\w*bootstrap",
        "MPI could not set up shared memory on its node: /dev/shm is full, or holds what killed jobs left there "
        "(`ls -l /dev/shm`)",
    ),
    (
        r"SLURM status is: 'TIMEOUT'|DUE TO TIME LIMIT",
        "It reached its time limit: raise runtime of its rule, or the limit",
    ),
    (
        r"OUT_OF_MEMORY|oom[-_ ]kill|MemoryError|[Oo]ut of memory|Cannot allocate memory",
        "Memory was short: raise mem_mb of its rule (set-resources in the profile)",
    ),
    (r"SLURM status is: 'CANCELLED|CANCELLED AT", "It was cancelled: call snakemake again to go on"),
    (r"SLURM status is: 'NODE_FAIL", "Its node failed: call snakemake again to go on"),
    (r"No space left on device|Disk quota exceeded", "The disk is full: free some space, and call snakemake again"),
    (
        r"\bKilled\b|status 137|signal 9",
        "It was killed from outside, mostly for its memory: give it more, or fewer neighbours",
    ),
    (
        r"command not found|No such file or directory: 'fewphoton'",
        "The environment lacks a program: `fewphoton doctor`",
    ),
    (r"Traceback \(most recent call last\)", "No known mistake: please report the last lines of the log"),
)


@dataclass(frozen=True)
class Progress:
    """How far a stage is, by the last line that tells.

    Parameters
    ----------
    what : str
        Label of the count, or the iteration.
    done, total : float or None
        Count; None where it is not known.
    rate : str
        As the log gives it.
    seconds_left : float or None
        By the log's own reckoning, at the time of that line.
    """

    what: str
    done: float | None
    total: float | None
    rate: str
    seconds_left: float | None


def log_tail(path: Path) -> str:
    """Return the last part of a log, with carriage returns as line ends; empty where it cannot be read."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, os.fstat(handle.fileno()).st_size - _TAIL_BYTES))
            return handle.read().decode("utf-8", errors="replace").replace("\r", "\n")
    except OSError:
        return ""


def last_progress(text: str) -> Progress | None:
    """Return the progress of the last line of a log that tells any."""
    for line in reversed(text.splitlines()):
        if (bar := _BAR.search(line)) is not None:
            done, total = _number(bar.group("done")), _number(bar.group("total"))
            rate = " ".join(bar.group("rate").split())
            return Progress(bar.group("label").strip(), done, total, rate, _seconds(bar.group("left")))
        if (step := _ITERATION.search(line)) is not None:
            rate = f"{step.group('seconds')} s an iteration"
            return Progress(f"iteration {step.group('number')}", None, None, rate, float(step.group("left")))
    return None


def failure_reason(text: str, message: str = "") -> tuple[str | None, str]:
    """Return the kind of error of a log's last typed error, and what it says to do.

    Parameters
    ----------
    text : str
        End of the log.
    message : str
        What snakemake's executor says about the failure.

    Returns
    -------
    kind : str or None
        Class of the error; None where the log holds none.
    way_out : str
        The error's own text, or what usually helps where there are signs of a known cause.
    """
    typed = list(_TYPED.finditer(text))
    if typed:
        return typed[-1].group("kind"), typed[-1].group("text").strip()
    told = f"{text}\n{message}"
    for sign, remedy in _CAUSES:
        if re.search(sign, told):
            return None, remedy
    if not text.strip():
        return None, "Its log is empty: it never started, or was killed; snakemake's own log tells the exit status"
    return None, "The last lines of its log tell more"


def _number(text: str) -> float | None:
    factors = {"k": 1e3, "M": 1e6, "G": 1e9}
    factor = factors.get(text[-1:], 1.0)
    try:
        return float(text[:-1] if text[-1:] in factors else text) * factor
    except ValueError:
        return None


def _seconds(text: str) -> float | None:
    if "?" in text:
        return None
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + float(part)
    return total
