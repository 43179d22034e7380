"""What the iterates of a reconstruction say of the reflections, for telling afterwards when it was good enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class IterateTrace:
    """Integrated intensities of the lattice points in each traced iterate.

    Parameters
    ----------
    iteration : ndarray of int64, `(n,)`
        Iterations, rising.
    seconds : ndarray of float64, `(n,)`
        Wall time from the start of the first iteration to the end of each, tracing left out.
    hkl : ndarray of int32, `(m, 3)`
        Lattice points; equivalents stay apart.
    intensity : ndarray of float64, `(n, m)`
        Sums over spheres; NaN where too little of a sphere was measured.
    weight : ndarray of float64, `(m,)`
        Interpolation weight of each sphere in the last iterate.
    radius_hkl : float
        Radius of the spheres in units of the reciprocal cell's edge.
    symmetrized : bool
        Whether equivalents were averaged in each iterate.
    """

    iteration: NDArray[np.int64]
    seconds: NDArray[np.float64]
    hkl: NDArray[np.int32]
    intensity: NDArray[np.float64]
    weight: NDArray[np.float64]
    radius_hkl: float
    symmetrized: bool = False

    def __post_init__(self) -> None:
        n, m = len(self.iteration), len(self.hkl)
        shapes = {
            "iteration": (np.int64, (n,)),
            "seconds": (np.float64, (n,)),
            "hkl": (np.int32, (m, 3)),
            "intensity": (np.float64, (n, m)),
            "weight": (np.float64, (m,)),
        }
        for name, (dtype, shape) in shapes.items():
            object.__setattr__(self, name, frozen_array(f"trace: {name}", getattr(self, name), dtype, shape))
        if not self.radius_hkl > 0:
            raise DataError(f"trace: the radius of the spheres must be positive, found {self.radius_hkl}")
        if n == 0:
            raise DataError("trace: holds no iterate")
        if (np.diff(self.iteration) <= 0).any():
            raise DataError("trace: iterations must rise")
