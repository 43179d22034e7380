"""Overlap of uniform spheres: the inner product of two molecules made of them, and a climb to its maximum.

Two spheres share a lens. With d the distance of the centres, S the sum of the radii and D their difference, its volume
is pi/12 (S - d)² (d + 2 S - 3 D²/d) for |D| < d < S; D²/d is taken as D (D/d), of which D/d is at most 1, so that
nothing cancels where d is small and the radii are alike.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True)
def lens_volume(distance: float, first_radius: float, second_radius: float) -> float:
    """Return the volume that two spheres share; some 15 operations.

    Parameters
    ----------
    distance : float
        Distance of the centres, in any unit of length.
    first_radius, second_radius : float
        Radii in the same unit, above 0.
    """
    total = first_radius + second_radius
    if distance >= total:
        return 0.0
    difference = abs(first_radius - second_radius)
    if distance <= difference:
        smaller = min(first_radius, second_radius)
        return 4 / 3 * math.pi * smaller * smaller * smaller
    apart = total - distance
    return math.pi / 12 * apart * apart * (distance + 2 * total - 3 * difference * (difference / distance))


@numba.njit(cache=True)
def overlaps(
    first_position: NDArray[np.float64],
    first_density: NDArray[np.float64],
    first_radius: NDArray[np.float64],
    second_position: NDArray[np.float64],
    second_density: NDArray[np.float64],
    second_radius: NDArray[np.float64],
    shift: NDArray[np.float64],
    product: NDArray[np.float64],
) -> None:
    """Write the integral of the product of two sets of spheres for each shift of the second.

    10 operations and 40 bytes from the cache per pair and shift, 25 operations more where the pair overlaps.

    Parameters
    ----------
    first_position, second_position : ndarray of float64, `(n_first, 3)` and `(n_second, 3)`
        Centres.
    first_density, second_density : ndarray of float64, `(n_first,)` and `(n_second,)`
        Value inside each sphere.
    first_radius, second_radius : ndarray of float64, `(n_first,)` and `(n_second,)`
        Radii, above 0.
    shift : ndarray of float64, `(n_shifts, 3)`
        Added to the second's centres.
    product : ndarray of float64, `(n_shifts,)`
        Filled.
    """
    for s in range(len(shift)):
        total = 0.0
        for j in range(len(second_position)):
            x = second_position[j, 0] + shift[s, 0]
            y = second_position[j, 1] + shift[s, 1]
            z = second_position[j, 2] + shift[s, 2]
            for i in range(len(first_position)):
                dx, dy, dz = first_position[i, 0] - x, first_position[i, 1] - y, first_position[i, 2] - z
                squared = dx * dx + dy * dy + dz * dz
                reach = first_radius[i] + second_radius[j]
                if squared < reach * reach:
                    shared = lens_volume(math.sqrt(squared), first_radius[i], second_radius[j])
                    total += first_density[i] * second_density[j] * shared
        product[s] = total


@numba.njit(cache=True)
def climb(
    first_position: NDArray[np.float64],
    first_density: NDArray[np.float64],
    first_radius: NDArray[np.float64],
    second_position: NDArray[np.float64],
    second_density: NDArray[np.float64],
    second_radius: NDArray[np.float64],
    shift: NDArray[np.float64],
    rounding: float,
    max_steps: int,
) -> int:
    """Move a shift uphill in the overlap by mean-shift steps, in place; return the number of steps.

    The slope of a lens in the distance is minus the area of its circle, pi (S² - d²) (1 - D²/d²) / 4, so the slope in
    the shift is a sum of weight times displacement, and the weighted mean displacement is an uphill step (Comaniciu &
    Meer 2002, doi:10.1109/34.1000236). Spheres of one size have a kink where their centres meet; there the distance is
    rounded off as sqrt(d² + rounding²), as is done for the geometric median. Stops when a step is a thousandth of the
    rounding. Each step costs what one shift costs in :func:`overlaps`.

    Parameters
    ----------
    first_position, first_density, first_radius, second_position, second_density, second_radius
        As for :func:`overlaps`.
    shift : ndarray of float64, `(3,)`
        Start; overwritten with the end.
    rounding : float
        Length over which kinks are rounded off, above 0.
    max_steps : int
        Steps at most.
    """
    for step in range(max_steps):
        weight, mx, my, mz = 0.0, 0.0, 0.0, 0.0
        for j in range(len(second_position)):
            x = second_position[j, 0] + shift[0]
            y = second_position[j, 1] + shift[1]
            z = second_position[j, 2] + shift[2]
            for i in range(len(first_position)):
                dx, dy, dz = first_position[i, 0] - x, first_position[i, 1] - y, first_position[i, 2] - z
                squared = dx * dx + dy * dy + dz * dz
                total = first_radius[i] + second_radius[j]
                difference = first_radius[i] - second_radius[j]
                if squared >= total * total or squared < difference * difference:
                    continue
                unequal = difference * difference / squared if squared > 0 else 0.0
                circle = (total * total - squared) * (1 - unequal)
                pull = first_density[i] * second_density[j] * circle / math.sqrt(squared + rounding * rounding)
                weight += pull
                mx += pull * dx
                my += pull * dy
                mz += pull * dz
        if weight <= 0.0:
            return step
        mx, my, mz = mx / weight, my / weight, mz / weight
        shift[0] += mx
        shift[1] += my
        shift[2] += mz
        if mx * mx + my * my + mz * mz < (1e-3 * rounding) ** 2:
            return step + 1
    return max_steps
