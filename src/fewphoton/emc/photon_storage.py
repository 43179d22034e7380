"""Where arranged photons are kept: in the memory of each rank, or wherever the caller puts them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from fewphoton.emc.batches import FrameBatch


class PhotonStorage(Protocol):
    """Keeps batches; the reconstruction reads them many times and never changes them."""

    def keep(self, batches: Iterable[FrameBatch], most_bytes: int | None) -> tuple[FrameBatch, ...]:
        """Return batches of the same content, read-only.

        All ranks call it together with the same batches; where ranks share what is kept, one of them goes through
        ``batches`` and the others leave them alone.

        Parameters
        ----------
        batches : iterable of FrameBatch
            In order, made one at a time.
        most_bytes : int or None
            What they take at the most; None: not known.
        """


class InMemory:
    """Every rank holds all batches itself."""

    def keep(self, batches: Iterable[FrameBatch], most_bytes: int | None) -> tuple[FrameBatch, ...]:
        """Return the batches."""
        return tuple(batches)
