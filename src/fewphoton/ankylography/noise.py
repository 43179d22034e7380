"""Noise of a shot: white noise of a stated level, and the statistics of counted photons.

The noise level N of Mutzafi et al. 2015 (Nat. Commun. 6, 7950, doi:10.1038/ncomms8950, Methods) is the fraction of
noise power in the power of the whole measured surface, small angles that the beam stop hides included. Powers are
taken of the intensities that are measured: sigma² = N times the mean of I².
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data.physical_constants import ELECTRON_RADIUS_M
from fewphoton.errors import DataError


def white_noise_sigma(intensity_electron2: NDArray[np.float64], level: float) -> float:
    """Return the standard deviation of white noise at level N, in electrons².

    Parameters
    ----------
    intensity_electron2 : ndarray of float64, `(n,)`
        Noise-free |F|² of detectors that share the whole measured surface evenly, none behind the beam stop left out.
    level : float
        N.

    Raises
    ------
    DataError
        If the level is negative.
    """
    if not 0 <= level < np.inf:
        raise DataError(f"the noise level must not be negative, found {level}")
    return float(np.sqrt(level * np.mean(np.asarray(intensity_electron2) ** 2)))


def photons_per_electron2_of_pulse(pulse_photons: float, focus_area_m2: float, solid_angle_sr: float) -> float:
    """Return the photons that a detector counts per electron² of |F|²: r_e² times fluence times solid angle.

    The polarization factor is left out: the detectors stand for what the intensity would be without it.

    Parameters
    ----------
    pulse_photons : float
        Photons of the pulse.
    focus_area_m2 : float
        Area over which they are spread evenly.
    solid_angle_sr : float
        Solid angle of a detector.

    Raises
    ------
    DataError
        If a value is not positive.
    """
    for name, value in (
        ("photons of the pulse", pulse_photons),
        ("focus area", focus_area_m2),
        ("solid angle", solid_angle_sr),
    ):
        if not 0 < value < np.inf:
            raise DataError(f"the {name} must be positive, found {value}")
    return ELECTRON_RADIUS_M**2 * pulse_photons / focus_area_m2 * solid_angle_sr


def photons_per_electron2_of_shot(intensity_electron2: NDArray[np.float64], photons_per_shot: float) -> float:
    """Return the photons per electron² with which the measured detectors expect ``photons_per_shot`` altogether.

    Parameters
    ----------
    intensity_electron2 : ndarray of float64, `(n,)`
        Noise-free |F|² of the measured detectors.
    photons_per_shot : float
        Photons expected on all of them.

    Raises
    ------
    DataError
        If there are no photons to share out, or nothing scatters.
    """
    total = float(np.sum(intensity_electron2))
    if not 0 < photons_per_shot < np.inf:
        raise DataError(f"photons per shot must be positive, found {photons_per_shot}")
    if not total > 0:
        raise DataError("nothing scatters into the measured detectors")
    return photons_per_shot / total


def with_noise(
    intensity_electron2: NDArray[np.float64],
    white_sigma_electron2: float,
    photons_per_electron2: float | None,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return intensities as they are measured, float64 `(n,)`, in electrons².

    Parameters
    ----------
    intensity_electron2 : ndarray of float64, `(n,)`
        Noise-free |F|².
    white_sigma_electron2 : float
        Standard deviation of white noise that is added; 0: none.
    photons_per_electron2 : float or None
        Photons are drawn from the Poisson law and divided by it; None: no counting noise.
    rng : numpy.random.Generator
        Source of the noise.
    """
    measured = np.array(intensity_electron2, dtype=np.float64)
    if photons_per_electron2 is not None:
        measured = rng.poisson(measured * photons_per_electron2) / photons_per_electron2
    if white_sigma_electron2 > 0:
        measured = measured + rng.normal(0.0, white_sigma_electron2, measured.shape)
    return np.asarray(measured)
