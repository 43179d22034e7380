"""What a training has found so far: slices of its volume, view directions of held-out frames, course of likelihoods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewphoton.data import IntensityVolume
from fewphoton.data.orientations import rotation_matrices
from fewphoton.errors import DataError
from fewphoton.figures import style

_LARGEST_RANGE = 1e4
_PLANES = (("$q_x q_y$", 2), ("$q_x q_z$", 1), ("$q_y q_z$", 0))


@style.applied()
def draw(
    volume: IntensityVolume,
    quaternion: NDArray[np.float64],
    head: NDArray[np.int64],
    beam_direction: NDArray[np.float64],
    course: Sequence[tuple[int, int, float]],
) -> Figure:
    """Draw the preview.

    Parameters
    ----------
    volume : IntensityVolume
        Volume so far.
    quaternion : ndarray of float64, `(n, 4)`
        Poses of held-out frames; NaN where there is none.
    head : ndarray of int64, `(n,)`
        Head that gave each pose.
    beam_direction : ndarray of float64, `(3,)`
        Its direction in the particle's frame is drawn: an equal-area map, even where all views are as frequent.
    course : sequence of (start, step, log-likelihood)
        Rows of the trace.

    Raises
    ------
    DataError
        If no measured voxel is positive.
    """
    known = volume.weight > 0
    largest = float(volume.values[known].max(initial=0.0))
    if not largest > 0:
        raise DataError("no measured voxel of the volume is positive")
    figure = style.new_figure(style.PAGE_MM, 100)
    grid = figure.add_gridspec(2, 6)
    norm = LogNorm(max(float(volume.values[known].min()), largest / _LARGEST_RANGE), largest)
    edge = volume.n / 2
    for column, (name, axis) in enumerate(_PLANES):
        axes = figure.add_subplot(grid[0, 2 * column : 2 * column + 2])
        middle = volume.n // 2
        plane = np.where(volume.weight.take(middle, axis) > 0, volume.values.take(middle, axis), np.nan).T
        axes.set_facecolor(style.GAP)
        image = axes.imshow(
            plane, origin="lower", extent=(-edge, edge, -edge, edge), norm=norm, cmap=style.PHOTONS, rasterized=True
        )
        axes.set(title=name, xlabel="voxels", ylabel="voxels" if column == 0 else "")
    figure.colorbar(image, ax=figure.axes, label="photons a pixel", shrink=0.9)
    _scatter(figure, grid[1, :3], quaternion, head, beam_direction)
    _course(figure, grid[1, 3:], course)
    return figure


def _scatter(
    figure: Figure,
    place: object,
    quaternion: NDArray[np.float64],
    head: NDArray[np.int64],
    beam_direction: NDArray[np.float64],
) -> None:
    axes = figure.add_subplot(place)  # type: ignore[call-overload]
    view = np.swapaxes(rotation_matrices(quaternion), -1, -2) @ beam_direction
    longitude = np.rad2deg(np.arctan2(view[:, 1], view[:, 0]))
    for number in np.unique(head[head >= 0]).tolist():
        chosen = head == number
        axes.plot(
            longitude[chosen],
            view[chosen, 2],
            linestyle="none",
            marker=style.marker(number),
            color=style.colour(number),
            markersize=2.0,
        )
    axes.set(
        xlabel="longitude of the beam in the particle (deg)",
        ylabel="cosine of the polar angle",
        title="held-out poses by head",
        xlim=(-180, 180),
        ylim=(-1, 1),
        xticks=[-180, -90, 0, 90, 180],
    )


def _course(figure: Figure, place: object, course: Sequence[tuple[int, int, float]]) -> None:
    axes = figure.add_subplot(place)  # type: ignore[call-overload]
    for number in sorted({start for start, _, _ in course}):
        rows = [(step, value) for start, step, value in course if start == number]
        steps, values = zip(*rows, strict=True)
        axes.plot(steps, values, color=style.colour(number), marker=style.marker(number))
    axes.set(xlabel="steps", ylabel="log-likelihood a pixel", title="held-out frames, by start")
    style.bare_spines(axes)
