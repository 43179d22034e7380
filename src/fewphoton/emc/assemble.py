"""Merging frames of known angles into a volume: the high-fluence reference of Ayyer et al. 2015, section 4."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, IntensityVolume, Orientations, PhotonFrames
from fewphoton.emc.pixels import PixelRows
from fewphoton.errors import DataError
from fewphoton.kernels.threads import threads_in_use
from fewphoton.kernels.volume_change import divide_by_weight
from fewphoton.kernels.volume_slices import compress

_VIEWS_AT_A_TIME = 128


class Assembler:
    """Sums frames into views of known angle and compresses them.

    Frames are binned to the nearest of ``n_angles`` equally spaced angles; with one angle a voxel or finer, the
    rounding is below the interpolation's own width.

    Parameters
    ----------
    rows : PixelRows
        Pixels and grid.
    crystal : Crystal
        UB matrix.
    rotation_axis : ndarray of float64, `(3,)`
        Goniometer axis.
    n_angles : int
        Angles over a full turn.
    """

    def __init__(self, rows: PixelRows, crystal: Crystal, rotation_axis: NDArray[np.float64], n_angles: int) -> None:
        self._rows = rows
        self._crystal = crystal
        self._orientations = Orientations.about_axis(rotation_axis, n_angles)
        self._hits: list[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.uint32], NDArray[np.int8]]] = []
        self._exposure = np.zeros((2, n_angles))

    def add(self, frames: PhotonFrames, angle_offset_deg: float = 0.0) -> None:
        """Add frames at their recorded angles.

        Raises
        ------
        DataError
            If an angle is unknown.
        """
        omega = frames.table.omega_deg + angle_offset_deg
        if not np.isfinite(omega).all():
            blind = int(np.argmin(np.isfinite(omega)))
            raise DataError(f"frame {blind} (source index {frames.table.source_index[blind]}) has no recorded angle")
        n_angles = len(self._orientations)
        view = np.rint(omega / 360.0 * n_angles).astype(np.int64) % n_angles
        half = (np.arange(frames.n_frames) % 2).astype(np.int8)
        for part in (0, 1):
            self._exposure[part] += np.bincount(view[half == part], minlength=n_angles)
        row = self._rows.row_of_pixel[frames.pixel]
        frame = frames.frame_numbers()
        kept = row >= 0
        self._hits.append((view[frame[kept]], row[kept], frames.count[kept], half[frame[kept]]))

    def volumes(self) -> tuple[IntensityVolume, tuple[IntensityVolume, IntensityVolume]]:
        """Return the volume of all frames and those of the even and odd frames of each added piece.

        Raises
        ------
        DataError
            If no frame was added.
        """
        if not self._exposure.any():
            raise DataError("no frames to assemble")
        rows = self._rows
        view, row, count, half = (np.concatenate(parts) for parts in zip(*self._hits, strict=True))
        order = np.argsort(view, kind="stable")
        view, row, count, half = view[order], row[order], count[order], half[order]
        rotations = self._orientations.matrices()
        pixel_ones, view_ones = np.ones(rows.n_rows), np.ones(_VIEWS_AT_A_TIME)
        photon_sums, weights = (np.zeros((2, *(rows.n_voxels,) * 3)) for _ in range(2))
        for start in range(0, len(rotations), _VIEWS_AT_A_TIME):
            stop = min(start + _VIEWS_AT_A_TIME, len(rotations))
            transforms = rows.transforms(self._crystal, rotations[start:stop])
            first, last = np.searchsorted(view, [start, stop])
            for part in (0, 1):
                exposure = self._exposure[part, start:stop]
                if not exposure.any():
                    continue
                chosen = slice(first, last), half[first:last] == part
                place = row[chosen[0]][chosen[1]].astype(np.int64) * (stop - start) + view[chosen[0]][chosen[1]] - start
                photons = np.bincount(place, count[chosen[0]][chosen[1]], minlength=rows.n_rows * (stop - start))
                for views, pixel_factor, view_factor, volume in (
                    (
                        photons.reshape(rows.n_rows, stop - start).astype(np.float32),
                        pixel_ones,
                        view_ones[: stop - start],
                        photon_sums,
                    ),
                    (None, rows.response, exposure, weights),
                ):
                    compress(
                        views,
                        pixel_factor,
                        view_factor,
                        rows.q_inv_angstrom,
                        transforms,
                        rows.origin,
                        threads_in_use(),
                        volume[part],
                    )
        # The sums over both halves come first: a mean takes the place of its sums.
        both = _mean(photon_sums.sum(axis=0), weights.sum(axis=0), rows.voxels_per_cell)
        even, odd = (_mean(photon_sums[part], weights[part], rows.voxels_per_cell) for part in (0, 1))
        return both, (even, odd)


def _mean(photons: NDArray[np.float64], weight: NDArray[np.float64], voxels_per_cell: int) -> IntensityVolume:
    """Divide summed photons by their weight, in place."""
    divide_by_weight(photons, weight)
    return IntensityVolume(photons, weight, voxels_per_cell)


def assemble(
    chunks: Iterable[PhotonFrames],
    rows: PixelRows,
    crystal: Crystal,
    rotation_axis: NDArray[np.float64],
    n_angles: int,
    angle_offset_deg: float = 0.0,
) -> tuple[IntensityVolume, tuple[IntensityVolume, IntensityVolume]]:
    """Merge frames at their recorded angles; see :class:`Assembler`."""
    assembler = Assembler(rows, crystal, rotation_axis, n_angles)
    for chunk in chunks:
        assembler.add(chunk, angle_offset_deg)
    return assembler.volumes()
