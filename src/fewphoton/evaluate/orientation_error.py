"""Errors of recovered angles, up to what the crystal's symmetry leaves open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal

_SAME_AXIS = 1e-4


def equivalent_angles_deg(crystal: Crystal, rotation_axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles about the goniometer axis by which the crystal can turn without changing its intensities, `(n,)`.

    Rotations of the Laue group whose axis lies along the goniometer axis; 0 alone for a general axis.
    """
    axis = np.asarray(rotation_axis) / np.linalg.norm(rotation_axis)
    ub = crystal.ub_matrix
    angles = []
    for rotation in crystal.laue_rotations():
        turn = ub @ rotation @ np.linalg.inv(ub)
        if np.linalg.norm(turn @ axis - axis) > _SAME_AXIS:
            continue
        side = np.cross(axis, [1.0, 0, 0] if abs(axis[0]) < 0.9 else [0, 1.0, 0])
        side /= np.linalg.norm(side)
        moved = turn @ side
        angle = np.rad2deg(np.arctan2(axis @ np.cross(side, moved), side @ moved))
        # Crystallographic rotations are multiples of 30 degrees; rounding must not tell 0 from 360.
        angles.append(30.0 * (round(angle / 30.0) % 12))
    return np.unique(angles)


def angle_errors_deg(
    best_deg: NDArray[np.float64], true_deg: NDArray[np.float64], equivalents_deg: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Signed error of each frame, the smallest over equivalent angles, in -180 to 180, `(n_frames,)`; NaN stays."""
    difference = best_deg[:, None] - true_deg[:, None] - equivalents_deg[None, :]
    wrapped = (difference + 180.0) % 360.0 - 180.0
    smallest = np.abs(wrapped).argmin(axis=1)
    return np.asarray(wrapped[np.arange(len(best_deg)), smallest])


@dataclass(frozen=True)
class OrientationScore:
    """How well frames were oriented.

    Parameters
    ----------
    fraction : float
        Frames within the tolerance among those with photons.
    fraction_all_frames : float
        The same among all frames.
    chance : float
        Fraction that random angles would reach.
    median_deg, rms_deg : float
        Of the absolute error and of the error, over frames with photons.
    offset_deg : float
        Median signed error, on the circle of one symmetry period; not forgiven.
    """

    fraction: float
    fraction_all_frames: float
    chance: float
    median_deg: float
    rms_deg: float
    offset_deg: float


def score_orientations(error_deg: NDArray[np.float64], tolerance_deg: float, n_equivalents: int) -> OrientationScore:
    """Summarise angle errors of frames with a recorded angle; frames without photons carry NaN.

    All NaN gives NaN throughout.
    """
    known = error_deg[np.isfinite(error_deg)]
    if len(known) == 0:
        nothing = float("nan")
        return OrientationScore(nothing, nothing, nothing, nothing, nothing, nothing)
    # A tolerance given in steps meets errors that are multiples of half a step, so rounding must not decide.
    within = np.abs(known) <= tolerance_deg * (1 + 1e-9)
    return OrientationScore(
        float(within.mean()),
        float(within.sum() / len(error_deg)),
        min(1.0, 2 * tolerance_deg / 360.0 * n_equivalents),
        float(np.median(np.abs(known))),
        float(np.sqrt(np.mean(known**2))),
        _circular_median(known, 360.0 / n_equivalents),
    )


def _circular_median(error_deg: NDArray[np.float64], period_deg: float) -> float:
    """Median of angles that lie on a circle of ``period_deg``, between plus and minus half of it.

    Errors near half a period have either sign, so the median is taken about their mean direction.
    """
    direction = np.angle(np.exp(2j * np.pi * error_deg / period_deg).mean())
    centre = period_deg * direction / (2 * np.pi)
    about = (error_deg - centre + period_deg / 2) % period_deg - period_deg / 2
    return float((centre + np.median(about) + period_deg / 2) % period_deg - period_deg / 2)
