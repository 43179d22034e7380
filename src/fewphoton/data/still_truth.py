"""What is known of simulated snapshots: crystals, their spots, the background, and the true intensities."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.data.crystal import Crystal
from fewphoton.data.reflections import Reflections
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class StillShots:
    """One row a frame.

    Parameters
    ----------
    is_hit : ndarray of bool, `(n_frames,)`
        The frame holds a crystal.
    ub_inv_angstrom : ndarray of float64, `(n_frames, 3, 3)`
        Columns a*, b*, c* in the laboratory, 1/angstrom; NaN in frames without a crystal.
    photons_per_electron2 : ndarray of float64, `(n_frames,)`
        Expected photons of a full spot for |F|² of 1; 0 in frames without a crystal.
    background_scale : ndarray of float64, `(n_frames,)`
        Multiplies the background's mean.
    """

    is_hit: NDArray[np.bool_]
    ub_inv_angstrom: NDArray[np.float64]
    photons_per_electron2: NDArray[np.float64]
    background_scale: NDArray[np.float64]

    def __post_init__(self) -> None:
        n = len(self.is_hit)
        columns = {
            "is_hit": frozen_array("still shots: is_hit", self.is_hit, np.bool_, (n,)),
            "ub_inv_angstrom": frozen_array("still shots: UB", self.ub_inv_angstrom, np.float64, (n, 3, 3)),
            "photons_per_electron2": frozen_array("still shots: scale", self.photons_per_electron2, np.float64, (n,)),
            "background_scale": frozen_array("still shots: background", self.background_scale, np.float64, (n,)),
        }
        for name, values in columns.items():
            object.__setattr__(self, name, values)
        if not np.isfinite(self.ub_inv_angstrom[self.is_hit]).all():
            raise DataError("still shots: a frame with a crystal has no finite UB matrix")
        # Written so that NaN, which compares false, is refused.
        if not ((self.photons_per_electron2 > 0) == self.is_hit).all():
            raise DataError("still shots: photons_per_electron2 must be positive on frames with a crystal, else 0")
        if not (np.isfinite(self.background_scale) & (self.background_scale >= 0)).all():
            raise DataError("still shots: background_scale must be finite and not negative")

    def __len__(self) -> int:
        return len(self.is_hit)

    @classmethod
    def concatenate(cls, parts: list[StillShots]) -> StillShots:
        """Join tables in the given order."""
        return cls(**{c.name: np.concatenate([getattr(part, c.name) for part in parts]) for c in fields(cls)})


@dataclass(frozen=True, eq=False)
class StillSpots:
    """Spots of all frames, compressed by frames: those of frame d are rows ``indptr[d]`` to ``indptr[d + 1] - 1``.

    The expected photons of a spot are ``photons_per_electron2 |F|² partiality lorentz_polarization
    visible_fraction``. Positions count pixels of the frame array from the centre of its first pixel. A spot near the
    edge of a panel may have its centre outside; its position then continues the panel's pixel grid, whatever the
    frame array holds there. A spot between two panels has a row for each that it reaches.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_frames + 1,)`
        Row pointers.
    hkl : ndarray of int32, `(n_spots, 3)`
        Miller indices.
    panel : ndarray of int32, `(n_spots,)`
        Number of the detector's panel whose pixels see the spot.
    slow_px, fast_px : ndarray of float32, `(n_spots,)`
        Centre.
    photons : ndarray of float32, `(n_spots,)`
        Expected photons on usable pixels of the panel, saturation left aside.
    visible_fraction : ndarray of float32, `(n_spots,)`
        Part of the spot that falls on usable pixels of the panel, in (0, 1].
    partiality : ndarray of float32, `(n_spots,)`
        exp(-e² / (2 w²)) with excitation error e and excitation width w.
    lorentz_polarization : ndarray of float32, `(n_spots,)`
        Polarization factor times the ratio of the width common to all lattice points to this point's width.
    excitation_error_inv_angstrom : ndarray of float32, `(n_spots,)`
        Distance of the lattice point from the Ewald sphere, positive outside.
    """

    indptr: NDArray[np.int64]
    hkl: NDArray[np.int32]
    panel: NDArray[np.int32]
    slow_px: NDArray[np.float32]
    fast_px: NDArray[np.float32]
    photons: NDArray[np.float32]
    visible_fraction: NDArray[np.float32]
    partiality: NDArray[np.float32]
    lorentz_polarization: NDArray[np.float32]
    excitation_error_inv_angstrom: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.hkl)
        object.__setattr__(self, "indptr", frozen_array("still spots: indptr", self.indptr, np.int64, (None,)))
        object.__setattr__(self, "hkl", frozen_array("still spots: hkl", self.hkl, np.int32, (n, 3)))
        object.__setattr__(self, "panel", frozen_array("still spots: panel", self.panel, np.int32, (n,)))
        for column in fields(self)[3:]:
            values = frozen_array(f"still spots: {column.name}", getattr(self, column.name), np.float32, (n,))
            if not np.isfinite(values).all():
                raise DataError(f"still spots: {column.name} holds values that are not finite")
            object.__setattr__(self, column.name, values)
        fits = len(self.indptr) > 0 and self.indptr[0] == 0 and self.indptr[-1] == n
        if not fits or (np.diff(self.indptr) < 0).any():
            raise DataError(f"still spots: indptr must rise from 0 to {n}, found {self.indptr}")
        for name in ("photons", "panel"):
            if n and getattr(self, name).min() < 0:
                raise DataError(f"still spots: {name} must not be negative, found {getattr(self, name).min()}")

    def __len__(self) -> int:
        return len(self.hkl)

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.indptr) - 1

    def rows(self, frame: int) -> slice:
        """Return the rows of a frame."""
        return slice(int(self.indptr[frame]), int(self.indptr[frame + 1]))

    def frame_numbers(self) -> NDArray[np.int64]:
        """Frame of each spot, int64 `(n_spots,)`."""
        return np.repeat(np.arange(self.n_frames, dtype=np.int64), np.diff(self.indptr))

    @classmethod
    def concatenate(cls, parts: list[StillSpots]) -> StillSpots:
        """Join the spots of successive frames in the given order."""
        lengths = np.concatenate([np.diff(part.indptr) for part in parts])
        columns: dict[str, Any] = {
            column.name: np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(cls)[1:]
        }
        return cls(indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), **columns)


@dataclass(frozen=True, eq=False)
class StillTruth:
    """Everything that is known of a set of simulated snapshots.

    The expected counts of a frame are its background scale times ``background_mean`` plus its spots, each a round
    Gaussian of ``spot_sigma_px`` on the pixels of its panel.

    Parameters
    ----------
    shots : StillShots
        One row a frame.
    spots : StillSpots
        Spots of the same frames.
    background_mean : ndarray of float32, `(n_slow, n_fast)`
        Expected background photons of a frame of scale 1; NaN on masked pixels.
    crystal : Crystal
        Cell and space group.
    reference : Reflections
        |F|² (electrons²) of the reflections in the Laue class's asymmetric unit.
    wavelength_angstrom : float
        Wavelength.
    spot_sigma_px : float
        Standard deviation of a spot in pixels.
    """

    shots: StillShots
    spots: StillSpots
    background_mean: NDArray[np.float32]
    crystal: Crystal
    reference: Reflections
    wavelength_angstrom: float
    spot_sigma_px: float

    def __post_init__(self) -> None:
        mean = frozen_array("still truth: background_mean", self.background_mean, np.float32, (None, None))
        object.__setattr__(self, "background_mean", mean)
        if self.spots.n_frames != len(self.shots):
            raise DataError(f"still truth: spots of {self.spots.n_frames} frames for {len(self.shots)} shots")
        if (np.diff(self.spots.indptr)[~self.shots.is_hit] > 0).any():
            raise DataError("still truth: a frame without a crystal has spots")
        if not (self.wavelength_angstrom > 0 and self.spot_sigma_px > 0):
            raise DataError("still truth: wavelength and spot width must be positive")
