"""One iteration of EMC over a whole sample of rotations, by two products of matrices.

Every pattern is merged at every orientation with its probability there (Loh & Elser 2009, Phys. Rev. E 80, 026705,
doi:10.1103/PhysRevE.80.026705). The exponent beta tempers the likelihood: below 1 the probabilities are wider than the
counts alone ask for (Ayyer et al. 2016, doi:10.1107/S1600576716008165).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.data import Orientations
from fewphoton.xrai.ewald_views import EwaldViews, blocks, columns_at_a_time
from fewphoton.xrai.merging import Patterns, VolumeSums
from fewphoton.xrai.noise_models import NoiseModel

_VIEWS_AT_A_TIME = 8192
_LOWEST_NAT = -30.0


@dataclass(frozen=True, eq=False)
class PosteriorStep:
    """What an iteration leaves.

    Parameters
    ----------
    volume : Tensor of float32, `(n_voxels, n_voxels, n_voxels)`
        The merged intensity.
    weight : Tensor of float64
        What each voxel received.
    orientation : ndarray of int64, `(n_patterns,)`
        Most probable orientation of each pattern.
    probability : ndarray of float64, `(n_patterns,)`
        Its probability.
    entropy_nat : ndarray of float64, `(n_patterns,)`
        Entropy of the probabilities.
    log_likelihood : ndarray of float64, `(n_patterns,)`
        Logarithm of the likelihood (beta 1) averaged over the sample.
    """

    volume: Tensor
    weight: Tensor
    orientation: NDArray[np.int64]
    probability: NDArray[np.float64]
    entropy_nat: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]


def posterior_bytes(n_pixels: int, n_orientations: int) -> int:
    """Memory of an iteration's tables: views, their logarithms and a copy while these are made, 4 bytes each."""
    return 12 * n_pixels * n_orientations


def posterior_step(
    views: EwaldViews,
    volume: Tensor,
    noise: NoiseModel,
    patterns: Patterns,
    frame: NDArray[np.int64],
    sample: Orientations,
    beta: float,
    *,
    pixels: NDArray[np.bool_] | None = None,
    merged: NDArray[np.bool_] | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> PosteriorStep:
    """Run one iteration.

    Cost: 4 operations for each pixel, pattern and orientation. Memory: three tables of views `(n_pixels,
    n_orientations)` in float32, and the scores of a batch.

    Parameters
    ----------
    views, volume, noise, patterns, frame, sample
        As in :func:`fewphoton.xrai.pose_matching.match`.
    beta : float
        Exponent of the likelihood.
    pixels : ndarray of bool, `(n_pixels,)`, optional
        Pixels that enter the likelihood; all are merged. Default: all.
    merged : ndarray of bool, `(n_patterns,)`, optional
        Patterns that are merged; the others are only scored. Default: all.
    report : callable
        Told how many pairs were just scored.
    """
    table = torch.cat([views.of(volume, sample.quaternion[part]) for part in blocks(len(sample), _VIEWS_AT_A_TIME)], 1)
    expected = table.sum(dim=0).double()
    compared = slice(None) if pixels is None else torch.as_tensor(pixels, device=views.device)
    score_all = (noise if isinstance(compared, slice) else noise.within(compared)).scorer(table[compared])
    # From here on the table holds the photons that are merged.
    photons = table.zero_()
    log_prior = torch.as_tensor(np.log(sample.weight), dtype=torch.float32, device=views.device)
    exposure = torch.zeros(len(sample), dtype=torch.float64, device=views.device)
    best: list[Tensor] = []
    probability: list[Tensor] = []
    entropy: list[Tensor] = []
    evidence: list[Tensor] = []
    for part in blocks(len(frame), columns_at_a_time(len(sample), views.device)):
        whole = patterns(frame[part])
        score = score_all(whole[compared])
        if beta == 1:
            score.add_(log_prior)
            logarithm = torch.log_softmax(score, dim=1)
            evidence.append(score[:, 0] - logarithm[:, 0])
        else:
            evidence.append(torch.logsumexp(score + log_prior, dim=1))
            logarithm = torch.log_softmax(score.mul_(beta).add_(log_prior), dim=1)
        # What is less probable adds nothing, and numbers near the smallest make a product ten times as slow.
        p = torch.threshold(logarithm.clamp_min(2 * _LOWEST_NAT).exp_(), math.exp(_LOWEST_NAT), 0.0)
        highest = p.max(dim=1)
        best.append(highest.indices)
        probability.append(highest.values)
        entropy.append(-(p * logarithm).sum(dim=1))
        if merged is not None:
            p *= torch.as_tensor(merged[part], dtype=torch.float32, device=views.device)[:, None]
        photons.addmm_(whole, p)
        if _fluence_varies(noise):
            exposure += (whole.sum(dim=0) @ p).double() / expected
        else:
            exposure += p.sum(dim=0).double()
        report(score.numel())
    sums = VolumeSums(views)
    sums.add(photons, sample.quaternion, np.ones(len(sample)), exposure.cpu().numpy())
    found, weight = sums.averaged()
    return PosteriorStep(
        found,
        weight,
        torch.cat(best).cpu().numpy(),
        torch.cat(probability).double().cpu().numpy(),
        torch.cat(entropy).double().cpu().numpy(),
        torch.cat(evidence).double().cpu().numpy(),
    )


def _fluence_varies(noise: NoiseModel) -> bool:
    return bool(getattr(noise, "per_frame_fluence", False))
