"""What every stage module offers, and the context it runs in.

A stage module holds ``Inputs`` and ``Outputs`` (frozen dataclasses of paths whose field metadata carry the help
text), ``Config`` (its configuration model) and ``run(inputs, outputs, config, context)``. The command line makes
its flags from them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def path_field(help_text: str, *, optional: bool = False, many: bool = False) -> Any:
    """Declare a path of a stage.

    Parameters
    ----------
    help_text : str
        One line for ``--help``.
    optional : bool
        The path may be left out (None).
    many : bool
        Several paths or patterns may be given (a tuple of str, as globs and ``file.h5::/dataset`` are no plain paths).
    """
    metadata = {"help": help_text, "optional": optional, "many": many}
    if optional:
        return field(default=() if many else None, metadata=metadata)
    return field(metadata=metadata)


@dataclass(frozen=True)
class Context:
    """Surroundings of a stage.

    Parameters
    ----------
    threads : int
        Threads that kernels and input/output may use.
    expected_ranks : int or None
        MPI ranks that the launcher promised; None: the stage does not start MPI.
    progress : bool
        Show a moving bar (on a terminal) or plain lines (in a log).
    """

    threads: int = 1
    expected_ranks: int | None = None
    progress: bool = True

    def track(self, items: Iterable[Item], label: str, unit: str, total: int | None = None) -> Iterator[Item]:
        """Yield the items while showing count, rate and time left."""
        terminal = sys.stderr.isatty()
        yield from tqdm(
            items,
            desc=label,
            unit=f" {unit}",
            total=total,
            disable=not self.progress,
            mininterval=0.2 if terminal else 20.0,
            miniters=None if terminal else 1,
            ascii=not terminal,
            dynamic_ncols=terminal,
            file=sys.stderr,
        )

    def say(self, message: str) -> None:
        """Write a line to the log (standard error)."""
        print(message, file=sys.stderr, flush=True)


def input_files(inputs: Any) -> dict[str, Path]:
    """Return the plain input paths of a stage by role, for its provenance; left-out ones are not listed."""
    return {role: value for role, value in vars(inputs).items() if isinstance(value, Path)}
