"""Successive frames with emphasised photons (Ayyer et al. 2015, Fig. 1, doi:10.1107/S2052252514022313)."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from fewphoton.data import Detector, PhotonFrames
from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.detector_view import DetectorView

_DOT_POINTS2 = 2.2
_DENSE_PHOTONS = 2000.0


@style.applied()
def draw(frames: PhotonFrames, detector: Detector) -> Figure:
    """Draw each frame with a dot a photon, far larger than a pixel; more photons in a pixel make a larger dot.

    Parameters
    ----------
    frames : PhotonFrames
        The frames to show, a handful.
    detector : Detector
        Geometry and mask; gaps and masked pixels are grey.

    Raises
    ------
    DataError
        If there are no frames, or they belong to another detector.
    """
    if frames.n_frames == 0:
        raise DataError("there are no frames to draw")
    if frames.n_pixels != detector.n_pixels:
        raise DataError(f"frames of {frames.n_pixels} pixels for a detector of {detector.n_pixels}")
    view = DetectorView.from_sample(detector)
    n_columns = min(3, frames.n_frames)
    n_rows = math.ceil(frames.n_frames / n_columns)
    width_mm = style.PAGE_MM * n_columns / 3
    panel_mm = style.PAGE_MM / 3 - 3.0
    height_mm = n_rows * (min(panel_mm * view.aspect, 1.6 * panel_mm) + 7.0)
    figure = style.new_figure(width_mm, height_mm)
    places_mm = view.place_mm(detector.pixel_centres_m())
    totals = frames.totals()
    # Dots shrink where photons are many, or they would run into one another.
    dot = _DOT_POINTS2 * min(1.0, _DENSE_PHOTONS / max(float(totals.mean()), 1.0))
    blank = np.zeros(detector.n_pixels)
    for number in range(frames.n_frames):
        axes = figure.add_subplot(n_rows, n_columns, number + 1)
        view.draw_pixels(axes, blank, cmap=ListedColormap(["white"]), interpolation="nearest")
        hits = slice(int(frames.indptr[number]), int(frames.indptr[number + 1]))
        where = places_mm[frames.pixel[hits]]
        axes.scatter(
            where[:, 0], where[:, 1], s=dot * frames.count[hits], c=style.INK, marker="o", linewidths=0, clip_on=True
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel(_caption(number, int(totals[number]), frames))
    _scale_bar(figure.axes[0], view)
    return figure


def _caption(number: int, photons: int, frames: PhotonFrames) -> str:
    start = float(frames.table.omega_start_deg[number])
    end = float(frames.table.omega_end_deg[number])
    counted = f"{photons} photon{'' if photons == 1 else 's'}"
    if not (math.isfinite(start) and math.isfinite(end)):
        return f"{counted}, ω unknown"
    span = abs(end - start)
    digits = 2 if span == 0 else max(2, min(6, 1 - math.floor(round(math.log10(span), 6))))
    return f"{counted}, ω {start:.{digits}f}° to {end:.{digits}f}°"


def _scale_bar(axes: Axes, view: DetectorView) -> None:
    left, right, bottom, top = view.extent_mm()
    exponent = math.floor(math.log10((right - left) / 4))
    length = max(step * 10.0**exponent for step in (1, 2, 5) if step * 10.0**exponent <= (right - left) / 4)
    x, y = right - 0.04 * (right - left), bottom + 0.05 * (top - bottom)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.85}
    axes.plot([x - length, x], [y, y], color=style.PALETTE[1], linewidth=1.6, solid_capstyle="butt")
    axes.text(
        x - length / 2,
        y + 0.02 * (top - bottom),
        f"{length:g} mm",
        color=style.PALETTE[1],
        ha="center",
        va="bottom",
        fontsize=6.5,
        bbox=box,
    )
