"""What a reconstruction says of each frame's orientation."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class FrameOrientations:
    """Most probable orientation of each frame, and how certain it is.

    Parameters
    ----------
    best_angle_deg : ndarray of float64, `(n_frames,)`
        Angle of the most probable orientation; NaN for frames without photons.
    best_orientation : ndarray of int32, `(n_frames,)`
        Its number in the sample; -1 for frames without photons.
    best_probability : ndarray of float32, `(n_frames,)`
        Its probability.
    entropy_nat : ndarray of float32, `(n_frames,)`
        Entropy of the probabilities over all orientations.
    log_likelihood : ndarray of float64, `(n_frames,)`
        Logarithm of the likelihood averaged over orientations, up to a constant of the data set.
    angle_deg : ndarray of float64, `(n_orientations,)`
        The sampled angles.
    fluence : ndarray of float64, `(n_frames,)`, or None
        Factor of the expected counts, mean 1 over frames with photons; 0 for frames without. None: not estimated.
    background_photons : ndarray of float64, `(n_frames,)`, or None
        Expected background photons on the pixels of the likelihood. None: not estimated.
    """

    best_angle_deg: NDArray[np.float64]
    best_orientation: NDArray[np.int32]
    best_probability: NDArray[np.float32]
    entropy_nat: NDArray[np.float32]
    log_likelihood: NDArray[np.float64]
    angle_deg: NDArray[np.float64]
    fluence: NDArray[np.float64] | None = None
    background_photons: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n_frames = len(self.best_angle_deg)
        types = {"best_orientation": np.int32, "best_probability": np.float32, "entropy_nat": np.float32}
        for column in fields(self):
            if column.default is None and getattr(self, column.name) is None:
                continue
            shape = (None,) if column.name == "angle_deg" else (n_frames,)
            dtype = types.get(column.name, np.float64)
            values = frozen_array(f"frame orientations: {column.name}", getattr(self, column.name), dtype, shape)
            object.__setattr__(self, column.name, values)
        if n_frames and (self.best_orientation.min() < -1 or self.best_orientation.max() >= len(self.angle_deg)):
            raise DataError(f"frame orientations: numbers must lie in -1 to {len(self.angle_deg) - 1}")

    def __len__(self) -> int:
        return len(self.best_angle_deg)

    @property
    def step_deg(self) -> float:
        """Distance between neighbouring angles of the full turn, in degrees."""
        return 360.0 / len(self.angle_deg)
