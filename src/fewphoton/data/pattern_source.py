"""Patterns by number, in any order: what pose estimation reads, whether they lie in a file or are made on the fly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.arrays import frozen_array
from fewphoton.data.detector import Beam, Detector, polarization_factors, q_vectors
from fewphoton.data.frames import PhotonFrames
from fewphoton.errors import DataError, GeometryError


class PatternSource(Protocol):
    """Patterns of a particle in unknown orientations. It tells nothing of the truth, even where a simulation knows it.

    Attributes
    ----------
    n_patterns : int
        Patterns that can be asked for.
    counts : bool
        Values are photon counts; otherwise expected photons without noise.
    q_per_angstrom : ndarray of float64, `(n_pixels, 3)`
        Scattering vectors of the usable pixels on the Ewald sphere, without 2 pi.
    response : ndarray of float64, `(n_pixels,)`
        Solid angle times polarization of the usable pixels, mean 1: expected photons are response times |F|^2.
    row, column : ndarray of int64, `(n_pixels,)`
        Place of the usable pixels on the detector grid.
    shape : tuple of int
        Rows and columns of that grid.
    """

    @property
    def n_patterns(self) -> int: ...  # noqa: D102
    @property
    def counts(self) -> bool: ...  # noqa: D102
    @property
    def q_per_angstrom(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def response(self) -> NDArray[np.float64]: ...  # noqa: D102
    @property
    def row(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def column(self) -> NDArray[np.int64]: ...  # noqa: D102
    @property
    def shape(self) -> tuple[int, int]: ...  # noqa: D102

    def patterns(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the patterns of these numbers, `(len(index), n_pixels)`; the same number gives the same pattern.

        Raises
        ------
        DataError
            If a number lies outside, or a pattern holds values that are not finite or below zero.
        """
        ...


@dataclass(frozen=True, eq=False)
class PatternPixels:
    """Usable pixels of a detector as a pattern source tells them.

    Parameters
    ----------
    q_per_angstrom : ndarray of float64, `(n_pixels, 3)`
        Scattering vectors.
    response : ndarray of float64, `(n_pixels,)`
        Solid angle times polarization, mean 1.
    number : ndarray of int64, `(n_pixels,)`
        Flat index in the frame array.
    shape : tuple of int
        Rows and columns of the frame array.
    """

    q_per_angstrom: NDArray[np.float64]
    response: NDArray[np.float64]
    number: NDArray[np.int64]
    shape: tuple[int, int]

    @classmethod
    def of_detector(cls, detector: Detector, beam: Beam) -> PatternPixels:
        """Return the pixels that are not masked.

        Raises
        ------
        GeometryError
            If there are none.
        """
        number = np.flatnonzero(~detector.masked)
        if len(number) == 0:
            raise GeometryError("every pixel of the detector is masked")
        absolute = (detector.solid_angles_sr() * polarization_factors(detector, beam))[number]
        return cls(q_vectors(detector, beam)[number], absolute / absolute.mean(), number, detector.frame_shape)


class PatternsOnPixels:
    """The part of a pattern source that its pixels tell."""

    def __init__(self, pixels: PatternPixels) -> None:
        self.pixels = pixels

    @property
    def q_per_angstrom(self) -> NDArray[np.float64]:
        """Scattering vectors of the usable pixels, float64 `(n_pixels, 3)`, in 1/angstrom."""
        return self.pixels.q_per_angstrom

    @property
    def response(self) -> NDArray[np.float64]:
        """Solid angle times polarization of the usable pixels, mean 1, float64 `(n_pixels,)`."""
        return self.pixels.response

    @property
    def row(self) -> NDArray[np.int64]:
        """Row of each usable pixel, int64 `(n_pixels,)`."""
        return np.asarray(self.pixels.number // self.shape[1])

    @property
    def column(self) -> NDArray[np.int64]:
        """Column of each usable pixel, int64 `(n_pixels,)`."""
        return np.asarray(self.pixels.number % self.shape[1])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the frame array."""
        return self.pixels.shape


class PhotonPatterns(PatternsOnPixels):
    """Photon frames held in memory (compressed by rows) as a pattern source.

    Parameters
    ----------
    frames : PhotonFrames
        Frames; their table is not looked at.
    pixels : PatternPixels
        Usable pixels of their detector; photons elsewhere are left out.

    Raises
    ------
    DataError
        If frames and pixels belong to different detectors.
    """

    counts = True

    def __init__(self, frames: PhotonFrames, pixels: PatternPixels) -> None:
        super().__init__(pixels)
        n_pixels = pixels.shape[0] * pixels.shape[1]
        if frames.n_pixels != n_pixels:
            raise DataError(f"frames of {frames.n_pixels} pixels for a detector of {n_pixels}")
        self._indptr, self._pixel, self._count = frames.indptr, frames.pixel, frames.count
        self._place = np.full(n_pixels, -1, dtype=np.int64)
        self._place[pixels.number] = np.arange(len(pixels.number))

    @property
    def n_patterns(self) -> int:
        """Number of frames."""
        return len(self._indptr) - 1

    def patterns(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return photon counts of these frames, float32 `(len(index), n_pixels)`."""
        chosen = checked_numbers(index, self.n_patterns)
        start = self._indptr[chosen]
        lengths = self._indptr[chosen + 1] - start
        before = np.concatenate([[0], np.cumsum(lengths)])
        hits = np.arange(before[-1]) + np.repeat(start - before[:-1], lengths)
        place = self._place[self._pixel[hits]]
        usable = place >= 0
        dense = np.zeros((len(chosen), len(self.pixels.number)), dtype=np.float32)
        dense[np.repeat(np.arange(len(chosen)), lengths)[usable], place[usable]] = self._count[hits][usable]
        return dense


class DensePatterns(PatternsOnPixels):
    """Expected photons in an array, which may be mapped from a file.

    Parameters
    ----------
    values : ndarray of float32, `(n_patterns, n_pixels)`
        Patterns on the usable pixels.
    pixels : PatternPixels
        These pixels.
    origin : str
        What an error calls the array.

    Raises
    ------
    DataError
        If the array has another shape.
    """

    counts = False

    def __init__(self, values: NDArray[np.float32], pixels: PatternPixels, origin: str = "patterns") -> None:
        super().__init__(pixels)
        if values.ndim != 2 or values.shape[1] != len(pixels.number):
            raise DataError(f"{origin}: expected {len(pixels.number)} pixels a pattern, found shape {values.shape}")
        self._values, self._origin = values, origin

    @property
    def n_patterns(self) -> int:
        """Number of patterns."""
        return len(self._values)

    def patterns(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return expected photons of these patterns, float32 `(len(index), n_pixels)`.

        Raises
        ------
        DataError
            If a number lies outside, or a pattern holds NaN, infinities or values below zero.
        """
        chosen = checked_numbers(index, self.n_patterns)
        dense = np.array(self._values[chosen], dtype=np.float32)
        # NaN compares false.
        wrong = ~((dense >= 0) & (dense < np.inf)).all(axis=1)
        if wrong.any():
            raise DataError(
                f"{self._origin}: pattern {chosen[np.argmax(wrong)]} holds values that are not finite or below zero; "
                "mask the bad pixels or leave the pattern out"
            )
        return dense


def checked_numbers(index: NDArray[np.int64], n_patterns: int) -> NDArray[np.int64]:
    """Return pattern numbers as int64 `(n,)`, or raise DataError where one lies outside 0 to ``n_patterns - 1``."""
    chosen = frozen_array("pattern numbers", index, np.int64, (None,))
    if len(chosen) and not 0 <= chosen.min() <= chosen.max() < n_patterns:
        raise DataError(f"pattern numbers must lie in 0 to {n_patterns - 1}, found {chosen.min()} to {chosen.max()}")
    return chosen
