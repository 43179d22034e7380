"""Poses of frames against the true ones, as the stages that score them share it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.point_group import PointGroup, quaternion_product
from fewphoton.errors import GeometryError, InputFileError
from fewphoton.evaluate.rotation_error import RotationErrors, rotation_errors_deg
from fewphoton.evaluate.volume_alignment import align_with_turned_frames, errors_with_turned_frames
from fewphoton.io import orientation_files, pattern_files
from fewphoton.io.hdf5 import is_kind
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.pattern_files import read_patterns
from fewphoton.io.photon_files import open_photon_file

_NO_SYMMETRY = PointGroup(np.array([[1.0, 0.0, 0.0, 0.0]]))
_ALONG_Z = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class ScoredPoses:
    """Errors of poses after one rotation of the sample was found.

    Parameters
    ----------
    frame : ndarray of int64, `(n,)`
        Numbers of the frames that are scored.
    errors : RotationErrors
        Frames that are turned by 180 degrees about the beam count as right (Shenoy et al. 2023, appendix A.1), as the
        nearly flat Ewald sphere cannot tell them.
    straight : RotationErrors
        The same where they do not.
    """

    frame: NDArray[np.int64]
    errors: RotationErrors
    straight: RotationErrors

    @property
    def error_deg(self) -> NDArray[np.float64]:
        """Error of each frame, NaN where it has no pose."""
        return self.errors.error_deg

    @property
    def straight_deg(self) -> NDArray[np.float64]:
        """The same where turned frames do not count as right."""
        return self.straight.error_deg

    @property
    def alignment(self) -> NDArray[np.float64]:
        """Quaternion A: found orientations times A are the true ones."""
        return self.errors.alignment


def true_orientations(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return true orientations `(n_frames, 4)` and the direction of the beam `(3,)` from frames or orientations.

    Raises
    ------
    GeometryError
        If the file holds no true orientations.
    """
    if is_kind(path, orientation_files.KIND):
        known, beam = read_orientation_file(path).best_quaternion, _ALONG_Z
    elif is_kind(path, pattern_files.KIND):
        content = read_patterns(path)
        known, beam = content.table.quaternion, content.beam.direction
    else:
        with open_photon_file(path) as reader:
            known, beam = reader.table.quaternion, reader.beam.direction
    if known is None:
        raise GeometryError(f"{path}: holds no true orientations; poses can be scored on simulated frames alone")
    return known, beam


def score_poses(
    poses: Path,
    truth: Path,
    alignment: NDArray[np.float64] | None = None,
    frames: NDArray[np.bool_] | None = None,
) -> ScoredPoses:
    """Score the poses of a file.

    Parameters
    ----------
    poses : Path
        Found orientations.
    truth : Path
        Frames with true orientations, or an orientation file of these.
    alignment : ndarray of float64, `(4,)`, optional
        Rotation of the sample; found from the poses where it is not given.
    frames : ndarray of bool, `(n_frames,)`, optional
        Frames that are scored. Default: all.

    Raises
    ------
    GeometryError
        If the files do not belong together, or hold no orientations of three dimensions.
    InputFileError
        If no frame that is scored has a pose.
    """
    found = read_orientation_file(poses).best_quaternion
    if found is None:
        raise GeometryError(f"{poses}: holds angles about an axis, not poses")
    true, beam = true_orientations(truth)
    if len(found) != len(true):
        raise GeometryError(
            f"{poses}: {len(found)} poses for {len(true)} frames of {truth}; they belong to different runs"
        )
    number = np.arange(len(found)) if frames is None else np.flatnonzero(frames)
    found, true = found[number], true[number]
    if not np.isfinite(found).all(axis=1).any():
        raise InputFileError(poses, "no frame has a pose", where="/frames/best_quaternion")
    if alignment is None:
        alignment = align_with_turned_frames(found, true, beam, _NO_SYMMETRY).alignment
    straight = rotation_errors_deg(quaternion_product(found, alignment), true)
    either = errors_with_turned_frames(found, true, alignment, beam, _NO_SYMMETRY)
    return ScoredPoses(number, RotationErrors(either, alignment), RotationErrors(straight, alignment))


def numbered_frames(path: Path, n_frames: int) -> NDArray[np.bool_]:
    """Read frame numbers, one a line, as a mask `(n_frames,)`.

    Raises
    ------
    InputFileError
        If the file cannot be read, holds something else, or numbers beyond the frames.
    """
    try:
        numbers = [int(line) for line in path.read_text(encoding="utf-8").split()]
    except (OSError, ValueError) as error:
        raise InputFileError(path, f"cannot be read as frame numbers, one a line: {error}") from error
    wrong = [number for number in numbers if not 0 <= number < n_frames]
    if wrong:
        raise InputFileError(path, "names frames that are not there", expected=f"0 to {n_frames - 1}", found=wrong[0])
    chosen = np.zeros(n_frames, dtype=bool)
    chosen[numbers] = True
    if chosen.all() or not chosen.any():
        raise InputFileError(path, "must name some of the frames, not all", found=f"{chosen.sum()} of {n_frames}")
    return chosen
