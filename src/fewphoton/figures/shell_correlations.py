"""Shell correlations of several reconstructions with the truth, and where each falls below one half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style


@dataclass(frozen=True, eq=False)
class LabelledCurve:
    """One curve.

    Parameters
    ----------
    label : str
        Its name.
    q_inv_angstrom, correlation : ndarray of float64, `(n_shells,)`
        Shells; NaN where they say nothing.
    """

    label: str
    q_inv_angstrom: NDArray[np.float64]
    correlation: NDArray[np.float64]


@style.applied()
def draw(curves: Sequence[LabelledCurve], name: str, chance: LabelledCurve | None = None) -> Figure:
    """Draw the curves over q, with the resolution above.

    Parameters
    ----------
    curves : sequence of LabelledCurve
        Curves.
    name : str
        What they are, for the axis.
    chance : LabelledCurve, optional
        What nothing but the particle's shape gives; drawn dotted.

    Raises
    ------
    DataError
        If no curve has a known shell.
    """
    if not any(np.isfinite(curve.correlation).any() for curve in curves):
        raise DataError("no curve has a shell that says something: nothing to draw")
    figure = style.new_figure(1.35 * style.COLUMN_MM, 78.0)
    axes = figure.subplots()
    for number, curve in enumerate(curves):
        known = np.isfinite(curve.correlation)
        axes.plot(
            curve.q_inv_angstrom[known],
            curve.correlation[known],
            color=style.colour(number),
            marker=style.marker(number),
            markevery=max(1, int(known.sum()) // 12),
            label=curve.label,
        )
    if chance is not None:
        known = np.isfinite(chance.correlation)
        line: dict[str, Any] = {"color": style.QUIET, "linestyle": (0, (1, 1.5)), "label": chance.label}
        axes.plot(chance.q_inv_angstrom[known], chance.correlation[known], **line)
    axes.axhline(0.5, color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_xlim(left=0)
    shown = [*curves, chance] if chance is not None else curves
    lowest = min(float(np.nanmin(curve.correlation)) for curve in shown if np.isfinite(curve.correlation).any())
    axes.set_ylim(min(-0.05, 1.1 * lowest), 1.03)
    axes.set_xlabel("q = 2 sin θ/λ (1/Å)")
    axes.set_ylabel(name)
    axes.grid(axis="y")
    above = axes.secondary_xaxis("top")
    highest = axes.get_xlim()[1]
    lengths = [d for d in (100, 50, 30, 20, 15, 12, 10, 8, 6, 5, 4, 3, 2.5, 2, 1.5, 1) if 1 / d <= highest]
    spread: list[float] = []
    for length in lengths:
        if not spread or 1 / length - 1 / spread[-1] > 0.08 * highest:
            spread.append(length)
    above.set_xticks([1 / length for length in spread], [f"{length:g}" for length in spread])
    above.set_xlabel("1/q (Å)")
    axes.spines["right"].set_visible(False)
    if len(curves) > style.CURVES_IN_AXES:
        style.legend_above(figure, *axes.get_legend_handles_labels())
    else:
        axes.legend(loc="lower left")
    return figure
