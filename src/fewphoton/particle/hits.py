"""Which frames are hits: more photons than frames without a particle hold by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fewphoton.errors import DataError


def hit_threshold(empty_photons: NDArray[np.integer], false_hit_rate: float) -> int:
    """Return the fewest photons of a hit, from the photons of empty frames.

    The photons of empty frames are taken for negative binomial of their own mean and variance: Poisson where the
    variance does not exceed the mean, wider where the pulses' energies or the background vary. The threshold is the
    least number that an empty frame reaches with a probability of at most ``false_hit_rate``.

    Parameters
    ----------
    empty_photons : ndarray of integers, `(n_empty,)`
        Photons of at least two frames without a particle.
    false_hit_rate : float
        Wanted share of empty frames that pass, above 0 and below 1.

    Raises
    ------
    DataError
        If there are fewer than two frames, or the rate is impossible.
    """
    photons = np.asarray(empty_photons, dtype=np.float64)
    if photons.ndim != 1 or len(photons) < 2:
        raise DataError(f"the spread of empty frames needs at least two of them, found {photons.size}")
    if not 0 < false_hit_rate < 1:
        raise DataError(f"false_hit_rate must lie between 0 and 1, found {false_hit_rate}")
    mean, variance = float(photons.mean()), float(photons.var(ddof=1))
    if mean == 0:
        return 1
    if variance <= mean * (1 + 1e-9):
        return int(stats.poisson.isf(false_hit_rate, mean)) + 1
    return int(stats.nbinom.isf(false_hit_rate, mean**2 / (variance - mean), mean / variance)) + 1
