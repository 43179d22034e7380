"""Detectors as the sample sees them, in millimetres, whatever the number and place of their panels.

The viewer stands at the sample and looks at the detector, along the mean normal of its panels. For a detector
normal to the beam, +y points up and +x (left of the beam when one travels with it) points to the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from fewphoton.data import Beam, Detector, Panel
from fewphoton.figures import style

_MM = 1e3


@dataclass(frozen=True, eq=False)
class DetectorView:
    """A plane that the detector is projected on.

    Parameters
    ----------
    detector : Detector
        What is looked at.
    right, up : ndarray of float64, `(3,)`
        Unit vectors of the drawing's axes in the laboratory.
    """

    detector: Detector
    right: NDArray[np.float64]
    up: NDArray[np.float64]

    @classmethod
    def from_sample(cls, detector: Detector) -> DetectorView:
        """Look from the sample along the mean panel normal, with the laboratory's +y upwards (or +z against it)."""
        forward = np.zeros(3)
        for panel in detector.panels:
            middle = panel.corner_m + panel.n_slow / 2 * panel.slow_step_m + panel.n_fast / 2 * panel.fast_step_m
            normal = panel.normal * np.sign(panel.normal @ middle or 1.0)
            forward += normal * panel.pixel_area_m2 * panel.n_slow * panel.n_fast
        if np.linalg.norm(forward) < 1e-12:  # panels all around the sample
            forward = np.array([0.0, 0.0, 1.0])
        forward = forward / np.linalg.norm(forward)
        vertical = np.array([0.0, 1.0, 0.0])
        if abs(forward @ vertical) > 0.99:
            vertical = np.array([0.0, 0.0, -1.0])
        up = vertical - (vertical @ forward) * forward
        up = up / np.linalg.norm(up)
        return cls(detector, np.cross(forward, up), up)

    def place_mm(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project points `(..., 3)` in metres to the drawing `(..., 2)` in millimetres, right and up."""
        return np.stack([points_m @ self.right, points_m @ self.up], axis=-1) * _MM

    def extent_mm(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top of the detector in the drawing."""
        corners = np.concatenate([self.place_mm(_corners_m(panel)) for panel in self.detector.panels])
        (left, bottom), (right, top) = corners.min(axis=0), corners.max(axis=0)
        return float(left), float(right), float(bottom), float(top)

    @property
    def aspect(self) -> float:
        """Height of the detector over its width."""
        left, right, bottom, top = self.extent_mm()
        return (top - bottom) / (right - left)

    def draw_pixels(
        self, axes: Axes, values: NDArray[np.generic], *, block: int = 1, **options: Any
    ) -> list[AxesImage]:
        """Draw one value a pixel, `(n_pixels,)`, each panel at its place; gaps and masked pixels are grey.

        Squares of ``block`` by ``block`` pixels are drawn as the mean of those that are not masked. ``options`` go
        to ``imshow``; give ``norm`` and ``cmap`` there, one for all panels.
        """
        frame = np.ma.masked_array(values, mask=self.detector.masked).reshape(self.detector.frame_shape)
        axes.set_facecolor(style.GAP)
        images = []
        for panel in self.detector.panels:
            window = (
                slice(panel.slow_start, panel.slow_start + panel.n_slow),
                slice(panel.fast_start, panel.fast_start + panel.n_fast),
            )
            corner = self.place_mm(panel.corner_m)
            fast, slow = self.place_mm(panel.fast_step_m), self.place_mm(panel.slow_step_m)
            to_mm = Affine2D(np.array([[fast[0], slow[0], corner[0]], [fast[1], slow[1], corner[1]], [0, 0, 1]]))
            shown = frame[window] if block == 1 else _block_means(frame[window], block)
            images.append(
                axes.imshow(
                    shown,
                    extent=(0, shown.shape[1] * block, 0, shown.shape[0] * block),
                    origin="lower",
                    transform=to_mm + axes.transData,
                    **options,
                )
            )
        left, right, bottom, top = self.extent_mm()
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        axes.set_aspect("equal")
        return images

    def q_ring_mm(self, beam: Beam, q_inv_angstrom: float, n_azimuths: int = 1440) -> NDArray[np.float64]:
        """Where scattering with length q meets the panels, `(n_azimuths, 2)`, in millimetres; NaN where it misses."""
        sine = q_inv_angstrom * beam.wavelength_angstrom / 2
        places = np.full((n_azimuths, 2), np.nan)
        if not 0 < sine < 1:
            return places
        two_theta = 2 * np.arcsin(sine)
        azimuth = np.linspace(0, 2 * np.pi, n_azimuths)[:, None]
        across = self.up - (self.up @ beam.direction) * beam.direction
        if np.linalg.norm(across) < 1e-6:
            across = self.right - (self.right @ beam.direction) * beam.direction
        across = across / np.linalg.norm(across)
        third = np.cross(beam.direction, across)
        rays = np.cos(two_theta) * beam.direction + np.sin(two_theta) * (
            np.cos(azimuth) * across + np.sin(azimuth) * third
        )
        for panel in self.detector.panels:
            with np.errstate(divide="ignore", invalid="ignore"):
                reach = (panel.corner_m @ panel.normal) / (rays @ panel.normal)
            points = rays * np.where(np.isfinite(reach), reach, -1.0)[:, None]
            steps = np.stack([panel.fast_step_m, panel.slow_step_m], axis=1)
            pixels = (points - panel.corner_m) @ np.linalg.pinv(steps).T
            hit = (reach > 0) & (pixels >= 0).all(axis=1) & (pixels <= [panel.n_fast, panel.n_slow]).all(axis=1)
            places[hit] = self.place_mm(points[hit])
        return places

    def axis_line_mm(self, beam: Beam, axis: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Where the plane of beam and rotation axis cuts the panels: segments `(2, 2)` in millimetres.

        The list is empty where the axis is parallel to the beam.
        """
        normal = np.cross(axis, beam.direction)
        if np.linalg.norm(normal) < 1e-6 * np.linalg.norm(axis):
            return []
        segments = []
        for panel in self.detector.panels:
            corners = _corners_m(panel)
            side = corners @ normal
            crossings = []
            for i in range(4):
                j = (i + 1) % 4
                if (side[i] < 0) != (side[j] < 0):
                    crossings.append(corners[i] + side[i] / (side[i] - side[j]) * (corners[j] - corners[i]))
            if len(crossings) == 2:
                segments.append(self.place_mm(np.array(crossings)))
        return segments


def _corners_m(panel: Panel) -> NDArray[np.float64]:
    slow, fast = panel.n_slow * panel.slow_step_m, panel.n_fast * panel.fast_step_m
    return np.asarray(panel.corner_m + np.array([0 * slow, slow, slow + fast, fast]))


def _block_means(values: np.ma.MaskedArray[Any, Any], block: int) -> np.ma.MaskedArray[Any, Any]:
    """Mean of the unmasked values in squares; the last ones of a row or column may be cut off by the panel's edge."""
    n_slow, n_fast = (-(-length // block) for length in values.shape)
    whole = (n_slow * block, n_fast * block)
    padded = np.ma.masked_array(np.zeros(whole), mask=np.ones(whole, dtype=bool))
    padded[: values.shape[0], : values.shape[1]] = values
    means: np.ma.MaskedArray[Any, Any] = padded.reshape(n_slow, block, n_fast, block).mean(axis=(1, 3))
    return means
