"""Integrated or calculated intensities of reciprocal lattice points."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class Reflections:
    """One row a reflection; merged or not, as the maker says.

    Parameters
    ----------
    hkl : ndarray of int32, `(n, 3)`
        Miller indices.
    intensity : ndarray of float64, `(n,)`
        Integrated intensity; NaN where nothing was measured.
    sigma : ndarray of float64, `(n,)`
        Standard deviation; NaN where unknown.
    multiplicity : ndarray of int32, `(n,)`
        Measured equivalents behind the value; 0 where nothing was measured.
    half_1, half_2 : ndarray of float64, `(n,)`
        The same from the even and the odd frames alone; NaN where unknown.
    """

    hkl: NDArray[np.int32]
    intensity: NDArray[np.float64]
    sigma: NDArray[np.float64]
    multiplicity: NDArray[np.int32]
    half_1: NDArray[np.float64]
    half_2: NDArray[np.float64]

    def __post_init__(self) -> None:
        n_rows = len(self.hkl)
        object.__setattr__(self, "hkl", frozen_array("hkl", self.hkl, np.int32, (n_rows, 3)))
        for column in fields(self)[1:]:
            dtype = np.int32 if column.name == "multiplicity" else np.float64
            values = frozen_array(f"reflections: {column.name}", getattr(self, column.name), dtype, (n_rows,))
            object.__setattr__(self, column.name, values)
        if n_rows and self.multiplicity.min() < 0:
            raise DataError("reflections: multiplicity must not be negative")

    def __len__(self) -> int:
        return len(self.hkl)

    @classmethod
    def bare(cls, hkl: NDArray[np.int32], intensity: NDArray[np.float64]) -> Reflections:
        """Rows of which only the intensity is known, for example calculated ones."""
        nothing = np.full(len(hkl), np.nan)
        return cls(hkl, intensity, nothing, np.ones(len(hkl), dtype=np.int32), nothing, nothing)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Reflections:
        """Return the rows that an index or boolean array selects."""
        return Reflections(*(getattr(self, column.name)[rows] for column in fields(self)))
