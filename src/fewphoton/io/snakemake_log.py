"""What snakemake writes about a call: planned jobs, and the start, end or failure of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from fewphoton.errors import InputFileError

JobState = Literal["running", "finished", "failed"]

_TIME = re.compile(r"^\[(\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4})\]$")
_RULE = re.compile(r"^ {0,4}(?:local)?(?:rule|checkpoint) (\w+):$")
_ERROR = re.compile(r"^\s*Error in rule (\w+):$")
_FIELD = re.compile(r"^\s+(input|output|log|jobid|benchmark|message|external_jobid): (.*)$")
_FINISHED = re.compile(r"^Finished (?:jobid: |job )(\d+)")
_SUBMITTED = re.compile(r"^Job (\d+) has been submitted with SLURM jobid (\d+)")
_COUNT = re.compile(r"^(\w+) +(\d+)$")
_HEAD = re.compile(r"^ {2}(Host|Run directory|Working directory|Command): (.*)$")


@dataclass
class LoggedJob:
    """A job of one call, as its log tells.

    Parameters
    ----------
    rule : str
        Rule.
    jobid : int
        Number within the call.
    outputs, logs : tuple of str
        Files, relative to the folder that snakemake ran in.
    benchmark : str or None
        File with time and memory.
    started, ended : datetime or None
        Local times of the machine.
    state : str
        ``running`` until the log tells of an end.
    starts : int
        Times that it was started, retries included.
    slurm_jobid : int or None
        Job of Slurm, of the last start.
    message : str
        What the executor says about its failure.
    """

    rule: str
    jobid: int = -1
    outputs: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    benchmark: str | None = None
    started: datetime | None = None
    ended: datetime | None = None
    state: JobState = "running"
    starts: int = 1
    slurm_jobid: int | None = None
    message: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same job in another call: its rule, and its log or first output."""
        return self.rule, next(iter((*self.logs, *self.outputs)), "")


@dataclass
class LoggedCall:
    """One call of snakemake.

    Parameters
    ----------
    path : Path
        Its log.
    host, folder : str
        Machine and folder that it ran on and in; empty where the log does not tell.
    planned : dict of str to int
        Jobs of each rule.
    jobs : dict of int to LoggedJob
        Those that were started, by number.
    started, last_word : datetime or None
        First and last time in the log.
    ended : bool
        The log was brought to its end; a killed snakemake leaves it open.
    """

    path: Path
    host: str = ""
    folder: str = ""
    planned: dict[str, int] = field(default_factory=dict)
    jobs: dict[int, LoggedJob] = field(default_factory=dict)
    started: datetime | None = None
    last_word: datetime | None = None
    ended: bool = False


def read_snakemake_log(path: Path) -> LoggedCall:
    """Read the log of a call, finished or not.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputFileError(path, f"cannot be read: {error.strerror or error}") from error
    reader = _Reader(LoggedCall(path))
    for line in lines:
        reader.take(line)
    reader.close_block()
    return reader.call


class _Reader:
    """Takes the lines of a log one by one."""

    def __init__(self, call: LoggedCall) -> None:
        self.call = call
        self._now: datetime | None = None
        self._block: LoggedJob | None = None
        self._failure = False
        self._counting = False
        self._once: dict[re.Pattern[str], Callable[[re.Match[str]], None]] = {
            _TIME: self._time,
            _RULE: self._rule,
            _ERROR: self._error,
            _FINISHED: self._finished,
            _SUBMITTED: self._submitted,
            _HEAD: self._head,
        }

    def take(self, line: str) -> None:
        if self._counting:
            self._count(line)
            return
        if self._block is not None:
            match = _FIELD.match(line)
            if match is not None:
                self._fill(self._block, match.group(1), match.group(2))
                return
            # Fields that are not asked for, and the lines of a shell command, belong to the block as well.
            if line.startswith("    ") and not _RULE.match(line):
                return
            self.close_block()
        for pattern, action in self._once.items():
            match = pattern.match(line)
            if match is not None:
                action(match)
                return
        if line == "Job stats:":
            self._counting = True
        elif line.startswith(("Complete log(s):", "Nothing to be done")):
            self.call.ended = True

    def close_block(self) -> None:
        """File what a finished block told."""
        block, self._block = self._block, None
        if block is None:
            return
        known = self.call.jobs.get(block.jobid)
        if self._failure:
            job = known or block
            job.state, job.ended, job.message = "failed", self._now, block.message
            self.call.jobs[block.jobid] = job
        else:
            block.started = self._now
            block.starts = 1 if known is None else known.starts + 1
            self.call.jobs[block.jobid] = block

    @staticmethod
    def _fill(block: LoggedJob, name: str, text: str) -> None:
        if name == "jobid":
            block.jobid = int(text) if text.isdigit() else -1
        elif name == "output":
            block.outputs = tuple(text.split(", "))
        elif name == "log":
            block.logs = tuple(text.removesuffix(" (check log file(s) for error details)").split(", "))
        elif name == "benchmark":
            block.benchmark = text
        elif name == "message" and text != "None":
            block.message = text
        elif name == "external_jobid" and text.isdigit():
            block.slurm_jobid = int(text)

    def _time(self, match: re.Match[str]) -> None:
        self._now = datetime.strptime(" ".join(match.group(1).split()), "%a %b %d %H:%M:%S %Y")
        self.call.started = self.call.started or self._now
        self.call.last_word = self._now

    def _rule(self, match: re.Match[str]) -> None:
        self._block, self._failure = LoggedJob(match.group(1)), False

    def _error(self, match: re.Match[str]) -> None:
        self._block, self._failure = LoggedJob(match.group(1)), True

    def _finished(self, match: re.Match[str]) -> None:
        job = self.call.jobs.get(int(match.group(1)))
        if job is not None:
            job.state, job.ended = "finished", self._now

    def _submitted(self, match: re.Match[str]) -> None:
        job = self.call.jobs.get(int(match.group(1)))
        if job is not None:
            job.slurm_jobid = int(match.group(2))

    def _head(self, match: re.Match[str]) -> None:
        if match.group(1) == "Host":
            self.call.host = match.group(2)
        elif match.group(1) == "Run directory":
            self.call.folder = match.group(2)

    def _count(self, line: str) -> None:
        match = _COUNT.match(line)
        if match is not None and match.group(1) == "total":
            self._counting = False
        elif match is not None:
            self.call.planned[match.group(1)] = int(match.group(2))
