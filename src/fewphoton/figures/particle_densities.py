"""Densities of a particle from three sides, beside the truth (Shenoy et al. 2023, Fig. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fewphoton.errors import DataError
from fewphoton.figures import style
from fewphoton.figures.density_surface import SIDES, level_of_volume, surface_image

_MOST_COLUMNS = 6
_MARGIN_VOXELS = 2
_HEAD_MM, _FOOT_MM = 13.0, 3.0
_BARS_ANGSTROM = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True, eq=False)
class ShownDensity:
    """One density.

    Parameters
    ----------
    label, note : str
        Its name, and a line below it.
    values : ndarray of float64, `(n, n, n)`
        Density.
    """

    label: str
    values: NDArray[np.float64]
    note: str = ""


@style.applied()
def draw(densities: Sequence[ShownDensity], voxel_angstrom: float, n_voxels: int) -> Figure:
    """Draw a column for each density and a row for each side, all surfaces around as many voxels.

    Parameters
    ----------
    densities : sequence of ShownDensity
        The first gives the window; all on one grid.
    voxel_angstrom : float
        Edge of a voxel.
    n_voxels : int
        Voxels inside each surface.

    Raises
    ------
    DataError
        If there are none or too many, grids differ, or a density is flat.
    """
    if not 1 <= len(densities) <= _MOST_COLUMNS:
        raise DataError(f"1 to {_MOST_COLUMNS} densities fit beside each other, found {len(densities)}")
    shape = densities[0].values.shape
    if any(one.values.shape != shape for one in densities):
        raise DataError(f"densities on different grids: {', '.join(str(one.values.shape) for one in densities)}")
    levels = [level_of_volume(one.values, n_voxels) for one in densities]
    window = _window(densities[0].values >= levels[0])
    width = min(style.PAGE_MM, 10.0 + 42.0 * len(densities))
    tile = (width - 8.0) / len(densities)
    figure = style.new_figure(width, 3 * tile + _HEAD_MM + _FOOT_MM, maps=True)
    grid = figure.subplots(3, len(densities), squeeze=False)
    size = (window.stop - window.start) * voxel_angstrom
    for column, (one, level) in enumerate(zip(densities, levels, strict=True)):
        colour = to_rgb(style.QUIET) if column == 0 else to_rgb(style.colour(column - 1))
        cut = one.values[window, window, window]
        for row, side in enumerate(SIDES):
            axes = grid[row][column]
            axes.imshow(surface_image(cut, level, side, colour), extent=(0, size, 0, size), interpolation="bilinear")
            axes.set_xticks([])
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set(edgecolor="#E4E6E9")
            if column == 0:
                axes.set_ylabel(f"along {side}")
        grid[0][column].set_title(one.label + (f"\n{one.note}" if one.note else ""), fontsize=7.0)
    bar = max(length for length in _BARS_ANGSTROM if length <= max(0.4 * size, 1))
    axes = grid[2][0]
    axes.plot([0.05 * size, 0.05 * size + bar], [0.05 * size] * 2, color=style.INK, linewidth=2.0)
    axes.annotate(f"{bar} Å", (0.05 * size + bar / 2, 0.07 * size), ha="center", va="bottom", fontsize=6.5)
    return figure


def _window(inside: NDArray[np.bool_]) -> slice:
    """Return the central cube that holds a surface, with a margin."""
    n = len(inside)
    place = np.argwhere(inside) - n // 2
    reach = min(int(np.abs(place).max()) + _MARGIN_VOXELS, (n - 1) // 2)
    return slice(n // 2 - reach, n // 2 + reach + 1)
