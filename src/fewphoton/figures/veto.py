"""Frames that a veto on the number of peaks keeps (Kieffer et al. 2025, signal separation, Fig. 12)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style

_PERCENT = FuncFormatter(lambda value, _: f"{100 * value:g} %")
_LINEAR_TO = 10.0


@dataclass(frozen=True, eq=False)
class VetoCurves:
    """What is kept at each threshold on the number of peaks.

    Parameters
    ----------
    minimum_peaks : ndarray of integers, `(n,)`
        Thresholds, rising from 0.
    n_kept : ndarray of integers, `(n,)`
        Frames with at least that many peaks.
    n_hits_kept, n_blanks_kept : ndarray of integers, `(n,)`, optional
        Those of them that hold a crystal, and that hold none.
    """

    minimum_peaks: NDArray[np.integer]
    n_kept: NDArray[np.integer]
    n_hits_kept: NDArray[np.integer] | None = None
    n_blanks_kept: NDArray[np.integer] | None = None


@style.applied()
def draw(curves: VetoCurves, minimum_peaks: int | None = None) -> Figure:
    """Draw the share of frames that each threshold keeps; with the truth, also that of hits and blanks.

    As frames with and without crystals compress alike, the share of frames kept is that of the data (section 4.3 of
    the paper). Where hits are known, a second panel tells how many of the kept and of the rejected frames hold a
    crystal, as the paper has it with indexed frames.

    Parameters
    ----------
    curves : VetoCurves
        Kept frames.
    minimum_peaks : int, optional
        The threshold that was chosen, drawn as a line.

    Raises
    ------
    DataError
        If there is no frame, or hits and blanks are not all frames.
    """
    if not len(curves.n_kept) or curves.n_kept[0] < 1:
        raise DataError("there are no frames of which a veto could keep some")
    known = curves.n_hits_kept is not None and curves.n_blanks_kept is not None
    figure = style.new_figure(style.PAGE_MM if known else style.COLUMN_MM, 66.0)
    panels = figure.subplots(1, 2 if known else 1, squeeze=False)[0]
    kept = panels[0]
    series: list[tuple[str, NDArray[np.integer], str, Any]] = [
        ("all frames (data kept)", curves.n_kept, style.PALETTE[2], "-")
    ]
    if curves.n_hits_kept is not None and curves.n_blanks_kept is not None:
        if not np.array_equal(curves.n_hits_kept + curves.n_blanks_kept, curves.n_kept):
            raise DataError("hits and blanks together are not the kept frames")
        series += [
            (f"{int(curves.n_hits_kept[0])} with a crystal", curves.n_hits_kept, style.PALETTE[0], "-"),
            (f"{int(curves.n_blanks_kept[0])} blanks", curves.n_blanks_kept, style.PALETTE[1], (0, (5, 1.5))),
        ]
        _draw_purity(panels[1], curves, curves.n_hits_kept)
    for label, number, colour, dashes in series:
        if number[0] > 0:
            kept.plot(
                curves.minimum_peaks,
                number / number[0],
                color=colour,
                linestyle=dashes,
                label=label,
                drawstyle="steps-pre",
            )
    kept.set_ylabel("share of frames kept")
    for axes in panels:
        _dress(axes, curves, minimum_peaks)
        axes.legend(loc="best")
    if known:
        for axes, text in zip(panels, "ab", strict=True):
            style.letter(axes, text)
    return figure


def _draw_purity(axes: Axes, curves: VetoCurves, hits: NDArray[np.integer]) -> None:
    rejected = curves.n_kept[0] - curves.n_kept
    with np.errstate(invalid="ignore", divide="ignore"):
        among_kept = np.where(curves.n_kept > 0, hits / curves.n_kept, np.nan)
        among_rejected = np.where(rejected > 0, (hits[0] - hits) / rejected, np.nan)
    look: dict[str, Any] = {"drawstyle": "steps-pre"}
    axes.plot(curves.minimum_peaks, among_kept, color=style.PALETTE[0], label="of the kept frames", **look)
    axes.plot(curves.minimum_peaks, among_rejected, color=style.PALETTE[1], label="of the rejected frames", **look)
    saved = rejected / curves.n_kept[0]
    axes.plot(curves.minimum_peaks, saved, color=style.PALETTE[2], label="data saved", linewidth=0.9, **look)
    axes.set_ylabel("share with a crystal; data saved")


def _dress(axes: Axes, curves: VetoCurves, minimum_peaks: int | None) -> None:
    largest = float(curves.minimum_peaks[-1])
    if largest > 20 * _LINEAR_TO:
        axes.set_xscale("symlog", linthresh=_LINEAR_TO)
        steps = (1, 2, 5) if largest < 60 * _LINEAR_TO else (1, 3)
        ticks = [tick for power in range(1, 9) for step in steps if (tick := step * 10.0**power) <= largest]
        ticks = [0.0, 5.0, *ticks]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
    # Lines on the axes themselves would not be seen.
    axes.set_xlim(-0.3 if axes.get_xscale() == "symlog" else -0.012 * max(largest, 1.0), max(largest, 1.0))
    axes.set_ylim(-0.015, 1.04)
    axes.yaxis.set_major_formatter(_PERCENT)
    if minimum_peaks is not None:
        label = f"threshold {minimum_peaks}"
        axes.axvline(minimum_peaks, color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0, label=label)
    axes.set_xlabel("fewest peaks of a kept frame")
    axes.grid(axis="y")
    style.bare_spines(axes)
