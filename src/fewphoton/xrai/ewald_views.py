"""Views of a Fourier volume on the Ewald sphere, and the exact adjoint, on the processor or on an accelerator.

A pixel with scattering vector q, of a particle turned by R, samples the volume at voxel ``k inv(UB) R^T q + n // 2``,
linearly between voxels. Tables of views stand pixel by pixel, `(n_pixels, n_views)`: a view is a column, so that
products with patterns are plain matrix products.

On the processor the kernels of :mod:`fewphoton.kernels.volume_slices` do the work, which are ten times as fast there as
the same operations of torch; on an accelerator torch does it. Sums on an accelerator are atomic: their order, and with
it their last bits, vary from run to run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.data.arrays import frozen_array
from fewphoton.data.orientations import rotation_matrices
from fewphoton.data.volume import voxels_to_hold
from fewphoton.errors import ConfigError
from fewphoton.kernels.volume_slices import compress, expand


def blocks(n: int, size: int) -> Iterator[slice]:
    """Yield slices of at most ``size`` that cover ``n`` items."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def columns_at_a_time(n_rows: int, device: torch.device) -> int:
    """Columns of a float32 table that are best handled together: what a cache holds, or what fills an accelerator."""
    return max((1 << 20 if device.type == "cpu" else 1 << 26) // n_rows, 1)


@dataclass(frozen=True, eq=False)
class EwaldViews:
    """Pixels of a pattern in a cubic Fourier volume.

    Parameters
    ----------
    q_inv_angstrom : ndarray of float64, `(n_pixels, 3)`
        Scattering vectors of the pixels in the laboratory.
    response : ndarray of float64, `(n_pixels,)`
        Photons that a pixel sees of intensity 1.
    to_voxels : ndarray of float64, `(3, 3)`
        From q in the particle's frame to voxels, ``k inv(UB)``.
    n_voxels : int
        Edge of the volume; odd, so that every voxel has its Friedel mate.
    device : torch.device
        Where volumes and tables live.
    """

    q_inv_angstrom: NDArray[np.float64]
    response: NDArray[np.float64]
    to_voxels: NDArray[np.float64]
    n_voxels: int
    device: torch.device

    def __post_init__(self) -> None:
        q = frozen_array("q of pixels", self.q_inv_angstrom, np.float64, (None, 3))
        object.__setattr__(self, "q_inv_angstrom", q)
        object.__setattr__(self, "response", frozen_array("response", self.response, np.float64, (len(q),)))
        reach = float(np.linalg.norm(q, axis=1).max(initial=0.0) * np.linalg.norm(self.to_voxels, 2))
        if self.n_voxels % 2 == 0 or reach > self.n_voxels // 2 - 1:
            raise ConfigError(
                f"a Fourier volume needs an odd number of voxels, {2 * int(np.ceil(reach)) + 3} or more for this "
                f"detector and box; found {self.n_voxels}"
            )

    @classmethod
    def of_crystal(
        cls,
        q_inv_angstrom: NDArray[np.float64],
        response: NDArray[np.float64],
        crystal: Crystal,
        voxels_per_cell: int,
        device: torch.device,
    ) -> EwaldViews:
        """Choose the smallest volume that holds all pixels in every orientation, for a box given as a crystal."""
        to_voxels = np.asarray(voxels_per_cell * np.linalg.inv(crystal.ub_matrix), dtype=np.float64)
        reach = float(np.linalg.norm(q_inv_angstrom, axis=1).max())
        n = voxels_to_hold(reach, 1 / float(np.linalg.norm(to_voxels, 2)), 1)
        return cls(q_inv_angstrom, response, to_voxels, n, device)

    @property
    def n_pixels(self) -> int:
        """Pixels of a view."""
        return len(self.q_inv_angstrom)

    def within(self, chosen: NDArray[np.bool_]) -> EwaldViews:
        """Return the views of some pixels only, `(n_pixels,)`, in the same volume."""
        return EwaldViews(
            self.q_inv_angstrom[chosen], self.response[chosen], self.to_voxels, self.n_voxels, self.device
        )

    def transforms(self, quaternion: NDArray[np.float64]) -> NDArray[np.float64]:
        """Matrices from q in the laboratory to voxels for orientations `(n, 4)`, float64 `(n, 3, 3)`."""
        return np.ascontiguousarray(self.to_voxels @ np.swapaxes(rotation_matrices(quaternion), -1, -2))

    def of(self, volume: Tensor, quaternion: NDArray[np.float64]) -> Tensor:
        """Return the photons expected of a volume, float32 `(n_pixels, n_views)`.

        Parameters
        ----------
        volume : Tensor of float32, `(n_voxels, n_voxels, n_voxels)`
            Intensity.
        quaternion : ndarray of float64, `(n_views, 4)`
            Orientations.
        """
        transforms, origin = self.transforms(quaternion), float(self.n_voxels // 2)
        if self.device.type == "cpu":
            table = torch.empty((self.n_pixels, len(quaternion)), dtype=torch.float32)
            expand(volume.numpy(), self.q_inv_angstrom, transforms, origin, table.numpy())
        else:
            table = self._sampled(volume, transforms)
        return table.mul_(self._response()[:, None])

    def add(
        self,
        total: Tensor,
        table: Tensor | None,
        quaternion: NDArray[np.float64],
        view_weight: NDArray[np.float64],
    ) -> None:
        """Add views, times a weight each, into a volume: the adjoint of sampling.

        Parameters
        ----------
        total : Tensor of float64, `(n_voxels, n_voxels, n_voxels)`
            Added to.
        table : Tensor of float32, `(n_pixels, n_views)`, or None
            Photons. None: the response of each pixel, which gives the weights by which sums of photons are divided.
        quaternion : ndarray of float64, `(n_views, 4)`
            Orientations.
        view_weight : ndarray of float64, `(n_views,)`
            Weights.
        """
        transforms, origin = self.transforms(quaternion), float(self.n_voxels // 2)
        if self.device.type == "cpu":
            rows = self.response if table is None else np.ones(self.n_pixels)
            values = None if table is None else table.contiguous().numpy()
            weights = np.ascontiguousarray(view_weight, dtype=np.float64)
            slabs = torch.get_num_threads()
            compress(values, rows, weights, self.q_inv_angstrom, transforms, origin, slabs, total.numpy())
            return
        weight = torch.as_tensor(view_weight, dtype=torch.float32, device=self.device)
        values_on_device = self._response()[:, None] * weight if table is None else table * weight
        self._scatter(total, values_on_device, transforms)

    def _response(self) -> Tensor:
        return torch.tensor(self.response, dtype=torch.float32, device=self.device)

    def _coordinates(self, transforms: NDArray[np.float64]) -> Tensor:
        """Voxel coordinates less the origin, float32 `(n_pixels, n_views, 3)`."""
        q = torch.tensor(self.q_inv_angstrom, dtype=torch.float32, device=self.device)
        matrices = torch.as_tensor(transforms, dtype=torch.float32, device=self.device)
        return torch.einsum("pj,vij->pvi", q, matrices)

    def _sampled(self, volume: Tensor, transforms: NDArray[np.float64]) -> Tensor:
        """Sample by torch; 4 bytes of 8 voxels are gathered and 12 bytes of coordinates read for each sample."""
        place = self._coordinates(transforms) / (self.n_voxels // 2)
        # grid_sample wants x of the last axis first, and -1 to 1 between the middles of the outermost voxels.
        sampled = torch.nn.functional.grid_sample(volume[None, None], place.flip(-1)[None, None], align_corners=True)
        return sampled[0, 0, 0]

    def _scatter(self, total: Tensor, values: Tensor, transforms: NDArray[np.float64]) -> None:
        """Share values among the eight neighbours by torch; 8 atomic additions of float64 for each sample."""
        place = (self._coordinates(transforms) + self.n_voxels // 2).reshape(-1, 3)
        base = place.floor().long()
        part = (place - base).double()
        n, flat, value = self.n_voxels, total.view(-1), values.reshape(-1).double()
        start = (base[:, 0] * n + base[:, 1]) * n + base[:, 2]
        for i in (0, 1):
            along_x = value * (part[:, 0] if i else 1 - part[:, 0])
            for j in (0, 1):
                along_y = along_x * (part[:, 1] if j else 1 - part[:, 1])
                for k in (0, 1):
                    share = along_y * (part[:, 2] if k else 1 - part[:, 2])
                    flat.index_add_(0, start + (i * n * n + j * n + k), share)


def friedel_averaged(values: Tensor) -> Tensor:
    """Mean of every voxel and its Friedel mate, `(n, n, n)` with n odd: the symmetry then holds to the last bit."""
    return (values + values.flip(0, 1, 2)) / 2


def radii_voxels(n_voxels: int) -> NDArray[np.float64]:
    """Distance of each voxel from the origin, in voxels, float64 `(n, n, n)`."""
    axis = np.arange(n_voxels) - n_voxels // 2
    return np.asarray(np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2))


def intensity_volume(values: Tensor, weight: Tensor, voxels_per_cell: int) -> IntensityVolume:
    """Return a volume of float64 on the processor, with values 0 where nothing was measured."""
    known = (weight > 0).cpu().numpy()
    found = values.cpu().numpy().astype(np.float64)
    return IntensityVolume(np.where(known, found, 0.0), weight.cpu().numpy().astype(np.float64), voxels_per_cell)
