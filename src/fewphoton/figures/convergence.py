"""How a reconstruction converges (Ayyer et al. 2015, Fig. 5, doi:10.1107/S2052252514022313)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.columns import Rows, numbers


@style.applied()
def draw(tables: Sequence[Rows], labels: Sequence[str], n_orientations: Sequence[int | None] = ()) -> Figure:
    """Draw the change between iterates and the information about orientations against the iteration.

    Parameters
    ----------
    tables : sequence of tables
        One a run, with columns ``iteration``, ``change``, ``mutual_information_nat`` and ``beta``.
    labels : sequence of str
        One a run.
    n_orientations : sequence of int or None, optional
        Sampled orientations of each run; their logarithm limits the information. Nothing is drawn where unknown.

    Raises
    ------
    DataError
        If there is no run, a table is empty or lacks a column, or labels do not fit the runs.
    """
    if not tables or len(labels) != len(tables):
        raise DataError(f"{len(labels)} labels for {len(tables)} runs; expected one a run and at least one run")
    figure = style.new_figure(style.COLUMN_MM, 104.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    annealed = False
    for number, (rows, label) in enumerate(zip(tables, labels, strict=True)):
        iteration = numbers(rows, "iteration")
        change = numbers(rows, "change")
        information = numbers(rows, "mutual_information_nat")
        beta = numbers(rows, "beta")
        look = {"color": style.colour(number), "label": label}
        if len(iteration) == 1:
            look |= {"marker": style.marker(number)}
        above.plot(iteration, np.where(change > 0, change, np.nan), **look)
        below.plot(iteration, information, **look)
        if beta[0] < 1 and (beta >= 1).any():
            full = int(np.argmax(beta >= 1))
            annealed = True
            above.plot(iteration[full], change[full], "o", mfc="white", mec=style.colour(number), mew=1.0, ms=4.0)
            below.plot(iteration[full], information[full], "o", mfc="white", mec=style.colour(number), mew=1.0, ms=4.0)
    _draw_limits(below, [None if count is None else int(count) for count in n_orientations])
    if annealed:
        above.plot([], [], "o", mfc="white", mec=style.QUIET, mew=1.0, ms=4.0, label="β reaches 1")
    above.set_yscale("log")
    above.set_ylabel("relative rms change")
    below.set_ylabel("information (nat)")
    below.set_xlabel("iteration")
    below.set_ylim(bottom=0)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes, name in ((above, "a"), (below, "b")):
        axes.grid(axis="y")
        style.bare_spines(axes)
        style.letter(axes, name)
    handles, names = above.get_legend_handles_labels()
    if len(names) > style.CURVES_IN_AXES:
        style.legend_above(figure, handles, names)
    else:
        above.legend(loc="best")
    return figure


def _draw_limits(axes: Axes, counts: list[int | None]) -> None:
    known = sorted({count for count in counts if count is not None})
    for count in known:
        axes.axhline(math.log(count), color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.annotate(
            f"ln {count}: orientation certain",
            xy=(1.0, math.log(count)),
            xycoords=("axes fraction", "data"),
            xytext=(-1, 2),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=6.5,
            color=style.QUIET,
        )
    if known:
        axes.set_ylim(top=1.18 * math.log(known[-1]))
