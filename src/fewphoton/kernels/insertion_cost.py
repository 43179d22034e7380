"""The exact cost of putting one atom anywhere on a lattice, for intensities |F|² measured at scattered q.

Without the atom the structure factor is y. With it at r, of form factor g, the cost sum w (|y + g e(q·r)|² - c)² with
e(x) = exp(2 pi i x) is

    sum w (d² + 2 |z|²) + Re sum 4 w d z e(q·r) + Re sum 2 w z² e(2 q·r),  z = y* g,  d = |y|² + g² - c,

two Fourier sums, at q and at 2 q, for all sites at once. The lattice is separable: phases along z go into the rows of
a matrix, phases in the plane are the columns of a table, and real matrix products give the whole map. Opposite sites
of a plane share cosines and have opposite sines, so that half of the table is enough.

Complex numbers are stored as two rows (cosine, sine) of float32, so that loops over detectors vectorize.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

_SUMS = {"reassoc", "contract", "nsz"}


@numba.njit(cache=True, nogil=True)
def fill_waves(q: NDArray[np.float64], position: NDArray[np.float64], wave: NDArray[np.float32]) -> None:
    """Set ``wave`` `(n_atoms, 2, n)` to cosine and sine of 2 pi q·r.

    Per atom and detector one sine and cosine in float64 and 8 bytes written.

    Parameters
    ----------
    q : ndarray of float64, `(n, 3)`
        Scattering vectors, without 2 pi.
    position : ndarray of float64, `(n_atoms, 3)`
        Places, in the inverse unit of q.
    wave : ndarray of float32, `(n_atoms, 2, n)`
        Set in place.
    """
    for atom in range(len(position)):
        x, y, z = position[atom, 0], position[atom, 1], position[atom, 2]
        for i in range(len(q)):
            phase = 2 * math.pi * (q[i, 0] * x + q[i, 1] * y + q[i, 2] * z)
            wave[atom, 0, i] = math.cos(phase)
            wave[atom, 1, i] = math.sin(phase)


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def sum_waves(
    wave: NDArray[np.float32], kind: NDArray[np.int64], factor: NDArray[np.float32], amplitude: NDArray[np.float32]
) -> None:
    """Set ``amplitude`` `(2, n)` to F: the sum over atoms of form factor times wave.

    Per atom and detector 2 multiply-adds and 12 bytes.
    """
    amplitude[:] = 0
    for atom in range(len(kind)):
        add_wave(amplitude, wave[atom], factor[kind[atom]], 1.0)


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def add_wave(
    amplitude: NDArray[np.float32], wave: NDArray[np.float32], factor: NDArray[np.float32], sign: float
) -> None:
    """Add ``sign`` times one atom's wave `(2, n)` with its form factor `(n,)` to ``amplitude`` `(2, n)`."""
    scale = np.float32(sign)
    for i in range(len(factor)):
        amplitude[0, i] += scale * factor[i] * wave[0, i]
        amplitude[1, i] += scale * factor[i] * wave[1, i]


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def intensity_cost(
    amplitude: NDArray[np.floating], measured: NDArray[np.floating], weight: NDArray[np.floating]
) -> float:
    """Return sum w (|F|² - c)² over detectors, summed in float64; 4 multiply-adds and 4 numbers read for each.

    Parameters
    ----------
    amplitude : ndarray of float32 or float64, `(2, n)`
        F, real and imaginary part.
    measured, weight : ndarray of the same type, `(n,)`
        c and w.
    """
    total = 0.0
    for i in range(len(measured)):
        excess = amplitude[0, i] * amplitude[0, i] + amplitude[1, i] * amplitude[1, i] - measured[i]
        total += weight[i] * excess * excess
    return total


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def multiply_waves(
    first: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    sign: float,
    product: NDArray[np.float32],
) -> None:
    """Set ``product`` to ``first`` times x y z (``sign`` 1) or times their conjugate (``sign`` -1), all `(2, n)`.

    Three complex products and 40 bytes a detector.
    """
    turn = np.float32(sign)
    for i in range(first.shape[1]):
        xy_cos = x[0, i] * y[0, i] - x[1, i] * y[1, i]
        xy_sin = x[0, i] * y[1, i] + x[1, i] * y[0, i]
        cosine = xy_cos * z[0, i] - xy_sin * z[1, i]
        sine = turn * (xy_cos * z[1, i] + xy_sin * z[0, i])
        a, b = first[0, i], first[1, i]
        product[0, i] = a * cosine - b * sine
        product[1, i] = a * sine + b * cosine


@numba.njit(cache=True, nogil=True, fastmath=_SUMS)
def insertion_rows(
    amplitude: NDArray[np.float32],
    origin: NDArray[np.float32],
    factor: NDArray[np.float32],
    measured: NDArray[np.float32],
    weight: NDArray[np.float32],
    along_z: NDArray[np.float32],
    terms: NDArray[np.float32],
    even: NDArray[np.float32],
    odd: NDArray[np.float32],
) -> float:
    """Set the rows of the map's matrix products and return the part of the cost that is the same at all sites.

    Per detector about 40 operations, and 14 more and 16 bytes written for each lattice plane.

    Parameters
    ----------
    amplitude : ndarray of float32, `(2, n)`
        F of all other atoms.
    origin : ndarray of float32, `(2, n)`
        Wave at the lattice's origin.
    factor, measured, weight : ndarray of float32, `(n,)`
        Form factor of the atom, intensities, their weights.
    along_z : ndarray of float32, `(n_z, 2, n)`
        Waves of the lattice planes relative to the origin.
    terms : ndarray of float32, `(4, n)`
        Scratch.
    even, odd : ndarray of float32, `(n_z, 2 n)`
        Set in place: what the cosines and the sines of :func:`fill_plane_tables` are multiplied with.
    """
    n = len(measured)
    constant = 0.0
    for i in range(n):
        a, b = amplitude[0, i], -amplitude[1, i]
        real = factor[i] * (a * origin[0, i] - b * origin[1, i])
        imaginary = factor[i] * (a * origin[1, i] + b * origin[0, i])
        excess = a * a + b * b + factor[i] * factor[i] - measured[i]
        constant += weight[i] * (excess * excess + 2 * (real * real + imaginary * imaginary))
        linear = 4 * weight[i] * excess
        terms[0, i] = linear * real
        terms[1, i] = linear * imaginary
        terms[2, i] = 2 * weight[i] * (real * real - imaginary * imaginary)
        terms[3, i] = 4 * weight[i] * real * imaginary
    for plane in range(len(along_z)):
        cosines, sines, wave = even[plane], odd[plane], along_z[plane]
        for i in range(n):
            cosine, sine = wave[0, i], wave[1, i]
            cosines[i] = terms[0, i] * cosine - terms[1, i] * sine
            sines[i] = terms[0, i] * sine + terms[1, i] * cosine
            twice_cosine = cosine * cosine - sine * sine
            twice_sine = 2 * cosine * sine
            cosines[n + i] = terms[2, i] * twice_cosine - terms[3, i] * twice_sine
            sines[n + i] = terms[2, i] * twice_sine + terms[3, i] * twice_cosine
    return constant


@numba.njit(cache=True, nogil=True)
def insertion_map(
    even: NDArray[np.float32],
    odd: NDArray[np.float32],
    cosines: NDArray[np.float32],
    sines: NDArray[np.float32],
    n: int,
) -> NDArray[np.float32]:
    """Return the map without its constant, float32 `(n_rows, n)`, for the ``n`` sites of each plane.

    `2 n_rows n_detectors n` multiply-adds in two matrix products, and two passes over the map.

    Parameters
    ----------
    even, odd : ndarray of float32, `(n_rows, 2 n_detectors)`
        From :func:`insertion_rows`.
    cosines, sines : ndarray of float32, `(2 n_detectors, (n + 1) // 2)`
        From :func:`fill_plane_tables`.
    n : int
        Sites of a plane.
    """
    same = np.dot(even, cosines)
    opposite = np.dot(odd, sines)
    cost = np.empty((len(even), n), dtype=np.float32)
    for row in range(len(even)):
        for site in range(same.shape[1]):
            cost[row, site] = same[row, site] - opposite[row, site]
            cost[row, n - 1 - site] = same[row, site] + opposite[row, site]
    return cost


@numba.njit(cache=True, nogil=True)
def fill_plane_tables(
    along_x: NDArray[np.float32],
    along_y: NDArray[np.float32],
    cosines: NDArray[np.float32],
    sines: NDArray[np.float32],
) -> None:
    """Set tables of the first half of a plane's sites to cosines and sines of the phase and of twice the phase.

    Parameters
    ----------
    along_x, along_y : ndarray of float32, `(n_x, 2, n)` and `(n_y, 2, n)`
        Waves of lattice lines relative to the origin.
    cosines, sines : ndarray of float32, `(2 n, (n_x n_y + 1) // 2)`
        Set in place; sites in C order, y fastest.
    """
    n = along_x.shape[2]
    for i in range(n):
        for site in range(cosines.shape[1]):
            x, y = along_x[site // len(along_y)], along_y[site % len(along_y)]
            cosine = x[0, i] * y[0, i] - x[1, i] * y[1, i]
            sine = x[0, i] * y[1, i] + x[1, i] * y[0, i]
            cosines[i, site] = cosine
            sines[i, site] = sine
            cosines[n + i, site] = cosine * cosine - sine * sine
            sines[n + i, site] = 2 * cosine * sine
