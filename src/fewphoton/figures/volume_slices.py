"""Central slices of the intensity volume."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator, MultipleLocator
from numpy.typing import NDArray

from fewphoton.data import IntensityVolume
from fewphoton.errors import DataError
from fewphoton.figures import style

_PLANES = (("hk0", 2, "h", "k"), ("h0l", 1, "h", "l"), ("0kl", 0, "k", "l"))
_LARGEST_RANGE = 1e4


@style.applied()
def draw(volume: IntensityVolume, reference: IntensityVolume | None = None) -> Figure:
    """Draw the planes hk0, h0l and 0kl on a logarithmic scale; voxels that were not measured are grey.

    Parameters
    ----------
    volume : IntensityVolume
        The reconstruction.
    reference : IntensityVolume, optional
        Drawn in a row of its own, with its own scale, as the two may count in different units.

    Raises
    ------
    DataError
        If no measured voxel of a volume is positive.
    """
    rows = [("reconstruction", volume)] if reference is None else [("reference", reference), ("reconstruction", volume)]
    figure = style.new_figure(style.PAGE_MM, 51.5 * len(rows) + 4.0, maps=True)
    grid = figure.subplots(len(rows), 3, squeeze=False)
    for place, (name, shown) in zip(grid, rows, strict=True):
        norm = _scale(shown, name)
        images = [_draw_plane(axes, shown, plane, norm) for axes, plane in zip(place, _PLANES, strict=True)]
        bar = figure.colorbar(images[-1], ax=list(place), fraction=0.016, pad=0.01, aspect=30, extend="both")
        bar.set_label(f"{name}\n(photons per pixel and frame)", fontsize=7.0)
    for axes, plane in zip(grid[0], _PLANES, strict=True):
        axes.set_title(f"{plane[0]}")
    return figure


def _scale(volume: IntensityVolume, name: str) -> LogNorm:
    n = volume.n
    measured = [
        np.take(volume.values, n // 2, axis)[np.take(volume.weight, n // 2, axis) > 0] for _, axis, _, _ in _PLANES
    ]
    positive = np.concatenate(measured)
    positive = positive[positive > 0]
    if positive.size == 0:
        raise DataError(f"the {name} holds no positive intensity in its central planes")
    top = float(np.quantile(positive, 0.9995))
    low = max(float(np.quantile(positive, 0.02)), top / _LARGEST_RANGE)
    return LogNorm(low, top if top > low else 10 * low)


def _draw_plane(axes: Axes, volume: IntensityVolume, plane: tuple[str, int, str, str], norm: LogNorm) -> AxesImage:
    _, axis, across, upward = plane
    values: NDArray[np.float64] = np.take(volume.values, volume.n // 2, axis)
    unmeasured = np.take(volume.weight, volume.n // 2, axis) <= 0
    assert norm.vmin is not None  # set where the scale is made
    # Zero is measured and dark; only what was never measured is left blank.
    shown = np.ma.masked_array(np.maximum(values, norm.vmin / 10), mask=unmeasured)
    edge = volume.axis_hkl()
    half = 0.5 / volume.voxels_per_cell
    extent = (edge[0] - half, edge[-1] + half) * 2
    axes.set_facecolor(style.GAP)
    image = axes.imshow(shown.T, origin="lower", extent=extent, norm=norm, cmap="viridis", interpolation="nearest")
    for scale in (axes.xaxis, axes.yaxis):
        scale.set_major_locator(MaxNLocator(nbins=5, integer=True, steps=[1, 2, 5, 10], symmetric=True))
        if edge[-1] <= 30:
            scale.set_minor_locator(MultipleLocator(1))
    axes.tick_params(which="both", direction="out")
    axes.set_xlabel(across, style="italic")
    axes.set_ylabel(upward, style="italic")
    return image
