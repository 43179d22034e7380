"""The typed errors of fewphoton; each message says what is wrong, where, and what to do about it."""

from __future__ import annotations

from pathlib import Path


class FewphotonError(Exception):
    """Base of every error that fewphoton raises on purpose."""


class ConfigError(FewphotonError):
    """A configuration holds an unknown key, a wrong value or a contradiction."""


class GeometryError(FewphotonError):
    """A detector, beam or crystal description is impossible or does not fit the frames."""


class DataError(FewphotonError):
    """Arrays handed to the library break a stated rule (shape, dtype, order, range)."""


class ConvergenceError(FewphotonError):
    """An iteration cannot go on: no photons, no finite likelihood, or no usable pixels."""


def installation_of(extra: str) -> str:
    """Return the command that installs an extra; the project is on no package index."""
    return f"pip install -e '.[{extra}]' in the clone"


class MissingLibraryError(FewphotonError):
    """A step needs a library that is an extra and is not installed."""


class ParallelError(FewphotonError):
    """The MPI world is not the one that was promised."""


class FileError(FewphotonError):
    """A file is missing, truncated, foreign, or cannot be written.

    Parameters
    ----------
    path : Path or str
        The file.
    problem : str
        What is wrong.
    where : str, optional
        Dataset, attribute or key inside the file.
    expected, found : str, optional
        What the reader wanted there and what it met.
    remedy : str, optional
        What the user can do.
    """

    def __init__(
        self,
        path: Path | str,
        problem: str,
        *,
        where: str | None = None,
        expected: object = None,
        found: object = None,
        remedy: str | None = None,
    ) -> None:
        self.path = Path(path)
        self.where = where
        parts = [f"{path}{f' [{where}]' if where else ''}: {problem}"]
        if expected is not None:
            parts.append(f"expected {expected}")
        if found is not None:
            parts.append(f"found {found}")
        message = "; ".join(parts)
        super().__init__(f"{message}. {remedy}" if remedy else message)


class InputFileError(FileError):
    """A file that was to be read cannot be used."""


class OutputFileError(FileError):
    """A file that was to be written cannot be written; nothing was left under its final name."""
