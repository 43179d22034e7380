"""What a configuration's frames look like on their detector: photons, rings of equal q, predicted reflections."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from fewphoton.data import Beam, Detector
from fewphoton.data.beam_on_detector import BeamOnDetector
from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.detector_view import DetectorView

_LARGEST_IMAGE = 900
_RINGS = 5
_CLOSE_SHARE = 0.11
_CLOSE_BEAM_STOPS = 3.0


@style.applied()
def draw(
    values: NDArray[np.floating] | None,
    detector: Detector,
    beam: Beam,
    centre: BeamOnDetector,
    spots_m: NDArray[np.float64] | None,
    title: str,
) -> Figure:
    """Draw the whole detector (a) and its part about the beam (b).

    Parameters
    ----------
    values : ndarray of float, `(n_pixels,)`, or None
        A frame, or the mean of some; NaN counts as masked. None: there are no frames yet.
    detector : Detector
        Geometry and mask; gaps and masked pixels are grey.
    beam : Beam
        Wavelength and direction.
    centre : BeamOnDetector
        Where the beam meets the detector.
    spots_m : ndarray of float64, `(n, 3)`, or None
        Where reflections are expected, in the laboratory.
    title : str
        What is shown; it stands above.

    Raises
    ------
    DataError
        If the frame belongs to another detector.
    """
    if values is not None and np.shape(values) != (detector.n_pixels,):
        raise DataError(f"a frame of shape {np.shape(values)} for a detector of {detector.n_pixels} pixels")
    figure = style.new_figure(style.PAGE_MM, 98.0)
    grid = figure.add_gridspec(1, 2, width_ratios=(1.25, 1.0))
    whole, close = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    view = DetectorView.from_sample(detector)
    left, right, bottom, top = view.extent_mm()
    middle = view.place_mm(centre.place_m)
    reach = max(_CLOSE_SHARE * max(right - left, top - bottom), _CLOSE_BEAM_STOPS * 1e3 * centre.masked_radius_m)
    reach = min(reach, max(right - left, top - bottom) / 2)
    windows = ((whole, (left, right, bottom, top)), (close, _window(middle, reach)))
    for number, (axes, window) in enumerate(windows):
        _draw_values(axes, view, values, _block(detector, window, view), bar=number == 1)
        _draw_rings(axes, view, beam, window)
        if spots_m is not None and len(spots_m):
            places = view.place_mm(spots_m)
            label = f"predicted reflections: {len(places)}"
            axes.scatter(
                places[:, 0],
                places[:, 1],
                s=7 if number == 0 else 30,
                facecolors="none",
                edgecolors=style.PALETTE[1],
                linewidths=0.5 if number == 0 else 0.8,
                label=label,
            )
        axes.plot(*middle, "+", color=style.PALETTE[2], ms=7, mew=1.0, label="beam")
        axes.set_xlim(window[0], window[1])
        axes.set_ylim(window[2], window[3])
        axes.set_xlabel("horizontal (mm)")
        axes.set_ylabel("vertical (mm)")
        style.letter(axes, "ab"[number])
    radius = 1e3 * centre.masked_radius_m
    if 0 < radius < reach:
        turn = np.linspace(0, 2 * np.pi, 361)
        close.plot(
            middle[0] + radius * np.cos(turn), middle[1] + radius * np.sin(turn), color=style.PALETTE[2], linewidth=0.8
        )
    _draw_axes(whole, view, detector)
    whole.legend(loc="upper right", fontsize=6.5, frameon=True, framealpha=0.85, edgecolor="none", borderpad=0.3)
    figure.suptitle(title, fontsize=8.0)
    return figure


def _window(middle: NDArray[np.float64], reach: float) -> tuple[float, float, float, float]:
    x, y = float(middle[0]), float(middle[1])
    return x - reach, x + reach, y - reach, y + reach


def _block(detector: Detector, window: tuple[float, float, float, float], view: DetectorView) -> int:
    """Pixels joined along each edge, so that a drawing holds no more than it can show."""
    pixel_mm = 1e3 * math.sqrt(min(panel.pixel_area_m2 for panel in detector.panels))
    return max(1, math.ceil(max(window[1] - window[0], window[3] - window[2]) / pixel_mm / _LARGEST_IMAGE))


def _draw_values(axes: Axes, view: DetectorView, values: NDArray[np.floating] | None, block: int, bar: bool) -> None:
    detector = view.detector
    if values is None:
        view.draw_pixels(axes, np.zeros(detector.n_pixels), cmap=ListedColormap(["white"]), interpolation="nearest")
        return
    level = np.asarray(values, dtype=np.float64)
    bad = detector.masked | ~np.isfinite(level)
    seen = level[~bad]
    top = max(float(np.quantile(seen, 0.9995)), float(seen.mean()) * 4, 1e-6) if len(seen) else 1.0
    linear = max(float(np.quantile(seen, 0.75)), top / 50) if len(seen) else 1.0
    low = min(0.0, float(np.quantile(seen, 0.001))) if len(seen) else 0.0
    norm = AsinhNorm(linear_width=linear, vmin=low, vmax=top)
    shown = DetectorView(detector.with_mask(bad), view.right, view.up)
    images = shown.draw_pixels(
        axes, np.where(bad, 0.0, level), block=block, norm=norm, cmap=style.PHOTONS, interpolation="nearest"
    )
    if bar:
        figure = axes.get_figure()
        assert figure is not None
        beside = axes.inset_axes((1.02, 0.0, 0.035, 1.0))
        scale = figure.colorbar(images[0], cax=beside, extend="max")
        scale.set_label("mean of the shown frames (as in the files)")
        # Below the linear width decades would lie on top of each other.
        powers = range(math.ceil(math.log10(linear)), math.floor(math.log10(top)) + 1)
        scale.set_ticks([0.0, *(10.0**power for power in powers)])
        scale.ax.yaxis.set_minor_locator(NullLocator())


def _draw_rings(axes: Axes, view: DetectorView, beam: Beam, window: tuple[float, float, float, float]) -> None:
    left, right, bottom, top = window
    corners = np.array([[x, y] for x in (left, right) for y in (bottom, top)])
    centre = view.place_mm(beam.direction * _distance_m(view, beam))
    reach = float(np.linalg.norm(corners - centre, axis=1).max()) / 1e3
    q_corner = 2 * math.sin(0.5 * math.atan2(reach, _distance_m(view, beam))) / beam.wavelength_angstrom
    for q in _round_steps(q_corner):
        ring = view.q_ring_mm(beam, q)
        inside = (ring[:, 0] > left) & (ring[:, 0] < right) & (ring[:, 1] > bottom) & (ring[:, 1] < top)
        if not inside.any():
            continue
        axes.plot(ring[:, 0], ring[:, 1], color=style.PALETTE[0], linewidth=0.6, linestyle=(0, (4, 3)), alpha=0.9)
        margin = 0.06 * (right - left)
        roomy = inside & (ring[:, 0] > left + margin) & (ring[:, 0] < right - margin) & (ring[:, 1] < top - margin / 2)
        if roomy.any():
            # Labels stand along a ray to the lower right, where legend and arrows leave room.
            azimuth = np.linspace(0, 2 * np.pi, len(ring))
            best = np.flatnonzero(roomy)[np.argmin(np.abs(np.cos(azimuth[roomy] - 0.75 * np.pi) - 1))]
            axes.text(
                float(ring[best, 0]),
                float(ring[best, 1]),
                f"{q:g} Å⁻¹\n{1 / q:{'.0f' if q <= 0.01 else '.3g'}} Å",
                color=style.PALETTE[0],
                fontsize=5.5,
                ha="center",
                va="center",
                linespacing=0.95,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
            )


def _distance_m(view: DetectorView, beam: Beam) -> float:
    return float(np.mean([panel.corner_m @ beam.direction for panel in view.detector.panels]))


def _round_steps(q_max: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten up to a largest value, about five of them."""
    power = 10.0 ** math.floor(math.log10(q_max / _RINGS))
    step = next(step * power for step in (1, 2, 5, 10) if q_max / (step * power) <= _RINGS + 0.5)
    return [float(f"{step * number:.6g}") for number in range(1, int(q_max / step) + 1)]


def _draw_axes(axes: Axes, view: DetectorView, detector: Detector) -> None:
    """Arrows along the frame's fast and slow axis from the outer corner of its first pixel."""
    panel = min(detector.panels, key=lambda panel: (panel.slow_start, panel.fast_start))
    left, right, bottom, top = view.extent_mm()
    length = 0.13 * max(right - left, top - bottom)
    start = view.place_mm(panel.corner_m)
    for name, step in (("fast", panel.fast_step_m), ("slow", panel.slow_step_m)):
        along = view.place_mm(step)
        if np.linalg.norm(along) == 0:
            continue
        end = start + length * along / np.linalg.norm(along)
        arrow = {"arrowstyle": "-|>", "color": style.PALETTE[3], "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=(end[0], end[1]), xytext=(start[0], start[1]), arrowprops=arrow, annotation_clip=False)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
        inward = start + 0.62 * (end - start) + 0.03 * length * np.sign(view.place_mm(np.zeros(3)) - start)
        axes.text(
            inward[0],
            inward[1],
            name,
            color=style.PALETTE[3],
            fontsize=6.5,
            ha="left" if abs(along[1]) > abs(along[0]) else "center",
            va="top" if abs(along[0]) > abs(along[1]) else "center",
            bbox=box,
        )
