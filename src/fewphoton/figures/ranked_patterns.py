"""Patterns of single particles in the order of their score, and the score's receiver operating characteristic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style

_COLUMNS = 10
_TILE_MM = 19.0
_CURVE_MM = 66.0
_HEAD_MM = 14.0
_LEAST, _MOST = 0.5, 0.999


@dataclass(frozen=True, eq=False)
class RankedPatterns:
    """Patterns to draw, the best first.

    Parameters
    ----------
    image : list of ndarray of float64, `(n, n)`
        Photon counts; NaN where nothing was measured.
    number : ndarray of integers, `(n_patterns,)`
        Frame numbers.
    score : ndarray of float64, `(n_patterns,)`
        Probability to be wanted; NaN where there is none.
    label : ndarray of integers, `(n_patterns,)`
        1 wanted, 0 not, negative unknown.
    """

    image: list[NDArray[np.float64]]
    number: NDArray[np.integer]
    score: NDArray[np.float64]
    label: NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Shares of unwanted and wanted frames that pass each threshold, and the area under the curve.

    Parameters
    ----------
    unwanted, wanted : ndarray of float64, `(n_thresholds,)`
        Rising from 0 to 1.
    area, low, high, confidence : float
        Area, its confidence interval, and the confidence.
    """

    unwanted: NDArray[np.float64]
    wanted: NDArray[np.float64]
    area: float
    low: float
    high: float
    confidence: float


def around(image: NDArray[np.float64], centre: tuple[float, float], half_width: int) -> NDArray[np.float64]:
    """Return a square about the centre, float64 `(2 half_width, 2 half_width)`; NaN outside the frame."""
    square = np.full((2 * half_width, 2 * half_width), np.nan)
    first = [int(np.ceil(value)) - half_width for value in centre]
    begin = [max(start, 0) for start in first]
    end = [min(start + 2 * half_width, size) for start, size in zip(first, image.shape, strict=True)]
    if begin[0] < end[0] and begin[1] < end[1]:
        place = tuple(slice(b - f, e - f) for b, e, f in zip(begin, end, first, strict=True))
        square[place] = image[begin[0] : end[0], begin[1] : end[1]]
    return square


@style.applied()
def draw(sheet: RankedPatterns, curve: RocCurve | None, names: tuple[str, str] = ("wanted", "unwanted")) -> Figure:
    """Draw the patterns row by row with frame number and score, framed by label, and the curve below them.

    Parameters
    ----------
    sheet : RankedPatterns
        Patterns.
    curve : RocCurve or None
        Curve of the labelled frames; None: no labels.
    names : tuple of str
        What frames labelled 1 and 0 are called.

    Raises
    ------
    DataError
        If there is no pattern.
    """
    if not sheet.image:
        raise DataError("there are no hits, so there are no patterns to draw")
    n_rows = -(-len(sheet.image) // _COLUMNS)
    height = n_rows * _TILE_MM + _HEAD_MM + (_CURVE_MM if curve is not None else 0.0)
    figure = style.new_figure(style.PAGE_MM, height, maps=False)
    parts: Any = [figure]
    if curve is not None:
        parts = figure.subfigures(2, 1, height_ratios=[height - _CURVE_MM, _CURVE_MM])
    tiles = parts[0].subplots(n_rows, _COLUMNS, squeeze=False).ravel()
    counts = np.concatenate([image[np.isfinite(image)] for image in sheet.image])
    lit = counts[counts > 0]
    scale = LogNorm(_LEAST, max(float(np.quantile(lit, _MOST)) if len(lit) else 1.0, 2 * _LEAST))
    colours = {1: style.PALETTE[0], 0: style.PALETTE[1]}
    shown: Any = None
    for axes in tiles:
        axes.set_axis_off()
    for axes, image, number, score, label in zip(
        tiles, sheet.image, sheet.number, sheet.score, sheet.label, strict=False
    ):
        shown = _tile(axes, image, scale, colours.get(int(label), style.QUIET))
        named = f"{number}" if np.isnan(score) else f"{number}: {score:.2f}"
        axes.set_title(named, fontsize=6.0, pad=1.5)
    bar = parts[0].colorbar(shown, ax=list(tiles), shrink=0.8, pad=0.01, aspect=40)
    bar.set_label("photons in a pixel", fontsize=7.0)
    if curve is not None:
        patches = [Patch(fill=False, edgecolor=colours[key], linewidth=1.5) for key in (1, 0)]
        parts[0].legend(patches, list(names), loc="outside upper center", ncols=2)
        style.letter(tiles[0], "a")
        _roc(parts[1].subplots(1, 3, width_ratios=[1, 2, 1]), curve, names)
    return figure


def _tile(axes: Axes, image: NDArray[np.float64], scale: LogNorm, colour: str) -> Any:
    axes.set_axis_on()
    axes.set_facecolor(style.GAP)
    # Pixels without photons are white; those that were not measured have the colour of gaps.
    look = style.PHOTONS.with_extremes(bad=(0, 0, 0, 0), under="white")
    lowest = np.where(image == 0, 0.5 * _LEAST, image)
    shown = axes.imshow(np.ma.masked_invalid(lowest), norm=scale, cmap=look, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(edgecolor=colour, linewidth=1.5)
    return shown


def _roc(panels: Any, curve: RocCurve, names: tuple[str, str]) -> None:
    for empty in (panels[0], panels[2]):
        empty.set_axis_off()
    axes = panels[1]
    axes.plot([0, 1], [0, 1], color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)), label="chance")
    interval = f"{100 * curve.confidence:g} % interval {curve.low:.2f} to {curve.high:.2f}"
    axes.plot(
        curve.unwanted,
        curve.wanted,
        color=style.PALETTE[2],
        label=f"area {curve.area:.2f}\n{interval}",
    )
    axes.set_aspect("equal")
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel(f"share of “{names[1]}” that passes")
    axes.set_ylabel(f"share of “{names[0]}” that passes")
    axes.legend(loc="lower right")
    style.bare_spines(axes)
    style.letter(axes, "b")
