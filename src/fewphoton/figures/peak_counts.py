"""Peaks found in each frame (Kieffer et al. 2025, signal separation, Fig. 9)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style

_FEW_FRAMES = 60


@style.applied()
def draw(n_peaks: Mapping[str, NDArray[np.integer]], minimum_peaks: int | None = None) -> Figure:
    """Draw the number of peaks of each frame (a) and the distribution over frames (b).

    Parameters
    ----------
    n_peaks : mapping of str to ndarray of integers, `(n_frames,)`
        Peaks of each frame by the name of the peak finder; all of the same frames.
    minimum_peaks : int, optional
        Threshold of the veto, drawn as a line.

    Raises
    ------
    DataError
        If there is no frame, or the numbers of frames differ.
    """
    lengths = {len(counts) for counts in n_peaks.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise DataError(f"expected peaks of the same frames by each finder, found {sorted(lengths)} frames")
    (n_frames,) = lengths
    figure = style.new_figure(style.PAGE_MM, 62.0)
    over, spread = figure.subplots(1, 2, sharey=True, width_ratios=(3.0, 1.0))
    top = max(int(counts.max()) for counts in n_peaks.values())
    edges = np.arange(top + 2) - 0.5 if top <= 30 else np.linspace(-0.5, top + 0.5, 31)
    for number, (name, counts) in enumerate(n_peaks.items()):
        colour = style.colour(number)
        if n_frames <= _FEW_FRAMES:
            look = {"marker": style.marker(number), "mec": "white", "mew": 0.4, "ms": 5.0, "linewidth": 0.9}
        else:
            look = {"marker": ".", "ms": 2.0, "linewidth": 0.5 if n_frames < 2000 else 0.0}
        over.plot(np.arange(n_frames), counts, color=colour, label=f"{name}: {int(counts.sum())} peaks", **look)
        spread.stairs(
            np.histogram(counts, edges)[0], edges, orientation="horizontal", color=colour, fill=True, alpha=0.25
        )
        spread.stairs(np.histogram(counts, edges)[0], edges, orientation="horizontal", color=colour, linewidth=0.9)
    for axes in (over, spread):
        if minimum_peaks is not None:
            label = f"veto below {minimum_peaks}" if axes is over else None
            axes.axhline(minimum_peaks, color=style.QUIET, linewidth=0.8, linestyle=(0, (4, 3)), label=label)
        style.bare_spines(axes)
    over.set_ylim(min(0.0, -0.01 * top), 1.08 * max(top, 1))
    over.set_xlabel("frame")
    over.set_ylabel("peaks")
    over.xaxis.set_major_locator(MaxNLocator(integer=True))
    over.grid(axis="y")
    over.legend(loc="best")
    spread.set_xlabel("frames")
    spread.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    for axes, text in ((over, "a"), (spread, "b")):
        style.letter(axes, text)
    return figure
