"""Recovered against true orientations about the axis, and how far they are apart."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MultipleLocator, NullLocator
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style

_POINTS_AT_MOST = 3000
_BINS = 120


@style.applied()
def draw(
    true_deg: NDArray[np.float64],
    best_deg: NDArray[np.float64],
    error_deg: NDArray[np.float64],
    photons: NDArray[np.integer],
    step_deg: float,
    tolerance_deg: float,
    chance_fraction: float,
) -> Figure:
    """Draw the best angle of each frame against the true one, and the distribution of the error.

    Parameters
    ----------
    true_deg, best_deg : ndarray of float64, `(n_frames,)`
        Recorded and recovered angles; frames where one is NaN are left out.
    error_deg : ndarray of float64, `(n_frames,)`
        Recovered minus true angle up to what symmetry leaves open, -180 to 180.
    photons : ndarray of integers, `(n_frames,)`
        Photons of each frame; they set the size of the points.
    step_deg : float
        Step between sampled orientations.
    tolerance_deg : float
        Error up to which a frame counts as oriented.
    chance_fraction : float
        Fraction of frames that random angles would bring within the tolerance.

    Raises
    ------
    DataError
        If no frame has both angles, or step, tolerance or chance are unknown.
    """
    if not (step_deg > 0 and tolerance_deg > 0 and chance_fraction > 0):
        raise DataError(
            f"step ({step_deg}), tolerance ({tolerance_deg}) and chance ({chance_fraction}) of the orientations must "
            "be known to draw their errors"
        )
    known = np.isfinite(true_deg) & np.isfinite(best_deg) & np.isfinite(error_deg)
    if not known.any():
        raise DataError("no frame has both a true and a recovered angle")
    figure = style.new_figure(style.PAGE_MM, 80.0)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.05))
    _draw_pairs(left, true_deg[known] % 360.0, best_deg[known] % 360.0, np.asarray(photons)[known])
    _draw_errors(right, error_deg[known], step_deg, tolerance_deg, chance_fraction / (2 * tolerance_deg))
    style.letter(left, "a")
    style.letter(right, "b")
    return figure


def _draw_pairs(
    axes: Axes, true_deg: NDArray[np.float64], best_deg: NDArray[np.float64], photons: NDArray[np.integer]
) -> None:
    if len(true_deg) > _POINTS_AT_MOST:
        edges = np.linspace(0, 360, _BINS + 1)
        frames, _, _ = np.histogram2d(true_deg, best_deg, bins=(edges, edges))
        shown = np.ma.masked_equal(frames.T, 0)
        image = axes.imshow(
            shown,
            origin="lower",
            extent=(0, 360, 0, 360),
            norm=LogNorm(1, max(float(frames.max()), 2.0)),
            cmap=style.PHOTONS,
            interpolation="nearest",
        )
        bar = axes.figure.colorbar(image, ax=axes, fraction=0.045, pad=0.02)
        bar.set_label(f"frames per {360 / _BINS:g}° × {360 / _BINS:g}°")
    else:
        size = 9.0 * photons / max(float(photons.max()), 1.0)
        axes.scatter(true_deg, best_deg, s=np.maximum(size, 0.6), c=style.PALETTE[0], alpha=0.6, linewidths=0)
        axes.set_title("area of a point: photons of the frame", fontsize=7.0, color=style.QUIET)
    axes.set_xlim(0, 360)
    axes.set_ylim(0, 360)
    axes.set_aspect("equal")
    for scale in (axes.xaxis, axes.yaxis):
        scale.set_major_locator(MultipleLocator(90))
        scale.set_minor_locator(MultipleLocator(30))
    axes.set_xlabel("true angle (°)")
    axes.set_ylabel("recovered angle (°)")


def _draw_errors(
    axes: Axes, error_deg: NDArray[np.float64], step_deg: float, tolerance_deg: float, chance_per_deg: float
) -> None:
    """Density of the error on an axis that is linear near zero and logarithmic beyond."""
    # Errors can be multiples of half a step; no edge lies on one of those.
    core = 1.25 * step_deg
    inner = step_deg * np.arange(-1.25, 1.5, 0.5)
    n_outer = max(int(np.ceil(8 * np.log10(180.0 / core))), 2) if core < 180.0 else 0
    outer = np.geomspace(core, 180.0, n_outer + 1) if n_outer else np.array([core])
    edges = np.concatenate([-outer[:0:-1], inner, outer[1:]])
    wrapped = (error_deg + 180.0) % 360.0 - 180.0
    density = np.histogram(wrapped, edges)[0] / (len(wrapped) * np.diff(edges))
    axes.axvspan(-tolerance_deg, tolerance_deg, color="#E4E6E9", linewidth=0, zorder=0.4)
    axes.stairs(density, edges, color=style.PALETTE[0], fill=True, alpha=0.25, baseline=0)
    axes.stairs(np.where(density > 0, density, np.nan), edges, color=style.PALETTE[0], linewidth=1.0, baseline=None)
    axes.axhline(chance_per_deg, color=style.PALETTE[1], linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_xscale("symlog", linthresh=core, linscale=0.6)
    axes.set_xlim(edges[0], edges[-1])
    ticks = [value for value in (0.1, 1.0, 10.0, 90.0) if value > 1.3 * core]
    places = [-value for value in reversed(ticks)] + [0.0, *ticks]
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{value:g}".replace("-", "−") for value in places])
    axes.set_yscale("log")
    axes.set_ylim(min(chance_per_deg, float(density[density > 0].min())) / 4, 3 * float(density.max()))
    axes.annotate(
        "chance",
        xy=(0.0, chance_per_deg),
        xycoords=("axes fraction", "data"),
        xytext=(2, 2),
        textcoords="offset points",
        color=style.PALETTE[1],
        fontsize=6.5,
        va="bottom",
    )
    within = float(np.mean(np.abs(wrapped) <= tolerance_deg * (1 + 1e-9)))
    axes.set_title(f"{100 * within:.1f} % within {tolerance_deg:.3g}° (grey); step {step_deg:.3g}°")
    axes.set_xlabel("recovered − true angle (°)")
    axes.set_ylabel("share of frames per degree")
    style.bare_spines(axes)
