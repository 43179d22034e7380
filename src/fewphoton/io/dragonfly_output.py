"""Output files of Dragonfly (HDF5): the intensities and the most likely rotation of each frame.

What is read: ``intens`` and ``inter_weight`` (n_modes, n, n, n), ``quaternions`` (n_rotations, 5; the fifth column is a
weight), ``orientations`` (n_frames; number of the rotation plus n_rotations times the mode, -1 for frames left out),
``likelihood`` (n_frames), and ``probabilities/prob`` where they were kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import InputFileError
from fewphoton.io.hdf5 import dataset, holds_rows, opened


@dataclass(frozen=True, eq=False)
class DragonflyOutput:
    """What one iteration of Dragonfly found.

    Parameters
    ----------
    intensity, weight : ndarray of float64, `(n_modes, n, n, n)`
        Volumes, the origin at voxel ``n // 2``.
    quaternion : ndarray of float64, `(n_rotations, 4)`
        The sampled rotations, scalar first.
    rotation : ndarray of int32, `(n_frames,)`
        Most likely rotation of each frame; -1 for frames left out.
    mode : ndarray of int32, `(n_frames,)`
        Volume it belongs to; -1 for frames left out.
    log_likelihood : ndarray of float64, `(n_frames,)`
        Of each frame.
    largest_probability, entropy_nat : ndarray of float64, `(n_frames,)`, or None
        Of the most likely rotation, and over all of them; None where probabilities were not kept.
    """

    intensity: NDArray[np.float64]
    weight: NDArray[np.float64]
    quaternion: NDArray[np.float64]
    rotation: NDArray[np.int32]
    mode: NDArray[np.int32]
    log_likelihood: NDArray[np.float64]
    largest_probability: NDArray[np.float64] | None
    entropy_nat: NDArray[np.float64] | None


def read_dragonfly_output(path: Path | str) -> DragonflyOutput:
    """Read an ``output_NNN.h5``.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, no such file, of a two-dimensional reconstruction, or inconsistent.
    """
    with opened(path) as file:
        intensity = dataset(file, "intens", kind="f")
        n = intensity.shape[-1]
        if intensity.ndim != 4 or intensity.shape[1:] != (n, n, n):
            raise InputFileError(
                path,
                "holds no three-dimensional volumes",
                where="intens",
                expected="(modes, n, n, n)",
                found=intensity.shape,
                remedy="Take output_001.h5 or a later one of a reconstruction with recon_type = 3d",
            )
        weight = dataset(file, "inter_weight", kind="f", shape=intensity.shape)[()]
        samples = dataset(file, "quaternions", kind="f", shape=(None, 5))[()]
        number = dataset(file, "orientations", kind="i", shape=(None,))[()].astype(np.int64)
        likelihood = dataset(file, "likelihood", kind="f", shape=number.shape)[()]
        n_rotations, n_modes = len(samples), len(intensity)
        if len(number) and (number.min() < -1 or number.max() >= n_rotations * n_modes):
            raise InputFileError(
                path,
                "rotations of frames are not among the quaternions",
                where="orientations",
                expected=f"-1 to {n_rotations * n_modes - 1}",
                found=f"{number.min()} to {number.max()}",
            )
        left_out = number < 0
        largest, entropy = _certainty(file, len(number))
        return DragonflyOutput(
            intensity[()],
            weight,
            samples[:, :4] / np.linalg.norm(samples[:, :4], axis=1, keepdims=True),
            np.where(left_out, -1, number % n_rotations).astype(np.int32),
            np.where(left_out, -1, number // n_rotations).astype(np.int32),
            likelihood,
            largest,
            entropy,
        )


def _certainty(file: h5py.File, n_frames: int) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    if "probabilities" not in file:
        return None, None
    stored = dataset(file, "probabilities/prob", shape=(n_frames,))
    if not holds_rows(stored, "f"):
        raise InputFileError(
            file.filename, "is no list of numbers a frame", where="probabilities/prob", found=stored.dtype
        )
    rows = stored[()]
    largest, entropy = np.full(n_frames, np.nan), np.full(n_frames, np.nan)
    for frame, row in enumerate(rows):
        kept = np.asarray(row, dtype=np.float64)
        kept = kept[kept > 0]
        if len(kept):
            # Dragonfly drops what is improbable, so the rest is scaled to sum to one.
            share = kept / kept.sum()
            largest[frame], entropy[frame] = share.max(), -(share * np.log(share)).sum()
    return largest, entropy
