"""Slices of the Patterson map beside those of the reference (Ayyer et al. 2015, Fig. 3).

doi:10.1107/S2052252514022313.
"""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style

_ORIGIN_RADIUS_VOXELS = 3.0
_BLOCK_GAP = 0.06


@style.applied()
def draw(
    patterson: NDArray[np.float64],
    reference_patterson: NDArray[np.float64] | None,
    voxel_angstrom: ArrayLike,
    *,
    correlation: float | None = None,
    every: int = 4,
) -> Figure:
    """Draw every ``every``-th slice at constant w through the map, the origin's slice among them.

    Densities are drawn as fractions of each map's own origin peak, which puts maps of different fluence on one scale.

    Parameters
    ----------
    patterson : ndarray of float64, `(n, n, n)`
        Map of the reconstruction over the unit cell, axes u, v, w, origin at [0, 0, 0]. It is drawn with the origin
        in the middle, at voxel ``n // 2``.
    reference_patterson : ndarray of float64, `(n, n, n)`, optional
        Map of the reference, drawn above the reconstruction on the same colour scale.
    voxel_angstrom : array_like
        Edge of a voxel, one number or three (along a, b, c).
    correlation : float, optional
        Correlation of the two maps away from the origin, as it was evaluated, for the title.
    every : int
        Step between slices.

    Raises
    ------
    DataError
        If a map is no cube, the two differ in shape, or one has no positive origin peak or nothing beside it.
    """
    n = patterson.shape[0]
    maps = [patterson] if reference_patterson is None else [reference_patterson, patterson]
    if any(np.shape(values) != (n, n, n) for values in maps):
        raise DataError(f"Patterson maps must be equal cubes, found shapes {[np.shape(values) for values in maps]}")
    if not all(values[0, 0, 0] > 0 for values in maps):
        raise DataError("a Patterson map without a positive peak at its origin cannot be drawn")
    maps = [np.fft.fftshift(values) / values[0, 0, 0] for values in maps]
    slices = list(range((n // 2) % every, n, every))
    norm = _shared_scale(maps)
    n_columns = min(7, len(slices))
    n_blocks = math.ceil(len(slices) / n_columns)
    cell_mm = (style.PAGE_MM - 16.0) / n_columns
    heights = ([1.0] * len(maps) + [_BLOCK_GAP]) * n_blocks
    heights.pop()
    figure = style.new_figure(style.PAGE_MM, cell_mm * sum(heights) + 4.5 * n_blocks + 5.0, maps=True)
    grid = figure.add_gridspec(len(heights), n_columns, height_ratios=heights)
    image = None
    left_axes: list[Axes] = []
    for number, index in enumerate(slices):
        block, column = divmod(number, n_columns)
        for row, values in enumerate(maps):
            axes = figure.add_subplot(grid[block * (len(maps) + 1) + row, column])
            image = _draw_slice(axes, values[:, :, index], norm)
            if row == len(maps) - 1:
                axes.set_xlabel(f"{index}", labelpad=1.5, fontweight="bold" if index == n // 2 else "normal")
            if column == 0:
                name = "reference" if row == 0 and len(maps) == 2 else "reconstruction"
                axes.set_ylabel(name, fontsize=7.0)
                left_axes.append(axes)
    assert image is not None  # n // 2 is always among the slices
    bar = figure.colorbar(image, ax=figure.axes, fraction=0.015, pad=0.006, aspect=40, extend="max")
    bar.set_label("fraction of the origin peak")
    bar.ax.tick_params(labelsize=6.5)
    voxel = " × ".join(f"{edge:.3g}" for edge in np.unique(np.round(np.atleast_1d(voxel_angstrom), 6)))
    title = f"slices at constant w of {n}³ voxels of {voxel} Å"
    if correlation is not None:
        title += f"; correlation away from the origin {correlation:.3f}"
    figure.suptitle(title, fontsize=8.0)
    return figure


def _draw_slice(axes: Axes, values: NDArray[np.float64], norm: Normalize) -> AxesImage:
    image = axes.imshow(values.T, origin="lower", norm=norm, cmap="viridis", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    return image


def _shared_scale(maps: list[NDArray[np.float64]]) -> Normalize:
    """From the lowest common level to the highest peak that is not the origin's."""
    n = maps[0].shape[0]
    axis = np.arange(n) - n // 2
    distance2 = axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2
    away = np.concatenate([values[distance2 > _ORIGIN_RADIUS_VOXELS**2] for values in maps])
    away = away[np.isfinite(away)]
    if away.size == 0:
        raise DataError("the Patterson map holds no finite value away from its origin")
    low, high = np.quantile(away, [0.005, 0.9995])
    return Normalize(float(low), float(high) if high > low else float(low) + 1.0)
