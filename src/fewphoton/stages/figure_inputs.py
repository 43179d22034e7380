"""What the stages that draw share: inputs that a figure needs, labels of their files, errors that name them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fewphoton.errors import ConfigError, DataError


def given_paths(value: Any) -> tuple[Any, ...]:
    """Return the paths of one input of a stage: none, one or several."""
    return value if isinstance(value, tuple) else () if value is None else (value,)


def needed(inputs: Any, name: str, figure: str) -> Any:
    """Return an input that a figure cannot do without.

    Raises
    ------
    ConfigError
        If it was not given.
    """
    value = getattr(inputs, name)
    if not given_paths(value):
        raise ConfigError(f"figure {figure!r} needs --{name.replace('_', '-')}")
    return value


@contextmanager
def errors_name_files(inputs: Any, figure: str) -> Iterator[None]:
    """Add the figure and the files it was drawn from to errors about data."""
    try:
        yield
    except DataError as error:
        read = [str(path) for value in vars(inputs).values() for path in given_paths(value)]
        raise DataError(f"figure {figure!r} from {', '.join(read) or 'no file'}: {error}") from error


def labelled_files(paths: Sequence[str | Path], labels: tuple[str, ...]) -> dict[str, Path]:
    """Return files by the labels of :func:`file_labels`.

    Raises
    ------
    ConfigError
        If labels are not one for each file, or are not distinct.
    """
    names = file_labels(paths, labels)
    if len(set(names)) != len(names):
        raise ConfigError(f"labels: expected distinct names of the files, found {', '.join(names)}")
    return {name: Path(path) for name, path in zip(names, paths, strict=True)}


def file_labels(paths: Sequence[str | Path], labels: tuple[str, ...], *, folders: bool = False) -> tuple[str, ...]:
    """Return a label for each file: as configured, or the names of the files.

    Parameters
    ----------
    paths : sequence of str or Path
        Files.
    labels : tuple of str
        As configured; empty: none are.
    folders : bool
        Take the names of their folders, which in the workflow name the point of a sweep. They are taken in any case
        where the files' own names are not distinct.

    Raises
    ------
    ConfigError
        If there are labels, but not one for each file.
    """
    if labels:
        if len(labels) != len(paths):
            raise ConfigError(f"labels: expected one for each of the {len(paths)} input files, found {len(labels)}")
        return labels
    stems = tuple(Path(path).stem for path in paths)
    if folders or len(set(stems)) < len(stems):
        return tuple(Path(path).resolve().parent.name for path in paths)
    return stems
