"""What an iteration tells of itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import IntensityVolume
from fewphoton.kernels.volume_change import squared_change


@dataclass(frozen=True)
class IterationRecord:
    """Numbers of one iteration.

    Parameters
    ----------
    iteration : int
        From 1.
    change : float
        Root mean square difference to the former volume over the rms of the former, on measured voxels.
    log_likelihood_per_photon : float
        Of the former volume; factorials of counts left out.
    mutual_information_nat, entropy_nat : float
        Means over frames with photons: relative entropy of the probabilities to the prior, and their entropy.
    beta : float
        Exponent of the likelihood.
    seconds_expand_maximize, seconds_compress, seconds_total : float
        Wall time on rank 0.
    seconds_update : float
        Part of it in which photons were added to views.
    seconds_exchange : float
        Part of it spent with other ranks: moving data, and waiting for who is late.
    slowest_to_mean_rank : float
        Time that the slowest rank worked by itself, over the mean of all ranks; 1 is perfect balance.
    fluence_spread : float
        Standard deviation over mean of the frames' fluences; 0 where all are alike.
    background_fraction : float
        Part of the photons that is background; 0 where none is looked for.
    """

    iteration: int
    change: float
    log_likelihood_per_photon: float
    mutual_information_nat: float
    entropy_nat: float
    beta: float
    seconds_expand_maximize: float
    seconds_compress: float
    seconds_total: float
    seconds_update: float = 0.0
    seconds_exchange: float = 0.0
    slowest_to_mean_rank: float = 1.0
    fluence_spread: float = 0.0
    background_fraction: float = 0.0


def relative_change(updated: IntensityVolume, former: NDArray[np.float64]) -> float:
    """Root mean square difference over the root mean square of ``former`` `(n, n, n)`, on measured voxels."""
    planes = np.empty((updated.n, 2))
    squared_change(updated.values, former, updated.weight, planes)
    moved, size = planes.sum(axis=0)
    return float(np.sqrt(moved / size)) if size > 0 else np.inf
