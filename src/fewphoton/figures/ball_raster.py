"""Shaded balls and sticks as an image: every pixel shows what lies nearest to the viewer, so balls may intersect.

Space is that of the viewer: x to the right, y up, z towards the eye; the projection is parallel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LIGHT = np.array([-0.42, 0.56, 0.714])
_AMBIENT, _DIFFUSE, _GLOSS, _SHARPNESS = 0.42, 0.62, 0.38, 28
_TO_EYE = np.array([0.0, 0.0, 1.0])
_HALFWAY = (_LIGHT + _TO_EYE) / np.linalg.norm(_LIGHT + _TO_EYE)
_FOG = 0.42
"""Share of white in what lies farthest from the eye."""
_OUTLINE_STEP = 0.22
"""Jump in depth, in the unit of lengths, that is outlined."""
_OUTLINE = 0.38


@dataclass(frozen=True)
class Window:
    """The part of the viewer's plane that is drawn.

    Parameters
    ----------
    x, y : tuple of float
        Limits, in the unit of the balls.
    pixels_per_unit : float
        Resolution before the edges are smoothed.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    pixels_per_unit: float

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return tuple(max(2, round((high - low) * self.pixels_per_unit)) for low, high in (self.y, self.x))  # type: ignore[return-value]


def render(
    centre: NDArray[np.float64],
    radius: NDArray[np.float64],
    colour: NDArray[np.float64],
    window: Window,
    sticks: NDArray[np.int64] | None = None,
    stick_radius: float = 0.11,
    smoothing: int = 2,
) -> NDArray[np.float32]:
    """Draw balls and the sticks between them.

    Parameters
    ----------
    centre : ndarray of float64, `(n, 3)`
        Centres in the viewer's space.
    radius : ndarray of float64, `(n,)`
        Radii; 0 draws nothing.
    colour : ndarray of float64, `(n, 3)`
        Red, green and blue from 0 to 1.
    window : Window
        What is drawn and how finely.
    sticks : ndarray of int64, `(m, 2)`, optional
        Numbers of balls that a stick joins, half of it in the colour of each.
    stick_radius : float
        Radius of the sticks.
    smoothing : int
        Each pixel is the mean of this many squared.

    Returns
    -------
    ndarray of float32, `(rows, columns, 4)`
        Red, green, blue and opacity from 0 to 1, the first row at the top.
    """
    rows, columns = (n * smoothing for n in window.shape)
    x = np.linspace(*window.x, columns + 1)[:-1] + (window.x[1] - window.x[0]) / (2 * columns)
    y = np.linspace(*window.y[::-1], rows + 1)[:-1] - (window.y[1] - window.y[0]) / (2 * rows)
    scene = _Scene(x, y, np.full((rows, columns), -np.inf), np.zeros((rows, columns, 3)), np.zeros((rows, columns, 3)))
    for number in range(len(centre)):
        if radius[number] > 0:
            scene.add_ball(centre[number], float(radius[number]), colour[number])
    for first, second in np.zeros((0, 2), np.int64) if sticks is None else sticks:
        middle = (centre[first] + centre[second]) / 2
        scene.add_stick(centre[first], middle, stick_radius, colour[first])
        scene.add_stick(centre[second], middle, stick_radius, colour[second])
    image = scene.shaded()
    parts = image.reshape(rows // smoothing, smoothing, columns // smoothing, smoothing, 4)
    opacity = parts[..., 3:].mean(axis=(1, 3))
    mixed = (parts[..., :3] * parts[..., 3:]).mean(axis=(1, 3))
    mixed = np.divide(mixed, opacity, out=np.ones_like(mixed), where=opacity > 0)
    return np.concatenate([mixed, opacity], axis=2).astype(np.float32)


@dataclass(eq=False)
class _Scene:
    """Nearest surface so far: depth, normal and colour of each pixel."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    depth: NDArray[np.float64]
    normal: NDArray[np.float64]
    colour: NDArray[np.float64]

    def _near(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[slice, slice]:
        """Rows and columns of pixels inside a box."""
        left, right = np.searchsorted(self.x, [low[0], high[0]])
        top, bottom = np.searchsorted(-self.y, [-high[1], -low[1]])
        return slice(int(top), int(bottom)), slice(int(left), int(right))

    def _show(
        self,
        place: tuple[slice, slice],
        depth: NDArray[np.float64],
        normal: NDArray[np.float64],
        colour: NDArray[np.float64],
    ) -> None:
        nearer = depth > self.depth[place]
        self.depth[place][nearer] = depth[nearer]
        self.normal[place][nearer] = normal[nearer]
        self.colour[place][nearer] = colour

    def add_ball(self, centre: NDArray[np.float64], radius: float, colour: NDArray[np.float64]) -> None:
        place = self._near(centre[:2] - radius, centre[:2] + radius)
        dx, dy = self.x[place[1]][None, :] - centre[0], self.y[place[0]][:, None] - centre[1]
        squared = radius**2 - dx**2 - dy**2
        height = np.sqrt(np.maximum(squared, 0.0))
        depth = np.where(squared > 0, centre[2] + height, -np.inf)
        normal = np.stack(np.broadcast_arrays(dx, dy, height), axis=-1) / radius
        self._show(place, depth, normal, colour)

    def add_stick(
        self, start: NDArray[np.float64], end: NDArray[np.float64], radius: float, colour: NDArray[np.float64]
    ) -> None:
        length = float(np.linalg.norm(end - start))
        axis = (end - start) / max(length, 1e-12)
        steep = 1 - axis[2] ** 2
        if steep < 1e-4:
            return
        place = self._near(np.minimum(start, end)[:2] - radius, np.maximum(start, end)[:2] + radius)
        dx, dy = self.x[place[1]][None, :] - start[0], self.y[place[0]][:, None] - start[1]
        along = dx * axis[0] + dy * axis[1]
        # |p|² - (p·axis)² = radius² for p = (dx, dy, t), solved for the larger t.
        discriminant = (axis[2] * along) ** 2 - steep * (dx**2 + dy**2 - along**2 - radius**2)
        t = (axis[2] * along + np.sqrt(np.maximum(discriminant, 0.0))) / steep
        reach = along + axis[2] * t
        inside = (discriminant > 0) & (reach >= 0) & (reach <= length)
        depth = np.where(inside, start[2] + t, -np.inf)
        spoke = np.stack(np.broadcast_arrays(dx, dy, t), axis=-1) - reach[..., None] * axis
        self._show(place, depth, spoke / radius, colour)

    def shaded(self) -> NDArray[np.float64]:
        """Light from the upper left, gloss, mist with distance, and outlines where the depth jumps."""
        seen = np.isfinite(self.depth)
        image = np.ones((*self.depth.shape, 4))
        image[..., 3] = seen
        if not seen.any():
            return image
        diffuse = np.maximum(self.normal @ _LIGHT, 0.0)
        gloss = np.maximum(self.normal @ _HALFWAY, 0.0) ** _SHARPNESS
        lit = self.colour * (_AMBIENT + _DIFFUSE * diffuse)[..., None]
        lit = lit + _GLOSS * gloss[..., None] * (1 - lit)
        far, near = self.depth[seen].min(), self.depth[seen].max()
        mist = _FOG * (near - self.depth) / max(near - far, 1e-9)
        mist = np.where(seen, mist, 0.0)[..., None]
        lit = lit * (1 - mist) + mist
        lit *= np.where(_outlined(self.depth), _OUTLINE, 1.0)[..., None]
        image[..., :3] = np.where(seen[..., None], np.clip(lit, 0, 1), 1.0)
        return image


def _outlined(depth: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels from which a neighbour two pixels away lies much farther from the eye."""
    edge = np.zeros(depth.shape, dtype=bool)
    deep = np.where(np.isfinite(depth), depth, -1e9)
    for axis in (0, 1):
        for step in (-2, -1, 1, 2):
            other = np.roll(deep, step, axis=axis)
            edge |= deep - other > _OUTLINE_STEP
    return edge & np.isfinite(depth)
