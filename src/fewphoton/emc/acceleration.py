"""SQUAREM: extrapolation of a fixed-point iteration (Varadhan & Roland 2008, doi:10.1111/j.1467-9469.2007.00585.x).

Two plain steps x0 -> x1 -> x2 give ``r = x1 - x0`` and ``v = (x2 - x1) - r``. The step length is
``a = -|r| / |v|`` (their scheme S3) and the next start ``x0 - 2 a r + a² v``, which for ``a = -1`` is x2
itself. One plain step from there ends the cycle of three map evaluations. That step also tells the log-likelihood of
its start; if it lies below that of x1, the extrapolation is dropped and x2 takes its place.

With views of equal weight, the paper's rule, plain steps do not always raise the likelihood, and near the end they may
lower it steadily. An extrapolation along such a path cannot raise it either; it is kept as long as the fall is small
and the iterate moves less than before, which is to say that it is nearer to rest.

On the logarithmic scale norms weigh each voxel with its intensity, which makes them those of Poisson counts: voxels
that fade away would rule the step length otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fewphoton.emc.iteration_record import IterationRecord

FIRST_LIMIT = 4.0
"""Largest step at first; a step that reaches the limit and is kept raises it by this factor, a failure lowers it."""


def step_limit(steps: Iterable[tuple[float, bool]]) -> float:
    """Return the largest step allowed next.

    Parameters
    ----------
    steps : iterable of (float, bool)
        Length of each former extrapolation (0 for plain steps) and whether it was taken back.
    """
    limit = FIRST_LIMIT
    for length, rejected in steps:
        if length == 0:
            continue
        if rejected:
            limit = max(FIRST_LIMIT / 2, limit / FIRST_LIMIT)
        elif length >= limit:
            limit *= FIRST_LIMIT
    return limit


def is_kept(plain: IterationRecord, extrapolated: IterationRecord, allowed_fall: float) -> bool:
    """Tell whether an extrapolated start did well enough.

    Parameters
    ----------
    plain, extrapolated : IterationRecord
        Records of the iterations that began at x1 and at the extrapolated start.
    allowed_fall : float
        Log-likelihood per photon that may be lost where the change becomes smaller.
    """
    rise = extrapolated.log_likelihood_per_photon - plain.log_likelihood_per_photon
    return rise >= 0 or (rise >= -allowed_fall and extrapolated.change < plain.change)


def extrapolate(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    third: NDArray[np.float64],
    scale: str,
    limit: float,
) -> tuple[NDArray[np.float64], float]:
    """Extrapolate three successive iterates.

    Parameters
    ----------
    first, second, third : ndarray of float64, of one shape
        Intensities x0, x1 = F(x0), x2 = F(x1), none negative.
    scale : str
        ``log`` or ``intensity``. Values that are not positive in all three stay at x2; with ``intensity``, so do
        values whose extrapolation is not positive.
    limit : float
        Largest step.

    Returns
    -------
    volume : ndarray of float64
        Next start; ``third`` where no step beyond 1 is indicated.
    length : float
        ``-a``; 0 where the plain iterate is returned.
    """
    usable = (first > 0) & (second > 0) & (third > 0)
    x0, x1, x2 = first[usable], second[usable], third[usable]
    weight = x1
    if scale == "log":
        x0, x1, x2 = np.log(x0), np.log(x1), np.log(x2)
    else:
        weight = np.ones_like(x1)
    r = x1 - x0
    v = (x2 - x1) - r
    r_norm, v_norm = (float(np.sqrt((weight * part * part).sum())) for part in (r, v))
    length = min(r_norm / v_norm, limit) if v_norm > 0 else 1.0
    if length <= 1.0:
        return third, 0.0
    moved = x0 + 2 * length * r + length**2 * v
    # On the logarithmic scale an outlier must neither overflow nor vanish for good: no value leaves x2 by e³.
    moved = np.exp(np.clip(moved, x2 - 3.0, x2 + 3.0)) if scale == "log" else np.where(moved > 0, moved, x2)
    volume = third.copy()
    volume[usable] = moved
    return volume, length
