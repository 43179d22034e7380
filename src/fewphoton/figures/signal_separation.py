"""A real frame and its rings before and after clipping (Kieffer et al. 2025, signal separation, Fig. 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, Colormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray
from scipy.optimize import least_squares

from fewphoton.data import Detector
from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.detector_view import DetectorView

_LARGEST_IMAGE = 640
_MOST_BARS = 80
_TICK_GAP = 0.09


@dataclass(frozen=True, eq=False)
class RingRadii:
    """Radii of the rings, as they are drawn.

    Parameters
    ----------
    centres : ndarray of float64, `(n_bins,)`
        Middle of each ring.
    label : str
        Of the axis, with the unit, for example ``distance from the beam (mm)``.
    unit : str
        For a single radius, for example ``mm``.
    """

    centres: NDArray[np.float64]
    label: str
    unit: str


@dataclass(frozen=True, eq=False)
class RingCurves:
    """Statistics of a pixel in each ring; NaN where a ring has no pixel.

    Parameters
    ----------
    mean : ndarray of float64, `(n_bins,)`
        Mean intensity.
    std : mapping of str to ndarray of float64, `(n_bins,)`
        Standard deviation by the name of the error model.
    """

    mean: NDArray[np.float64]
    std: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Gaussian:
    """A fitted bell: ``height`` exp(-(x - ``mean``)² / (2 ``std``²))."""

    height: float
    mean: float
    std: float


@dataclass(frozen=True, eq=False)
class RingHistogram:
    """Intensities of the pixels of one ring.

    Parameters
    ----------
    radius : float
        Middle of the ring, in the unit that is drawn.
    values : ndarray, `(n,)`
        Intensities of its valid pixels, clipped by nothing.
    mean, std : float
        Of the ring after clipping.
    """

    radius: float
    values: NDArray[np.float64]
    mean: float
    std: float


@style.applied()
def draw(
    frame: NDArray[np.number],
    detector: Detector,
    radii: RingRadii,
    before: RingCurves,
    after: RingCurves,
    histograms: Sequence[RingHistogram],
) -> Figure:
    """Draw the frame (a), the mean (b) and the standard deviation (c) over the radius, and intensities of rings (d).

    Parameters
    ----------
    frame : ndarray, `(n_pixels,)`
        Intensities; masked pixels may hold anything.
    detector : Detector
        Geometry and mask.
    radii : RingRadii
        Of the curves.
    before, after : RingCurves
        Without and with clipping; both name the same error models.
    histograms : sequence of RingHistogram
        Rings of panel d, their bells fitted here.

    Raises
    ------
    DataError
        If the frame belongs to another detector, curves are of another length, or a histogram is empty.
    """
    for curves in (before, after):
        check_lengths(radii, {"mean": curves.mean, **curves.std})
    if not histograms:
        raise DataError("there is no ring whose intensities could be drawn")
    figure = style.new_figure(style.PAGE_MM, 148.0)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.12))
    image = figure.add_subplot(grid[0, 0])
    draw_frame(image, frame, detector)
    mean, spread, counted = (figure.add_subplot(grid[place]) for place in ((0, 1), (1, 0), (1, 1)))
    mean.plot(radii.centres, before.mean, color=style.colour(0), linewidth=0.7, label="all pixels")
    mean.plot(radii.centres, after.mean, color=style.colour(1), linewidth=1.0, label="after clipping")
    mean.set_ylabel("mean of a ring (counts)")
    for number, (curves, when) in enumerate(((before, "all pixels"), (after, "after clipping"))):
        for model, (name, values) in enumerate(curves.std.items()):
            colour = style.PALETTE[(0, 4, 2, 1)[(2 * number + model) % 4]]
            spread.plot(radii.centres, values, color=colour, linewidth=(0.7, 1.0)[number], label=f"{name}, {when}")
    spread.set_ylabel("standard deviation (counts)")
    for axes in (mean, spread):
        axes.set_xlabel(radii.label)
        show_above_zero(axes)
        for histogram in histograms:
            axes.axvline(histogram.radius, color=style.QUIET, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0)
        axes.legend(loc="upper right")
        style.bare_spines(axes)
    _draw_histograms(counted, histograms, radii.unit)
    for axes, text in zip((image, mean, spread, counted), "abcd", strict=True):
        style.letter(axes, text)
    return figure


def check_lengths(radii: RingRadii, curves: Mapping[str, NDArray[np.float64]]) -> None:
    """Refuse curves that do not belong to the rings.

    Raises
    ------
    DataError
        If a curve has another length, or holds no finite value.
    """
    for name, values in curves.items():
        if values.shape != radii.centres.shape:
            raise DataError(f"curve {name!r}: expected one value for each of {len(radii.centres)} rings")
        if not np.isfinite(values).any():
            raise DataError(f"curve {name!r} has no value in any ring")


def show_above_zero(axes: Axes) -> None:
    """Choose a logarithmic vertical axis where the positive values span decades, else one from zero.

    Rings about the beam stop, of a few pixels, may lie outside: they must not set the scale of all.
    """
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines])
    values = values[np.isfinite(values) & (values > 0)]
    if values.size and np.quantile(values, 0.999) > 30 * np.quantile(values, 0.02):
        axes.set_yscale("log")
        top = min(1.5 * float(values.max()), 20 * float(np.quantile(values, 0.99)))
        axes.set_ylim(0.5 * float(np.quantile(values, 0.01)), top)
    else:
        axes.set_ylim(0, 1.2 * float(values.max()) if values.size else 1.0)


def frame_look(seen: NDArray[np.float64], colours: Colormap) -> dict[str, Any]:
    """Options of ``imshow`` for pixels with the values ``seen``: linear below their median, logarithmic above."""
    middle = float(np.median(seen))
    top = max(float(np.quantile(seen, 0.9998)), 10 * middle, 2.0)
    norm = AsinhNorm(linear_width=max(middle, 1.0), vmin=0.0, vmax=top)
    return {"norm": norm, "cmap": colours, "interpolation": "nearest"}


def draw_frame(
    axes: Axes, frame: NDArray[np.number], detector: Detector, colours: Colormap = style.PHOTONS
) -> DetectorView:
    """Draw a frame on an inverse hyperbolic sine scale with its bar; pixels that are not finite count as masked.

    Raises
    ------
    DataError
        If the frame belongs to another detector, or no unmasked pixel is finite.
    """
    if np.shape(frame) != (detector.n_pixels,):
        raise DataError(f"a frame of shape {np.shape(frame)} for a detector of {detector.n_pixels} pixels")
    values = np.asarray(frame, dtype=np.float64)
    bad = detector.masked | ~np.isfinite(values)
    if bad.all():
        raise DataError("no unmasked pixel of the frame holds a value")
    shown = detector.with_mask(bad)
    seen = values[~bad]
    look = frame_look(seen, colours)
    norm, top = look["norm"], look["norm"].vmax
    view = DetectorView.from_sample(shown)
    # A panel has fewer dots than a large detector has pixels; means keep single bright pixels in sight.
    block = -(-max(max(panel.n_slow, panel.n_fast) for panel in detector.panels) // _LARGEST_IMAGE)
    images = view.draw_pixels(axes, values, block=block, **look)
    beside = axes.inset_axes((1.02, 0.0, 0.03, 1.0))
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(images[0], cax=beside, extend="max" if seen.max() > top else "neither", extendfrac=0.03)
    ticks = [0.0]
    for tick in (step * 10.0**power for power in range(12) for step in (1, 2, 5)):
        if tick <= top and float(norm(tick)) - float(norm(ticks[-1])) > _TICK_GAP:
            ticks.append(tick)
    bar.ax.yaxis.set_major_locator(FixedLocator(ticks))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.set_yticklabels([f"{tick:,.0f}".replace(",", "\u202f") for tick in ticks])
    beside.set_title("counts", fontsize=7.0, pad=6.0)
    axes.set_xlabel("horizontal (mm)")
    axes.set_ylabel("vertical (mm)")
    return view


def fit_gaussian(centres: NDArray[np.float64], counts: NDArray[np.float64], mean: float, std: float) -> Gaussian | None:
    """Fit a bell to a histogram by least squares, which a few outliers far away do not move.

    Parameters
    ----------
    centres, counts : ndarray of float64, `(n,)`
        Middle of each column of the histogram and what it holds.
    mean, std : float
        Where to begin.

    Returns
    -------
    Gaussian or None
        None where the histogram is no bell: a ring of few pixels, or of less than a photon each.
    """
    scale = max(float(counts.max(initial=0.0)), 1.0)

    def residual(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        height, middle, width = parameters
        return np.asarray(height * np.exp(-0.5 * ((centres - middle) / width) ** 2) - counts / scale)

    start = np.array([1.0, mean, max(std, 1e-6)])
    fit = least_squares(residual, start, x_scale=np.array([1.0, start[2], start[2]]))
    if not fit.success or not np.isfinite(fit.x).all():
        return None
    height, middle, width = fit.x
    return Gaussian(float(height * scale), float(middle), abs(float(width)))


def histogram_edges(values: NDArray[np.float64], mean: float, std: float) -> NDArray[np.float64]:
    """Edges from six standard deviations below the mean to ten above; whole numbers apart where values are counts."""
    low, high = max(float(values.min()), mean - 6 * std), min(float(values.max()), mean + 10 * std)
    high = max(high, mean + 4 * std, low + 1e-6)
    if np.array_equal(values, np.rint(values)):
        step = max(1, int(np.ceil((high - low) / _MOST_BARS)))
        return np.arange(np.floor(low), np.ceil(high) + step + 1, step) - 0.5
    return np.linspace(low, high, _MOST_BARS + 1)


def _draw_histograms(axes: Axes, histograms: Sequence[RingHistogram], unit: str) -> None:
    beyond = []
    for number, ring in enumerate(histograms):
        values = ring.values[np.isfinite(ring.values)]
        if not values.size:
            raise DataError(f"the ring at {ring.radius:.4g} {unit} has no valid pixel")
        edges = histogram_edges(values, ring.mean, ring.std)
        counts = np.histogram(values, edges)[0].astype(np.float64)
        centres = (edges[1:] + edges[:-1]) / 2
        fit = fit_gaussian(centres, counts, ring.mean, ring.std)
        colour = style.colour(number)
        axes.stairs(counts, edges, color=colour, fill=True, alpha=0.28)
        axes.stairs(counts, edges, color=colour, linewidth=0.7)
        x = np.linspace(edges[0], edges[-1], 400)
        found = "no bell fits" if fit is None else f"fit µ = {fit.mean:.2f}, σ = {fit.std:.2f}"
        label = f"r = {ring.radius:.3g} {unit}\n  {found}\n  clipped µ = {ring.mean:.2f}, σ = {ring.std:.2f}"
        bell = np.full(len(x), np.nan) if fit is None else fit.height * np.exp(-0.5 * ((x - fit.mean) / fit.std) ** 2)
        axes.plot(x, bell, color=colour, label=label)
        beyond.append(f"{int((values > edges[-1]).sum())}")
    axes.set_xlabel("intensity of a pixel (counts)")
    axes.set_ylabel("pixels of the ring")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right", title=f"beyond the axis: {' and '.join(beyond)} pixels", title_fontsize=6.5)
    style.bare_spines(axes)
