"""Kernels of simulated snapshots: which lattice points are excited, where their spots fall."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def excited_points(
    hkl: NDArray[np.int32],
    ub_inv_angstrom: NDArray[np.float64],
    beam_direction: NDArray[np.float64],
    wavelength_angstrom: float,
    widths: NDArray[np.float64],
    reach: float,
    point: NDArray[np.int64],
    outgoing: NDArray[np.float64],
    excitation_error: NDArray[np.float64],
    excitation_width: NDArray[np.float64],
) -> int:
    """Find the lattice points within ``reach`` widths of the Ewald sphere; return how many.

    The excitation error of g = UB h is |g + s0| - 1/wavelength, the distance of g from the sphere; the spot leaves
    along g + s0. Its variance adds up what is common to all points, the mosaic tilt (tangential, so only its part
    along the sphere's normal counts: q cos(theta)), and the bandwidth (a change of the wavelength moves the sphere
    by wavelength q²/2). Per point 12 bytes read, about 40 operations and two square roots.

    Parameters
    ----------
    hkl : ndarray of int32, `(n, 3)`
        Lattice points.
    ub_inv_angstrom : ndarray of float64, `(3, 3)`
        Columns a*, b*, c* in the laboratory.
    beam_direction : ndarray of float64, `(3,)`
        Unit vector.
    wavelength_angstrom : float
        Wavelength.
    widths : ndarray of float64, `(3,)`
        Common standard deviation (1/angstrom), mosaicity (radian), relative bandwidth.
    reach : float
        Widths beyond which a point does not scatter.
    point : ndarray of int64, `(n,)`
        Its head is filled with the rows of ``hkl`` that scatter, rising.
    outgoing : ndarray of float64, `(n, 3)`
        Head filled with the unit vectors of the scattered rays.
    excitation_error, excitation_width : ndarray of float64, `(n,)`
        Heads filled with distance from the sphere and its standard deviation (1/angstrom).
    """
    wavenumber = 1.0 / wavelength_angstrom
    found = 0
    for row in range(hkl.shape[0]):
        h, k, third = float(hkl[row, 0]), float(hkl[row, 1]), float(hkl[row, 2])
        x = ub_inv_angstrom[0, 0] * h + ub_inv_angstrom[0, 1] * k + ub_inv_angstrom[0, 2] * third
        y = ub_inv_angstrom[1, 0] * h + ub_inv_angstrom[1, 1] * k + ub_inv_angstrom[1, 2] * third
        z = ub_inv_angstrom[2, 0] * h + ub_inv_angstrom[2, 1] * k + ub_inv_angstrom[2, 2] * third
        square = x * x + y * y + z * z
        along = x * beam_direction[0] + y * beam_direction[1] + z * beam_direction[2]
        excess = square + 2.0 * wavenumber * along
        length = math.sqrt(max(wavenumber * wavenumber + excess, 0.0))
        # |g + s0| - |s0| written without the difference of two nearly equal lengths.
        error = excess / (length + wavenumber)
        sine_square = min(0.25 * square * wavelength_angstrom * wavelength_angstrom, 1.0)
        spread = 0.5 * widths[2] * wavelength_angstrom * square
        variance = widths[0] * widths[0] + widths[1] * widths[1] * square * (1.0 - sine_square) + spread * spread
        if error * error > reach * reach * variance or length == 0.0:
            continue
        point[found] = row
        outgoing[found, 0] = (x + wavenumber * beam_direction[0]) / length
        outgoing[found, 1] = (y + wavenumber * beam_direction[1]) / length
        outgoing[found, 2] = (z + wavenumber * beam_direction[2]) / length
        excitation_error[found] = error
        excitation_width[found] = math.sqrt(variance)
        found += 1
    return found


@numba.njit(cache=True)
def place_spots(
    outgoing: NDArray[np.float64],
    to_panel: NDArray[np.float64],
    window: NDArray[np.int64],
    margin_px: float,
    ray: NDArray[np.int64],
    panel: NDArray[np.int32],
    slow_px: NDArray[np.float64],
    fast_px: NDArray[np.float64],
) -> int:
    """Find the panels that rays hit, or pass within ``margin_px`` pixels of; return the number of pairs.

    Per ray and panel: 9 multiply-adds, two divisions and four comparisons.

    Parameters
    ----------
    outgoing : ndarray of float64, `(n, 3)`
        Directions of the rays from the sample.
    to_panel : ndarray of float64, `(n_panels, 3, 3)`
        Inverses of the matrices whose columns are the panel's slow step, fast step and corner.
    window : ndarray of int64, `(n_panels, 4)`
        First slow and fast index of the panel in the frame, and its pixels along both.
    margin_px : float
        Rays may miss a panel by this much.
    ray, panel, slow_px, fast_px : ndarray, `(n n_panels,)`
        Heads filled with the row of ``outgoing``, the panel, and the place in the panel's continued pixel grid, in
        frame indices (0.0 is the centre of the first pixel).
    """
    found = 0
    for row in range(outgoing.shape[0]):
        for number in range(window.shape[0]):
            matrix = to_panel[number]
            depth = matrix[2, 0] * outgoing[row, 0] + matrix[2, 1] * outgoing[row, 1] + matrix[2, 2] * outgoing[row, 2]
            if depth <= 0.0:
                continue
            slow = matrix[0, 0] * outgoing[row, 0] + matrix[0, 1] * outgoing[row, 1] + matrix[0, 2] * outgoing[row, 2]
            fast = matrix[1, 0] * outgoing[row, 0] + matrix[1, 1] * outgoing[row, 1] + matrix[1, 2] * outgoing[row, 2]
            slow /= depth
            fast /= depth
            if not (-margin_px <= slow <= window[number, 2] + margin_px):
                continue
            if not (-margin_px <= fast <= window[number, 3] + margin_px):
                continue
            ray[found] = row
            panel[found] = number
            slow_px[found] = slow - 0.5 + window[number, 0]
            fast_px[found] = fast - 0.5 + window[number, 1]
            found += 1
    return found


@numba.njit(cache=True)
def _share(place: float, index: int, sigma_px: float) -> float:
    """Part of a Gaussian line at ``place`` that falls on the pixel ``index``."""
    scale = 1.0 / (sigma_px * math.sqrt(2.0))
    return 0.5 * (math.erf((index + 0.5 - place) * scale) - math.erf((index - 0.5 - place) * scale))


@numba.njit(cache=True)
def spread_spots(
    slow_px: NDArray[np.float64],
    fast_px: NDArray[np.float64],
    panel: NDArray[np.int32],
    window: NDArray[np.int64],
    sigma_px: float,
    radius_px: int,
    masked: NDArray[np.bool_],
    n_fast: int,
    indptr: NDArray[np.int64],
    pixel: NDArray[np.int64],
    share: NDArray[np.float64],
) -> int:
    """Spread spots over the usable pixels of their panels as round Gaussians; return the number of pixels.

    Per spot `2 (2 r + 2)` error functions and `(2 r + 1)²` products, one byte of mask read and 16 bytes written each.

    Parameters
    ----------
    slow_px, fast_px : ndarray of float64, `(n,)`
        Places in frame indices.
    panel : ndarray of int32, `(n,)`
        Panel of each spot; pixels of other panels get nothing from it.
    window : ndarray of int64, `(n_panels, 4)`
        As in :func:`place_spots`.
    sigma_px : float
        Standard deviation.
    radius_px : int
        r: the spot ends this many pixels from the one that holds its centre.
    masked : ndarray of bool, `(n_pixels,)`
        Pixels that see nothing.
    n_fast : int
        Pixels in a row of the frame.
    indptr : ndarray of int64, `(n + 1,)`
        Filled: the pixels of spot i are ``indptr[i]`` to ``indptr[i + 1] - 1``.
    pixel : ndarray of int64, `(n (2 r + 1)²,)`
        Head filled with flat frame indices.
    share : ndarray of float64, `(n (2 r + 1)²,)`
        Head filled with the part of the spot that falls on the pixel.
    """
    along_slow = np.empty(2 * radius_px + 1)
    along_fast = np.empty(2 * radius_px + 1)
    found = 0
    indptr[0] = 0
    for row in range(slow_px.shape[0]):
        middle_slow = math.floor(slow_px[row] + 0.5)
        middle_fast = math.floor(fast_px[row] + 0.5)
        for step in range(2 * radius_px + 1):
            along_slow[step] = _share(slow_px[row], middle_slow - radius_px + step, sigma_px)
            along_fast[step] = _share(fast_px[row], middle_fast - radius_px + step, sigma_px)
        place = window[panel[row]]
        first_slow = max(middle_slow - radius_px, place[0])
        last_slow = min(middle_slow + radius_px, place[0] + place[2] - 1)
        first_fast = max(middle_fast - radius_px, place[1])
        last_fast = min(middle_fast + radius_px, place[1] + place[3] - 1)
        for slow in range(first_slow, last_slow + 1):
            for fast in range(first_fast, last_fast + 1):
                flat = slow * n_fast + fast
                if masked[flat]:
                    continue
                pixel[found] = flat
                share[found] = along_slow[slow - middle_slow + radius_px] * along_fast[fast - middle_fast + radius_px]
                found += 1
        indptr[row + 1] = found
    return found


@numba.njit(cache=True)
def add_photons(
    pixel: NDArray[np.int64], photons: NDArray[np.int64], largest_count: int, counts: NDArray[np.uint32]
) -> None:
    """Add photons to the pixels of a frame, no further than ``largest_count``.

    Per entry 16 bytes read and one scattered read and write.

    Parameters
    ----------
    pixel : ndarray of int64, `(n,)`
        Flat frame indices; one may come several times.
    photons : ndarray of int64, `(n,)`
        What to add.
    largest_count : int
        Counts end here.
    counts : ndarray of unsigned integers, `(n_pixels,)`
        Changed in place.
    """
    for entry in range(pixel.shape[0]):
        total = np.int64(counts[pixel[entry]]) + photons[entry]
        counts[pixel[entry]] = min(total, largest_count)
