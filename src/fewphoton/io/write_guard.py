"""A file under HDF5 that keeps a failed write to itself until HDF5 has closed it.

HDF5 cannot close a file that it cannot finish: on a full disk the process ends in a segmentation fault, or with an
error from which it is not told what happened. Here the first failure is noted, later writes go nowhere, and who opened
the file learns of it afterwards.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any


class WriteGuard(io.FileIO):
    """A new file for reading and writing that notes its first failure instead of raising it.

    Parameters
    ----------
    path : Path
        File; a former one is emptied.

    Attributes
    ----------
    failure : OSError or None
        What the system said to the first write that failed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of ``data``, or nothing once a write has failed."""
        left = memoryview(data).cast("B")
        n_bytes = len(left)
        try:
            while left and self.failure is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.failure = error
        return n_bytes

    def truncate(self, size: int | None = None, /) -> int:
        """Set the length, unless a write has failed."""
        try:
            if self.failure is None:
                return super().truncate(size)
        except OSError as error:
            self.failure = error
        return size or 0

    def readinto(self, buffer: Any, /) -> int:
        """Read, with zeros where nothing was written."""
        view = memoryview(buffer).cast("B")
        n_read = super().readinto(view) or 0
        view[n_read:] = bytes(len(view) - n_read)
        return len(view)
