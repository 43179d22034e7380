"""Detector files of Dragonfly: where each pixel lies in the Fourier volume, how sensitive it is, whether it is used.

HDF5 datasets at the root: ``qx``, ``qy``, ``qz`` (float64, one a pixel, in voxels), ``corr`` (float64, solid angle
times polarization), ``mask`` (uint8: 0 used, 1 merged but not compared, 2 not used), ``detd`` (distance, in pixels),
``ewald_rad`` (radius of the Ewald sphere, in voxels). Its axes and its quaternions, scalar first, are ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fewphoton.data import Beam, Crystal, Detector
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.errors import GeometryError
from fewphoton.io.hdf5 import created

_USED, _NOT_USED = 0, 2


def voxel_spacing(crystal: Crystal, voxels_per_cell: int) -> float:
    """Return the distance between voxels of a crystal's hkl grid (1/angstrom), where it is one in all directions.

    Raises
    ------
    GeometryError
        If the grid is not cubic along the axes of the laboratory: Dragonfly knows no other.
    """
    spacing = 1 / (max(crystal.cell[:3]) * voxels_per_cell)
    if not np.allclose(crystal.ub_matrix, spacing * voxels_per_cell * np.eye(3), rtol=0, atol=1e-6 * spacing):
        raise GeometryError(
            f"Dragonfly needs voxels that are cubes along the axes of the laboratory; the cell {crystal.cell} with "
            f"UB = {crystal.ub_matrix.round(6).tolist()} gives others. Single particles have such voxels"
        )
    return spacing


def write_dragonfly_detector(path: Path | str, detector: Detector, beam: Beam, voxel_inv_angstrom: float) -> None:
    """Write the detector file that belongs to exported photons.

    Pixels keep their numbers. Masked pixels are not used; gaps, which have no place, are put at q = 0.

    Parameters
    ----------
    path : Path or str
        Target.
    detector, beam : Detector, Beam
        Geometry and mask.
    voxel_inv_angstrom : float
        Distance between voxels of the Fourier volume.
    """
    placed = detector.panel_numbers() >= 0
    q = np.where(placed[:, None], q_vectors(detector, beam), 0.0) / voxel_inv_angstrom
    correction = detector.solid_angles_sr() * polarization_factors(detector, beam)
    correction = np.where(placed, correction, correction[placed].mean())
    panel = detector.panels[0]
    with created(path) as file:
        for axis, name in enumerate(("qx", "qy", "qz")):
            file[name] = np.ascontiguousarray(q[:, axis])
        file["corr"] = correction
        file["mask"] = np.where(detector.masked, _NOT_USED, _USED).astype(np.uint8)
        file["detd"] = float(abs(panel.corner_m @ panel.normal) / np.sqrt(panel.pixel_area_m2))
        file["ewald_rad"] = 1 / (beam.wavelength_angstrom * voxel_inv_angstrom)
