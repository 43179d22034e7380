"""Iterations and wall time to a good R factor, over photons per frame, background and presets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.columns import Rows, numbers, texts
from fewphoton.figures.sweep import AXIS_NAMES

PRESET, SEED = "reconstruct.preset", "reconstruct.seed"
_FACETS = {
    "add_background.percent": "{}% background",
    "reconstruct.start_background": "start: level {}",
    "reconstruct.start_width_voxels": "start: width {} voxels",
}
_MEASURES = (("iterations", "iterations to good R"), ("seconds", "wall time to good R (s)"))
_MARKERS = ("o", "s", "^", "D", "v", "P", "*")  # none that could be taken for a cross
_LARGEST_FACETS = 6


@style.applied()
def draw(rows: Rows, x: str) -> Figure:
    """Draw iterations above wall time, one column for each condition, one colour for each preset.

    Full symbols: R came, and stayed, within the tolerance of the last R of the plain iteration. Open ones: it did not,
    or the plain iteration failed; drawn is where R came within the tolerance of its own last value. Crosses at the
    upper edge: failed.

    Parameters
    ----------
    rows : table
        As ``tabulate-convergence`` writes it.
    x : str
        Column of the horizontal axis.

    Raises
    ------
    DataError
        If the table is empty, lacks a column, or holds more than six conditions.
    """
    presets = list(dict.fromkeys(texts(rows, PRESET)))
    facets = _facets(rows, x)
    names = list(dict.fromkeys(facets))
    if len(names) > _LARGEST_FACETS:
        raise DataError(f"the table holds {len(names)} conditions; at most {_LARGEST_FACETS} can be drawn side by side")
    failed = numbers(rows, "failed") > 0
    figure = style.new_figure(style.PAGE_MM, 104.0)
    panels = figure.subplots(2, len(names), squeeze=False, sharex=True, sharey="row")
    for row, (measure, label) in enumerate(_MEASURES):
        to_plain, to_own = numbers(rows, f"{measure}_to_plain_r"), numbers(rows, f"{measure}_to_final_r")
        for column, name in enumerate(names):
            axes = panels[row, column]
            for index, preset in enumerate(presets):
                chosen = np.array([f == name and p == preset for f, p in zip(facets, texts(rows, PRESET), strict=True)])
                if chosen.any():
                    place = numbers(rows, x)[chosen] * (1 + 0.05 * (index - 0.5 * (len(presets) - 1)))
                    _draw_preset(
                        axes, numbers(rows, x)[chosen], place, to_plain[chosen], to_own[chosen], failed[chosen], index
                    )
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.grid(axis="y")
            style.bare_spines(axes)
            if row == 0:
                axes.set_title(name)
            else:
                axes.set_xlabel(AXIS_NAMES.get(x, x))
        panels[row, 0].set_ylabel(label)
    ticks = np.unique(numbers(rows, x))
    for axes in panels[1]:
        axes.set_xticks(ticks, [f"{value:g}" for value in ticks], fontsize=6, rotation=60)
        axes.set_xticks([], minor=True)
    _legend(figure, presets)
    return figure


def _facets(rows: Rows, x: str) -> list[str]:
    """Name the condition of each row: what varies beside the horizontal axis, presets and seeds."""
    swept = [name for name in rows[0] if "." in name and name not in (x, PRESET, SEED)]
    if len(set(texts(rows, "dataset"))) > 1:
        swept.insert(0, "dataset")
    varying = [name for name in swept if len(set(texts(rows, name))) > 1]
    return ["\n".join(_condition(row, name) for name in varying) or "all" for row in rows]


def _condition(row: Mapping[str, str], name: str) -> str:
    return _FACETS.get(name, f"{name} {{}}").format(row[name])


def _draw_preset(
    axes: Axes,
    x: NDArray[np.float64],
    place: NDArray[np.float64],
    to_plain: NDArray[np.float64],
    to_own: NDArray[np.float64],
    failed: NDArray[np.bool_],
    index: int,
) -> None:
    """Points of one preset in one panel, and a line through the medians of what did not fail."""
    colour, marker = style.colour(index), _MARKERS[index % len(_MARKERS)]
    reached = np.isfinite(to_plain) & ~failed
    value = np.where(reached, to_plain, to_own)
    own = ~reached & ~failed
    axes.plot(place[reached], value[reached], marker, color=colour, mec="white", mew=0.3, ms=4.0)
    axes.plot(place[own], value[own], marker, mfc="white", mec=colour, mew=0.8, ms=3.8)
    upper = axes.get_xaxis_transform()
    axes.plot(place[failed], np.full(int(failed.sum()), 0.97), "x", color=colour, ms=4.5, mew=1.0, transform=upper)
    at = np.unique(x[~failed])
    axes.plot(at, [np.median(value[(x == p) & ~failed]) for p in at], color=colour, linewidth=0.9, zorder=1)


def _legend(figure: Figure, presets: list[str]) -> None:
    handles = [
        Line2D([], [], color=style.colour(index), marker=_MARKERS[index % len(_MARKERS)], ms=4.0, mec="white", mew=0.3)
        for index in range(len(presets))
    ]
    labels = ["plain" if name == "none" else name for name in presets]
    handles.append(Line2D([], [], linestyle="", marker="o", mfc="white", mec=style.QUIET, mew=0.8, ms=3.8))
    labels.append("to its own last R")
    handles.append(Line2D([], [], linestyle="", marker="x", color=style.QUIET, mew=1.0, ms=4.5))
    labels.append("failed")
    figure.legend(handles, labels, loc="outside upper center", ncols=5, columnspacing=1.2)
