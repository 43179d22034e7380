"""R between reconstruction and reference against resolution (Ayyer et al. 2015, Fig. 4, equation 3).

doi:10.1107/S2052252514022313.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style

_LOGARITHMIC_FROM = 8.0
"""How many times the largest R chance is where R would lie on the edge of a linear axis."""


@dataclass(frozen=True, eq=False)
class RFactorCurve:
    """R(high-low) of one reconstruction in resolution shells.

    Parameters
    ----------
    label : str
        What sets this reconstruction apart.
    q_inv_angstrom : ndarray of float64, `(n_shells,)`
        Middle of each shell.
    r_high_low : ndarray of float64, `(n_shells,)`
        R of amplitudes; NaN where a shell has no reflections.
    chance, chance_sigma : ndarray of float64, `(n_shells,)`, optional
        Mean and standard deviation of R for orientations drawn at random.
    photons_per_peak : ndarray of float64, `(n_shells,)`, optional
        Mean photons of the data behind a peak.
    """

    label: str
    q_inv_angstrom: NDArray[np.float64]
    r_high_low: NDArray[np.float64]
    chance: NDArray[np.float64] | None = None
    chance_sigma: NDArray[np.float64] | None = None
    photons_per_peak: NDArray[np.float64] | None = None


@style.applied()
def draw(curves: Sequence[RFactorCurve]) -> Figure:
    """Draw R(high-low) against q, the level of chance, and photons per peak (dashed, right axis).

    Raises
    ------
    DataError
        If there is no curve, or one has no value in any shell.
    """
    if not curves:
        raise DataError("there is no R factor curve to draw")
    for curve in curves:
        if not np.isfinite(curve.r_high_low).any():
            raise DataError(f"{curve.label}: no shell has an R factor; was it evaluated against a reference?")
    figure = style.new_figure(style.COLUMN_MM, 74.0)
    axes = figure.add_subplot()
    known = [curve.photons_per_peak for curve in curves if curve.photons_per_peak is not None]
    counts = axes.twinx() if known else None
    highest = 0.0
    for number, curve in enumerate(curves):
        colour = style.colour(number)
        axes.plot(curve.q_inv_angstrom, curve.r_high_low, marker=style.marker(number), label=curve.label, color=colour)
        highest = max([highest, *curve.r_high_low[np.isfinite(curve.r_high_low)]])
        if counts is not None and curve.photons_per_peak is not None:
            compared = np.isfinite(curve.r_high_low) & (curve.photons_per_peak > 0)
            positive = np.where(compared, curve.photons_per_peak, np.nan)
            counts.plot(curve.q_inv_angstrom, positive, linestyle=(0, (4, 2)), linewidth=0.9, color=colour)
    handles, names = axes.get_legend_handles_labels()
    chance = [curve for curve in curves if curve.chance is not None]
    if chance:
        low, high = _chance_band(chance)
        q = chance[0].q_inv_angstrom
        if all(np.array_equal(curve.q_inv_angstrom, q) for curve in chance):
            handles.append(axes.fill_between(q, low, high, color="#B8BCC3", alpha=0.6, linewidth=0, zorder=0.5))
            names.append("chance")
            highest = max([highest, *high[np.isfinite(high)]])
        else:
            for curve in chance:
                level = np.asarray(curve.chance)
                axes.plot(curve.q_inv_angstrom, level, color="#B8BCC3", linewidth=1.0, zorder=0.5)
                highest = max([highest, *level[np.isfinite(level)]])
            handles.append(Line2D([], [], color="#B8BCC3"))
            names.append("chance")
    measured = np.concatenate([curve.r_high_low[np.isfinite(curve.r_high_low)] for curve in curves])
    if measured.min() > 0 and highest > _LOGARITHMIC_FROM * measured.max():
        axes.set_yscale("log")
        axes.set_ylim(0.6 * float(measured.min()), 1.6 * highest)
    else:
        axes.set_ylim(0, 1.08 * highest if highest > 0 else 1.0)
    axes.set_xlim(left=0)
    axes.set_xlabel("q (Å$^{-1}$)")
    axes.set_ylabel("$R_{\\mathrm{high-low}}$")
    axes.grid(axis="y")
    if counts is None:
        style.bare_spines(axes)
    else:
        counts.set_yscale("log")
        counts.set_ylabel("photons per peak (dashed)")
        axes.spines["top"].set_visible(False)
        counts.spines["top"].set_visible(False)
    style.legend_above(figure, handles, names)
    return figure


def _chance_band(curves: Sequence[RFactorCurve]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    lows, highs = [], []
    for curve in curves:
        middle = np.asarray(curve.chance, dtype=np.float64)
        sigma = np.zeros_like(middle) if curve.chance_sigma is None else curve.chance_sigma
        # A band of no width would not be seen.
        width = np.maximum(2 * sigma, 0.008)
        lows.append(middle - width)
        highs.append(middle + width)
    if len({len(low) for low in lows}) != 1:
        return lows[0], highs[0]
    return np.min(lows, axis=0), np.max(highs, axis=0)
