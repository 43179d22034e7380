"""What the misfit of a detector is worth, and how much misfit noise alone leaves."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.data.shot import Shot
from fewphoton.errors import ConfigError

Weights = Literal["none", "noise", "wilson"]

# Where all form factors of spheres nearly vanish together, their relative error would count more than anything else.
_FAINTEST = 1e-5
# A shot without noise is judged as if its white noise had this share of the intensities' power.
_NO_NOISE = 1e-12
# Truth stays below the floor but for one shot in 30 000 by normal noise.
_FLOOR_SIGMA = 4.0


def wilson_intensity(shot: Shot, model: ForwardModel) -> NDArray[np.float64]:
    """Return the mean |F|² of a shot's atoms at random places, `(n,)`, in electrons².

    Wilson 1942, Nature 150, 152 (doi:10.1038/150152a0).
    """
    return np.asarray(np.array(list(shot.composition.values()), dtype=np.float64) @ model.factor**2)


def noise_variance(shot: Shot, intensity_electron2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance of each intensity, never 0: noise-free shots get 1e-12 of their power as white noise."""
    least = _NO_NOISE * float(np.mean(shot.intensity_electron2**2))
    return np.asarray(np.maximum(shot.variance(intensity_electron2), max(least, np.finfo(np.float64).tiny)))


def misfit_weights(shot: Shot, model: ForwardModel, weights: Weights, kappa: float) -> NDArray[np.float64]:
    """Return the weight of each detector's squared misfit, with mean 1, float64 `(n,)`.

    Parameters
    ----------
    shot : Shot
        Only its noise and composition are used; the variance of counts is taken at the Wilson mean intensity.
    model : ForwardModel
        Form factors of its elements.
    weights : {"none", "noise", "wilson"}
        All alike; 1 / sigma²; 1 / (sigma² + (kappa B)²) with the Wilson mean B.
    kappa : float
        Share of B.

    Raises
    ------
    ConfigError
        If ``noise`` is asked for and the shot has none.
    """
    if weights == "none":
        return np.ones(len(shot))
    expected = wilson_intensity(shot, model)
    variance = shot.variance(expected)
    if weights == "wilson":
        variance = variance + (kappa * np.maximum(expected, _FAINTEST * expected.max())) ** 2
    elif not variance.min() > 0:
        raise ConfigError("weights: noise needs a shot with noise; choose none or wilson for one without")
    return np.asarray(1 / variance / np.mean(1 / variance))


def noise_floor(shot: Shot, model: ForwardModel, weight: NDArray[np.float64]) -> float:
    """Return a weighted misfit that the truth hardly exceeds: its mean and 4 standard deviations.

    The sum of weight (measured - model)² over detectors has mean sum(w sigma²) and variance 2 sum(w² sigma⁴) for
    normal noise.
    """
    variance = noise_variance(shot, wilson_intensity(shot, model))
    return float((weight * variance).sum() + _FLOOR_SIGMA * np.sqrt(2 * ((weight * variance) ** 2).sum()))


def reduced_chi2(shot: Shot, intensity_electron2: NDArray[np.float64]) -> float:
    """Return the mean over all detectors of (measured - model)² / variance, the variance taken at the model."""
    excess = shot.intensity_electron2 - intensity_electron2
    return float(np.mean(excess**2 / noise_variance(shot, intensity_electron2)))
