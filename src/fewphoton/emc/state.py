"""The state of a reconstruction between iterations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fewphoton.emc.schedule import StepRecord


@dataclass(frozen=True, eq=False)
class State:
    """All that the next iteration depends on.

    Parameters
    ----------
    volume : ndarray of float64, `(n, n, n)`
        Where the next iteration starts from.
    records : tuple of StepRecord
        Finished iterations.
    memory : mapping of str to ndarray of float64
        What acceleration (``former``: x0; ``fallback`` and ``length``: x2 and the length of the step, while ``volume``
        is an extrapolation), minibatches (``photons``, ``weight``: the running sums), refinement (``refine_0`` and so
        on: the volume at the start of each stage), the parameters of frames (``fluence``, ``background_photons``) and
        their windows (``window_indptr``, ``window_first``, ``window_stop``) keep between iterations.
    """

    volume: NDArray[np.float64]
    records: tuple[StepRecord, ...] = ()
    memory: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def iterate(self) -> NDArray[np.float64]:
        """The last iterate, before any extrapolation, `(n, n, n)`."""
        return self.memory.get("fallback", self.volume)
