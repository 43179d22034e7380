"""Shell correlations of two volumes, and the resolution at which they fall below a threshold.

Densities are compared by the Fourier shell correlation (Harauz & van Heel 1986, Optik 73, 146-156): the normalised
scalar product of their complex Fourier coefficients in shells of q. Intensities are all positive, so their shells are
compared by Pearson's correlation about the mean of each shell: the powder ring that any two share counts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.data.arrays import frozen_array
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class ShellCorrelation:
    """Correlation of two volumes by shell.

    Parameters
    ----------
    q_inv_angstrom : ndarray of float64, `(n_shells,)`
        Middle of each shell, ascending.
    correlation : ndarray of float64, `(n_shells,)`
        -1 to 1; NaN for shells that say nothing (empty, or without spread).
    n_voxels : ndarray of int64, `(n_shells,)`
        Voxels in each shell.
    """

    q_inv_angstrom: NDArray[np.float64]
    correlation: NDArray[np.float64]
    n_voxels: NDArray[np.int64]

    def crossing_q_inv_angstrom(self, threshold: float) -> float:
        """Lowest q at which the correlation falls below ``threshold``, linear between shells.

        Shells that say nothing are passed over. NaN when the first known shell is below already (no resolution can be
        stated), when no shell is known, or when the correlation never falls below: the volumes then agree up to
        :meth:`last_q_inv_angstrom`.
        """
        known = np.isfinite(self.correlation)
        q, value = self.q_inv_angstrom[known], self.correlation[known]
        below = np.flatnonzero(value < threshold)
        if len(below) == 0 or below[0] == 0:
            return float("nan")
        after = int(below[0])
        before = after - 1
        part = (value[before] - threshold) / (value[before] - value[after])
        return float(q[before] + part * (q[after] - q[before]))

    def last_q_inv_angstrom(self) -> float:
        """Middle of the last shell that says something; NaN without any."""
        known = np.isfinite(self.correlation)
        return float(self.q_inv_angstrom[known][-1]) if known.any() else float("nan")

    def between(self, q_low_inv_angstrom: float, q_high_inv_angstrom: float) -> ShellCorrelation:
        """Return the shells whose middles lie between two q, both included to a millionth."""
        slack = 1e-6 * q_high_inv_angstrom
        inside = (self.q_inv_angstrom >= q_low_inv_angstrom - slack) & (
            self.q_inv_angstrom <= q_high_inv_angstrom + slack
        )
        return ShellCorrelation(self.q_inv_angstrom[inside], self.correlation[inside], self.n_voxels[inside])

    def resolution_angstrom(self, threshold: float) -> float:
        """1/q at the crossing.

        Where the correlation stays above the threshold it is the 1/q of the last shell, the finest detail that the
        comparison could tell; infinite when the first shell is below; NaN when no shell is known.
        """
        known = self.correlation[np.isfinite(self.correlation)]
        if len(known) == 0:
            return float("nan")
        if known[0] < threshold:
            return float("inf")
        crossing = self.crossing_q_inv_angstrom(threshold)
        return 1.0 / (crossing if np.isfinite(crossing) else self.last_q_inv_angstrom())


def coefficient_shell_correlation(
    first: NDArray[np.complex128],
    second: NDArray[np.complex128],
    q_inv_angstrom: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> ShellCorrelation:
    """Fourier shell correlation Re(sum F G*) / sqrt(sum |F|^2 sum |G|^2) of Fourier coefficients.

    Parameters
    ----------
    first, second : ndarray of complex128
        Coefficients, of one shape.
    q_inv_angstrom : ndarray of float64
        Length of their q, of the same shape.
    edges : ndarray of float64, `(n_shells + 1,)`
        Shells, lower edge included; coefficients beyond are left out.

    Raises
    ------
    DataError
        If shapes differ, the edges do not ascend, or a coefficient is not finite.
    """
    shell, n_voxels, middle = _shells(first, second, q_inv_angstrom, edges)
    inside = shell >= 0
    f, g, place = first[inside], second[inside], shell[inside]
    if not (np.isfinite(f).all() and np.isfinite(g).all()):
        raise DataError("Fourier coefficients must be finite; set unknown ones apart by their q")
    product = np.bincount(place, (f * np.conj(g)).real, minlength=len(middle))
    power = np.bincount(place, np.abs(f) ** 2, minlength=len(middle)) * np.bincount(
        place, np.abs(g) ** 2, minlength=len(middle)
    )
    return ShellCorrelation(middle, _ratio(product, power), n_voxels)


def density_shell_correlation(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    voxel_angstrom: float,
    n_shells: int | None = None,
) -> ShellCorrelation:
    """Fourier shell correlation of two densities on one cubic grid.

    Parameters
    ----------
    first, second : ndarray of float64, `(n, n, n)`
        Densities, aligned.
    voxel_angstrom : float
        Edge of a voxel.
    n_shells : int, optional
        Shells of equal width that leave out the mean density and the corners beyond the Nyquist q,
        1 / (2 ``voxel_angstrom``). Default: n // 2, whose middles are whole multiples of a Fourier voxel.

    Raises
    ------
    DataError
        If the grids differ or are not cubes, or a value is not finite.
    """
    n = np.shape(first)[0] if np.ndim(first) == 3 else None
    one = frozen_array("first density", first, np.float64, (n, n, n))
    two = frozen_array("second density", second, np.float64, one.shape)
    if not voxel_angstrom > 0:
        raise DataError(f"voxel_angstrom must be above zero, found {voxel_angstrom}")
    size = len(one)
    frequency = np.fft.fftfreq(size, voxel_angstrom)
    q = np.sqrt(frequency[:, None, None] ** 2 + frequency[None, :, None] ** 2 + frequency[None, None, :] ** 2)
    step = 1.0 / (size * voxel_angstrom)
    count = size // 2 if n_shells is None else n_shells
    edges = step * np.linspace(0.5, size // 2 + 0.5, count + 1)
    return coefficient_shell_correlation(np.fft.fftn(one), np.fft.fftn(two), q, edges)


def intensity_shell_correlation(
    first: IntensityVolume, second: IntensityVolume, crystal: Crystal, edges: NDArray[np.float64]
) -> ShellCorrelation:
    """Pearson's correlation of two intensity volumes by shell, over voxels that both measured.

    Parameters
    ----------
    first, second : IntensityVolume
        Volumes on one grid, in one orientation.
    crystal : Crystal
        Cell: the length of q on the grid.
    edges : ndarray of float64, `(n_shells + 1,)`
        Shells in 1/angstrom, lower edge included, for example from :func:`fewphoton.evaluate.shells.shell_edges`.

    Raises
    ------
    DataError
        If the grids differ, the edges do not ascend, or a measured voxel is not finite.
    """
    if first.n != second.n or first.voxels_per_cell != second.voxels_per_cell:
        raise DataError(
            f"volumes of {first.n} and {second.n} voxels, {first.voxels_per_cell} and {second.voxels_per_cell} a cell, "
            "share no grid"
        )
    n_shells = _checked(edges)
    axis = first.axis_hkl()
    k, m = np.meshgrid(axis, axis, indexing="ij")
    layers = []
    # Layer by layer: q of the whole grid would take three volumes' memory.
    for layer, h in enumerate(axis):
        both = (first.weight[layer] > 0) & (second.weight[layer] > 0)
        hkl = np.stack([np.full(int(both.sum()), h), k[both], m[both]], axis=1)
        shell = _shell_numbers(crystal.q_inv_angstrom(hkl), edges)
        a, b = first.values[layer][both][shell >= 0], second.values[layer][both][shell >= 0]
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            raise DataError(f"volume: measured voxels of layer {layer} are not finite")
        layers.append((shell[shell >= 0], a, b))
    place, a, b = (np.concatenate(column) for column in zip(*layers, strict=True))
    count = np.bincount(place, minlength=n_shells)
    one, two = _centred(place, a, n_shells), _centred(place, b, n_shells)
    product = np.bincount(place, one * two, minlength=n_shells)
    power = np.bincount(place, one * one, minlength=n_shells) * np.bincount(place, two * two, minlength=n_shells)
    return ShellCorrelation((edges[1:] + edges[:-1]) / 2, _ratio(product, power), count)


def _centred(shell: NDArray[np.int64], values: NDArray[np.float64], n_shells: int) -> NDArray[np.float64]:
    """Values less the mean of their shell; all zero where a shell has no spread beyond rounding."""
    count = np.maximum(np.bincount(shell, minlength=n_shells), 1)
    mean = np.bincount(shell, values, minlength=n_shells) / count
    centred = values - mean[shell]
    rms = np.sqrt(np.bincount(shell, centred**2, minlength=n_shells) / count)
    return np.asarray(np.where((rms > 1e-13 * np.abs(mean))[shell], centred, 0.0))


def _checked(edges: NDArray[np.float64]) -> int:
    """Return the number of shells, or raise DataError where the edges do not ascend."""
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise DataError(f"shell edges must ascend, found {edges.tolist()}")
    return len(edges) - 1


def _shell_numbers(q_inv_angstrom: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Shell of each q, -1 beyond the edges."""
    shell = np.searchsorted(edges, q_inv_angstrom, side="right") - 1
    return np.asarray(np.where(shell < len(edges) - 1, shell, -1))


def _shells(
    first: NDArray[np.complex128],
    second: NDArray[np.complex128],
    q_inv_angstrom: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    if not first.shape == second.shape == q_inv_angstrom.shape:
        raise DataError(f"shapes differ: {first.shape}, {second.shape}, q {q_inv_angstrom.shape}")
    n_shells = _checked(edges)
    shell = _shell_numbers(q_inv_angstrom, edges)
    return shell, np.bincount(shell[shell >= 0], minlength=n_shells), (edges[1:] + edges[:-1]) / 2


def _ratio(product: NDArray[Any], power: NDArray[Any]) -> NDArray[np.float64]:
    ratio = np.full(len(product), np.nan)
    np.divide(product, np.sqrt(power), out=ratio, where=power > 0)
    return ratio
