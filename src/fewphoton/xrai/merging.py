"""Merging patterns of known poses into a Fourier volume.

V = sum(w y) / sum(w phi r) over patterns y of fluence phi and pixels of response r, w being the weight of a pose times
that of linear interpolation: the M step of EMC (Loh & Elser 2009, doi:10.1103/PhysRevE.80.026705, eq. 11, 12), with
Friedel mates averaged. The mean of the voxel's shell stands in with a small weight, so that voxels that few pixels
touched are no outliers and none is exactly dark.

Linear interpolation blurs: what the views of the merged volume lack of the patterns is merged again and added
(``sharpenings`` times), which makes the volume's views meet the patterns.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.xrai.ewald_views import EwaldViews, blocks, friedel_averaged, radii_voxels

Patterns = Callable[[NDArray[np.int64]], Tensor]
"""Returns the patterns of some frames as columns, float32 `(n_pixels, n)`, on the device of the volume."""

PRIOR_WEIGHT = 0.02
"""Weight of a shell's mean in a voxel, relative to the mean weight of the voxels in its shell."""


class VolumeSums:
    """Sums of photons and weights over a volume, to which poses are added batch by batch.

    Parameters
    ----------
    views : EwaldViews
        Geometry.
    """

    def __init__(self, views: EwaldViews) -> None:
        shape = (views.n_voxels,) * 3
        self._views = views
        # Sums of an accelerator are of double precision too: millions of small terms.
        self.photons = torch.zeros(shape, dtype=torch.float64, device=views.device)
        self.weight = torch.zeros(shape, dtype=torch.float64, device=views.device)

    def add(
        self,
        table: Tensor,
        quaternion: NDArray[np.float64],
        weight: NDArray[np.float64],
        exposure: NDArray[np.float64],
    ) -> None:
        """Add views.

        Parameters
        ----------
        table : Tensor of float32, `(n_pixels, n_views)`
            Photons.
        quaternion : ndarray of float64, `(n_views, 4)`
            Orientations.
        weight : ndarray of float64, `(n_views,)`
            Factor of the photons.
        exposure : ndarray of float64, `(n_views,)`
            The same factor times the fluence.
        """
        self._views.add(self.photons, table, quaternion, weight)
        self._views.add(self.weight, None, quaternion, exposure)

    def averaged(self) -> tuple[Tensor, Tensor]:
        """Return the mean intensity, float32 `(n, n, n)`, and the weights, Friedel mates alike in both.

        Voxels without weight take the mean of their shell; shells without any take zero.
        """
        photons, weight = friedel_averaged(self.photons), friedel_averaged(self.weight)
        shell = _shells(len(weight), weight.device)
        mean_photons, mean_weight = _shell_means(photons, shell), _shell_means(weight, shell)
        mean = mean_photons / mean_weight.clamp_min(torch.finfo(torch.float64).tiny)
        prior = PRIOR_WEIGHT * mean_weight[shell]
        values = (photons + prior * mean[shell]) / (weight + prior).clamp_min(torch.finfo(torch.float64).tiny)
        return values.float(), weight


def merge_poses(
    views: EwaldViews,
    patterns: Patterns,
    frame: NDArray[np.int64],
    quaternion: NDArray[np.float64],
    fluence: NDArray[np.float64] | None = None,
    *,
    sharpenings: int = 0,
    batch: int = 2048,
) -> tuple[Tensor, Tensor]:
    """Merge patterns with one pose each.

    Parameters
    ----------
    views : EwaldViews
        Geometry.
    patterns : callable
        Source of the patterns.
    frame : ndarray of int64, `(n,)`
        Frames to merge.
    quaternion : ndarray of float64, `(n, 4)`
        Their poses.
    fluence : ndarray of float64, `(n,)`, optional
        Their fluences, 1 by default.
    sharpenings : int
        How often the residuals are merged and added.
    batch : int
        Patterns at a time.

    Returns
    -------
    volume : Tensor of float32, `(n_voxels, n_voxels, n_voxels)`
        Intensity at fluence 1, not negative.
    weight : Tensor of float64
        What each voxel received.
    """
    exposure = np.ones(len(frame)) if fluence is None else fluence
    ones = np.ones(len(frame))
    sums = VolumeSums(views)
    for part in blocks(len(frame), batch):
        sums.add(patterns(frame[part]), quaternion[part], ones[part], exposure[part])
    volume, weight = sums.averaged()
    inverse = 1 / (weight + PRIOR_WEIGHT * weight[weight > 0].mean()) if bool((weight > 0).any()) else weight
    for _ in range(sharpenings):
        residual = torch.zeros_like(weight)
        for part in blocks(len(frame), batch):
            factor = torch.as_tensor(exposure[part], dtype=torch.float32, device=views.device)
            missing = patterns(frame[part]) - views.of(volume, quaternion[part]) * factor
            views.add(residual, missing, quaternion[part], ones[part])
        volume = (volume + (friedel_averaged(residual) * inverse).float()).clamp_min_(0.0)
    return volume, weight


def _shells(n_voxels: int, device: torch.device) -> Tensor:
    return torch.as_tensor(np.rint(radii_voxels(n_voxels)).astype(np.int64), device=device)


def _shell_means(values: Tensor, shell: Tensor) -> Tensor:
    """Mean over shells one voxel wide, `(n_shells,)`; values without weight count with what they hold, zero."""
    n_shells = int(shell.max()) + 1
    zeros = torch.zeros(n_shells, dtype=torch.float64, device=values.device)
    total = zeros.index_add(0, shell.reshape(-1), values.reshape(-1))
    return total / torch.bincount(shell.reshape(-1), minlength=n_shells)


def radial_start(volume: Tensor, rng: np.random.Generator, contrast: float, width_voxels: float) -> Tensor:
    """Return the volume's mean over each shell times smooth random factors, Friedel mates alike.

    A start that prefers no orientation. Smooth noise of a width of about half a speckle gives matching something to
    take hold of.

    Parameters
    ----------
    volume : Tensor of float32, `(n, n, n)`
        Gives the means, for example merged from patterns in random poses.
    rng : Generator
        Draws the noise.
    contrast : float
        Standard deviation of the factors' logarithms.
    width_voxels : float
        Standard deviation of the Gaussian that smooths the noise.
    """
    n = len(volume)
    shell = _shells(n, volume.device)
    mean = _shell_means(volume.double(), shell)[shell]
    frequency = torch.as_tensor(np.fft.fftfreq(n), device=volume.device)
    square = (frequency**2)[:, None, None] + (frequency**2)[None, :, None] + (frequency**2)[None, None, :]
    noise = torch.as_tensor(rng.standard_normal((n, n, n)), device=volume.device)
    smooth = torch.fft.ifftn(torch.fft.fftn(noise) * torch.exp(-2 * (np.pi * width_voxels) ** 2 * square)).real
    smooth = friedel_averaged(smooth)
    return (mean * torch.exp(contrast * smooth / smooth.std())).float()
