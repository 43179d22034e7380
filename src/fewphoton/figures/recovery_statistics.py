"""How well molecules are recovered: error and success against the number of atoms, precision, time.

The first is Fig. 4 of Mutzafi et al. 2015 (doi:10.1038/ncomms8950), with the share of solved molecules beneath it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style

_DODGE = 0.012
_DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1.5, 1.5)), (0, (5, 1.5, 1, 1.5)))


@dataclass(frozen=True, eq=False)
class RecoveryCurve:
    """Error and success of one method or setting, by cell.

    Parameters
    ----------
    label : str
        Name in the legend.
    x : ndarray of float64, `(n_cells,)`
        Place of each cell, for example its number of atoms.
    median, low, high : ndarray of float64, `(n_cells,)`
        Median of the figure of merit and its quartiles.
    share, share_low, share_high : ndarray of float64, `(n_cells,)`
        Share of solved molecules and its confidence interval.
    """

    label: str
    x: NDArray[np.float64]
    median: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    share: NDArray[np.float64]
    share_low: NDArray[np.float64]
    share_high: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RecoveryPanel:
    """Curves that are compared with each other, for example two wavelengths at one noise level."""

    title: str
    curves: Sequence[RecoveryCurve]


@style.applied()
def draw_error_curves(panels: Sequence[RecoveryPanel], x_label: str, y_label: str = "error ε (median)") -> Figure:
    """Draw medians with bands between the quartiles above, and shares of solved molecules below.

    Parameters
    ----------
    panels : sequence of RecoveryPanel
        One column each.
    x_label, y_label : str
        Axes.

    Raises
    ------
    DataError
        If there is no curve, or no cell in a curve.
    """
    if not panels or not all(panel.curves for panel in panels):
        raise DataError("there is no curve of errors to draw")
    empty = [curve.label for panel in panels for curve in panel.curves if len(curve.x) == 0]
    if empty:
        raise DataError(f"curves without any cell: {', '.join(empty)}")
    columns = len(panels)
    figure = style.new_figure(style.COLUMN_MM if columns == 1 else style.PAGE_MM, 108.0)
    grid = figure.subplots(2, columns, sharex="col", sharey="row", squeeze=False, height_ratios=(3, 2))
    for column, panel in enumerate(panels):
        above, below = grid[0, column], grid[1, column]
        span = float(np.ptp(np.concatenate([curve.x for curve in panel.curves]))) or 1.0
        for number, curve in enumerate(panel.curves):
            shift = _DODGE * span * (number - (len(panel.curves) - 1) / 2)
            _draw_curve(above, below, curve, number, shift)
        above.set_title(panel.title)
        below.set_xlabel(x_label)
        below.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        _dress_share(below)
        if len(panel.curves) > style.CURVES_IN_AXES:
            above.legend(loc="upper center", bbox_to_anchor=(0.5, 1.32), ncols=2)
        else:
            above.legend(loc="best")
        for axes in (above, below):
            axes.grid(axis="y")
            style.bare_spines(axes)
        style.letter(above, "abcdef"[2 * column % 6])
        style.letter(below, "abcdef"[(2 * column + 1) % 6])
    grid[0, 0].set_ylim(0, _top([curve.high for panel in panels for curve in panel.curves]))
    grid[0, 0].set_ylabel(y_label)
    grid[1, 0].set_ylabel("solved (95 % interval)")
    return figure


def _look(number: int) -> dict[str, Any]:
    return {"color": style.colour(number), "linestyle": _DASHES[number % len(_DASHES)]}


def _draw_curve(above: Axes, below: Axes, curve: RecoveryCurve, number: int, shift: float) -> None:
    order = np.argsort(curve.x, kind="stable")
    x = curve.x[order]
    points: dict[str, Any] = {"marker": style.marker(number), "mec": "white", "mew": 0.4, "ms": 4.5}
    above.fill_between(x, curve.low[order], curve.high[order], color=style.colour(number), alpha=0.16, linewidth=0)
    above.plot(x, curve.median[order], label=curve.label, zorder=3, **_look(number), **points)
    share, low, high = (values[order] for values in (curve.share, curve.share_low, curve.share_high))
    below.vlines(x + shift, low, high, color=style.colour(number), linewidth=0.9)
    below.plot(x + shift, share, zorder=3, **_look(number), **points)


def _dress_share(axes: Axes) -> None:
    axes.set_ylim(-0.04, 1.04)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])


def _top(values: Sequence[NDArray[np.float64]]) -> float:
    known = np.concatenate(values)
    known = known[np.isfinite(known)]
    highest = float(known.max()) if known.size else 1.0
    return 1.08 * highest if highest > 0 else 1.0


@dataclass(frozen=True, eq=False)
class Precision:
    """Position errors of matched atoms, one value a recovery.

    Parameters
    ----------
    label : str
        Name in the legend.
    x : ndarray of float64, `(n,)`
        Noise level or photons, above 0.
    rms_angstrom : ndarray of float64, `(n,)`
        Error of each recovery.
    rms_over_bound : ndarray of float64, `(n,)`
        The same over the Cramér-Rao bound; NaN where unknown.
    """

    label: str
    x: NDArray[np.float64]
    rms_angstrom: NDArray[np.float64]
    rms_over_bound: NDArray[np.float64]


@style.applied()
def draw_precision(series: Sequence[Precision], x_label: str) -> Figure:
    """Draw rms errors beside the Cramér-Rao bound, and their ratio: 1 is as good as any unbiased method can be.

    Points are recoveries, lines their medians; the bound is the dashed line of the same colour. Without any series the
    axes say that there is nothing to draw.

    Raises
    ------
    DataError
        If there are recoveries, but none has an error above 0 at a place above 0.
    """
    known = [
        (one.x > 0) & np.isfinite(one.x) & (one.rms_angstrom > 0) & np.isfinite(one.rms_angstrom) for one in series
    ]
    if series and not any(chosen.any() for chosen in known):
        raise DataError("no recovery has a position error above 0 at a noise level above 0")
    figure = style.new_figure(style.PAGE_MM, 68.0)
    left, right = figure.subplots(1, 2)
    for number, (one, chosen) in enumerate(zip(series, known, strict=True)):
        x, rms, ratio = one.x[chosen], one.rms_angstrom[chosen], one.rms_over_bound[chosen]
        if len(x) == 0:
            continue
        wide = 10 ** (0.05 * (number - (len(series) - 1) / 2))
        points: dict[str, Any] = {
            "linestyle": "none",
            "marker": style.marker(number),
            "color": style.colour(number),
            "ms": 3.0,
        }
        left.plot(x * wide, rms, alpha=0.45, mew=0, **points)
        right.plot(x * wide, ratio, alpha=0.45, mew=0, **points)
        at = np.unique(x)
        left.plot(at * wide, _medians(x, rms), color=style.colour(number), label=one.label)
        bound = _medians(x, np.divide(rms, ratio, out=np.full(len(rms), np.nan), where=ratio > 0))
        left.plot(at * wide, bound, color=style.colour(number), linestyle=(0, (4, 3)), linewidth=0.9)
        right.plot(at * wide, _medians(x, ratio), color=style.colour(number))
    left.plot([], [], color=style.QUIET, linestyle=(0, (4, 3)), linewidth=0.9, label="Cramér-Rao bound")
    right.axhline(1.0, color=style.QUIET, linestyle=(0, (4, 3)), linewidth=0.9)
    left.set_ylabel("rms error of matched atoms (Å)")
    right.set_ylabel("rms error / Cramér-Rao bound")
    if series:
        left.set_yscale("log")
        shown = np.concatenate([one.x[chosen] for one, chosen in zip(series, known, strict=True)])
        low, high = float(shown.min()), float(shown.max())
    for axes, name in ((left, "a"), (right, "b")):
        if series:
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
            if high < 10 * low:
                # So that a decade, the ticks with numbers, is within reach.
                margin = np.sqrt(12 * low / high)
                axes.set_xlim(low / margin, high * margin)
        axes.set_xlabel(x_label)
        axes.grid(axis="y")
        style.bare_spines(axes)
        style.letter(axes, name)
        if not series:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.text(0.5, 0.5, "no molecule was solved", transform=axes.transAxes, ha="center", va="bottom")
    right.set_ylim(0, max(2.0, _top([np.ones(1), *(one.rms_over_bound for one in series)])))
    left.legend(loc="best")
    return figure


def _medians(x: NDArray[np.float64], values: NDArray[np.float64]) -> list[float]:
    parts = [values[(x == place) & np.isfinite(values)] for place in np.unique(x)]
    return [float(np.median(part)) if len(part) else np.nan for part in parts]


@dataclass(frozen=True, eq=False)
class TimeCurve:
    """Share of molecules solved within a time.

    Parameters
    ----------
    label : str
        Name in the legend.
    seconds : ndarray of float64, `(n,)`
        Time budgets, ascending and above 0.
    share, low, high : ndarray of float64, `(n,)`
        Share solved within each, and its confidence interval.
    n_runs : int
        Recoveries.
    """

    label: str
    seconds: NDArray[np.float64]
    share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    n_runs: int


@style.applied()
def draw_time_to_solution(curves: Sequence[TimeCurve]) -> Figure:
    """Draw the share of molecules solved within a time, with bands of its confidence.

    Raises
    ------
    DataError
        If there is no curve, or one without times.
    """
    if not curves or not all(len(curve.seconds) for curve in curves):
        raise DataError("there is no time to solution to draw")
    figure = style.new_figure(style.COLUMN_MM, 72.0)
    axes = figure.subplots()
    for number, curve in enumerate(curves):
        colour = style.colour(number)
        axes.fill_between(curve.seconds, curve.low, curve.high, step="post", color=colour, alpha=0.16, linewidth=0)
        label = f"{curve.label} ({curve.n_runs} runs)"
        axes.step(curve.seconds, curve.share, where="post", label=label, **_look(number))
    axes.set_xscale("log")
    axes.set_xlim(min(curve.seconds[0] for curve in curves), max(curve.seconds[-1] for curve in curves))
    axes.set_xlabel("time budget (s)")
    axes.set_ylabel("solved (95 % interval)")
    _dress_share(axes)
    axes.grid(axis="y")
    style.bare_spines(axes)
    handles, names = axes.get_legend_handles_labels()
    style.legend_above(figure, handles, names)
    return figure
