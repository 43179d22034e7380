"""Patterns of a source as columns on the device that works on them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.data.pattern_source import PatternSource
from fewphoton.xrai.ewald_views import blocks

_AT_A_TIME = 4096


class PatternPool:
    """Gives patterns by number; holds all of them on the device where they fit, else reads them at each call.

    Parameters
    ----------
    source : PatternSource
        Patterns.
    device : torch.device
        Where they are wanted.
    limit_gb : float
        Largest size of what is held, in 1e9 bytes.

    Attributes
    ----------
    total : ndarray of float64, `(n_patterns,)`
        Photons of each pattern.
    """

    def __init__(self, source: PatternSource, device: torch.device, limit_gb: float) -> None:
        self._source, self._device = source, device
        shape = (source.n_patterns, len(source.q_per_angstrom))
        held = 4.0 * shape[0] * shape[1] <= limit_gb * 1e9
        self._rows = torch.empty(shape, dtype=torch.float32, device=device) if held else None
        self.total = np.empty(shape[0])
        for part in blocks(shape[0], _AT_A_TIME):
            dense = source.patterns(np.arange(part.start, part.stop))
            self.total[part] = dense.sum(axis=1, dtype=np.float64)
            if self._rows is not None:
                self._rows[part] = torch.from_numpy(dense).to(device)

    def __call__(self, frame: NDArray[np.int64]) -> Tensor:
        """Return patterns as columns, float32 `(n_pixels, len(frame))`."""
        if self._rows is None:
            rows = torch.from_numpy(self._source.patterns(frame)).to(self._device)
        else:
            rows = self._rows[torch.from_numpy(np.asarray(frame)).to(self._device)]
        return rows.T.contiguous()
