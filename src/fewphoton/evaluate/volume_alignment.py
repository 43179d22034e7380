"""Bringing a reconstruction over all rotations into the frame of the truth: its orientations, then its volume.

A reconstruction fixes its volume up to a rotation A: found orientations R_i and true ones T_i belong together as
R_i A = T_i S_i (see :mod:`fewphoton.evaluate.rotation_error`), and the found intensity at A p is the true one at p. For
a single particle A is any rotation. On the grid of a known cell only rotations of the lattice onto itself are left,
which move voxels onto voxels.

Where the Ewald sphere is nearly flat, frames turned by 180 degrees about the beam see the Friedel mates of what they
saw before: such an error cannot be told from none at low q, and is counted apart.
"""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.data.orientations import rotation_matrices
from fewphoton.data.point_group import PointGroup, positive_quaternions, quaternion_product
from fewphoton.errors import GeometryError
from fewphoton.evaluate.rotation_error import RotationErrors, align_rotations, rotation_errors_deg

_OBLIQUITY_DEG = 0.5
_MOST_TURNS = 20


def lattice_rotations(crystal: Crystal) -> NDArray[np.float64]:
    """Rotations that bring the crystal's lattice onto itself: quaternions in the laboratory `(n, 4)`, identity first.

    The metric symmetry of the cell (obliquity below half a degree), which may exceed that of the space group: then
    indexing is ambiguous.
    """
    cell = gemmi.UnitCell(*crystal.cell)
    operations = gemmi.find_lattice_symmetry(cell, crystal.centring, _OBLIQUITY_DEG).sym_ops
    # hkl transforms with the transposed real-space rotation.
    turns = np.array([operation.rot for operation in operations], dtype=np.float64) / gemmi.Op.DEN
    ub = crystal.ub_matrix
    left, _, right = np.linalg.svd(ub @ np.swapaxes(turns, 1, 2) @ np.linalg.inv(ub))
    matrices = left @ right
    proper = np.linalg.det(matrices) > 0
    found = positive_quaternions(Rotation.from_matrix(matrices[proper]).as_quat(scalar_first=True))
    return np.asarray(found[np.argsort(-found[:, 0], kind="stable")])


def align_on_lattice(
    found: NDArray[np.float64], true: NDArray[np.float64], crystal: Crystal, group: PointGroup
) -> RotationErrors:
    """Find which rotation of the lattice onto itself brings two sets of orientations closest.

    Parameters
    ----------
    found, true : ndarray of float64, `(n_frames, 4)`
        Unit quaternions; rows with NaN are unknown.
    crystal : Crystal
        Cell.
    group : PointGroup
        Symmetry of the true crystal.
    """
    best: RotationErrors | None = None
    for turn in lattice_rotations(crystal):
        error = rotation_errors_deg(quaternion_product(found, turn), true, group)
        # Of equivalent ones the first is taken, whatever rounding says.
        if best is None or np.nansum(error) < np.nansum(best.error_deg) - 1e-6 * len(error):
            best = RotationErrors(error, turn)
    if best is None:
        raise GeometryError(f"cell {crystal.cell}: no rotation brings the lattice onto itself, not even none")
    return best


def errors_with_turned_frames(
    found: NDArray[np.float64],
    true: NDArray[np.float64],
    alignment: NDArray[np.float64],
    beam_direction: NDArray[np.float64],
    group: PointGroup,
) -> NDArray[np.float64]:
    """Errors where frames may be turned by 180 degrees about the beam, in degrees, `(n_frames,)`.

    Parameters
    ----------
    found, true : ndarray of float64, `(n_frames, 4)`
        Unit quaternions; rows with NaN are unknown.
    alignment : ndarray of float64, `(4,)`
        A of this module.
    beam_direction : ndarray of float64, `(3,)`
        Unit vector in the laboratory.
    group : PointGroup
        Symmetry.
    """
    aligned = quaternion_product(found, alignment)
    turned = quaternion_product(np.concatenate([[0.0], beam_direction]), aligned)
    return np.fmin(rotation_errors_deg(aligned, true, group), rotation_errors_deg(turned, true, group))


def align_with_turned_frames(
    found: NDArray[np.float64], true: NDArray[np.float64], beam_direction: NDArray[np.float64], group: PointGroup
) -> RotationErrors:
    """Find the rotation of the sample that brings two sets of orientations closest, turned frames counted as right.

    Alternates between choosing for each frame the nearer of both and :func:`align_rotations`. The errors that come
    back are those of the frames as they were found, not turned.
    """
    half_turn = np.concatenate([[0.0], beam_direction])
    best = align_rotations(found, true, group)
    total = np.inf
    for _ in range(_MOST_TURNS):
        either = errors_with_turned_frames(found, true, best.alignment, beam_direction, group)
        if not np.nansum(either) < total:
            break
        total = float(np.nansum(either))
        straight = rotation_errors_deg(quaternion_product(found, best.alignment), true, group)
        chosen = np.where((either < straight - 1e-9)[:, None], quaternion_product(half_turn, found), found)
        best = align_rotations(chosen, true, group)
    return RotationErrors(rotation_errors_deg(quaternion_product(found, best.alignment), true, group), best.alignment)


def rotated_volume(volume: IntensityVolume, crystal: Crystal, alignment: NDArray[np.float64]) -> IntensityVolume:
    """Turn a found volume into the frame of the truth: at p stands what was at A p, interpolated linearly.

    Parameters
    ----------
    volume : IntensityVolume
        Found intensity.
    crystal : Crystal
        UB matrix: the grid's axes in the laboratory.
    alignment : ndarray of float64, `(4,)`
        A of this module, a unit quaternion.

    Returns
    -------
    IntensityVolume
        Weight 1 where all voxels that the interpolation reads were measured, 0 elsewhere.
    """
    ub = crystal.ub_matrix
    turn = np.linalg.inv(ub) @ rotation_matrices(alignment[None])[0] @ ub
    nearest = np.rint(turn)
    if np.abs(turn - nearest).max() < 1e-6:
        turn = nearest
    centre = np.full(3, float(volume.n // 2))
    measured = (volume.weight > 0).astype(np.float64)
    options = {"offset": centre - turn @ centre, "order": 1, "mode": "constant"}
    inside = ndimage.affine_transform(measured, turn, **options) > 1 - 1e-9
    values = ndimage.affine_transform(np.where(measured > 0, volume.values, 0.0), turn, **options)
    return IntensityVolume(np.where(inside, values, 0.0), inside.astype(np.float64), volume.voxels_per_cell)


def central_part(volume: IntensityVolume, n: int) -> IntensityVolume:
    """Return the central cube of edge ``n``, whose middle is the volume's."""
    start = volume.n // 2 - n // 2
    cube = (slice(start, start + n),) * 3
    return IntensityVolume(volume.values[cube], volume.weight[cube], volume.voxels_per_cell)
