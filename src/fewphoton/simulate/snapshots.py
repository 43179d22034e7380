"""Snapshots in random orientations: the draws that single particles and serial crystals share.

Every frame has a random stream of its own, keyed by the seed and its number, so it does not depend on the frames that
are made with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameTable, Orientations, PhotonFrames
from fewphoton.data.orientations import rotation_about_axis, rotation_matrices
from fewphoton.data.point_group import positive_quaternions
from fewphoton.kernels.bragg_pattern import draw_pixels

UNUSED_AXIS = np.array([0.0, 1.0, 0.0])
"""Rotation axis that files of crystals without goniometer name; nothing turns about it."""
_FRAME = 1
_MEAN_LEVEL = 4
# Turns the sample away from the axes of crystal and detector, whose symmetry would make its rotations equivalent.
_OBLIQUE = rotation_about_axis([0.36, 0.48, 0.8], 73.0)


def photons_at(
    pattern: NDArray[np.float32],
    draw_ptr: NDArray[np.int64],
    uniform: NDArray[np.float64],
    table: FrameTable,
    frame: NDArray[np.int64] | None = None,
) -> PhotonFrames:
    """Turn uniform draws into photons that are distributed as the patterns.

    Parameters
    ----------
    pattern : ndarray of float32, `(n_patterns, n_pixels)`
        Expected photons.
    draw_ptr : ndarray of int64, `(n_patterns + 1,)`
        Draws from pattern ``p`` are ``draw_ptr[p]`` to ``draw_ptr[p + 1] - 1``.
    uniform : ndarray of float64, `(n_draws,)`
        Draws from 0 to 1, sorted in each pattern; each becomes a photon.
    table : FrameTable
        Rows of the frames.
    frame : ndarray of int64, `(n_draws,)`, optional
        Frame of each draw, where frames share patterns. Default: a frame each pattern.
    """
    n_patterns, n_pixels = pattern.shape
    pixel = np.empty(draw_ptr[-1], dtype=np.int64)
    draw_pixels(pattern, draw_ptr, uniform, pixel)
    if frame is None:
        frame = np.repeat(np.arange(n_patterns), np.diff(draw_ptr))
    place, count = np.unique(frame * n_pixels + pixel, return_counts=True)
    indptr = np.searchsorted(place, np.arange(len(table) + 1) * n_pixels)
    return PhotonFrames(
        indptr.astype(np.int64), (place % n_pixels).astype(np.uint32), count.astype(np.uint32), n_pixels, table
    )


def mean_over_orientations(patterns: Callable[[NDArray[np.float64]], NDArray[np.float32]]) -> float:
    """Return the total of a pattern, averaged over 3240 evenly spread orientations.

    Parameters
    ----------
    patterns : callable
        Returns the patterns `(n, n_pixels)` of rotations `(n, 3, 3)`.
    """
    sample = Orientations.over_rotation_group(_MEAN_LEVEL)
    rotations = _OBLIQUE.T @ sample.matrices() @ _OBLIQUE
    total = 0.0
    for start in range(0, len(sample), 64):
        block = slice(start, start + 64)
        total += float(sample.weight[block] @ patterns(rotations[block]).sum(axis=1, dtype=np.float64))
    return total


@dataclass(frozen=True, eq=False)
class ExpectedFrames:
    """Frames before their photons are drawn.

    Parameters
    ----------
    pattern : ndarray of float32, `(n_frames, n_pixels)`
        Expected photons.
    table : FrameTable
        Rows with the true orientations.
    streams : list of numpy.random.Generator
        Random stream of each frame.
    """

    pattern: NDArray[np.float32]
    table: FrameTable
    streams: list[np.random.Generator]


@dataclass(frozen=True, eq=False)
class Snapshots:
    """Frames of something that is met in random orientations.

    Parameters
    ----------
    patterns : callable
        Returns the expected photons `(n, n_pixels)`, float32, of rotations `(n, 3, 3)` at fluence 1.
    background : ndarray of float32, `(n_pixels,)`
        Expected photons that do not depend on orientation or fluence.
    n_frames : int
        Frames.
    fluence_spread : float
        Standard deviation of the logarithm of the frames' fluences.
    seed : int
        Seed.
    """

    patterns: Callable[[NDArray[np.float64]], NDArray[np.float32]]
    background: NDArray[np.float32]
    n_frames: int
    fluence_spread: float
    seed: int

    def expected(self, number: NDArray[np.int64]) -> ExpectedFrames:
        """Return what the frames of these numbers expect, and the random streams that go on to draw their photons."""
        streams = self._streams(number)
        quaternion = _uniform_quaternions(streams)
        spread = self.fluence_spread
        fluence = np.array([np.exp(spread * stream.standard_normal() - 0.5 * spread**2) for stream in streams])
        pattern = self.patterns(rotation_matrices(quaternion))
        pattern *= fluence[:, None].astype(np.float32)
        pattern += self.background
        table = replace(FrameTable.unknown(len(streams)), source_index=np.asarray(number), quaternion=quaternion)
        return ExpectedFrames(pattern, table, streams)

    def quaternions(self, number: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the true orientations of the frames of these numbers, float64 `(len(number), 4)`."""
        return _uniform_quaternions(self._streams(number))

    def _streams(self, number: NDArray[np.int64]) -> list[np.random.Generator]:
        return [
            np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(_FRAME, int(one)))) for one in number
        ]

    def draw(self, start: int, stop: int) -> PhotonFrames:
        """Draw the frames ``start`` to ``stop - 1``; their table holds the true orientations."""
        return self.draw_numbers(np.arange(start, stop))

    def draw_numbers(self, number: NDArray[np.int64]) -> PhotonFrames:
        """Draw the frames of these numbers `(n,)`, in this order."""
        expected = self.expected(number)
        totals = expected.pattern.sum(axis=1, dtype=np.float64)
        drawn = [
            np.sort(stream.random(stream.poisson(total)))
            for stream, total in zip(expected.streams, totals, strict=True)
        ]
        draw_ptr = np.concatenate([[0], np.cumsum([len(part) for part in drawn])]).astype(np.int64)
        return photons_at(expected.pattern, draw_ptr, np.concatenate([np.zeros(0), *drawn]), expected.table)

    def chunks(self, chunk_frames: int) -> Iterator[PhotonFrames]:
        """Yield all frames in order, ``chunk_frames`` at a time."""
        for start in range(0, self.n_frames, chunk_frames):
            yield self.draw(start, min(start + chunk_frames, self.n_frames))


def _uniform_quaternions(streams: list[np.random.Generator]) -> NDArray[np.float64]:
    """Return the first draw of each stream, float64 `(n, 4)`."""
    quaternion = np.array([stream.standard_normal(4) for stream in streams]).reshape(-1, 4)
    return positive_quaternions(quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True))
