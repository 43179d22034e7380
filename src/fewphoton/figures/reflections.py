"""Integrated intensities against those of the reference and of the true structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style


@dataclass(frozen=True, eq=False)
class Comparison:
    """What the reconstructed intensities are compared with.

    Parameters
    ----------
    name : str
        For the axis, for example ``reference``.
    intensity : ndarray of float64, `(n,)`
        One a reflection, NaN where unknown.
    notes : tuple of str
        Figures of merit as they were evaluated, a line each, for the corner.
    """

    name: str
    intensity: NDArray[np.float64]
    notes: tuple[str, ...] = ()


@style.applied()
def draw(
    intensity: NDArray[np.float64], q_inv_angstrom: NDArray[np.float64], comparisons: Sequence[Comparison]
) -> Figure:
    """Draw a point a reflection on logarithmic axes, coloured by resolution, with the line of proportionality.

    The line has the slope of the summed intensities, which is 1 where both are on one scale.

    Parameters
    ----------
    intensity : ndarray of float64, `(n,)`
        Reconstructed intensities.
    q_inv_angstrom : ndarray of float64, `(n,)`
        Resolution of each reflection.
    comparisons : sequence of Comparison
        One panel each.

    Raises
    ------
    DataError
        If nothing is compared, or no reflection is positive in both.
    """
    if not comparisons:
        raise DataError("there are no intensities to compare the reconstruction with")
    width = style.COLUMN_MM if len(comparisons) == 1 else style.PAGE_MM
    figure = style.new_figure(width, 78.0)
    finite = np.isfinite(q_inv_angstrom)
    norm = Normalize(0.0, float(q_inv_angstrom[finite].max()) if finite.any() else 1.0)
    panels = figure.subplots(1, len(comparisons), squeeze=False)[0]
    for number, (axes, comparison) in enumerate(zip(panels, comparisons, strict=True)):
        points = _draw_one(axes, intensity, q_inv_angstrom, comparison, norm)
        if len(comparisons) > 1:
            style.letter(axes, "abcdefgh"[number])
    figure.colorbar(points, ax=list(panels), fraction=0.03, pad=0.02).set_label("q (Å$^{-1}$)")
    return figure


def _draw_one(
    axes: Axes, intensity: NDArray[np.float64], q: NDArray[np.float64], comparison: Comparison, norm: Normalize
) -> PathCollection:
    with np.errstate(invalid="ignore"):
        both = (intensity > 0) & (comparison.intensity > 0)
    if not both.any():
        raise DataError(f"no reflection is positive in both the reconstruction and the {comparison.name}")
    x, y = comparison.intensity[both], intensity[both]
    order = np.argsort(q[both], kind="stable")[::-1]
    points = axes.scatter(
        x[order], y[order], s=7, c=q[both][order], cmap="cividis", norm=norm, linewidths=0, alpha=0.8, rasterized=True
    )
    ends = np.array([x.min() / 1.5, x.max() * 1.5])
    axes.plot(ends, ends * (y.sum() / x.sum()), color=style.PALETTE[1], linewidth=0.8, zorder=3)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*ends)
    axes.set_xlabel(f"{comparison.name} intensity")
    axes.set_ylabel("reconstructed intensity")
    unseen = int(np.count_nonzero(np.isfinite(intensity) & np.isfinite(comparison.intensity) & ~both))
    lines = [*comparison.notes, f"{int(both.sum())} reflections"]
    if unseen:
        lines.append(f"{unseen} not positive, not shown")
    axes.text(0.03, 0.97, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=7.0, linespacing=1.4)
    style.bare_spines(axes)
    return points
