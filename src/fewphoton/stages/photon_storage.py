"""Photons in a scratch file that the ranks of a node map into memory, and when to keep them there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from fewphoton.config import ReconstructConfig
from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.communicator import Communicator
from fewphoton.io.scratch_arrays import ScratchArrays

MEMORY_SHARE = 0.25
"""Photons that would fill more of the machine's memory are mapped."""


class MappedStorage:
    """Keeps photons in scratch files, one a node and set of batches, written by the node's first rank.

    Parameters
    ----------
    folder : Path
        Where the files are made; the same for all ranks of a node.
    communicator : Communicator
        World.
    """

    def __init__(self, folder: Path, communicator: Communicator) -> None:
        self._folder = folder
        self._communicator = communicator

    def keep(self, batches: Iterable[FrameBatch], most_bytes: int | None) -> tuple[FrameBatch, ...]:
        """Write ``batches`` on the node's first rank and map them on all; room is made sure of before.

        Raises
        ------
        OutputFileError
            If the folder cannot be written or lacks room.
        """
        node = self._communicator
        with contextlib.ExitStack() as stack:
            written = stack.enter_context(ScratchArrays.created(self._folder)) if node.node_rank == 0 else None
            path = node.share_in_node(None if written is None else written.path)
            scratch = stack.enter_context(ScratchArrays.shared(path)) if written is None else written
            node.wait_for_node()
            layout = []
            if written is not None:
                written.remove_name()
                if most_bytes is not None:
                    written.reserve(most_bytes)
                layout = [(batch.first_frame, written.append(batch.arrays)) for batch in batches]
                written.trim()
            layout = node.share_in_node(layout)
            arrays = scratch.mapped([places for _, places in layout])
        return tuple(FrameBatch.of_arrays(group, first) for (first, _), group in zip(layout, arrays, strict=True))


def is_mapped(config: ReconstructConfig, communicator: Communicator, photon_bytes: int, memory_bytes: int) -> bool:
    """Tell whether photons that take ``photon_bytes`` are mapped on a machine of ``memory_bytes``."""
    if config.photon_storage == "automatic":
        return communicator.node_size > 1 or photon_bytes > MEMORY_SHARE * memory_bytes
    return config.photon_storage == "mapped"


def scratch_folder(config: ReconstructConfig, beside: Path) -> Path:
    """Return the configured folder, or TMPDIR, or that of the file ``beside``."""
    if config.scratch_folder is not None:
        return config.scratch_folder
    named = os.environ.get("TMPDIR")
    return Path(named) if named else beside.parent
