"""Bragg to diffuse intensity against resolution (Ayyer et al. 2015, Fig. 6, doi:10.1107/S2052252514022313)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style


@dataclass(frozen=True, eq=False)
class RatioCurve:
    """Bragg-to-diffuse ratio of one reconstruction in resolution shells.

    Parameters
    ----------
    label : str
        What sets this reconstruction apart.
    q_inv_angstrom : ndarray of float64, `(n_shells,)`
        Middle of each shell.
    ratio : ndarray of float64, `(n_shells,)`
        Intensity at lattice points over intensity between them; NaN where unknown.
    """

    label: str
    q_inv_angstrom: NDArray[np.float64]
    ratio: NDArray[np.float64]


@style.applied()
def draw(curves: Sequence[RatioCurve]) -> Figure:
    """Draw the ratio against q; at 1 the peaks do not stand out.

    Raises
    ------
    DataError
        If there is no curve, or one has no positive value in any shell.
    """
    if not curves:
        raise DataError("there is no Bragg-to-diffuse curve to draw")
    for curve in curves:
        if not (curve.ratio > 0).any():
            raise DataError(f"{curve.label}: no shell has a Bragg-to-diffuse ratio")
    figure = style.new_figure(style.COLUMN_MM, 68.0)
    axes = figure.add_subplot()
    axes.axhline(1.0, color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    for number, curve in enumerate(curves):
        axes.plot(
            curve.q_inv_angstrom,
            np.where(curve.ratio > 0, curve.ratio, np.nan),
            color=style.colour(number),
            marker=style.marker(number),
            label=curve.label,
        )
    axes.annotate(
        "peaks not resolved",
        xy=(1.0, 1.0),
        xycoords=("axes fraction", "data"),
        xytext=(-1, -2),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=6.5,
        color=style.QUIET,
    )
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.7), max(high, 1.6))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(left=0)
    axes.set_xlabel("q (Å$^{-1}$)")
    axes.set_ylabel("Bragg / diffuse intensity")
    axes.grid(axis="y")
    style.bare_spines(axes)
    if len(curves) > style.CURVES_IN_AXES:
        style.legend_above(figure, *axes.get_legend_handles_labels())
    else:
        axes.legend(loc="upper right")
    return figure
