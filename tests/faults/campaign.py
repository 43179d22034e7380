"""Many mutations in processes that may die: at which one is written down, and the next process goes on after it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trial:
    """How the reading of one mutated file ended."""

    number: int
    kind: str
    outcome: str
    how: str
    words: str

    @property
    def survived(self) -> bool:
        """Whether it was read well, or refused in words that name the file."""
        return self.outcome in ("read", "refused")


def mutate_and_read(sound: Path, seed: int, n_mutations: int, group: str) -> list[Trial]:
    """Try mutations of the sound files of a group, each once, whatever they do to the process that reads them."""
    trials: list[Trial] = []
    first = 0
    while first < n_mutations:
        words = [sys.executable, "-m", "tests.faults.mutation_worker", str(sound), str(seed)]
        words += [str(first), str(n_mutations), group]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            out, told = process.communicate()
        begun, first = _results(out, trials), n_mutations
        if process.returncode != 0:
            if begun is None:
                raise RuntimeError(f"the reader did not start: {told[-3000:]}")
            hung = "Timeout (" in told
            place = told[told.rfind("Timeout (") :] if hung else told
            ended = "hang" if hung else f"death by {process.returncode}"
            trials.append(Trial(begun["number"], begun["kind"], ended, begun.get("how", ""), place[:3000]))
            first = begun["number"] + 1
    return trials


def _results(out: str, trials: list[Trial]) -> dict[str, str | int] | None:
    """Add finished trials, and return the one that had begun but not ended."""
    begun = None
    for line in out.splitlines():
        record = json.loads(line)
        if "kind" in record:
            begun = record
        else:
            trials.append(Trial(record["number"], begun["kind"], record["outcome"], record["how"], record["words"]))
            begun = None
    return begun


def tally(trials: list[Trial]) -> dict[str, Counter[str]]:
    """Count outcomes by kind of file."""
    counts: dict[str, Counter[str]] = {}
    for trial in trials:
        counts.setdefault(trial.kind, Counter())[trial.outcome] += 1
    return counts
