"""The look of every figure, and saving so that the same figure gives the same bytes.

Figures are built with Matplotlib's object interface; there is no global current figure. Widths follow
journal columns; the colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure as Figure  # stages name the type through this module
from matplotlib.layout_engine import ConstrainedLayoutEngine

from fewphoton.errors import OutputFileError
from fewphoton.io.atomic import written_aside

COLUMN_MM = 88.0
"""Width of a figure in one journal column."""
PAGE_MM = 180.0
"""Width of a figure over two columns."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe-Ito colours, the best separated ones first (yellow left out: too faint on white)."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""Markers in the order of the palette, so that runs differ without colour too."""
INK = "#1A1A1A"
"""Text and axes."""
QUIET = "#6E6E6E"
"""Limits, chance levels and annotations."""
GAP = "#C9CCD1"
"""Detector gaps, masked pixels and anything that was not measured."""

PHOTONS = LinearSegmentedColormap.from_list(
    "photons", [(0.0, "white"), *((0.06 + 0.94 * i / 32, matplotlib.colormaps["magma_r"](i / 32)) for i in range(33))]
)
"""Counts of photons: white where there are none, then perceptually uniform into the dark."""

FORMATS = (".png", ".svg", ".pdf")
"""Suffixes that :func:`save` knows."""

CURVES_IN_AXES = 4
"""Curves whose names fit into the axes; the names of more go above."""

_DOTS_PER_INCH = 200
_MM_PER_INCH = 25.4
_LOOSE, _TIGHT = 0.03, 0.012
_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    # Matplotlib brings this font along, so that figures are alike on every machine.
    "font.sans-serif": ["DejaVu Sans"],
    "mathtext.fontset": "dejavusans",
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "axes.titlepad": 4.0,
    "axes.labelpad": 2.5,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "xtick.minor.size": 1.6,
    "ytick.minor.size": 1.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.2,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.borderaxespad": 0.3,
    "legend.labelspacing": 0.3,
    "grid.color": "#E4E6E9",
    "grid.linewidth": 0.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.dpi": 100.0,
    "svg.fonttype": "path",
    "svg.hashsalt": "fewphoton",
    "pdf.fonttype": 42,
    "pdf.compression": 6,
}


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """Use the settings of this module inside the block; what was set before comes back at its end.

    It decorates functions as well as it opens a ``with`` block.
    """
    with matplotlib.rc_context(rc={**matplotlib.rcParamsDefault, **_SETTINGS, "backend": matplotlib.get_backend()}):
        yield


def new_figure(width_mm: float, height_mm: float, *, maps: bool = False) -> Figure:
    """Return an empty figure of that size whose parts arrange themselves without overlap.

    ``maps`` pulls axes of fixed aspect, as images have, close together.
    """
    size = (width_mm / _MM_PER_INCH, height_mm / _MM_PER_INCH)
    pad = _TIGHT if maps else _LOOSE
    layout = ConstrainedLayoutEngine(compress=maps, w_pad=pad, h_pad=pad, wspace=pad, hspace=pad)
    figure = Figure(figsize=size, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def colour(number: int) -> str:
    """Colour of the ``number``-th series."""
    return PALETTE[number % len(PALETTE)]


def marker(number: int) -> str:
    """Marker of the ``number``-th series."""
    return MARKERS[number % len(MARKERS)]


def letter(axes: Axes, text: str) -> None:
    """Put the letter of a panel, for example ``a``, above the left corner of its axes."""
    axes.annotate(
        text,
        xy=(0.0, 1.0),
        xytext=(-4.0, 3.0),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontweight="bold",
        fontsize=9.0,
    )


def bare_spines(axes: Axes) -> None:
    """Remove the upper and the right frame line, which carry no scale."""
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path | str) -> None:
    """Write ``figure`` as PNG (200 dots per inch), SVG or PDF, as the suffix says, without dates.

    Raises
    ------
    OutputFileError
        If the suffix is none of these, or the file cannot be written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in FORMATS:
        raise OutputFileError(
            target, "is no kind of figure file", expected=" or ".join(FORMATS), found=suffix or "no suffix"
        )
    undated = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None, "Producer": None}}
    with applied(), written_aside(target) as aside:
        figure.savefig(aside, dpi=_DOTS_PER_INCH, format=suffix[1:], metadata=undated[suffix])


def legend_above(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Put a legend above the axes, in as many columns as its longest name leaves room for."""
    longest = max((len(name) for name in names), default=0)
    figure.legend(
        handles,
        names,
        loc="outside upper center",
        ncols=min(len(names), 3 if longest <= 14 else 2),
        columnspacing=1.2,
        fontsize=6.5 if longest > 14 else None,
    )
