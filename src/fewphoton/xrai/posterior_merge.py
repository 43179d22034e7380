"""One iteration of EMC over a whole sample of rotations, by two products of matrices.

Every pattern is merged at every orientation with its probability there (Loh & Elser 2009, Phys. Rev. E 80, 026705,
doi:10.1103/PhysRevE.80.026705). The exponent beta tempers the likelihood: below 1 the probabilities are wider than the
counts alone ask for (Ayyer et al. 2016, doi:10.1107/S1600576716008165).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.data import Orientations
from fewphoton.xrai.ewald_views import EwaldViews, blocks
from fewphoton.xrai.merging import Patterns, VolumeSums
from fewphoton.xrai.noise_models import NoiseModel

_BATCH = 1024
_VIEWS_AT_A_TIME = 8192


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

    Cost: 4 operations for each pixel, pattern and orientation. Memory: two tables of views `(n_pixels,
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
    scored = None if pixels is None else torch.as_tensor(pixels, device=views.device)
    if scored is not None:
        table, noise = table[scored], noise.within(scored)
    log_prior = torch.as_tensor(np.log(sample.weight), dtype=torch.float32, device=views.device)
    photons = torch.zeros((views.n_pixels, len(sample)), dtype=torch.float32, device=views.device)
    exposure = torch.zeros(len(sample), dtype=torch.float64, device=views.device)
    expected = views.of(volume, sample.quaternion).sum(dim=0) if _fluence_varies(noise) else None
    best, probability, entropy, evidence = ([] for _ in range(4))
    for part in blocks(len(frame), _BATCH):
        whole = patterns(frame[part])
        score = noise.scores(whole if scored is None else whole[scored], table)
        evidence.append(torch.logsumexp(score + log_prior, dim=1))
        logarithm = torch.log_softmax(score.mul_(beta).add_(log_prior), dim=1)
        p = logarithm.exp()
        highest = p.max(dim=1)
        best.append(highest.indices)
        probability.append(highest.values)
        entropy.append(-(p * logarithm.clamp_min(-100.0)).sum(dim=1))
        if merged is not None:
            p = p * torch.as_tensor(merged[part], dtype=torch.float32, device=views.device)[:, None]
        photons.addmm_(whole, p)
        if expected is None:
            exposure += p.sum(dim=0, dtype=torch.float64)
        else:
            exposure += (whole.sum(dim=0) @ p).double() / expected.double()
        report(score.numel())
    sums = VolumeSums(views)
    sums.add(photons, sample.quaternion, np.ones(len(sample)), exposure.cpu().numpy())
    found, weight = sums.averaged()
    best, probability, entropy, evidence = (
        torch.cat(column).cpu() for column in (best, probability, entropy, evidence)
    )
    return PosteriorStep(
        found,
        weight,
        best.numpy(),
        probability.double().numpy(),
        entropy.double().numpy(),
        evidence.double().numpy(),
    )


def _fluence_varies(noise: NoiseModel) -> bool:
    return bool(getattr(noise, "per_frame_fluence", False))
