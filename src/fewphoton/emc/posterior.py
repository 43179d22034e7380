"""What the likelihood says of a batch of frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.emc.windows import Blocks


@dataclass(frozen=True, eq=False)
class Posterior:
    """Orientation probabilities of a batch on this rank, and each frame's sums over all ranks.

    Parameters
    ----------
    probability : ndarray of float32, `(n_frames, n_columns)`
        Normalised over all ranks; zero for frames without photons, which say nothing about their orientation. Columns
        from ``n_local`` on are zero and fill the rows up to whole cache lines. On windows `(n_blocks, 32)`.
    log_evidence : ndarray of float64, `(n_frames,)`
        Logarithm of the frame's likelihood averaged over orientations, without row offsets.
    entropy_nat, information_nat : ndarray of float64, `(n_frames,)`
        Entropy of the probabilities, and their relative entropy to the prior.
    blocks : Blocks or None
        Windows to which the probabilities belong; None: all orientations.
    """

    probability: NDArray[np.float32]
    log_evidence: NDArray[np.float64]
    entropy_nat: NDArray[np.float64]
    information_nat: NDArray[np.float64]
    blocks: Blocks | None = None
