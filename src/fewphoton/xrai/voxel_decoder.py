"""The particle's intensity as the logarithms on a grid of voxels, with exact Friedel symmetry."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample


class VoxelDecoder(nn.Module):
    """Logarithms of intensities on a cube about q = 0, interpolated linearly between voxels.

    The box conventions are those of :class:`fewphoton.data.IntensityVolume`: voxel ``i`` of an axis lies at
    ``(i - n // 2) * spacing``, axis 0 is x. A point costs eight voxels read and 24 multiplications and additions.

    Parameters
    ----------
    n_voxels : int
        Edge of the cube; odd.
    spacing_per_angstrom : float
        Distance of voxels.
    """

    def __init__(self, n_voxels: int, spacing_per_angstrom: float) -> None:
        super().__init__()
        self.n_voxels = n_voxels
        self.spacing_per_angstrom = spacing_per_angstrom
        self.half_log = nn.Parameter(torch.zeros(n_voxels, n_voxels, n_voxels))

    def start(
        self, radius_per_angstrom: Tensor, log_intensity: Tensor, spread: float, generator: torch.Generator
    ) -> None:
        """Set a radial course of the logarithm, with noise of the standard deviation ``spread`` about it.

        Parameters
        ----------
        radius_per_angstrom, log_intensity : Tensor of float, `(n_radii,)`
            The course, rising in radius; constant beyond both ends.
        spread : float
            Standard deviation of normal noise, drawn for each voxel.
        generator : torch.Generator
            Noise.
        """
        radius = self.points().norm(dim=-1)
        with torch.no_grad():
            noise = torch.randn(self.half_log.shape, generator=generator) * spread
            course = interpolated(radius, radius_per_angstrom.to(radius), log_intensity.to(radius))
            self.half_log.copy_(0.5 * (course + noise.to(course)))

    def points(self) -> Tensor:
        """Positions of all voxels, `(n, n, n, 3)`, in 1/angstrom."""
        axis = torch.arange(self.n_voxels, device=self.half_log.device, dtype=torch.float32)
        axis = (axis - self.n_voxels // 2) * self.spacing_per_angstrom
        return torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)

    def prepared(self) -> Tensor:
        """Logarithms at the voxels, `(n, n, n)`: the mean of each voxel's own and its Friedel mate's."""
        return self.half_log + self.half_log.flip(0, 1, 2)

    def log_intensities(self, points: Tensor, prepared: Tensor) -> Tensor:
        """Logarithms of the intensity at ``points`` `(..., 3)` in 1/angstrom, `(...)`; the border's beyond the cube.

        Parameters
        ----------
        points : Tensor of float, `(..., 3)`
            Positions in the particle's frame.
        prepared : Tensor of float, `(n, n, n)`
            What :meth:`prepared` gave.
        """
        # grid_sample names the last axis first, and takes the cube's faces for -1 and 1.
        place = points.flip(-1) / (self.spacing_per_angstrom * (self.n_voxels // 2))
        found = grid_sample(
            prepared[None, None], place.reshape(1, -1, 1, 1, 3).to(prepared), padding_mode="border", align_corners=True
        )
        return found.reshape(points.shape[:-1])

    def amplitudes(self, points: Tensor, prepared: Tensor) -> Tensor:
        """Square roots of the intensity, `(...)`."""
        return torch.exp(0.5 * self.log_intensities(points, prepared))


def interpolated(x: Tensor, known_x: Tensor, known_y: Tensor) -> Tensor:
    """Linear interpolation in a rising table `(n,)`, constant beyond its ends."""
    upper = torch.searchsorted(known_x, x.contiguous()).clamp(1, len(known_x) - 1)
    lower = upper - 1
    part = ((x - known_x[lower]) / (known_x[upper] - known_x[lower])).clamp(0, 1)
    return known_y[lower] + part * (known_y[upper] - known_y[lower])
