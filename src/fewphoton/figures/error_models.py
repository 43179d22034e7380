"""Standard deviations of pure Poisson noise by two error models (Kieffer et al. 2025, signal separation, Fig. 1)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewphoton.data import Detector
from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.signal_separation import RingRadii, check_lengths, draw_frame, show_above_zero


@style.applied()
def draw(
    frame: NDArray[np.number],
    detector: Detector,
    radii: RingRadii,
    std: Mapping[str, NDArray[np.float64]],
    n_pixels: NDArray[np.integer],
    true_std: NDArray[np.float64] | None = None,
) -> Figure:
    """Draw a frame of background alone (a), and the standard deviation of a pixel over the radius (b).

    Parameters
    ----------
    frame : ndarray, `(n_pixels,)`
        Counts.
    detector : Detector
        Geometry and mask.
    radii : RingRadii
        Of the curves.
    std : mapping of str to ndarray of float64, `(n_bins,)`
        By the name of the error model; NaN where a ring has no pixel.
    n_pixels : ndarray of integers, `(n_bins,)`
        Pixels in each ring; drawn below the curves, as few pixels make them scatter.
    true_std : ndarray of float64, `(n_bins,)`, optional
        What the frame was drawn with.

    Raises
    ------
    DataError
        If there is no curve, or frame and curves do not fit the detector and the rings.
    """
    if not std:
        raise DataError("there is no error model to draw")
    check_lengths(radii, {**std, "pixels in the rings": np.asarray(n_pixels, dtype=np.float64)})
    figure = style.new_figure(style.PAGE_MM, 82.0)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.12), height_ratios=(3.2, 1.0))
    image = figure.add_subplot(grid[:, 0])
    draw_frame(image, frame, detector)
    curves = figure.add_subplot(grid[0, 1])
    # The scattered curve lies below, so that the smooth one stays in sight.
    roughness = {name: float(np.nanstd(np.diff(values))) for name, values in std.items()}
    for number, (name, values) in enumerate(std.items()):
        curves.plot(
            radii.centres,
            values,
            color=style.colour(number),
            linewidth=0.8,
            label=f"{name} model",
            zorder=2.5 - roughness[name] / (1e-12 + sum(roughness.values())),
        )
    if true_std is not None:
        check_lengths(radii, {"true": true_std})
        curves.plot(radii.centres, true_std, color=style.INK, linewidth=0.8, linestyle=(0, (4, 3)), label="true")
    show_above_zero(curves)
    curves.set_ylabel("standard deviation (counts)")
    curves.tick_params(labelbottom=False)
    curves.legend(loc="best")
    below = figure.add_subplot(grid[1, 1], sharex=curves)
    below.plot(radii.centres, n_pixels, color=style.QUIET, linewidth=0.8)
    below.set_yscale("log")
    below.set_ylabel("pixels")
    below.set_xlabel(radii.label)
    for axes in (curves, below):
        style.bare_spines(axes)
    style.letter(image, "a")
    style.letter(curves, "b")
    return figure
