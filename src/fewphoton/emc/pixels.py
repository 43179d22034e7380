"""From detector pixels to rows of the view table: which pixels take part, where they lie, how sensitive they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Beam, Crystal, Detector
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.errors import GeometryError


def axis_distance_pixels(detector: Detector, beam: Beam, axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of each pixel from the plane of beam and rotation axis, in pixels, float64 `(n_pixels,)`; NaN in gaps.

    Raises
    ------
    GeometryError
        If the axis is parallel to the beam, where the projected axis is undefined.
    """
    normal = np.cross(axis, beam.direction)
    length = float(np.linalg.norm(normal))
    if length < 1e-6 * float(np.linalg.norm(axis)):
        raise GeometryError("the rotation axis is parallel to the beam, so it has no projection on the detector")
    sizes = np.array([math.sqrt(panel.pixel_area_m2) for panel in detector.panels])
    return np.asarray(
        np.abs(detector.pixel_centres_m() @ (normal / length)) / sizes[np.maximum(detector.panel_numbers(), 0)]
    )


@dataclass(frozen=True, eq=False)
class PixelRows:
    """Pixels that are merged into the volume, one row of the view table each.

    Parameters
    ----------
    q_inv_angstrom : ndarray of float64, `(n_rows, 3)`
        Scattering vector of each row.
    response : ndarray of float64, `(n_rows,)`
        Solid angle times polarization relative to the mean of the rows (1 throughout without corrections).
    likelihood : ndarray of bool, `(n_rows,)`
        Rows that enter the orientation probabilities.
    row_of_pixel : ndarray of int32, `(n_pixels,)`
        Row of each detector pixel, -1 where it takes no part.
    n_voxels : int
        Edge of the grid that holds every orientation of every row.
    voxels_per_cell : int
        Voxels per reciprocal cell edge.
    """

    q_inv_angstrom: NDArray[np.float64]
    response: NDArray[np.float64]
    likelihood: NDArray[np.bool_]
    row_of_pixel: NDArray[np.int32]
    n_voxels: int
    voxels_per_cell: int

    @property
    def n_rows(self) -> int:
        """Pixels that take part."""
        return len(self.q_inv_angstrom)

    @property
    def origin(self) -> float:
        """Voxel index of hkl = 0."""
        return float(self.n_voxels // 2)

    @classmethod
    def select(
        cls,
        detector: Detector,
        beam: Beam,
        crystal: Crystal,
        rotation_axis: NDArray[np.float64] | None,
        *,
        voxels_per_cell: int,
        n_voxels: int | None,
        axis_margin_pixels: float,
        q_max_inv_angstrom: float | None,
        corrections: bool,
    ) -> PixelRows:
        """Choose the pixels and, where it is not given, the size of the grid.

        A pixel takes part when it is unmasked, within ``q_max_inv_angstrom``, and stays inside the grid in every
        orientation: along cell axis a its index never exceeds q |a|. Without a rotation axis (None) there is no margin
        about it: all pixels enter the likelihood.

        Raises
        ------
        GeometryError
            If no pixel is left.
        """
        q = q_vectors(detector, beam)
        length = np.linalg.norm(q, axis=1)
        reach = length * max(crystal.cell[:3]) * voxels_per_cell
        usable = ~detector.masked
        if not usable.any():
            raise GeometryError("every pixel of the detector is masked")
        if q_max_inv_angstrom is not None:
            usable = usable & (length <= q_max_inv_angstrom)
        if n_voxels is None:
            if not usable.any():
                raise GeometryError(f"no unmasked pixel lies within q = {q_max_inv_angstrom} 1/angstrom")
            n_voxels = 2 * (math.ceil(float(reach[usable].max())) + 1) + 1
        # Interpolation reads one voxel beyond, and an even grid ends one voxel earlier on the positive side.
        usable = usable & (reach <= (n_voxels - 1) // 2 - 1)
        rows = np.flatnonzero(usable)
        likelihood = np.ones(len(rows), dtype=bool)
        if rotation_axis is not None:
            likelihood = axis_distance_pixels(detector, beam, rotation_axis)[rows] >= axis_margin_pixels
        if not likelihood.any():
            raise GeometryError(
                f"no pixel is left for the orientation probabilities: {usable.sum()} of {detector.n_pixels} lie in "
                f"the grid of {n_voxels} voxels, none of them {axis_margin_pixels} pixels from the rotation axis; "
                "enlarge n_voxels or lower axis_margin_pixels"
            )
        response = np.ones(len(rows))
        if corrections:
            response = (detector.solid_angles_sr() * polarization_factors(detector, beam))[rows]
            response = response / response.mean()
        row_of_pixel = np.full(detector.n_pixels, -1, dtype=np.int32)
        row_of_pixel[rows] = np.arange(len(rows), dtype=np.int32)
        return cls(q[rows], response, likelihood, row_of_pixel, n_voxels, voxels_per_cell)

    def transforms(self, crystal: Crystal, rotations: NDArray[np.float64]) -> NDArray[np.float64]:
        """Matrices from q to voxels for crystal rotations `(n, 3, 3)`: ``k inv(UB) R^T``, float64 `(n, 3, 3)`."""
        to_voxels = self.voxels_per_cell * np.linalg.inv(crystal.ub_matrix)
        return np.ascontiguousarray(to_voxels @ np.swapaxes(rotations, -1, -2))
