"""Molecules as shaded balls of covalent radius (Mutzafi et al. 2015, Figs 3 and 5, doi:10.1038/ncomms8950)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from fewphoton.data import Molecule
from fewphoton.data.form_factors import covalent_radius_angstrom
from fewphoton.errors import DataError
from fewphoton.figures import atoms, ball_raster, style

_MARK = "#CC79A7"
_BOND_SLACK_ANGSTROM = 0.3
_PIXELS_PER_MM = 8.0
_ARROW_MM = 5.0
_COLUMNS = 3
_MARKS = 60
"""Of a grid full of wrong atoms none is marked."""
_TILT_DEG = (18.0, -24.0)


@dataclass(frozen=True, eq=False)
class BallPanel:
    """One molecule, in the frame of the truth.

    Parameters
    ----------
    label : str
        Method, or the truth.
    molecule : Molecule
        Atoms. A ball's volume goes with the occupancy; whole atoms have their covalent radius.
    note : str
        Line under the drawing, for example the error.
    true_position_angstrom : ndarray of float64, `(n_atoms, 3)`, or None
        Where each atom should be; a row of NaN for atoms that are right, or that have no place at all. None: nothing
        is marked.
    is_wrong : ndarray of bool, `(n_atoms,)`, or None
        Atoms to mark as misplaced. None: none.
    """

    label: str
    molecule: Molecule
    note: str = ""
    true_position_angstrom: NDArray[np.float64] | None = None
    is_wrong: NDArray[np.bool_] | None = None


@style.applied()
def draw(
    panels: Sequence[BallPanel],
    *,
    bonds: bool = True,
    ball_scale: float = 1.0,
    view: NDArray[np.float64] | None = None,
) -> Figure:
    """Draw one panel a molecule, all from the same side and at the same scale.

    Parameters
    ----------
    panels : sequence of BallPanel
        The first decides from which side all are seen.
    bonds : bool
        Join atoms that are nearer than their covalent radii and 0.3 angstrom by sticks.
    ball_scale : float
        Factor on the covalent radii, above 0.
    view : ndarray of float64, `(3, 3)`, optional
        Rotation whose rows are the viewer's right, up, and direction to the eye. Default: :func:`widest_view`.

    Raises
    ------
    DataError
        If there is no panel, a molecule has no atom of occupancy above 0, marks do not fit, or the scale is not above
        0.
    """
    if not all(panel.molecule.occupancy.any() for panel in panels) or not panels or not ball_scale > 0:
        raise DataError(f"{len(panels)} molecules to draw with balls of scale {ball_scale}: nothing to draw")
    for panel in panels:
        _check(panel)
    rotation = widest_view(panels[0].molecule.position_angstrom) if view is None else np.asarray(view, np.float64)
    middle = panels[0].molecule.position_angstrom.mean(axis=0)
    low, high = _limits(panels, rotation, middle, ball_scale)
    columns = min(_COLUMNS, len(panels)) if len(panels) != 4 else 2
    rows = -(-len(panels) // columns)
    width = style.PAGE_MM if columns > 1 else style.COLUMN_MM
    cell = width / columns
    aspect = (high[1] - low[1]) / (high[0] - low[0])
    figure = style.new_figure(width, rows * (0.96 * cell * aspect + 9.0) + 6.0, maps=True)
    axes_of = figure.subplots(rows, columns, squeeze=False).ravel()
    window = ball_raster.Window((low[0], high[0]), (low[1], high[1]), _PIXELS_PER_MM * cell / (high[0] - low[0]))
    for number, axes in enumerate(axes_of):
        axes.set_axis_off()
        if number >= len(panels):
            continue
        panel = panels[number]
        image = _draw_molecule(axes, panel, rotation, middle, window, bonds, ball_scale)
        if number == 0:
            _draw_directions(axes, rotation, window, image[..., 3], _ARROW_MM * (high[0] - low[0]) / cell)
        axes.set_title(panel.label)
        if panel.note:
            axes.annotate(panel.note, (0.5, 0), xycoords="axes fraction", ha="center", va="top", fontsize=7.0)
        if len(panels) > 1:
            style.letter(axes, "abcdefghijkl"[number % 12])
    elements = {name for panel in panels for name in panel.molecule.element}
    handles, names = atoms.legend_handles(elements, balls=True)
    if any(panel.is_wrong is not None and panel.is_wrong.any() for panel in panels):
        ring = Line2D([], [], linestyle="none", marker="o", mfc="none", mec=_MARK, mew=1.3, ms=7.0)
        handles, names = [*handles, ring], [*names, "misplaced (line: to its true place)"]
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), columnspacing=1.4)
    return figure


def widest_view(position_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation that shows atoms `(n, 3)` at their widest, tilted a little so that depth is seen.

    Rows are the viewer's right, up, and direction to the eye; the longest axis of the atoms lies to the right.
    """
    centred = position_angstrom - position_angstrom.mean(axis=0)
    axes = np.linalg.svd(np.concatenate([centred, np.zeros((3, 3))]))[2]
    for row in range(2):
        # An axis has no sense of its own: its largest component is taken as positive.
        axes[row] *= np.sign(axes[row][np.argmax(np.abs(axes[row]))])
    axes[2] = np.cross(axes[0], axes[1])
    return np.asarray(Rotation.from_euler("xy", _TILT_DEG, degrees=True).as_matrix() @ axes)


def view_from_angles(azimuth_deg: float, elevation_deg: float) -> NDArray[np.float64]:
    """Return the view with the beam (z) pointing up, from an azimuth about it and an elevation above the xy plane."""
    turned = Rotation.from_euler("z", -(azimuth_deg + 90), degrees=True).as_matrix()
    upright = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    return np.asarray(Rotation.from_euler("x", elevation_deg, degrees=True).as_matrix() @ upright @ turned)


def _check(panel: BallPanel) -> None:
    n = len(panel.molecule)
    for name, values, shape in (
        ("true positions", panel.true_position_angstrom, (n, 3)),
        ("marks", panel.is_wrong, (n,)),
    ):
        if values is not None and values.shape != shape:
            raise DataError(f"panel {panel.label!r}: expected {name} of shape {shape}, found {values.shape}")


def _radii(molecule: Molecule, ball_scale: float) -> NDArray[np.float64]:
    covalent = {name: covalent_radius_angstrom(name) for name in set(molecule.element)}
    whole = np.array([covalent[name] for name in molecule.element])
    return np.asarray(ball_scale * whole * np.cbrt(molecule.occupancy))


def _limits(
    panels: Sequence[BallPanel], rotation: NDArray[np.float64], middle: NDArray[np.float64], ball_scale: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for panel in panels:
        there = panel.molecule.occupancy > 0
        seen = ((panel.molecule.position_angstrom - middle) @ rotation.T)[there, :2]
        reach = _radii(panel.molecule, ball_scale)[there, None] + 0.25
        low, high = np.minimum(low, (seen - reach).min(axis=0)), np.maximum(high, (seen + reach).max(axis=0))
    return low, high


def _draw_molecule(
    axes: Axes,
    panel: BallPanel,
    rotation: NDArray[np.float64],
    middle: NDArray[np.float64],
    window: ball_raster.Window,
    bonds: bool,
    ball_scale: float,
) -> NDArray[np.float32]:
    molecule = panel.molecule
    centre = (molecule.position_angstrom - middle) @ rotation.T
    radius = _radii(molecule, ball_scale)
    colour = np.array([to_rgb(atoms.colour(name)) for name in molecule.element])
    sticks = _bonds(molecule) if bonds else None
    image = ball_raster.render(centre, radius, colour, window, sticks)
    axes.imshow(image, extent=(*window.x, *window.y), interpolation="antialiased")
    axes.set_aspect("equal")
    wrong = np.flatnonzero(np.zeros(len(molecule), bool) if panel.is_wrong is None else panel.is_wrong)
    if len(wrong) > _MARKS:
        return image
    # Where most atoms are wrong, lines to their places would hide the molecule.
    with_lines = panel.true_position_angstrom is not None and 2 * len(wrong) < len(molecule)
    for number in wrong:
        x, y = centre[number, :2]
        axes.add_patch(
            Circle(
                (x, y),
                radius[number] + 0.1,
                fill=False,
                edgecolor=_MARK,
                linewidth=1.3 if with_lines else 0.9,
                zorder=3,
            )
        )
        target = np.full(3, np.nan)
        if with_lines and panel.true_position_angstrom is not None:
            target = rotation @ (panel.true_position_angstrom[number] - middle)
        if np.isfinite(target).all():
            axes.plot([x, target[0]], [y, target[1]], color=_MARK, linewidth=0.9, zorder=3)
            axes.plot(target[0], target[1], "x", color=_MARK, ms=3.6, mew=1.1, zorder=3)
    return image


def _bonds(molecule: Molecule) -> NDArray[np.int64]:
    """Return pairs of atoms near enough for a bond, `(m, 2)`; atoms of small occupancy have none."""
    radius = _radii(molecule, 1.0)
    distance = cdist(molecule.position_angstrom, molecule.position_angstrom)
    near = distance < radius[:, None] + radius[None] + _BOND_SLACK_ANGSTROM
    there = molecule.occupancy > 0.5
    pairs = np.argwhere(np.triu(near & there[:, None] & there[None], 1))
    light = np.array([name == "H" for name in molecule.element])
    return np.asarray(pairs[~light[pairs].all(axis=1)], dtype=np.int64)


def _draw_directions(
    axes: Axes,
    rotation: NDArray[np.float64],
    window: ball_raster.Window,
    opacity: NDArray[np.float32],
    length: float,
) -> None:
    """Draw the directions of x, y and the beam (z) in the emptiest corner, and a bar of 1 angstrom in the next.

    Arrows in the plane of the drawing are ``length`` angstrom long.
    """
    rows, columns = opacity.shape
    box = max(2, min(rows, columns, round(2.4 * length * window.pixels_per_unit)))
    corners = ((0, 0), (1, 0), (0, 1), (1, 1))

    def covered(corner: tuple[int, int]) -> float:
        right, top = corner
        part = opacity[:box] if top else opacity[-box:]
        return float((part[:, -box:] if right else part[:, :box]).mean())

    first, second = sorted(corners, key=covered)[:2]
    low, size = np.array([window.x[0], window.y[0]]), np.array([np.ptp(window.x), np.ptp(window.y)])
    origin = low + np.where(first, size - 1.1 * length, 1.1 * length)
    for column, name in enumerate(("x", "y", "z (beam)")):
        tip = origin + length * rotation[:2, column]
        axes.annotate(
            "",
            xy=(float(tip[0]), float(tip[1])),
            xytext=(float(origin[0]), float(origin[1])),
            arrowprops={"arrowstyle": "-|>,head_width=0.12,head_length=0.25", "linewidth": 0.8, "color": style.INK},
        )
        place = tip + 0.45 * length * _unit(rotation[:2, column])
        axes.text(float(place[0]), float(place[1]), name, fontsize=6.0, ha="center", va="center")
    x, y = low + np.where(second, size * [1, 0.93] - [1.1, 0], size * [0, 0.03] + [0.1, 0])
    axes.plot([x, x + 1], [y, y], color=style.INK, linewidth=1.6, solid_capstyle="butt")
    axes.annotate(
        "1 Å", (x + 0.5, y), xytext=(0, 2), textcoords="offset points", ha="center", va="bottom", fontsize=6.0
    )


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-3 else np.array([0.0, -1.0])
