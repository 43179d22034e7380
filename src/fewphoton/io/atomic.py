"""Outputs appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

from fewphoton.errors import FewphotonError, OutputFileError

_HOST = re.sub(r"\W", "_", platform.node()) or "unnamed"
"""Processes of several machines, or of several containers, may have the same number in a folder that they share."""


@contextlib.contextmanager
def written_aside(path: Path | str) -> Iterator[Path]:
    """Yield a temporary name in the folder of ``path`` and rename it to ``path`` when the block ends well.

    The folder is made where it is missing. On any error the temporary file is removed and a former file
    under the final name stays as it was. Where the final name is a symbolic link, the file it leads to is replaced,
    and the link stays.

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
    try:
        place = final.resolve() if final.is_symlink() else final
        aside = place.with_name(f".{place.stem}.{os.getpid()}-{_HOST}.part{place.suffix}")
        place.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise _unwritable(final, error) from error
    try:
        yield aside
        if not aside.exists():
            raise OutputFileError(final, "nothing was written")
        with aside.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(aside, place)
    except FewphotonError:
        raise
    except OSError as error:
        raise _unwritable(final, error) from error
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


def _unwritable(final: Path, error: Exception) -> OutputFileError:
    return OutputFileError(
        final,
        f"cannot be written: {getattr(error, 'strerror', None) or error}",
        remedy="Check free space and permissions of the folder; nothing was left under this name",
    )


def remove_leftovers(path: Path | str) -> None:
    """Remove what killed writers of ``path`` left beside it; what a process of this machine still writes stays."""
    final = Path(path)
    with contextlib.suppress(OSError, RuntimeError):
        final = final.resolve() if final.is_symlink() else final
    leftover = re.compile(rf"\.{re.escape(final.stem)}\.(\d+)-(\w+)\.part{re.escape(final.suffix)}")
    for aside in final.parent.glob(".*"):
        found = leftover.fullmatch(aside.name)
        if found is None or (found.group(2) == _HOST and _lives(int(found.group(1)))):
            continue
        with contextlib.suppress(OSError):
            aside.unlink()


def _lives(process: int) -> bool:
    """Tell whether another process of this machine has this number."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path``, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
