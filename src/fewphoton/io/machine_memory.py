"""How much memory this process may use, and which folders lie in memory."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def machine_memory_bytes(system: Path = Path("/")) -> int:
    """Return the machine's memory, or less where control groups (containers, batch systems) allow less.

    Parameters
    ----------
    system : Path
        Root of the file system that holds ``proc`` and ``sys``.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with contextlib.suppress(OSError):
        for line in (system / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, group = line.split(":", 2)
            if controllers == "":
                limits += _limits(system / "sys/fs/cgroup", group, "memory.max")
            elif "memory" in controllers.split(","):
                limits += _limits(system / "sys/fs/cgroup/memory", group, "memory.limit_in_bytes")
    return min(limits)


def available_memory_bytes(system: Path = Path("/")) -> int | None:
    """Return the memory that the machine could still give, or None where it does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (system / "proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return None


def filesystem_in_memory(folder: Path, system: Path = Path("/")) -> bool:
    """Tell whether a folder lies in a file system that takes memory instead of disk (tmpfs, ramfs)."""
    best: tuple[int, str] = (-1, "")
    with contextlib.suppress(OSError):
        for line in (system / "proc/self/mounts").read_text(encoding="utf-8").splitlines():
            place, kind = line.split()[1:3]
            mounted = Path(place.encode("latin-1", "backslashreplace").decode("unicode_escape"))
            if folder.resolve().is_relative_to(mounted) and len(mounted.parts) > best[0]:
                best = (len(mounted.parts), kind)
    return best[1] in ("tmpfs", "ramfs")


def _limits(root: Path, group: str, name: str) -> list[int]:
    """Limits of a group and of those it lies in."""
    inner = root / group.lstrip("/")
    found = []
    for folder in (inner, *inner.parents):
        with contextlib.suppress(OSError, ValueError):
            found.append(int((folder / name).read_text(encoding="ascii")))
        if folder == root:
            break
    return found
