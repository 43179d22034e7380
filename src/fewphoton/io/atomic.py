"""Outputs appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from fewphoton.errors import FewphotonError, OutputFileError


@contextlib.contextmanager
def written_aside(path: Path | str) -> Iterator[Path]:
    """Yield a temporary name in the folder of ``path`` and rename it to ``path`` when the block ends well.

    The folder is made where it is missing. On any error the temporary file is removed and a former file
    under the final name stays as it was.

    Parameters
    ----------
    path : Path or str
        Final name.

    Yields
    ------
    Path
        Name to write to; it keeps the final name's suffix.

    Raises
    ------
    OutputFileError
        If the folder or file cannot be written (read-only, full disk, no permission).
    """
    final = Path(path)
    aside = final.with_name(f".{final.stem}.{os.getpid()}.part{final.suffix}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield aside
        if not aside.exists():
            raise OutputFileError(final, "nothing was written")
        with aside.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(aside, final)
    except FewphotonError:
        raise
    except OSError as error:
        raise OutputFileError(
            final,
            f"cannot be written: {error.strerror or error}",
            remedy="Check free space and permissions of the folder; nothing was left under this name",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def remove_leftovers(path: Path | str) -> None:
    """Remove what killed writers of ``path`` left beside it; only for files that one process writes at a time."""
    final = Path(path)
    leftover = re.compile(rf"\.{re.escape(final.stem)}\.\d+\.part{re.escape(final.suffix)}")
    for aside in final.parent.glob(".*"):
        if leftover.fullmatch(aside.name):
            with contextlib.suppress(OSError):
                aside.unlink()


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
