"""Figures of merit against a swept parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.columns import Rows, is_numeric, numbers, texts

USUAL_METRICS = ("r_high_low_low_q", "frames_oriented_fraction")
"""What a sweep is judged by when nothing else is asked for."""
CHANCE = {
    "r_high_low_low_q": "r_high_low_low_q_chance_mean",
    "frames_oriented_fraction": "frames_oriented_fraction_chance",
    "cc_reference": "cc_reference_chance",
    "cc_truth": "cc_truth_chance",
}
"""Column with the level of chance of a metric."""
AXIS_NAMES = {
    "collapse.n_frames": "exposures summed into a frame",
    "collapse.collapse_deg": "rotation summed into a frame (°)",
    "thin.photons_per_frame": "photons per frame",
    "add_background.percent": "background (% of the signal)",
    "reconstruct.n_orientations": "sampled orientations",
    "reconstruct.seed": "seed of the start",
    "reconstruct.tasks": "MPI ranks",
    "photons_per_frame_mean": "photons per frame",
    "cc_reference": "CC with the reference",
    "cc_truth": "CC with the truth",
    "bragg_to_diffuse_low_q": "Bragg / diffuse intensity at low q",
    "patterson_correlation_without_origin": "correlation of Patterson maps",
    "r_high_low_low_q": "$R_{\\mathrm{high-low}}$ at low q",
    "frames_oriented_fraction": "share of frames oriented",
}
"""Axis labels of well-known columns."""
_FACETS_IN_ROW = 4


@style.applied()
def draw(
    rows: Rows,
    x: str,
    metrics: Sequence[str],
    *,
    chance: Mapping[str, str] | None = None,
    series: str | None = None,
    facet: str | None = None,
    names: Mapping[str, str] | None = None,
) -> Figure:
    """Draw one panel a metric, or one a metric and facet, with the level of chance where it is known.

    Parameters
    ----------
    rows : table
        One row a point of the sweep.
    x : str
        Column on the horizontal axis; words are drawn as categories in order of appearance.
    metrics : sequence of str
        Columns to draw.
    chance : mapping of str to str, optional
        Column with the level of chance of a metric; a column that is not in the table is passed over.
        Default: :data:`CHANCE`.
    series : str, optional
        Column whose values part the rows into lines, for example the dataset.
    facet : str, optional
        Column whose values part the rows into panels side by side, at most four in a row, with one scale a metric.
    names : mapping of str to str, optional
        Axis labels of columns; a column without one is labelled with its own name. Default: :data:`AXIS_NAMES`.

    Raises
    ------
    DataError
        If the table is empty, lacks a column, or a metric has no value at all.
    """
    if not metrics:
        raise DataError("no metric was named to draw against the swept parameter")
    labels = AXIS_NAMES if names is None else names
    levels = dict(CHANCE if chance is None else chance)
    if chance is None and rows:
        # Shuffled orientations are the stricter test: powder rings alone already make intensities alike.
        shuffled = {metric: f"{metric}_shuffled_orientations" for metric in CHANCE}
        levels |= {metric: column for metric, column in shuffled.items() if column in rows[0]}
    numeric = is_numeric(rows, x)
    words = list(dict.fromkeys(texts(rows, x)))
    places = numbers(rows, x) if numeric else np.array([float(words.index(word)) for word in texts(rows, x)])
    groups = texts(rows, series) if series else [""] * len(rows)
    facets = texts(rows, facet) if facet else [""] * len(rows)
    figure, panels = _panels(metrics, list(dict.fromkeys(facets)), bool(facet))
    for number, (axes, metric, part) in enumerate(panels):
        values = numbers(rows, metric)
        if not np.isfinite(values).any():
            raise DataError(f"column {metric!r} has no value in any row")
        level = levels.get(metric)
        by_chance = numbers(rows, level) if level is not None and level in rows[0] else None
        for index, group in enumerate(dict.fromkeys(groups)):
            chosen = np.array([(name, place) == (group, part) for name, place in zip(groups, facets, strict=True)])
            if not chosen.any():
                continue
            _draw_line(axes, places[chosen], values[chosen], index, group)
            if by_chance is not None:
                _draw_chance(axes, places[chosen], by_chance[chosen], index if series else None)
        _dress(axes, "" if facet else labels.get(x, x), labels.get(metric, metric), values, by_chance)
        if facet:
            axes.set_title(part or "none")
        if not numeric:
            axes.set_xticks(range(len(words)), words)
        elif _spans_decades(places):
            axes.set_xscale("log")
            axes.set_xticks(np.unique(places), [f"{value:g}" for value in np.unique(places)])
            axes.set_xticks([], minor=True)
        if len(panels) > 1 and not facet:
            style.letter(axes, "abcdefgh"[number])
    with_chance = any(levels.get(metric) in rows[0] for metric in metrics)
    if facet is None:
        _draw_legend(panels[0][0], with_chance, labels.get(series) if series else None)
        return figure
    for axes, _, _ in panels:
        axes.label_outer()
    figure.suptitle(labels.get(facet, facet), fontsize=8.0)
    figure.supxlabel(labels.get(x, x), fontsize=8.0)
    handles, texts_of_handles = _legend_entries(panels[0][0], with_chance)
    title = labels.get(series, series) if series else None
    figure.legend(handles, texts_of_handles, loc="outside right center", title=title, title_fontsize=7.0)
    return figure


def _panels(metrics: Sequence[str], parts: Sequence[str], faceted: bool) -> tuple[Figure, list[tuple[Axes, str, str]]]:
    """Return a figure and its panels: metrics side by side, or below each other with facets side by side."""
    if not faceted:
        figure = style.new_figure(style.PAGE_MM if len(metrics) > 1 else style.COLUMN_MM, 66.0)
        row = figure.subplots(1, len(metrics), squeeze=False, sharex=True)[0]
        return figure, [(axes, metric, parts[0]) for axes, metric in zip(row, metrics, strict=True)]
    n_columns = min(_FACETS_IN_ROW, len(parts))
    n_blocks = -(-len(parts) // n_columns)
    figure = style.new_figure(style.PAGE_MM, 52.0 * n_blocks * len(metrics) + 8.0)
    grid = figure.subplots(n_blocks * len(metrics), n_columns, squeeze=False, sharex=True)
    panels = []
    for number, metric in enumerate(metrics):
        block = grid[number * n_blocks : (number + 1) * n_blocks].ravel()
        panels += [(axes, metric, part) for axes, part in zip(block, parts, strict=False)]
        for axes in block[len(parts) :]:
            axes.set_visible(False)
    return figure, panels


def usual_metrics(rows: Rows) -> tuple[str, ...]:
    """Return the usual metrics that a table holds values of.

    Raises
    ------
    DataError
        If it holds none of them.
    """
    held = tuple(name for name in USUAL_METRICS if rows and name in rows[0] and np.isfinite(numbers(rows, name)).any())
    if not held:
        raise DataError(f"the table holds no value of {' or '.join(USUAL_METRICS)}; name the metrics to draw")
    return held


def _spans_decades(places: NDArray[np.float64]) -> bool:
    known = places[np.isfinite(places)]
    return bool(known.size and known.min() > 0 and known.max() / known.min() >= 5 and len(np.unique(known)) <= 6)


def _means(places: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[float]]:
    at = np.unique(places[np.isfinite(places)])
    known = [values[(places == place) & np.isfinite(values)] for place in at]
    return at, [float(np.mean(found)) if found.size else np.nan for found in known]


def _draw_line(axes: Axes, places: NDArray[np.float64], values: NDArray[np.float64], index: int, label: str) -> None:
    """Points at every row, a line through their mean where a place has several (other swept values, seeds)."""
    axes.plot(*_means(places, values), color=style.colour(index), zorder=2)
    axes.plot(
        places,
        values,
        style.marker(index),
        color=style.colour(index),
        mec="white",
        mew=0.4,
        ms=4.5,
        label=label or None,
    )


def _draw_chance(axes: Axes, places: NDArray[np.float64], level: NDArray[np.float64], index: int | None) -> None:
    colour = style.QUIET if index is None else style.colour(index)
    axes.plot(*_means(places, level), linestyle=(0, (4, 3)), linewidth=0.9, color=colour, zorder=1)


def _draw_legend(axes: Axes, with_chance: bool, title: str | None) -> None:
    handles, labels = _legend_entries(axes, with_chance)
    if handles:
        axes.legend(handles, labels, loc="best", title=title, title_fontsize=7.0)


def _legend_entries(axes: Axes, with_chance: bool) -> tuple[list[Any], list[str]]:
    handles, labels = axes.get_legend_handles_labels()
    if with_chance:
        handles.append(Line2D([], [], linestyle=(0, (4, 3)), linewidth=0.9, color=style.QUIET))
        labels.append("chance")
    return handles, labels


def _dress(
    axes: Axes, x_label: str, y_label: str, values: NDArray[np.float64], chance: NDArray[np.float64] | None
) -> None:
    known = values if chance is None else np.concatenate([values, chance])
    known = known[np.isfinite(known)]
    if known.min() >= 0:
        axes.set_ylim(0, 1.12 * float(known.max()) if known.max() > 0 else 1.0)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(axis="y")
    style.bare_spines(axes)
