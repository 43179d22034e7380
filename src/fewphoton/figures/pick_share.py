"""Share of pixels that a cut-off keeps, by the normal law and as measured (Kieffer et al. 2025, Fig. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm

from fewphoton.errors import DataError
from fewphoton.figures import style

_MARKED = (1.0, 2.0, 3.0)
_WORDS_A_PIXEL = 2
"""A kept pixel takes its index beside its value."""


@dataclass(frozen=True, eq=False)
class MeasuredShare:
    """Kept fractions of one set of frames.

    Parameters
    ----------
    label : str
        For the legend.
    cutoff : ndarray of float64, `(n,)`
        Cut-offs in standard deviations.
    kept_fraction : ndarray of float64, `(n,)`
        Kept over usable pixels.
    """

    label: str
    cutoff: NDArray[np.float64]
    kept_fraction: NDArray[np.float64]


def normal_share(cutoff: ArrayLike) -> NDArray[np.float64]:
    """Return the share of a normal distribution above mean + ``cutoff`` standard deviations."""
    return np.asarray(norm.sf(np.asarray(cutoff, dtype=np.float64)))


@style.applied()
def draw(measured: Sequence[MeasuredShare] = ()) -> Figure:
    """Draw the normal law with the shares above 1, 2 and 3 (a), and the share kept against the cut-off (b).

    The right axis of panel b tells the compression that the share allows where each kept pixel takes two numbers,
    its index and its value, and the background nothing.

    Parameters
    ----------
    measured : sequence of MeasuredShare
        Points beside the law; may be empty.

    Raises
    ------
    DataError
        If cut-offs and fractions do not pair, or a fraction is not within 0 and 1.
    """
    for one in measured:
        if one.cutoff.shape != one.kept_fraction.shape or not len(one.cutoff):
            raise DataError(f"{one.label}: expected a kept fraction for every cut-off")
        # Written so that NaN, which compares false, is refused.
        if not ((one.kept_fraction >= 0) & (one.kept_fraction <= 1)).all() or not np.isfinite(one.cutoff).all():
            raise DataError(f"{one.label}: kept fractions must lie within 0 and 1, cut-offs be finite")
    figure = style.new_figure(style.PAGE_MM, 66.0)
    bell, share = figure.subplots(1, 2)
    _draw_bell(bell)
    _draw_shares(share, measured)
    for axes, text in ((bell, "a"), (share, "b")):
        style.letter(axes, text)
    return figure


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"


def _draw_bell(axes: Axes) -> None:
    x = np.linspace(-4.0, 4.8, 881)
    axes.plot(x, norm.pdf(x), color=style.INK, linewidth=1.0)
    for number, cutoff in enumerate(_MARKED):
        tail = x >= cutoff
        # Darker towards the tail: each shade lies upon the ones before.
        axes.fill_between(x[tail], norm.pdf(x[tail]), color=style.colour(0), alpha=0.30, linewidth=0)
        height = (0.30, 0.18, 0.08)[number]
        axes.vlines(cutoff, 0, height, color=style.colour(0), linewidth=0.7)
        axes.text(cutoff + 0.1, height, f"above {cutoff:g} σ:\n{_percent(float(normal_share(cutoff)))}", va="top")
    axes.set_xlim(-4, 4.8)
    axes.set_ylim(0, 0.43)
    axes.set_xlabel("(intensity - mean) / σ")
    axes.set_ylabel("probability density")
    style.bare_spines(axes)


def _draw_shares(axes: Axes, measured: Sequence[MeasuredShare]) -> None:
    largest = max([3.5, *(1.05 * float(one.cutoff.max()) for one in measured)])
    smallest = min([0.0, *(float(one.cutoff.min()) for one in measured)])
    x = np.linspace(smallest, largest, 400)
    axes.plot(x, normal_share(x), color=style.INK, linewidth=1.0, label="normal tail")
    axes.plot(_MARKED, normal_share(_MARKED), "o", color=style.INK, mfc="white", ms=4.0)
    for number, one in enumerate(measured):
        order = np.argsort(one.cutoff, kind="stable")
        axes.plot(
            one.cutoff[order],
            one.kept_fraction[order],
            marker=style.marker(number),
            color=style.colour(number),
            mec="white",
            mew=0.4,
            ms=5.0,
            linewidth=0.9,
            label=one.label,
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    low = min([float(normal_share(largest)), *(float(f) for one in measured for f in one.kept_fraction if f > 0)])
    axes.set_ylim(low / 1.6, 1.0)
    axes.set_xlim(smallest, largest)
    axes.set_xlabel("cut-off n (standard deviations)")
    axes.set_ylabel("share of pixels kept")
    axes.grid(axis="y")
    axes.spines["top"].set_visible(False)
    # A zero share would be infinite compression; the axis never reaches it.
    turn = (_inverse_share, _inverse_share)
    beside = axes.secondary_yaxis("right", functions=turn)
    beside.set_ylabel("compression ratio at most")
    beside.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(loc="best")


def _inverse_share(values: ArrayLike) -> NDArray[np.float64]:
    return 1.0 / (_WORDS_A_PIXEL * np.maximum(np.asarray(values, dtype=np.float64), 1e-300))
