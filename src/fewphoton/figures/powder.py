"""The sum of all frames (Ayyer et al. 2015, Fig. 2, doi:10.1107/S2052252514022313)."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike, NDArray

from fewphoton.data import Beam, Detector
from fewphoton.data.detector import q_vectors
from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.detector_view import DetectorView

_LARGEST_IMAGE = 1100


@style.applied()
def draw(
    photons: NDArray[np.integer],
    n_frames: int,
    detector: Detector,
    beam: Beam,
    rotation_axis: ArrayLike | None = None,
) -> Figure:
    """Draw the photons that each pixel saw in all frames, with rings of equal q and the projected rotation axis.

    Parameters
    ----------
    photons : ndarray of integers, `(n_pixels,)`
        Sum over the frames.
    n_frames : int
        How many frames were summed, for the title.
    detector, beam : Detector, Beam
        Geometry and mask; gaps and masked pixels are grey.
    rotation_axis : array_like, `(3,)`, optional
        Goniometer axis in the laboratory; not marked where it is not known.

    Raises
    ------
    DataError
        If the sum does not fit the detector, or no unmasked pixel saw a photon.
    """
    if np.shape(photons) != (detector.n_pixels,):
        raise DataError(f"a sum of shape {np.shape(photons)} for a detector of {detector.n_pixels} pixels")
    seen = np.asarray(photons)[~detector.masked]
    if seen.size == 0 or seen.max() < 1:
        raise DataError("no unmasked pixel saw a photon, so there is no sum to draw")
    view = DetectorView.from_sample(detector)
    map_mm = style.PAGE_MM * 0.72
    figure = style.new_figure(style.PAGE_MM * 0.85, min(map_mm * view.aspect, 1.5 * map_mm) + 16.0)
    axes = figure.add_subplot()
    top = max(float(np.quantile(seen, 0.9995)), 2.0)
    norm = AsinhNorm(linear_width=max(float(np.median(seen)), 1.0), vmin=0.0, vmax=top)
    # A figure has fewer dots than a large detector has pixels; means keep single bright pixels in sight.
    block = -(-max(max(panel.n_slow, panel.n_fast) for panel in detector.panels) // _LARGEST_IMAGE)
    look = {"norm": norm, "cmap": style.PHOTONS, "interpolation": "nearest"}
    images = view.draw_pixels(axes, np.asarray(photons), block=block, **look)
    beside = axes.inset_axes((1.02, 0.0, 0.025, 1.0))
    bar = figure.colorbar(images[0], cax=beside, extend="max" if seen.max() > top else "neither", extendfrac=0.03)
    ticks = [0.0] + [step * 10.0**power for power in range(12) for step in (1, 2, 5) if step * 10.0**power <= top]
    places = [float(norm(tick)) for tick in ticks]
    kept = [0]
    for number in range(1, len(ticks)):
        if places[number] - places[kept[-1]] > 0.07:
            kept.append(number)
    bar.ax.yaxis.set_major_locator(FixedLocator([ticks[number] for number in kept]))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.set_yticklabels([f"{ticks[number]:,.0f}".replace(",", "\u202f") for number in kept])
    bar.set_label("photons per pixel")
    _mark_rings(axes, view, beam)
    if rotation_axis is not None:
        _mark_axis(axes, view, beam, np.asarray(rotation_axis, dtype=np.float64))
    axes.set_xlabel("horizontal (mm)")
    axes.set_ylabel("vertical (mm)")
    total = int(np.asarray(photons, dtype=np.int64).sum())
    axes.set_title(f"{_spaced(total)} photons in {_spaced(n_frames)} frames")
    return figure


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", "\u202f")


def _mark_rings(axes: Axes, view: DetectorView, beam: Beam) -> None:
    q_max = float(np.nanmax(np.linalg.norm(q_vectors(view.detector, beam), axis=1)))
    left, right, bottom, top = view.extent_mm()
    for q in MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(0, q_max):
        ring = view.q_ring_mm(beam, float(q))
        if q <= 0 or not np.isfinite(ring).any():
            continue
        # Near 45 degrees right of the vertical, where neither the axis nor the frame's edge is in the way.
        azimuth = np.linspace(0, 2 * np.pi, len(ring))
        inside = (
            (ring[:, 0] > left + 0.05 * (right - left))
            & (ring[:, 0] < right - 0.05 * (right - left))
            & (ring[:, 1] > bottom + 0.03 * (top - bottom))
            & (ring[:, 1] < top - 0.03 * (top - bottom))
        )
        # A ring that only touches a corner has no room for its label and is left out.
        if inside.any():
            axes.plot(ring[:, 0], ring[:, 1], color=style.PALETTE[0], linewidth=0.6, linestyle=(0, (4, 3)), alpha=0.9)
            turn = np.abs((azimuth - np.pi / 4 + np.pi) % (2 * np.pi) - np.pi)
            best = int(np.argmin(np.where(inside, turn, np.inf)))
            axes.text(
                float(ring[best, 0]),
                float(ring[best, 1]),
                f"{q:g} Å$^{{-1}}$",
                color=style.PALETTE[0],
                ha="center",
                va="center",
                fontsize=6.5,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
            )


def _mark_axis(axes: Axes, view: DetectorView, beam: Beam, axis: NDArray[np.float64]) -> None:
    segments = view.axis_line_mm(beam, axis)
    if not segments:
        return
    line = np.concatenate([np.vstack([segment, [np.nan, np.nan]]) for segment in segments])
    axes.plot(line[:, 0], line[:, 1], color=style.PALETTE[2], linewidth=0.9, label="rotation axis")
    points = np.concatenate(segments)
    along = points @ np.array([view.right @ axis, view.up @ axis])
    left, right, bottom, top = view.extent_mm()
    place = points[int(np.argmax(along))]
    end = np.clip(place, [left, bottom], [right, top])
    axes.annotate(
        "rotation axis",
        xy=end,
        xytext=(4, -7) if end[1] > (bottom + top) / 2 else (4, 7),
        textcoords="offset points",
        color=style.PALETTE[2],
        fontsize=6.5,
        va="center",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85},
    )
