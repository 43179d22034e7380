"""Finished starts of phasing, tied to the volume and the parameters they belong to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import InputFileError
from fewphoton.io.atomic import remove_leftovers
from fewphoton.io.hdf5 import (
    created,
    dataset,
    number_attribute,
    opened,
    require_kind,
    store,
    text_attribute,
    whole_attribute,
)

KIND = "phasing_checkpoint"
_REMEDY = "Remove it; phasing then begins anew"

SavedStart = tuple[NDArray[np.float64], NDArray[np.bool_], float, float] | None
"""Density, support, error and free error of a start; None for one that lost its support."""


class PhasingCheckpointFile:
    """One file, replaced whole at each save.

    Parameters
    ----------
    path : Path
        File.
    identity : dict
        What the starts belong to (parameters, digest of the volume); a file of another identity is left alone until it
        is written over.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self._identity = json.dumps(identity, sort_keys=True)

    def read(self) -> list[SavedStart]:
        """Return the starts that are finished, in their order; none where there is no file or one of another identity.

        Raises
        ------
        InputFileError
            If the file is truncated, foreign, lacks a part, or holds values that are not finite.
        """
        remove_leftovers(self.path)
        if not self.path.exists():
            return []
        try:
            with opened(self.path) as file:
                require_kind(file, KIND)
                if text_attribute(file, "identity") != self._identity:
                    return []
                return [self._start(file[str(number)]) for number in range(whole_attribute(file, "n_starts"))]
        except (InputFileError, KeyError) as error:
            raise InputFileError(self.path, f"is no usable checkpoint: {error}", remedy=_REMEDY) from error

    def _start(self, group: Any) -> SavedStart:
        if len(group) == 0:
            return None
        density = dataset(group, "density", kind="f", shape=(None, None, None))[()]
        support = dataset(group, "support", kind="b", shape=density.shape)[()]
        error, free_error = number_attribute(group, "error"), number_attribute(group, "free_error")
        if not np.isfinite(density).all():
            raise InputFileError(self.path, "holds values that are not finite", where=group.name)
        return density, support, error, free_error

    def write(self, starts: Sequence[SavedStart]) -> None:
        """Save the finished starts."""
        with created(self.path) as file:
            file.attrs["fewphoton_kind"] = KIND
            file.attrs["identity"] = self._identity
            file.attrs["n_starts"] = len(starts)
            for number, start in enumerate(starts):
                group = file.create_group(str(number))
                if start is None:
                    continue
                store(group, "density", start[0])
                store(group, "support", start[1])
                group.attrs["error"], group.attrs["free_error"] = start[2], start[3]

    def remove(self) -> None:
        """Remove the file of phasing that has ended."""
        self.path.unlink(missing_ok=True)
