"""Where the beam meets the detector, what is masked around that place, and how the frame's axes lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.detector import Beam, Detector, Panel
from fewphoton.errors import GeometryError

_SIDES = ("to the left (+x)", "to the right (-x)", "up (+y)", "down (-y)", "downstream (+z)", "upstream (-z)")
_LEVEL_DEG = 0.05


@dataclass(frozen=True, eq=False)
class BeamOnDetector:
    """The direct beam and its surroundings.

    Parameters
    ----------
    slow_px, fast_px : float
        Where the beam meets the detector, in pixels of the frame; the centre of its first pixel is 0.0. Beside the
        panels, the nearest panel's plane and pixels are continued.
    on_panel : bool
        Whether it meets a panel.
    place_m : ndarray of float64, `(3,)`
        The same place in the laboratory, in metres.
    masked_radius_m : float
        Distance from the beam, at right angles to it and scaled to the distance of its place, to the nearest usable
        pixel's centre.
    q_min_inv_angstrom, q_max_inv_angstrom : float
        Range of q of the usable pixels.
    """

    slow_px: float
    fast_px: float
    on_panel: bool
    place_m: NDArray[np.float64]
    masked_radius_m: float
    q_min_inv_angstrom: float
    q_max_inv_angstrom: float


def beam_on_detector(detector: Detector, beam: Beam) -> BeamOnDetector:
    """Follow the beam to the detector.

    Raises
    ------
    GeometryError
        If the beam meets no panel's plane downstream, or no pixel is usable.
    """
    hits = [_hit(panel, beam) for panel in detector.panels]
    known = [(hit, panel) for hit, panel in zip(hits, detector.panels, strict=True) if hit is not None]
    if not known:
        raise GeometryError("the beam meets no panel's plane downstream of the sample")
    (slow, fast, place), panel = min(known, key=lambda item: _distance_px(item[0], item[1]))
    centres = detector.pixel_centres_m()[~detector.masked]
    if not len(centres):
        raise GeometryError("no pixel of the detector is usable")
    along = centres @ beam.direction
    across = np.linalg.norm(centres - along[:, None] * beam.direction, axis=1)
    angle = np.arctan2(across, along)
    sines = 2 * np.sin(angle / 2) / beam.wavelength_angstrom
    nearest = float(angle.min())
    return BeamOnDetector(
        panel.slow_start + slow - 0.5,
        panel.fast_start + fast - 0.5,
        _distance_px((slow, fast, place), panel) == 0.0,
        place,
        float(place @ beam.direction) * float(np.tan(nearest)) if nearest < np.pi / 2 else np.inf,
        float(sines.min()),
        float(sines.max()),
    )


def direction_in_words(vector: NDArray[np.float64]) -> str:
    """Return where a vector points for a viewer at the sample who looks downstream, with its tilt if it is oblique."""
    unit = np.asarray(vector, dtype=np.float64) / np.linalg.norm(vector)
    axis = int(np.argmax(np.abs(unit)))
    tilt = float(np.rad2deg(np.arccos(min(1.0, abs(float(unit[axis]))))))
    oblique = f", tilted by {tilt:.2f} deg" if tilt > _LEVEL_DEG else ""
    return _SIDES[2 * axis + int(unit[axis] < 0)] + oblique


def _hit(panel: Panel, beam: Beam) -> tuple[float, float, NDArray[np.float64]] | None:
    """Slow and fast coordinate from the panel's corner in pixels, and place; None where the beam never meets it."""
    steps = np.column_stack([panel.slow_step_m, panel.fast_step_m, panel.corner_m])
    if abs(np.linalg.det(steps)) < 1e-30:
        return None
    slow, fast, share = np.linalg.solve(steps, beam.direction)
    if share <= 0:
        return None
    return float(slow / share), float(fast / share), np.asarray(beam.direction / share)


def _distance_px(hit: tuple[float, float, NDArray[np.float64]], panel: Panel) -> float:
    beside = [max(0.0, -value, value - size) for value, size in zip(hit[:2], (panel.n_slow, panel.n_fast), strict=True)]
    return float(np.linalg.norm(beside))
