"""A grid of sites on which atoms may sit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import DataError


@dataclass(frozen=True)
class PositionGrid:
    """Sites r = centre + spacing (i - (n - 1) / 2) along each axis.

    Parameters
    ----------
    spacing_angstrom : float
        Distance of neighbouring sites, the same along all axes.
    shape : tuple of int
        Sites along x, y and z.
    centre_angstrom : tuple of float
        Middle of the grid.

    Raises
    ------
    DataError
        If the spacing is not positive, an axis has no sites, or the centre is not finite.
    """

    spacing_angstrom: float
    shape: tuple[int, int, int]
    centre_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not 0 < self.spacing_angstrom < np.inf:
            raise DataError(f"position grid: the spacing must be positive, found {self.spacing_angstrom} angstrom")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise DataError(f"position grid: expected three numbers of sites of at least 1, found {self.shape}")
        if len(self.centre_angstrom) != 3 or not np.isfinite(self.centre_angstrom).all():
            raise DataError(f"position grid: expected a centre of three finite numbers, found {self.centre_angstrom}")

    @property
    def n_sites(self) -> int:
        """Sites of the grid."""
        return int(np.prod(self.shape, dtype=np.int64))

    def positions(self, site: NDArray[np.integer] | None = None) -> NDArray[np.float64]:
        """Return the positions of sites by their flat C-ordered number (none: all), float64 `(..., 3)`, in angstrom."""
        number = np.arange(self.n_sites) if site is None else np.asarray(site)
        index = np.stack(np.unravel_index(number, self.shape), axis=-1)
        middle = (np.array(self.shape) - 1) / 2
        return np.asarray(self.centre_angstrom + self.spacing_angstrom * (index - middle))

    def nearest_site(self, position_angstrom: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the flat number of the site next to each position `(..., 3)`, int64 `(...)`.

        Raises
        ------
        DataError
            If a position lies more than half a spacing outside the grid.
        """
        place = (np.asarray(position_angstrom) - self.centre_angstrom) / self.spacing_angstrom
        index = np.rint(place + (np.array(self.shape) - 1) / 2).astype(np.int64)
        outside = int(((index < 0) | (index >= self.shape)).any(axis=-1).sum())
        if outside:
            raise DataError(
                f"{outside} of {index[..., 0].size} positions lie outside the grid of {self.shape} sites "
                f"{self.spacing_angstrom:g} angstrom apart; use more sites or a larger spacing"
            )
        return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(index, -1, 0)), self.shape))
