"""Everything an evaluation found that figures draw."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array

_MAPS = ("patterson", "reference_patterson")
_FRAMES = ("true_angle_deg", "best_angle_deg", "angle_error_deg", "photons")
_SCALARS = ("orientation_step_deg", "tolerance_deg", "chance_fraction")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Result of evaluate.

    Parameters
    ----------
    patterson : ndarray of float64, `(n, n, n)`
        Patterson map over the unit cell, origin at [0, 0, 0].
    reference_patterson : ndarray of float64, `(n, n, n)`, or None
        The same from the reference.
    patterson_voxel_angstrom : ndarray of float64, `(3,)`
        Grid spacing along the cell edges.
    true_angle_deg, best_angle_deg, angle_error_deg : ndarray of float64, `(n_frames,)`
        Recorded and recovered angle of each frame, and their difference up to symmetry; NaN where unknown.
    photons : ndarray of int64, `(n_frames,)`
        Photons of each frame.
    hkl : ndarray of int32, `(n, 3)`
        Merged reflections (asymmetric unit of the Laue group).
    q_inv_angstrom : ndarray of float64, `(n,)`
        Their q.
    intensity, sigma : ndarray of float64, `(n,)`
        Merged intensity and standard deviation.
    reference_intensity, truth_intensity : ndarray of float64, `(n,)`
        Scaled to ``intensity``; NaN where missing.
    orientation_step_deg : float
        Distance between sampled angles; NaN without orientations.
    tolerance_deg : float
        Error up to which a frame counts as oriented; NaN without orientations.
    chance_fraction : float
        Fraction of frames that random angles would bring within the tolerance; NaN without orientations.
    """

    patterson: NDArray[np.float64]
    reference_patterson: NDArray[np.float64] | None
    patterson_voxel_angstrom: NDArray[np.float64]
    true_angle_deg: NDArray[np.float64]
    best_angle_deg: NDArray[np.float64]
    angle_error_deg: NDArray[np.float64]
    photons: NDArray[np.int64]
    hkl: NDArray[np.int32]
    q_inv_angstrom: NDArray[np.float64]
    intensity: NDArray[np.float64]
    sigma: NDArray[np.float64]
    reference_intensity: NDArray[np.float64]
    truth_intensity: NDArray[np.float64]
    orientation_step_deg: float = np.nan
    tolerance_deg: float = np.nan
    chance_fraction: float = np.nan

    def __post_init__(self) -> None:
        n_voxels, n_frames, n_rows = len(self.patterson), len(self.photons), len(self.hkl)
        for column in fields(self):
            name, values = column.name, getattr(self, column.name)
            if name in _SCALARS or values is None:
                continue
            shape: tuple[int, ...] = (n_rows,)
            if name in _MAPS:
                shape = (n_voxels,) * 3
            elif name == "patterson_voxel_angstrom":
                shape = (3,)
            elif name in _FRAMES:
                shape = (n_frames,)
            elif name == "hkl":
                shape = (n_rows, 3)
            dtype = {"photons": np.int64, "hkl": np.int32}.get(name, np.float64)
            object.__setattr__(self, name, frozen_array(f"evaluation: {name}", values, dtype, shape))
