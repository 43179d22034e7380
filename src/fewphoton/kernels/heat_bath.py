"""Heat-bath moves of atoms: each takes a new site with its exact conditional probability on a lattice.

A lattice passes through the atom's present place, so positions are continuous although every move is on a lattice,
and the conditional distribution exp(-cost / temperature) over its sites is sampled without rejection (Geman & Geman
1984, doi:10.1109/TPAMI.1984.4767596). Several replicas move in step, so that one matrix product serves all of them.

Random numbers come in as arguments: results do not depend on threads.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from fewphoton.kernels.insertion_cost import (
    add_wave,
    fill_waves,
    insertion_map,
    insertion_rows,
    intensity_cost,
    multiply_waves,
    sum_waves,
)

# Sites that are not allowed; far above any cost, and finite because sums may be reordered.
_CLOSED = 1e30
# Sites that lie this many temperatures above the best are left out: e^-25 of its probability.
_REACH = 25.0


@numba.njit(cache=True, nogil=True)
def close_sites(
    cost: NDArray[np.float32],
    position: NDArray[np.float64],
    kind: NDArray[np.int64],
    atom: int,
    origin: NDArray[np.float64],
    step: NDArray[np.float64],
    shape: NDArray[np.int64],
    half_box: NDArray[np.float64],
    closest: NDArray[np.float64],
) -> None:
    """Mark sites outside of the box and sites too close to other atoms.

    Per other atom it visits the sites in a cube of twice the closest distance.

    Parameters
    ----------
    cost : ndarray of float32, `(n_z, n_x n_y)`
        Cost of each site, y fastest; closed ones are set to 1e30.
    position : ndarray of float64, `(n_atoms, 3)`
        All atoms.
    kind : ndarray of int64, `(n_atoms,)`
        Their elements.
    atom : int
        The one that moves.
    origin, step : ndarray of float64, `(3,)`
        Middle of the lattice and its spacings.
    shape : ndarray of int64, `(3,)`
        Sites along x, y, z.
    half_box : ndarray of float64, `(3,)`
        Half edges of the box about 0.
    closest : ndarray of float64, `(n_elements, n_elements)`
        Smallest distance between atoms of two elements.
    """
    n_x, n_y, n_z = shape[0], shape[1], shape[2]
    first = origin - step * (shape - 1) / 2
    for iz in range(n_z):
        if abs(first[2] + step[2] * iz) > half_box[2]:
            cost[iz, :] = _CLOSED
    for ix in range(n_x):
        if abs(first[0] + step[0] * ix) > half_box[0]:
            cost[:, ix * n_y : (ix + 1) * n_y] = _CLOSED
    for iy in range(n_y):
        if abs(first[1] + step[1] * iy) > half_box[1]:
            cost[:, iy::n_y] = _CLOSED
    for other in range(len(position)):
        if other == atom:
            continue
        reach = closest[kind[atom], kind[other]]
        x = (position[other, 0] - first[0]) / step[0]
        y = (position[other, 1] - first[1]) / step[1]
        z = (position[other, 2] - first[2]) / step[2]
        for iz in range(max(0, math.ceil(z - reach / step[2])), min(n_z, math.floor(z + reach / step[2]) + 1)):
            dz = (iz - z) * step[2]
            for ix in range(max(0, math.ceil(x - reach / step[0])), min(n_x, math.floor(x + reach / step[0]) + 1)):
                dx = (ix - x) * step[0]
                for iy in range(max(0, math.ceil(y - reach / step[1])), min(n_y, math.floor(y + reach / step[1]) + 1)):
                    dy = (iy - y) * step[1]
                    if dx * dx + dy * dy + dz * dz < reach * reach:
                        cost[iz, ix * n_y + iy] = _CLOSED


@numba.njit(cache=True, nogil=True)
def draw_site(cost: NDArray[np.float32], temperature: float, uniform: float) -> int:
    """Return a site drawn with probability exp(-cost / temperature), or -1 where all sites are closed.

    Three passes over the map; exponentials only for sites within 25 temperatures of the best.

    Parameters
    ----------
    cost : ndarray of float32, `(n_z, n_x n_y)`
        Cost of each site.
    temperature : float
        In units of the cost.
    uniform : float
        Random number in [0, 1).
    """
    best = np.float32(_CLOSED)
    for row in range(cost.shape[0]):
        for site in range(cost.shape[1]):
            best = min(best, cost[row, site])
    if best >= np.float32(_CLOSED):
        return -1
    limit = best + np.float32(_REACH * temperature)
    inverse = 1.0 / temperature
    total = 0.0
    for row in range(cost.shape[0]):
        for site in range(cost.shape[1]):
            if cost[row, site] <= limit:
                total += math.exp((best - cost[row, site]) * inverse)
    left = uniform * total
    last: int = -1
    for row in range(cost.shape[0]):
        for site in range(cost.shape[1]):
            if cost[row, site] <= limit:
                left -= math.exp((best - cost[row, site]) * inverse)
                last = int(row * cost.shape[1] + site)
                if left < 0:
                    return last
    return last


@numba.njit(cache=True, nogil=True)
def move_atoms(
    chosen: NDArray[np.int64],
    uniform: NDArray[np.float64],
    temperature: NDArray[np.float64],
    position: NDArray[np.float64],
    kind: NDArray[np.int64],
    wave: NDArray[np.float32],
    amplitude: NDArray[np.float32],
    factor: NDArray[np.float32],
    measured: NDArray[np.float32],
    weight: NDArray[np.float32],
    along_x: NDArray[np.float32],
    along_y: NDArray[np.float32],
    along_z: NDArray[np.float32],
    cosines: NDArray[np.float32],
    sines: NDArray[np.float32],
    step: NDArray[np.float64],
    half_box: NDArray[np.float64],
    closest: NDArray[np.float64],
    centred: bool,
) -> None:
    """Move one atom in each replica.

    Per replica matrix products of `2 n n_x n_y n_z` multiply-adds, and the map is read three times.

    Parameters
    ----------
    chosen : ndarray of int64, `(n_replicas,)`
        Atom that moves in each replica.
    uniform, temperature : ndarray of float64, `(n_replicas,)`
        Random number in [0, 1) and temperature of each replica.
    position, kind, wave, amplitude
        State of the replicas, `(n_replicas, n_atoms, 3)`, `(n_replicas, n_atoms)`, `(n_replicas, n_atoms, 2, n)` and
        `(n_replicas, 2, n)`; changed in place.
    factor : ndarray of float32, `(n_elements, n)`
        Form factors.
    measured, weight : ndarray of float32, `(n,)`
        Intensities and weights.
    along_x, along_y, along_z, cosines, sines, step
        The lattice: waves along each axis, the tables made of them, spacings.
    half_box, closest
        As for :func:`close_sites`.
    centred : bool
        Centre the lattice on the atom (small lattices of short steps) instead of on the box.
    """
    shape = np.array([len(along_x), len(along_y), len(along_z)])
    n_z, n = shape[2], len(measured)
    n_replicas = len(chosen)
    even = np.empty((n_replicas * n_z, 2 * n), dtype=np.float32)
    odd = np.empty((n_replicas * n_z, 2 * n), dtype=np.float32)
    origins = np.empty((n_replicas, 2, n), dtype=np.float32)
    terms = np.empty((4, n), dtype=np.float32)
    middle = np.empty((n_replicas, 3))
    site = np.empty(3, dtype=np.int64)
    for replica in range(n_replicas):
        atom = chosen[replica]
        element = factor[kind[replica, atom]]
        add_wave(amplitude[replica], wave[replica, atom], element, -1.0)
        for axis in range(3):
            place = position[replica, atom, axis]
            site[axis] = (shape[axis] - 1) // 2
            if not centred:
                nearest = round(place / step[axis] + (shape[axis] - 1) / 2)
                site[axis] = min(shape[axis] - 1, max(0, nearest))
            middle[replica, axis] = place - step[axis] * (site[axis] - (shape[axis] - 1) / 2)
        origin = origins[replica]
        multiply_waves(wave[replica, atom], along_x[site[0]], along_y[site[1]], along_z[site[2]], -1.0, origin)
        insertion_rows(
            amplitude[replica],
            origin,
            element,
            measured,
            weight,
            along_z,
            terms,
            even[replica * n_z : (replica + 1) * n_z],
            odd[replica * n_z : (replica + 1) * n_z],
        )
    cost = insertion_map(even, odd, cosines, sines, shape[0] * shape[1])
    for replica in range(n_replicas):
        atom = chosen[replica]
        block = cost[replica * n_z : (replica + 1) * n_z]
        close_sites(block, position[replica], kind[replica], atom, middle[replica], step, shape, half_box, closest)
        drawn = draw_site(block, temperature[replica], uniform[replica])
        if drawn >= 0:
            site[2] = drawn // (shape[0] * shape[1])
            site[0] = drawn // shape[1] % shape[0]
            site[1] = drawn % shape[1]
            position[replica, atom] = middle[replica] + step * (site - (shape - 1) / 2)
            multiply_waves(
                origins[replica], along_x[site[0]], along_y[site[1]], along_z[site[2]], 1.0, wave[replica, atom]
            )
        add_wave(amplitude[replica], wave[replica, atom], factor[kind[replica, atom]], 1.0)


@numba.njit(cache=True, nogil=True)
def exchange_elements(
    uniform: NDArray[np.float64],
    temperature: float,
    kind: NDArray[np.int64],
    wave: NDArray[np.float32],
    amplitude: NDArray[np.float32],
    factor: NDArray[np.float32],
    measured: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> float:
    """Try to exchange the elements of pairs of atoms (Metropolis) and return the cost.

    Contacts are not looked at: where they differ between elements, an exchange may bring atoms nearer than allowed, and
    the next move of one of them parts them.

    About 12 operations and 40 bytes a detector for each try.

    Parameters
    ----------
    uniform : ndarray of float64, `(n_tries, 3)`
        Random numbers in [0, 1): two atoms, and the decision.
    temperature, kind, wave, amplitude, factor, measured, weight
        As for :func:`move_atoms`, of one replica.
    """
    n_atoms = len(kind)
    cost: float = intensity_cost(amplitude, measured, weight)
    trial = np.empty_like(amplitude)
    for number in range(len(uniform)):
        first, second = int(uniform[number, 0] * n_atoms), int(uniform[number, 1] * n_atoms)
        if kind[first] == kind[second]:
            continue
        change = factor[kind[second]] - factor[kind[first]]
        trial[:] = amplitude
        add_wave(trial, wave[first], change, 1.0)
        add_wave(trial, wave[second], change, -1.0)
        new_cost = intensity_cost(trial, measured, weight)
        if new_cost <= cost or uniform[number, 2] < math.exp((cost - new_cost) / temperature):
            cost = new_cost
            amplitude[:] = trial
            kind[first], kind[second] = kind[second], kind[first]
    return cost


@numba.njit(cache=True, nogil=True)
def refresh(
    q: NDArray[np.float64],
    position: NDArray[np.float64],
    kind: NDArray[np.int64],
    wave: NDArray[np.float32],
    amplitude: NDArray[np.float32],
    factor: NDArray[np.float32],
) -> None:
    """Compute waves and amplitudes of all replicas from their positions, free of the rounding of many moves."""
    for replica in range(len(position)):
        fill_waves(q, position[replica], wave[replica])
        sum_waves(wave[replica], kind[replica], factor, amplitude[replica])
