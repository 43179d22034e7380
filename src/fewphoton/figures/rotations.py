"""A reconstruction over all rotations against the truth: correlation by resolution, and errors of the orientations."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.columns import Rows, numbers

_CURVES = (
    ("cc_truth", "truth", "o", "-"),
    ("cc_half_shared_orientations", "half sets", "s", "-"),
    ("cc_truth_chance", "truth, rotated at random", None, (0, (4, 3))),
)
_BINS = 24


@style.applied()
def draw(
    shells: Rows,
    error_deg: NDArray[np.float64],
    turned_deg: NDArray[np.float64],
    step_deg: float,
    chance_fraction: float = np.nan,
) -> Figure:
    """Draw the correlation with the truth and between half sets by shell, and the distribution of rotation errors.

    Parameters
    ----------
    shells : table
        Columns ``q_low_inv_angstrom``, ``q_high_inv_angstrom`` and any of ``cc_truth``, ``cc_truth_chance`` and
        ``cc_half_shared_orientations``.
    error_deg : ndarray of float64, `(n_frames,)`
        Rotation error of each frame after alignment; NaN where unknown.
    turned_deg : ndarray of float64, `(n_frames,)`
        The same where frames may be turned by 180 degrees about the beam.
    step_deg : float
        Angle between neighbouring orientations.
    chance_fraction : float
        Fraction of frames within a step that orientations exchanged at random give; NaN where unknown.

    Raises
    ------
    DataError
        If there is no shell, no curve and no error, or the step is not above zero.
    """
    drawn = [curve for curve in _CURVES if shells and curve[0] in shells[0]]
    known = error_deg[np.isfinite(error_deg)]
    if not drawn or len(known) == 0 or not step_deg > 0:
        raise DataError(f"{len(drawn)} correlations, {len(known)} rotation errors, step {step_deg}: nothing to draw")
    figure = style.new_figure(style.PAGE_MM, 68.0)
    left, right = figure.subplots(1, 2)
    q = 0.5 * (numbers(shells, "q_low_inv_angstrom") + numbers(shells, "q_high_inv_angstrom"))
    for number, (name, label, marker, line) in enumerate(drawn):
        colour = style.QUIET if marker is None else style.colour(number)
        left.plot(q, numbers(shells, name), marker=marker, linestyle=line, color=colour, label=label)
    left.axhline(0.0, color=style.QUIET, linewidth=0.6)
    left.set_xlim(left=0)
    left.set_ylim(-0.1, 1.03)
    left.set_xlabel("q = 2 sin θ/λ (1/Å)")
    left.set_ylabel("correlation of intensities by shell")
    left.grid(axis="y")
    left.legend(loc="best")
    _draw_errors(right, known, turned_deg[np.isfinite(error_deg)], step_deg, chance_fraction)
    for axes, name in ((left, "a"), (right, "b")):
        style.bare_spines(axes)
        style.letter(axes, name)
    return figure


def _draw_errors(
    axes: Axes,
    error_deg: NDArray[np.float64],
    turned_deg: NDArray[np.float64],
    step_deg: float,
    chance_fraction: float,
) -> None:
    """Shares of frames on a logarithmic scale of the error; the first bin holds all smaller errors."""
    lowest = step_deg / 50
    edges = np.geomspace(lowest, 180.0, _BINS + 1)
    share = np.histogram(np.clip(error_deg, lowest, 180.0), edges)[0] / len(error_deg)
    other = np.histogram(np.clip(turned_deg, lowest, 180.0), edges)[0] / len(error_deg)
    axes.axvspan(lowest, step_deg, color="#E4E6E9", linewidth=0, zorder=0.4)
    axes.stairs(share, edges, color=style.colour(0), fill=True, alpha=0.25)
    axes.stairs(share, edges, color=style.colour(0), label="as found")
    if (turned_deg < error_deg).any():
        axes.stairs(other, edges, color=style.colour(1), linestyle=(0, (4, 2)), label="or turned about the beam")
    axes.set_ylim(0, 1.3 * max(float(share.max()), float(other.max())))
    axes.legend(loc="upper left")
    axes.set_xscale("log")
    axes.set_xlim(lowest, 180.0)
    chance = f"; by chance {100 * chance_fraction:.1f} %" if np.isfinite(chance_fraction) else ""
    within = 100 * float((error_deg <= step_deg).mean())
    axes.set_title(f"{within:.1f} % within a step of {step_deg:.3g}° (grey){chance}")
    axes.set_xlabel("rotation error (°)")
    axes.set_ylabel("share of frames")
