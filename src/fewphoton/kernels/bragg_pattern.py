"""Expected Bragg intensity of a crystal: anisotropic Gaussians at the reciprocal lattice points.

Around lattice point g the intensity falls with the tangential distance (crystal size, mosaicity) and the radial
distance (crystal size, bandwidth), both widths growing with |g|; the integral over each Gaussian is |F|².
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

_REACH = 18.0
"""Half the squared distance, in widths, beyond which a Gaussian is not evaluated (six sigmas)."""


@numba.njit(cache=True)
def _intensity_at(
    h: float,
    k: float,
    l: float,  # noqa: E741 - the third Miller index has no other name
    b_matrix: NDArray[np.float64],
    strength: NDArray[np.float64],
    widths: NDArray[np.float64],
) -> float:
    half = strength.shape[0] // 2
    hi, ki, li = round(h), round(k), round(l)
    if abs(hi) > half or abs(ki) > half or abs(li) > half:
        return 0.0
    factor = strength[hi + half, ki + half, li + half]
    if factor == 0.0:
        return 0.0
    dh, dk, dl = h - hi, k - ki, l - li
    square = 0.0
    radial = 0.0
    length = 0.0
    for axis in range(3):
        g = b_matrix[axis, 0] * hi + b_matrix[axis, 1] * ki + b_matrix[axis, 2] * li
        d = b_matrix[axis, 0] * dh + b_matrix[axis, 1] * dk + b_matrix[axis, 2] * dl
        square += d * d
        radial += d * g
        length += g * g
    radial = radial * radial / length
    tangential_variance = widths[0] * widths[0] + widths[1] * widths[1] * length
    radial_variance = widths[0] * widths[0] + widths[2] * widths[2] * length
    exponent = 0.5 * ((square - radial) / tangential_variance + radial / radial_variance)
    if exponent > _REACH:
        return 0.0
    return float(factor * math.exp(-exponent) / (tangential_variance * math.sqrt(radial_variance)))


@numba.njit(cache=True, parallel=True)
def bragg_intensity(
    hkl: NDArray[np.float64],
    b_matrix: NDArray[np.float64],
    strength: NDArray[np.float64],
    widths: NDArray[np.float64],
    intensity: NDArray[np.float64],
) -> None:
    """Evaluate the intensity at fractional Miller indices.

    About 40 operations a point, and one exponential where the point is within six widths of a lattice point.

    Parameters
    ----------
    hkl : ndarray of float64, `(n_points, 3)`
        Fractional indices.
    b_matrix : ndarray of float64, `(3, 3)`
        Columns a*, b*, c* in 1/angstrom.
    strength : ndarray of float64, `(2 m + 1, 2 m + 1, 2 m + 1)`
        Integrated intensity of each lattice point, hkl = 0 in the middle (it must be 0 there).
    widths : ndarray of float64, `(3,)`
        Standard deviation common to all points (1/angstrom), its tangential growth (radian) and radial growth
        (relative bandwidth) with |g|.
    intensity : ndarray of float64, `(n_points,)`
        Filled.
    """
    for p in numba.prange(hkl.shape[0]):
        intensity[p] = _intensity_at(hkl[p, 0], hkl[p, 1], hkl[p, 2], b_matrix, strength, widths)


@numba.njit(cache=True, parallel=True)
def bragg_patterns(
    q: NDArray[np.float64],
    transform: NDArray[np.float64],
    b_matrix: NDArray[np.float64],
    strength: NDArray[np.float64],
    widths: NDArray[np.float64],
    response: NDArray[np.float64],
    pattern: NDArray[np.float32],
) -> None:
    """Evaluate whole patterns, one an orientation.

    Per pixel and orientation: 9 multiply-adds for the index, then as :func:`bragg_intensity`; 4 bytes written.

    Parameters
    ----------
    q : ndarray of float64, `(n_pixels, 3)`
        Scattering vectors in the laboratory.
    transform : ndarray of float64, `(n_frames, 3, 3)`
        From q to fractional hkl: ``inv(UB) R^T``.
    b_matrix, strength, widths
        As in :func:`bragg_intensity`.
    response : ndarray of float64, `(n_pixels,)`
        Multiplies each pixel.
    pattern : ndarray of float32, `(n_frames, n_pixels)`
        Filled.
    """
    for frame in numba.prange(transform.shape[0]):
        m = transform[frame]
        for p in range(q.shape[0]):
            h = m[0, 0] * q[p, 0] + m[0, 1] * q[p, 1] + m[0, 2] * q[p, 2]
            k = m[1, 0] * q[p, 0] + m[1, 1] * q[p, 1] + m[1, 2] * q[p, 2]
            third = m[2, 0] * q[p, 0] + m[2, 1] * q[p, 1] + m[2, 2] * q[p, 2]
            pattern[frame, p] = response[p] * _intensity_at(h, k, third, b_matrix, strength, widths)


@numba.njit(cache=True, parallel=True)
def draw_pixels(
    pattern: NDArray[np.float32],
    draw_ptr: NDArray[np.int64],
    uniform: NDArray[np.float64],
    pixel: NDArray[np.int64],
) -> None:
    """Draw photons from patterns by inverting their cumulative sums.

    One pass over each pattern (4 bytes and one addition a pixel) whatever the number of photons, as the draws of a
    frame come sorted.

    Parameters
    ----------
    pattern : ndarray of float32, `(n_frames, n_pixels)`
        Expected photons, not negative.
    draw_ptr : ndarray of int64, `(n_frames + 1,)`
        Draws of frame ``d`` are ``draw_ptr[d]`` to ``draw_ptr[d + 1] - 1``.
    uniform : ndarray of float64, `(n_draws,)`
        Uniform draws in 0 to 1, sorted inside each frame.
    pixel : ndarray of int64, `(n_draws,)`
        Filled with the pixel of each photon.
    """
    n_pixels = pattern.shape[1]
    for d in numba.prange(pattern.shape[0]):
        draw = draw_ptr[d]
        stop = draw_ptr[d + 1]
        if draw == stop:
            continue
        total = 0.0
        last = 0
        for p in range(n_pixels):
            total += pattern[d, p]
            if pattern[d, p] > 0:
                last = p
        running = 0.0
        p = -1
        while draw < stop:
            target = uniform[draw] * total
            while running <= target and p < last:
                p += 1
                running += pattern[d, p]
            pixel[draw] = p
            draw += 1
