"""How well a shot is explained when some atoms of a molecule stand at each of many candidate places."""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy import float32 as f32
from numpy.typing import NDArray

WAVE_ERROR = 1e-6
"""Largest error of the sine and cosine inside, beside that of a phase in float32."""

_ROUNDER = f32(12582912.0)  # 1.5 * 2**23: adding it leaves the nearest integer in the lowest bits
# Least-squares fits of sin(2 pi x) / x and cos(2 pi x) in x² for |x| <= 1/2, on Chebyshev points.
_S0, _S1, _S2, _S3, _S4, _S5 = (
    f32(6.283182793407025),
    f32(-41.341419385617),
    f32(81.59613875538163),
    f32(-76.5796878510165),
    f32(41.2037436336585),
    f32(-12.26885994101195),
)
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (
    f32(0.9999999890590237),
    f32(-19.739204499453976),
    f32(64.93911745989791),
    f32(-85.45013953091583),
    f32(60.16763095115077),
    f32(-25.967599249018303),
    f32(6.528658161836951),
)


@numba.njit(cache=True, fastmath={"contract", "nsz"})
def _add_wave(
    q: NDArray[np.float32],
    place: NDArray[np.float32],
    factor: NDArray[np.float32],
    real: NDArray[np.float32],
    imaginary: NDArray[np.float32],
) -> None:
    x, y, z = place[0], place[1], place[2]
    qx, qy, qz = q[0], q[1], q[2]
    for n in range(len(real)):
        turns = qx[n] * x + qy[n] * y + qz[n] * z
        part = turns - ((turns + _ROUNDER) - _ROUNDER)
        square = part * part
        sine = part * (_S0 + square * (_S1 + square * (_S2 + square * (_S3 + square * (_S4 + square * _S5)))))
        cosine = _C0 + square * (
            _C1 + square * (_C2 + square * (_C3 + square * (_C4 + square * (_C5 + square * _C6))))
        )
        real[n] += factor[n] * cosine
        imaginary[n] += factor[n] * sine


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _misfit(
    real: NDArray[np.float32],
    imaginary: NDArray[np.float32],
    intensity: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> f32:
    total = f32(0.0)
    for n in range(len(real)):
        difference = real[n] * real[n] + imaginary[n] * imaginary[n] - intensity[n]
        total += weight[n] * difference * difference
    return total


@numba.njit(cache=True, parallel=True)
def candidate_misfits(
    q: NDArray[np.float32],
    factor: NDArray[np.float32],
    kind: NDArray[np.int64],
    rest: NDArray[np.float32],
    candidate: NDArray[np.float32],
    intensity: NDArray[np.float32],
    weight: NDArray[np.float32],
    misfit: NDArray[np.float64],
) -> None:
    """Write sum w (|F_rest + F_moving|² - I)² for every candidate.

    About 35 operations and 24 bytes from cache per candidate, moving atom and detector, on 8 or 16 detectors at a
    time.

    Parameters
    ----------
    q : ndarray of float32, `(3, n)`
        Scattering vectors in 1/angstrom, without 2 pi.
    factor : ndarray of float32, `(n_kinds, n)`
        Form factors.
    kind : ndarray of int64, `(n_moving,)`
        Row of ``factor`` of each moving atom.
    rest : ndarray of float32, `(2, n)`
        Real and imaginary part of what the other atoms scatter.
    candidate : ndarray of float32, `(n_candidates, n_moving, 3)`
        Places in angstrom; phases beyond 2²² turns are wrong.
    intensity, weight : ndarray of float32, `(n,)`
        Measured intensities and their weights.
    misfit : ndarray of float64, `(n_candidates,)`
        Filled.
    """
    for c in prange(candidate.shape[0]):
        real = rest[0].copy()
        imaginary = rest[1].copy()
        for atom in range(candidate.shape[1]):
            _add_wave(q, candidate[c, atom], factor[kind[atom]], real, imaginary)
        misfit[c] = _misfit(real, imaginary, intensity, weight)
