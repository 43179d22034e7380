"""Peaks of several finders on one frame and by resolution (Kieffer et al. 2025, signal separation, Figs 10, 11)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fewphoton.data import Detector, Panel
from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.detector_view import DetectorView
from fewphoton.figures.signal_separation import draw_frame, frame_look

PAPER_SHELL_INV_ANGSTROM = 0.2 / (2 * np.pi)
"""Two inverse nanometres in q = 2 pi / d, the width of the paper's shells, as 1/d."""
_GREYS = LinearSegmentedColormap.from_list("greys", ["white", "#B8B8B8", "#707070", "black"])
"""Frames in grey, so that coloured rings stand out."""
_GAP = "#EBD9B4"
"""Gaps and masked pixels, told from grey frames by their colour."""
_ZOOM_SHARE = 0.16
_RING_POINTS = (3.0, 4.6, 6.2)


@dataclass(frozen=True, eq=False)
class FramePeakList:
    """Peaks, or predicted positions, of one frame.

    Parameters
    ----------
    label : str
        Peak finder.
    slow_px, fast_px : ndarray of float, `(n,)`
        Positions; the centre of the first pixel is 0.
    panel : ndarray of integers, `(n,)`
        Panel of each.
    q_inv_angstrom : ndarray of float64, `(n,)`
        Resolution, 1/d.
    """

    label: str
    slow_px: NDArray[np.floating]
    fast_px: NDArray[np.floating]
    panel: NDArray[np.integer]
    q_inv_angstrom: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.slow_px)

    def points_px(self) -> NDArray[np.float64]:
        """Positions `(n, 2)`, (slow, fast)."""
        return np.column_stack([self.slow_px, self.fast_px]).astype(np.float64)

    def places_m(self, detector: Detector) -> NDArray[np.float64]:
        """Positions in the laboratory `(n, 3)`."""
        places = np.empty((len(self), 3))
        for number, panel in enumerate(detector.panels):
            mine = self.panel == number
            slow = self.slow_px[mine].astype(np.float64) - panel.slow_start + 0.5
            fast = self.fast_px[mine].astype(np.float64) - panel.fast_start + 0.5
            places[mine] = panel.corner_m + slow[:, None] * panel.slow_step_m + fast[:, None] * panel.fast_step_m
        return places


@dataclass(frozen=True, eq=False)
class ShellCounts:
    """Peaks of one finder by resolution.

    Parameters
    ----------
    label : str
        Peak finder.
    n_peaks : ndarray of int64, `(n_shells,)`
        All peaks.
    n_confirmed : ndarray of int64, `(n_shells,)`
        Those near a predicted position or, without predictions, near a peak of another finder.
    """

    label: str
    n_peaks: NDArray[np.int64]
    n_confirmed: NDArray[np.int64]


def near_any(points_px: NDArray[np.float64], others_px: NDArray[np.float64], tolerance_px: float) -> NDArray[np.bool_]:
    """Tell which points `(n, 2)` have one of the others `(m, 2)` within the tolerance, bool `(n,)`."""
    if not len(points_px) or not len(others_px):
        return np.zeros(len(points_px), dtype=bool)
    distance, _ = cKDTree(others_px).query(points_px, distance_upper_bound=np.nextafter(tolerance_px, np.inf))
    return np.asarray(np.isfinite(distance))


def confirmed(
    lists: Sequence[FramePeakList], predicted: FramePeakList | None, tolerance_px: float
) -> list[NDArray[np.bool_]]:
    """Tell for each list which peaks lie near a predicted position or, without predictions, near another's peak."""
    found = []
    for number, one in enumerate(lists):
        rest = [other.points_px() for place, other in enumerate(lists) if place != number]
        others = np.concatenate([*rest, np.zeros((0, 2))]) if predicted is None else predicted.points_px()
        found.append(near_any(one.points_px(), others, tolerance_px))
    return found


def count_by_shell(
    lists: Sequence[FramePeakList],
    predicted: FramePeakList | None = None,
    shell_width_inv_angstrom: float = PAPER_SHELL_INV_ANGSTROM,
    tolerance_px: float = 2.0,
) -> tuple[NDArray[np.float64], list[ShellCounts]]:
    """Count peaks in shells of equal width in q from 0 to the outermost peak.

    Returns
    -------
    edges : ndarray of float64, `(n_shells + 1,)`
        Limits of the shells in q.
    counts : list of ShellCounts
        One a list.
    """
    q_max = max((float(one.q_inv_angstrom.max()) for one in lists if len(one)), default=0.0)
    n_shells = max(1, int(np.floor(q_max / shell_width_inv_angstrom)) + 1)
    edges = np.asarray(shell_width_inv_angstrom * np.arange(n_shells + 1), dtype=np.float64)
    counts = []
    for one, good in zip(lists, confirmed(lists, predicted, tolerance_px), strict=True):
        shell = np.minimum((one.q_inv_angstrom / shell_width_inv_angstrom).astype(np.int64), n_shells - 1)
        counts.append(
            ShellCounts(
                one.label,
                np.bincount(shell, minlength=n_shells).astype(np.int64),
                np.bincount(shell[good], minlength=n_shells).astype(np.int64),
            )
        )
    return edges, counts


@style.applied()
def draw(
    frame: NDArray[np.number],
    detector: Detector,
    lists: Sequence[FramePeakList],
    predicted: FramePeakList | None = None,
    *,
    shell_width_inv_angstrom: float = PAPER_SHELL_INV_ANGSTROM,
    tolerance_px: float = 2.0,
) -> Figure:
    """Draw the frame with all peaks (a), its part with most of them enlarged (b), and peaks by resolution (c).

    Parameters
    ----------
    frame : ndarray, `(n_pixels,)`
        Counts.
    detector : Detector
        Geometry and mask.
    lists : sequence of FramePeakList
        Peaks by one to three finders.
    predicted : FramePeakList, optional
        Where the lattice puts reflections.
    shell_width_inv_angstrom : float
        Width of the shells in 1/d.
    tolerance_px : float
        Peaks this near to a predicted position (or another finder's peak) coincide with it (2 in the paper).

    Raises
    ------
    DataError
        If there are none or more than three lists, or nothing was found at all.
    """
    if not 1 <= len(lists) <= len(_RING_POINTS):
        raise DataError(f"expected the peaks of one to {len(_RING_POINTS)} finders, found {len(lists)}")
    if not any(len(one) for one in lists):
        raise DataError("no finder found a peak in this frame")
    figure = style.new_figure(style.PAGE_MM, 112.0)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.55, 1.0))
    whole, zoom, shells = (figure.add_subplot(place) for place in (grid[:, 0], grid[0, 1], grid[1, 1]))
    values = np.asarray(frame, dtype=np.float64)
    view = draw_frame(whole, values, detector, _GREYS)
    whole.set_facecolor(_GAP)
    places = [view.place_mm(one.places_m(detector)) for one in lists]
    _mark(whole, places, 0.62)
    good = confirmed(lists, predicted, tolerance_px)
    handles = [
        Line2D([], [], linestyle="", marker="o", mfc="none", mew=0.9, color=style.colour(number), ms=size)
        for number, size in zip(range(len(lists)), _RING_POINTS, strict=False)
    ]
    names = [f"{one.label}: {len(one)}" for one in lists]
    window = _densest_window(view, places)
    _draw_zoom(zoom, values, view, window, places, predicted)
    if predicted is not None:
        handles.append(Line2D([], [], linestyle="", marker="x", color=style.INK, ms=3.0, mew=0.7))
        names.append(f"predicted: {len(predicted)}")
    left, bottom, width = window
    whole.add_patch(Rectangle((left, bottom), width, width, fill=False, edgecolor=style.INK, linewidth=0.8))
    whole.legend(handles, names, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, columnspacing=1.2)
    edges, counts = count_by_shell(lists, predicted, shell_width_inv_angstrom, tolerance_px)
    near = "predicted" if predicted is not None else "also by another"
    _draw_shells(shells, edges, counts, near if predicted is not None or len(lists) > 1 else None, good)
    for axes, text in ((whole, "a"), (zoom, "b"), (shells, "c")):
        style.letter(axes, text)
    return figure


def _mark(axes: Axes, places_mm: Sequence[NDArray[np.float64]], scale: float) -> None:
    for number, (points, size) in enumerate(zip(places_mm, _RING_POINTS, strict=False)):
        axes.scatter(
            points[:, 0],
            points[:, 1],
            s=(scale * size) ** 2,
            facecolors="none",
            edgecolors=style.colour(number),
            linewidths=0.75 * scale,
            zorder=3 + number,
        )


def _densest_window(view: DetectorView, places_mm: Sequence[NDArray[np.float64]]) -> tuple[float, float, float]:
    """Left, bottom and edge of the square with most peaks, in millimetres."""
    left, right, bottom, top = view.extent_mm()
    width = _ZOOM_SHARE * min(right - left, top - bottom)
    points = np.concatenate(list(places_mm))
    starts = [np.arange(low, high - width + 1e-9, width / 4) for low, high in ((left, right), (bottom, top))]
    counts, _, _ = np.histogram2d(
        points[:, 0], points[:, 1], bins=[np.append(start, start[-1] + width / 4 * np.arange(1, 5)) for start in starts]
    )
    # Sums over four by four cells of a quarter of the window.
    window = sum(counts[i : i + len(starts[0]), j : j + len(starts[1])] for i in range(4) for j in range(4))
    column, row = np.unravel_index(int(np.argmax(window)), np.shape(window))
    return float(starts[0][column]), float(starts[1][row]), float(width)


def _draw_zoom(
    axes: Axes,
    values: NDArray[np.float64],
    view: DetectorView,
    window_mm: tuple[float, float, float],
    places_mm: Sequence[NDArray[np.float64]],
    predicted: FramePeakList | None,
) -> None:
    left, bottom, width = window_mm
    detector = view.detector
    # The directions of the whole detector keep the axes of panel a.
    part = DetectorView(_cut(detector, view, window_mm), view.right, view.up)
    part.draw_pixels(axes, values, **frame_look(values[~detector.masked], _GREYS))
    axes.set_facecolor(_GAP)
    _mark(axes, places_mm, 1.5)
    if predicted is not None:
        points = view.place_mm(predicted.places_m(detector))
        axes.scatter(points[:, 0], points[:, 1], marker="x", s=9, color=style.INK, linewidths=0.6, zorder=6)
    axes.set_xlim(left, left + width)
    axes.set_ylim(bottom, bottom + width)
    axes.set_xlabel("horizontal (mm)")
    axes.set_ylabel("vertical (mm)")


def _cut(detector: Detector, view: DetectorView, window_mm: tuple[float, float, float]) -> Detector:
    """Panels cut to what the window shows, so that a figure does not carry pixels it does not show."""
    left, bottom, width = window_mm
    panels = []
    for panel in detector.panels:
        places = view.place_mm(panel.pixel_centres_m()).reshape(panel.n_slow, panel.n_fast, 2)
        margin = 2e3 * float(np.linalg.norm(panel.fast_step_m) + np.linalg.norm(panel.slow_step_m))
        shown = np.asarray((np.abs(places - [left + width / 2, bottom + width / 2]) <= width / 2 + margin).all(axis=2))
        if not shown.any():
            continue
        slow, fast = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
        panels.append(
            Panel(
                panel.name,
                panel.slow_start + int(slow[0]),
                panel.fast_start + int(fast[0]),
                int(slow[-1] - slow[0]) + 1,
                int(fast[-1] - fast[0]) + 1,
                panel.corner_m + slow[0] * panel.slow_step_m + fast[0] * panel.fast_step_m,
                panel.slow_step_m,
                panel.fast_step_m,
            )
        )
    return Detector(detector.frame_shape, tuple(panels)).with_mask(detector.masked) if panels else detector


def _draw_shells(
    axes: Axes,
    edges: NDArray[np.float64],
    counts: Sequence[ShellCounts],
    near: str | None,
    good: Sequence[NDArray[np.bool_]],
) -> None:
    middles = (edges[1:] + edges[:-1]) / 2
    for number, (one, mine) in enumerate(zip(counts, good, strict=True)):
        colour = style.colour(number)
        axes.plot(middles, one.n_peaks, color=colour, linewidth=1.0, label=one.label)
        if near is not None:
            label = f"{near}: {100 * mine.mean():.0f} %" if len(mine) else None
            axes.plot(middles, one.n_confirmed, color=colour, linewidth=1.0, linestyle=(0, (3, 2)), label=label)
    axes.set_xlim(0, edges[-1])
    highest = max(int(one.n_peaks.max()) for one in counts)
    # Room for the names above the curves.
    axes.set_ylim(0, highest * (1.12 + 0.13 * len(axes.lines)))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("1/d (Å$^{-1}$)")
    axes.set_ylabel("peaks in a shell")
    axes.legend(loc="upper right")
    style.bare_spines(axes)
