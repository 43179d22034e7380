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
        Angle of the most probable orientation; NaN for frames without photons, and throughout where the sample is no
        axis scan.
    best_orientation : ndarray of int32, `(n_frames,)`
        Its number in the sample; -1 for frames without photons.
    best_probability : ndarray of float32, `(n_frames,)`
        Its probability.
    entropy_nat : ndarray of float32, `(n_frames,)`
        Entropy of the probabilities over all orientations.
    log_likelihood : ndarray of float64, `(n_frames,)`
        Logarithm of the likelihood averaged over orientations, up to a constant of the data set.
    angle_deg : ndarray of float64, `(n_orientations,)`, or None
        The sampled angles of an axis scan.
    best_quaternion : ndarray of float64, `(n_frames, 4)`, or None
        The most probable orientation, scalar first; NaN for frames without photons.
    spacing_deg : float or None
        Angle between neighbouring orientations of a sample of all rotations.
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
    angle_deg: NDArray[np.float64] | None = None
    best_quaternion: NDArray[np.float64] | None = None
    spacing_deg: float | None = None
    fluence: NDArray[np.float64] | None = None
    background_photons: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n_frames = len(self.best_angle_deg)
        types = {"best_orientation": np.int32, "best_probability": np.float32, "entropy_nat": np.float32}
        shapes: dict[str, tuple[int | None, ...]] = {"angle_deg": (None,), "best_quaternion": (n_frames, 4)}
        for column in fields(self):
            given = getattr(self, column.name)
            if column.name == "spacing_deg" or (column.default is None and given is None):
                continue
            dtype = types.get(column.name, np.float64)
            shape = shapes.get(column.name, (n_frames,))
            values = frozen_array(f"frame orientations: {column.name}", given, dtype, shape)
            object.__setattr__(self, column.name, values)
        if self.angle_deg is None and (self.best_quaternion is None or not (self.spacing_deg or 0) > 0):
            raise DataError("frame orientations: angle_deg is wanted, or best_quaternion with a spacing_deg above zero")
        if n_frames:
            highest = np.inf if self.angle_deg is None else len(self.angle_deg) - 1
            if self.best_orientation.min() < -1 or self.best_orientation.max() > highest:
                raise DataError(f"frame orientations: numbers must lie in -1 to {highest}")

    def __len__(self) -> int:
        return len(self.best_angle_deg)

    @property
    def step_deg(self) -> float:
        """Angle between neighbouring orientations, in degrees."""
        if self.angle_deg is not None:
            return 360.0 / len(self.angle_deg)
        return float(self.spacing_deg or np.nan)
