"""A linear classifier with a ridge: logistic regression on standardised features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from fewphoton.errors import ConvergenceError, DataError

_CLIP = 5.0


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Weights on standardised features.

    Parameters
    ----------
    centre, scale : ndarray of float64, `(n_features,)`
        Median and standard deviation of the features of the frames that it was fitted to.
    weight : ndarray of float64, `(n_features,)`
        Weights.
    intercept : float
        Logarithm of the odds of a frame of median features.
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    weight: NDArray[np.float64]
    intercept: float

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that frames are of the wanted class, float64 `(n_frames,)`.

        Frames with a feature that is not finite get NaN.
        """
        return np.asarray(special.expit(_standard(features, self.centre, self.scale) @ self.weight + self.intercept))


def _standard(
    features: NDArray[np.float64], centre: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    # An odd frame must not outweigh all others by one feature.
    return np.asarray(np.clip((features - centre) / scale, -_CLIP, _CLIP))


def fit_classifier(features: NDArray[np.float64], is_wanted: NDArray[np.bool_], ridge: float = 1.0) -> LinearClassifier:
    """Fit by minimising - sum of log-likelihoods + ridge / 2 |w|², convex, from w = 0.

    Parameters
    ----------
    features : ndarray of float64, `(n_frames, n_features)`
        Finite features.
    is_wanted : ndarray of bool, `(n_frames,)`
        Class of each frame; both must occur.
    ridge : float
        Strength of the ridge on the weights (not the intercept); 1 is a prior of unit width.

    Raises
    ------
    DataError
        If a class is missing, lengths differ, or a feature is not finite.
    ConvergenceError
        If the minimum is not found.
    """
    wanted = np.asarray(is_wanted, dtype=bool)
    values = np.asarray(features, dtype=np.float64)
    if values.ndim != 2 or len(values) != len(wanted):
        raise DataError(f"features of shape {values.shape} for {len(wanted)} labels")
    if not np.isfinite(values).all():
        raise DataError(f"feature of frame {int(np.argmax(~np.isfinite(values).all(axis=1)))} is not finite")
    if wanted.all() or not wanted.any():
        raise DataError(f"a classifier needs frames of both classes, found {int(wanted.sum())} of {len(wanted)} wanted")
    centre, scale = np.median(values, axis=0), values.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    standard = _standard(values, centre, scale)
    sign = np.where(wanted, 1.0, -1.0)

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight, intercept = parameters[:-1], parameters[-1]
        margin = sign * (standard @ weight + intercept)
        pull = -sign * special.expit(-margin)
        value = float(np.logaddexp(0.0, -margin).sum() + 0.5 * ridge * weight @ weight)
        return value, np.concatenate([standard.T @ pull + ridge * weight, [pull.sum()]])

    found = optimize.minimize(objective, np.zeros(values.shape[1] + 1), jac=True, method="L-BFGS-B")
    if not found.success:
        raise ConvergenceError(f"logistic regression over {len(values)} frames found no minimum: {found.message}")
    return LinearClassifier(centre, scale, found.x[:-1], float(found.x[-1]))


def out_of_fold_probability(
    features: NDArray[np.float64],
    is_wanted: NDArray[np.bool_],
    *,
    n_folds: int,
    n_repeats: int,
    seed: int,
    ridge: float = 1.0,
) -> NDArray[np.float64]:
    """Return the probability of each frame from fits that did not see it, float64 `(n_repeats, n_frames)`.

    Each repeat parts the frames anew into folds that hold both classes in like shares.

    Raises
    ------
    DataError
        If a class has fewer frames than there are folds, or :func:`fit_classifier` refuses the features.
    """
    wanted = np.asarray(is_wanted, dtype=bool)
    rarer = int(min(wanted.sum(), (~wanted).sum()))
    if not 2 <= n_folds <= rarer:
        raise DataError(f"{n_folds} folds need as many frames of each class, found {rarer} of the rarer one")
    rng = np.random.default_rng(seed)
    probability = np.empty((n_repeats, len(wanted)))
    for repeat in range(n_repeats):
        fold = np.empty(len(wanted), dtype=np.int64)
        for members in (np.flatnonzero(wanted), np.flatnonzero(~wanted)):
            fold[rng.permutation(members)] = (np.arange(len(members)) + rng.integers(n_folds)) % n_folds
        for number in range(n_folds):
            left_out = fold == number
            fitted = fit_classifier(features[~left_out], wanted[~left_out], ridge)
            probability[repeat, left_out] = fitted.probability(features[left_out])
    return probability
