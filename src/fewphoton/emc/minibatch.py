"""Iterations on a part of the frames, with a running average (stepwise EM).

Cappe & Moulines 2009, J. R. Stat. Soc. B 71, 593-613, doi:10.1111/j.1467-9868.2009.00698.x. Compress is linear in the
views, so averaging its sums over iterations is averaging the views, and needs two volumes instead of all views.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import IntensityVolume

_STREAM = 1  # keeps these draws apart from those of the starting model


def choose_frames(n_frames: int, fraction: float, seed: int, iteration: int) -> NDArray[np.bool_]:
    """Mark a random part of the frames, bool `(n_frames,)`; at least one, another draw in each iteration."""
    wanted = max(1, round(fraction * n_frames))
    chosen = np.zeros(n_frames, dtype=bool)
    chosen[np.random.default_rng([seed, _STREAM, iteration]).permutation(n_frames)[:wanted]] = True
    return chosen


def averaged(
    former: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    update: IntensityVolume,
    number: int,
    exponent: float,
) -> tuple[IntensityVolume, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Enter an iteration's volume into the running average.

    Parameters
    ----------
    former : tuple of ndarray, or None
        Running sums of intensity times weight, and of weight.
    update : IntensityVolume
        What the chosen frames gave.
    number : int
        Iterations in the average, this one included.
    exponent : float
        The new volume has the weight ``number ** -exponent``.

    Returns
    -------
    volume : IntensityVolume
        The average.
    sums : tuple of ndarray
        New running sums.
    """
    photons, weight = update.values * update.weight, update.weight
    if former is not None:
        share = float(number) ** -exponent
        photons = (1 - share) * former[0] + share * photons
        weight = (1 - share) * former[1] + share * weight
    values = np.divide(photons, weight, out=np.zeros_like(weight), where=weight > 0)
    return IntensityVolume(values, weight, update.voxels_per_cell), (photons, weight)
