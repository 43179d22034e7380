"""A drawing of the pipeline for the README: commands as filled boxes, what goes in and out as plain ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from fewphoton.figures import style

_WIDTH_MM, _HEIGHT_MM = 180.0, 82.0
_DATA, _FRAMES, _VOLUME, _RESULT = "#8A9099", "#0072B2", "#D55E00", "#009E73"
_ARROW = "#4A4F57"
_HIGH, _MIDDLE, _LOW = 60.0, 38.0, 16.0

Point = tuple[float, float]


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    width: float
    title: str
    text: str
    colour: str
    command: bool = True

    height = 15.0

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y + self.height

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y


_SCAN = _Box(6, _HIGH, 35, "import-scan", "sparse rotation scan:\nrow, column, intensity", _FRAMES)
_RAW = _Box(6, _MIDDLE, 35, "raw frames", "CBF, EDF, TIFF, HDF5;\ngeometry, mask", _DATA, command=False)
_SIMULATE = _Box(6, _LOW, 35, "simulate-rotation", "raw ADU and the truth\nbehind them", _DATA)
_COUNT = _Box(51, _MIDDLE, 33, "count-photons", "offset, gain, threshold;\nbad pixels and frames", _FRAMES)
_COLLAPSE = _Box(51, _HIGH, 33, "collapse", "sum successive\nexposures", _FRAMES)
_THIN = _Box(94, _HIGH, 35, "thin\nadd-background", "", _FRAMES)
_RECONSTRUCT = _Box(94, _MIDDLE, 35, "reconstruct", "EMC, angles unknown;\nNumba kernels under MPI", _VOLUME)
_ASSEMBLE = _Box(94, _LOW, 35, "assemble", "reference volume from\nrecorded angles", _VOLUME)
_EVALUATE = _Box(139, _MIDDLE, 35, "evaluate", "peaks, R factors,\nPatterson map", _RESULT)
_DRAW = _Box(139, _HIGH, 35, "draw-figure", "figures and captions\nof the report", _RESULT)
_OUT = _Box(139, _LOW, 35, "results", "report.html, metrics.csv,\nMTZ, CCP4 maps", _DATA, command=False)


@style.applied()
def draw() -> Figure:
    """Draw the pipeline on a white rounded card, which stands on light and dark pages alike."""
    figure = Figure(figsize=(_WIDTH_MM / 25.4, _HEIGHT_MM / 25.4))
    figure.patch.set_alpha(0.0)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, _WIDTH_MM)
    axes.set_ylim(0, _HEIGHT_MM)
    axes.set_axis_off()
    card = (_WIDTH_MM - 1.0, _HEIGHT_MM - 1.0)
    axes.add_patch(_rounded((0.5, 0.5), *card, 3.5, facecolor="white", edgecolor="#D5D9DF", linewidth=0.8))
    boxes = (_SCAN, _RAW, _SIMULATE, _COUNT, _COLLAPSE, _THIN, _RECONSTRUCT, _ASSEMBLE, _EVALUATE, _DRAW, _OUT)
    for box in boxes:
        _draw_box(axes, box)
    _draw_arrows(axes)
    _draw_key(axes)
    return figure


def _rounded(corner: Point, width: float, height: float, radius: float, **look: Any) -> FancyBboxPatch:
    return FancyBboxPatch(corner, width, height, boxstyle=f"round,pad=0,rounding_size={radius}", **look)


def _draw_box(axes: Axes, box: _Box) -> None:
    fill, line = (_tint(box.colour), "solid") if box.command else ("white", (0, (3, 2)))
    axes.add_patch(
        _rounded(
            (box.x, box.y),
            box.width,
            box.height,
            1.6,
            facecolor=fill,
            edgecolor=box.colour,
            linewidth=1.0,
            linestyle=line,
        )
    )
    title: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7.4, "fontweight": "bold"}
    if box.command:
        title["family"] = "DejaVu Sans Mono"
    middle = box.x + box.width / 2
    axes.text(middle, box.y + (11.2 if box.text else 7.6), box.title, linespacing=1.5, **title)
    axes.text(middle, box.y + 4.9, box.text, ha="center", va="center", fontsize=6.5, color="#3A3A3A", linespacing=1.3)


def _tint(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return 1 - 0.13 * (1 - red), 1 - 0.13 * (1 - green), 1 - 0.13 * (1 - blue)


def _draw_arrows(axes: Axes) -> None:
    _arrow(axes, [_SIMULATE.top, _RAW.bottom])
    _arrow(axes, [_RAW.right, _COUNT.left])
    _arrow(axes, [_SCAN.right, _COLLAPSE.left])
    _arrow(axes, [_COUNT.top, _COLLAPSE.bottom])
    _arrow(axes, [_COLLAPSE.right, _THIN.left])
    _arrow(axes, [_THIN.bottom, _RECONSTRUCT.top])
    _arrow(axes, [_RECONSTRUCT.right, _EVALUATE.left])
    _arrow(axes, [_COUNT.bottom, (_COUNT.bottom[0], _ASSEMBLE.left[1]), _ASSEMBLE.left])
    _arrow(axes, [_ASSEMBLE.right, (134.0, _ASSEMBLE.right[1]), (134.0, 42.0), (139.0, 42.0)])
    _arrow(axes, [_EVALUATE.top, _DRAW.bottom])
    _arrow(axes, [_EVALUATE.bottom, _OUT.top])
    for place, text in (
        ((_COUNT.top[0] + 1.2, 56.5), "photon frames"),
        ((_THIN.bottom[0] + 1.2, 56.5), "few photons a frame"),
        ((_COUNT.bottom[0] + 1.2, 25.5), "reference frames"),
    ):
        axes.text(*place, text, ha="left", va="center", fontsize=6.2, color=style.QUIET, style="italic")


def _arrow(axes: Axes, corners: Sequence[Point]) -> None:
    if len(corners) > 2:
        xs, ys = zip(*corners[:-1], strict=True)
        axes.plot(xs, ys, color=_ARROW, linewidth=1.0, solid_joinstyle="round", solid_capstyle="butt")
    axes.add_patch(
        FancyArrowPatch(
            corners[-2],
            corners[-1],
            arrowstyle="-|>",
            mutation_scale=7,
            color=_ARROW,
            linewidth=1.0,
            shrinkA=0,
            shrinkB=0.6,
        )
    )


def _draw_key(axes: Axes) -> None:
    y = 7.2
    axes.add_patch(_rounded((29.5, y - 1.4), 5, 2.8, 0.6, facecolor=_tint(_FRAMES), edgecolor=_FRAMES, linewidth=0.8))
    axes.text(36.5, y, "a command, and a rule of the workflow", va="center", fontsize=6.5, color=style.QUIET)
    axes.add_patch(
        _rounded((97.0, y - 1.4), 5, 2.8, 0.6, facecolor="white", edgecolor=_DATA, linewidth=0.8, linestyle=(0, (3, 2)))
    )
    axes.text(104.0, y, "what goes in and what comes out", va="center", fontsize=6.5, color=style.QUIET)
