"""Checkpoints of a search for atoms, tied to the shot and the parameters they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.errors import InputFileError
from fewphoton.io.atomic import remove_leftovers
from fewphoton.io.hdf5 import created, dataset, opened, require_kind, store, text_attribute, whole_attribute

KIND = "search_checkpoint"
_REPLICAS, _ATOMS, _SOLUTIONS, _MENDED = "replicas", "atoms", "solutions", "mended"
_ARRAYS: dict[str, tuple[str, tuple[int | str, ...]]] = {
    "position": ("f", (_REPLICAS, _ATOMS, 3)),
    "kind": ("i", (_REPLICAS, _ATOMS)),
    "cost": ("f", (_REPLICAS,)),
    "exchanges": ("i", (3,)),
    "solution_position": ("f", (_SOLUTIONS, _ATOMS, 3)),
    "solution_kind": ("i", (_SOLUTIONS, _ATOMS)),
    "solution_occupancy": ("f", (_SOLUTIONS, _ATOMS)),
    "mended_position": ("f", (_MENDED, _ATOMS, 3)),
    "mended_kind": ("i", (_MENDED, _ATOMS)),
}


class SearchCheckpointFile:
    """One file, replaced whole at each save.

    Parameters
    ----------
    path : Path
        File.
    identity : dict
        What the search belongs to (parameters, digest of the shot, rank); a file of another identity is left alone
        until it is written over.
    n_replicas, n_atoms : int
        Size of the search.
    """

    def __init__(self, path: Path, identity: dict[str, Any], n_replicas: int, n_atoms: int) -> None:
        self.path = path
        self._sizes = {_REPLICAS: n_replicas, _ATOMS: n_atoms}
        self._identity = json.dumps(identity, sort_keys=True)

    def read(self) -> dict[str, Any] | None:
        """Return the parts that were saved, or None where there is no file or one of another identity.

        Raises
        ------
        InputFileError
            If the file is truncated, foreign, lacks a part, or holds parts of another size or values that are not
            finite.
        """
        remove_leftovers(self.path)
        if not self.path.exists():
            return None
        remedy = "Remove it; the search then begins anew"
        try:
            with opened(self.path) as file:
                require_kind(file, KIND)
                if text_attribute(file, "identity") != self._identity:
                    return None
                sizes: dict[int | str, int] = dict(self._sizes.items())
                parts: dict[str, Any] = {}
                for name, (kind, axes) in _ARRAYS.items():
                    shape = tuple(axis if isinstance(axis, int) else sizes.get(axis) for axis in axes)
                    parts[name] = dataset(file, name, kind=kind, shape=shape)[()]
                    sizes |= dict(zip(axes, parts[name].shape, strict=True))
                parts["sweep"], parts["found_at"] = (whole_attribute(file, name) for name in ("sweep", "found_at"))
                parts["random"] = text_attribute(file, "random")
        except InputFileError as error:
            raise InputFileError(self.path, f"is no usable checkpoint: {error}", remedy=remedy) from error
        for name in _ARRAYS:
            if not np.isfinite(parts[name]).all():
                raise InputFileError(self.path, "holds values that are not finite", where=name, remedy=remedy)
        return parts

    def write(self, parts: dict[str, Any]) -> None:
        """Save the parts of a state by name."""
        with created(self.path) as file:
            file.attrs["fewphoton_kind"] = KIND
            file.attrs["identity"] = self._identity
            file.attrs["sweep"] = parts["sweep"]
            file.attrs["found_at"] = parts["found_at"]
            file.attrs["random"] = parts["random"]
            for name in _ARRAYS:
                store(file, name, parts[name])

    def remove(self) -> None:
        """Remove the file of a search that has ended."""
        self.path.unlink(missing_ok=True)
