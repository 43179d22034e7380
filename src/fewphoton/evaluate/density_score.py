"""A found density against the true one: shift and hand undone, Fourier shell correlation, resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from fewphoton.evaluate.fourier_shell import ShellCorrelation

HALF = 0.5
"""Correlation at which resolutions are told."""

Ending = Literal["crossing", "at or beyond the edge", "none"]


@dataclass(frozen=True)
class Resolution:
    """First crossing of a shell correlation through one half.

    Parameters
    ----------
    angstrom : float
        1/q there; that of the last shell where the correlation stays above, infinite where the first is below, NaN
        where no shell says anything.
    ending : str
        ``crossing``; ``at or beyond the edge`` where the last shell is still above; ``none`` where the first known
        shell is below, or no shell is known.
    """

    angstrom: float
    ending: Ending


def resolution_at_half(curve: ShellCorrelation) -> Resolution:
    """Return where a correlation first falls below one half."""
    angstrom = curve.resolution_angstrom(HALF)
    if not np.isfinite(angstrom):
        return Resolution(angstrom, "none")
    crossed = np.isfinite(curve.crossing_q_inv_angstrom(HALF))
    return Resolution(angstrom, "crossing" if crossed else "at or beyond the edge")


def mean_correlation(curve: ShellCorrelation) -> float:
    """Mean over the known shells, each with the same weight; NaN without any."""
    known = curve.correlation[np.isfinite(curve.correlation)]
    return float(known.mean()) if len(known) else float("nan")
