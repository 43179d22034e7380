"""What a look at one part of the suite found."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """One part of the suite on this machine.

    Parameters
    ----------
    part : str
        Name of the part.
    state : str
        ``works``, ``missing`` (not installed), or ``broken`` (installed, but a trial failed).
    found : tuple of str
        What is there, a line each.
    use : str
        How the suite uses it.
    remedy : str or None
        What to do where it does not work.
    """

    part: str
    state: Literal["works", "missing", "broken"]
    found: tuple[str, ...]
    use: str
    remedy: str | None = None

    def record(self) -> dict[str, Any]:
        """Return the fields, JSON-ready."""
        return asdict(self)


def answer_of(command: Sequence[str], timeout_s: float) -> tuple[int | None, str, str]:
    """Run a program and return its exit status, standard output and standard error; None: absent, or out of time.

    A status of None comes with the reason as standard error. The program is killed when its time is up.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False, errors="replace")
    except FileNotFoundError:
        return None, "", f"{command[0]}: no such program on PATH"
    except subprocess.TimeoutExpired:
        return None, "", f"{command[0]}: no answer within {timeout_s:g} s"
    except OSError as error:
        return None, "", f"{command[0]}: {error.strerror or error}"
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def last_lines(text: str, n_lines: int = 3) -> tuple[str, ...]:
    """Return the last lines of a text that are not empty."""
    return tuple(line.rstrip() for line in text.splitlines() if line.strip())[-n_lines:]
