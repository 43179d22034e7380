"""Where the detectors of one shot sit on the Ewald sphere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import GeometryError

_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def ewald_sphere(
    wavelength_angstrom: float,
    n_detectors: int,
    largest_angle_deg: float = 180.0,
    beam_stop_deg: float = 0.0,
) -> NDArray[np.float64]:
    """Return the scattering vectors of detectors that share a part of the Ewald sphere evenly.

    Each detector covers the same solid angle (a Fibonacci spiral). The beam runs along +z, so
    q = (sin t cos p, sin t sin p, cos t - 1) / wavelength for the scattering angle t and the azimuth p.

    Parameters
    ----------
    wavelength_angstrom : float
        Wavelength.
    n_detectors : int
        Detectors.
    largest_angle_deg : float
        Scattering angle at the outer edge; 180 is the whole sphere.
    beam_stop_deg : float
        Scattering angle at the inner edge.

    Returns
    -------
    ndarray of float64, `(n_detectors, 3)`
        q in 1/angstrom, without 2 pi, in order of the scattering angle.

    Raises
    ------
    GeometryError
        If the wavelength, the number or the angles are impossible.
    """
    if not wavelength_angstrom > 0:
        raise GeometryError(f"the wavelength must be positive, found {wavelength_angstrom} angstrom")
    if n_detectors < 1:
        raise GeometryError(f"a shot needs detectors, found {n_detectors}")
    inner, outer = _cosines(largest_angle_deg, beam_stop_deg)
    number = np.arange(n_detectors)
    cosine = inner - (inner - outer) * (number + 0.5) / n_detectors
    sine = np.sqrt(np.maximum(0.0, 1 - cosine**2))
    azimuth = _GOLDEN_ANGLE * number
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine - 1], axis=1) / wavelength_angstrom


def detector_solid_angle_sr(n_detectors: int, largest_angle_deg: float = 180.0, beam_stop_deg: float = 0.0) -> float:
    """Return the solid angle of each detector of :func:`ewald_sphere`, in steradian.

    Raises
    ------
    GeometryError
        If the angles are impossible.
    """
    inner, outer = _cosines(largest_angle_deg, beam_stop_deg)
    return 2 * np.pi * (inner - outer) / n_detectors


def _cosines(largest_angle_deg: float, beam_stop_deg: float) -> tuple[float, float]:
    if not 0 <= beam_stop_deg < largest_angle_deg <= 180:
        raise GeometryError(
            "scattering angles must obey 0 <= beam stop < largest <= 180 deg, "
            f"found {beam_stop_deg} and {largest_angle_deg}"
        )
    return float(np.cos(np.deg2rad(beam_stop_deg))), float(np.cos(np.deg2rad(largest_angle_deg)))
