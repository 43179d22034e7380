"""Frames whose expected counts are ``fluence * signal + background * pedestal``: likelihood, and whose photon it was.

The logarithm of a sum depends on frame, pixel and orientation, so no table of logarithms serves all frames, as it does
where there is no background. Expectation-maximization for sums of Poisson sources shares a photon among them in the
ratio of their expected counts (Shepp & Vardi 1982, IEEE Trans. Med. Imaging 1, 113-122,
doi:10.1109/TMI.1982.4307558).

``signal`` and ``pedestal`` may carry any common factor a row: it shifts the log-likelihoods of a frame by a constant
and leaves ratios as they are. No result depends on the number of threads, to the last bit: a row belongs to one thread.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import prange
from numpy import float32 as f32
from numpy.typing import NDArray

from fewphoton.kernels.sparse_rows import first_row_of_part
from fewphoton.kernels.vector_math import log_float32

LOWEST, HIGHEST = 1e-9, 1e9
"""Expected counts outside, in units of a row's factor, count as these: products of four stay normal numbers."""

_N_PARTS = 256
_CHUNK = 128
_LOW, _HIGH, _ONE, _ZERO = f32(LOWEST), f32(HIGHEST), f32(1.0), f32(0.0)
_LARGEST_RATIO = f32(1e15)  # beyond, a share is nothing in float32; products of two stay finite
_IDLE = f32(1e-12)  # probabilities of a chunk below this cannot be seen in a sum of them all


@numba.njit(cache=True, parallel=True)
def floor_and_scale_rows(table: NDArray[np.float32], floor: float, row_offset: NDArray[np.float64]) -> None:
    """Raise values to ``floor`` and multiply each row by ``exp(-row_offset)``, in place; 8 bytes an element.

    Parameters
    ----------
    table : ndarray of float32, `(n_rows, n_columns)`
        Expected intensity; overwritten.
    floor : float
        Smallest value, before scaling.
    row_offset : ndarray of float64, `(n_rows,)`
        Logarithm of each row's unit; between -80 and 80.
    """
    lowest = f32(floor)
    for t in prange(table.shape[0]):
        row = table[t]
        scale = f32(np.exp(-row_offset[t]))
        for r in range(len(row)):
            value = row[r]
            row[r] = (lowest if value < lowest else value) * scale


@numba.njit(cache=True)
def _bounded(value: np.float32) -> np.float32:
    raised = _LOW if value < _LOW else value
    return _HIGH if raised > _HIGH else raised


@numba.njit(cache=True)
def _add_log_of_four(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    c: NDArray[np.float32],
    d: NDArray[np.float32],
    pedestal: tuple[np.float32, np.float32, np.float32, np.float32],
    fluence: np.float32,
    out: NDArray[np.float32],
) -> None:
    pa, pb, pc, pd = pedestal
    for r in range(len(out)):
        first = _bounded(f32(fluence * a[r] + pa)) * _bounded(f32(fluence * b[r] + pb))
        second = _bounded(f32(fluence * c[r] + pc)) * _bounded(f32(fluence * d[r] + pd))
        out[r] += log_float32(f32(first * second))


@numba.njit(cache=True)
def _add_log(
    a: NDArray[np.float32], pedestal: np.float32, count: np.float32, fluence: np.float32, out: NDArray[np.float32]
) -> None:
    for r in range(len(out)):
        out[r] += count * log_float32(_bounded(f32(fluence * a[r] + pedestal)))


@numba.njit(cache=True, parallel=True)
def add_log_sums(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    signal: NDArray[np.float32],
    pedestal: NDArray[np.float32],
    fluence: NDArray[np.float32],
    background: NDArray[np.float32],
    log_likelihood: NDArray[np.float32],
) -> None:
    """Add ``count * log(fluence * signal + background * pedestal)`` of all photons to each frame's log-likelihoods.

    Four pixels of one photon each share a logarithm, that of their product. Per photon and orientation: 4 bytes read,
    5 operations (a multiply-add, two bounds, a multiplication) and a quarter of a logarithm (20 operations), against
    one multiply-add where there is no background. Pixels of several photons take a whole logarithm.

    Parameters
    ----------
    indptr, index, count
        Photons by frame, as in :func:`fewphoton.kernels.sparse_rows.add_weighted_rows`.
    signal : ndarray of float32, `(n_pixels, n_columns)`
        Expected counts at fluence 1, positive.
    pedestal : ndarray of float32, `(n_pixels,)`
        Expected counts at background 1, not negative, in the same units row by row.
    fluence, background : ndarray of float32, `(n_frames,)`
        Factors of each frame, not negative. Sums are kept between ``LOWEST`` and ``HIGHEST``.
    log_likelihood : ndarray of float32, `(n_frames, n_columns)`
        Added to.
    """
    for part in prange(_N_PARTS):
        for d in range(first_row_of_part(indptr, part, _N_PARTS), first_row_of_part(indptr, part + 1, _N_PARTS)):
            out, times, level = log_likelihood[d], fluence[d], background[d]
            hit, stop = indptr[d], indptr[d + 1]
            while hit < stop:
                single = hit + 4 <= stop
                if single:
                    for k in range(4):
                        single = single and count[hit + k] == _ONE
                if single:
                    i, j, k, m = index[hit], index[hit + 1], index[hit + 2], index[hit + 3]
                    floor = (level * pedestal[i], level * pedestal[j], level * pedestal[k], level * pedestal[m])
                    _add_log_of_four(signal[i], signal[j], signal[k], signal[m], floor, times, out)
                    hit += 4
                else:
                    i = index[hit]
                    _add_log(signal[i], level * pedestal[i], count[hit], times, out)
                    hit += 1


@numba.njit(cache=True, error_model="numpy")
def _add_signal_of_two(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    count: tuple[np.float32, np.float32],
    ratio: tuple[np.float32, np.float32],
    inverse: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Add ``a / (1 + x) + b / (1 + y)`` over one denominator: a division costs as much as five multiplications."""
    for r in range(len(out)):
        x, y = ratio[0] * inverse[r], ratio[1] * inverse[r]
        x = _ONE + (_LARGEST_RATIO if x > _LARGEST_RATIO else x)
        y = _ONE + (_LARGEST_RATIO if y > _LARGEST_RATIO else y)
        out[r] += (count[0] * a[r] * y + count[1] * b[r] * x) / (x * y)


@numba.njit(cache=True, parallel=True, error_model="numpy")
def add_signal_photons(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    probability: NDArray[np.float32],
    signal: NDArray[np.float32],
    pedestal: NDArray[np.float32],
    ratio: NDArray[np.float32],
    photons: NDArray[np.float32],
) -> None:
    """Add the photons of each pixel row, times probability and the share of the signal in them.

    The share is ``fluence * signal / (fluence * signal + background * pedestal)``. Per photon and orientation: 4 bytes
    read, 7 operations and half a division. Per row one division an orientation.

    Parameters
    ----------
    indptr, index, count
        Photons by pixel row; ``index`` names the frame.
    probability : ndarray of float32, `(n_frames, n_columns)`
        Orientation probabilities.
    signal, pedestal
        As in :func:`add_log_sums`.
    ratio : ndarray of float32, `(n_frames,)`
        Background over fluence of each frame.
    photons : ndarray of float32, `(n_rows, n_columns)`
        Added to.
    """
    for part in prange(_N_PARTS):
        inverse = np.empty(signal.shape[1], dtype=np.float32)
        for t in range(first_row_of_part(indptr, part, _N_PARTS), first_row_of_part(indptr, part + 1, _N_PARTS)):
            hit, stop = indptr[t], indptr[t + 1]
            if hit == stop:
                continue
            out, row = photons[t], signal[t]
            for r in range(len(row)):
                inverse[r] = pedestal[t] / row[r]
            while hit < stop:
                d = index[hit]
                second = min(hit + 1, stop - 1)
                e = index[second]
                other = count[second] if second > hit else _ZERO
                _add_signal_of_two(
                    probability[d], probability[e], (count[hit], other), (ratio[d], ratio[e]), inverse, out
                )
                hit += 2


@numba.njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})
def _background_of_two(
    probability: NDArray[np.float32],
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    level: tuple[np.float32, np.float32],
    count: tuple[np.float32, np.float32],
) -> np.float32:
    total = _ZERO
    p, q = count[0] * level[0], count[1] * level[1]
    for r in range(len(probability)):
        x, y = a[r] + level[0], b[r] + level[1]
        total += probability[r] * ((p * y + q * x) / (x * y))
    return total


@numba.njit(cache=True, parallel=True)
def background_photons(
    indptr: NDArray[np.int64],
    index: NDArray[np.int32],
    count: NDArray[np.float32],
    probability: NDArray[np.float32],
    signal: NDArray[np.float32],
    pedestal: NDArray[np.float32],
    ratio: NDArray[np.float32],
    found: NDArray[np.float64],
) -> None:
    """Write how many of each frame's photons are background, given the probabilities of its orientations.

    Per photon and orientation: 4 bytes read, 7 operations and half a division. Groups of 128 orientations that the
    frame excludes are left out, which is most of them once orientations are found. Sums run in float32 over 128
    elements and in float64 beyond.

    Parameters
    ----------
    indptr, index, count
        Photons by frame; ``index`` names the pixel row.
    probability : ndarray of float32, `(n_frames, n_columns)`
        Orientation probabilities.
    signal, pedestal
        As in :func:`add_log_sums`; signals between 1e-18 and 1e18.
    ratio : ndarray of float32, `(n_frames,)`
        Background over fluence of each frame.
    found : ndarray of float64, `(n_frames,)`
        Filled with the sum over photons and orientations of probability times the share of the background.
    """
    n_columns = signal.shape[1]
    for part in prange(_N_PARTS):
        for d in range(first_row_of_part(indptr, part, _N_PARTS), first_row_of_part(indptr, part + 1, _N_PARTS)):
            total = 0.0
            for start in range(0, n_columns, _CHUNK):
                own = probability[d, start : start + _CHUNK]
                largest = _ZERO
                for r in range(len(own)):
                    largest = own[r] if own[r] > largest else largest
                if largest < _IDLE:
                    continue
                hit, stop = indptr[d], indptr[d + 1]
                while hit < stop:
                    second = min(hit + 1, stop - 1)
                    i, j = index[hit], index[second]
                    x, y = ratio[d] * pedestal[i], ratio[d] * pedestal[j]
                    x = _LARGEST_RATIO if x > _LARGEST_RATIO else x
                    y = _LARGEST_RATIO if y > _LARGEST_RATIO else y
                    total += np.float64(
                        _background_of_two(
                            own,
                            signal[i, start : start + _CHUNK],
                            signal[j, start : start + _CHUNK],
                            (x, y),
                            (count[hit], count[second] if second > hit else _ZERO),
                        )
                    )
                    hit += 2
            found[d] = total


@numba.njit(cache=True, fastmath={"reassoc", "contract", "nsz"})
def _dot(a: NDArray[np.float32], b: NDArray[np.float64]) -> float:
    total = 0.0
    for r in range(len(b)):
        total += np.float64(a[r]) * b[r]
    return total


@numba.njit(cache=True, parallel=True)
def weighted_row_sums(
    table: NDArray[np.float32], column_weight: NDArray[np.float64], total: NDArray[np.float64]
) -> None:
    """Write the weighted sum of each row: photons that a frame expects of its orientations.

    4 bytes and one multiply-add in float64 per element.

    Parameters
    ----------
    table : ndarray of float32, `(n_rows, n_columns or more)`
        Probabilities; columns beyond those of ``column_weight`` are left out.
    column_weight : ndarray of float64, `(n_columns,)`
        Expected photons of each view.
    total : ndarray of float64, `(n_rows,)`
        Filled.
    """
    for d in prange(table.shape[0]):
        total[d] = _dot(table[d], column_weight)
