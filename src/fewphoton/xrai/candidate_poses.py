"""EMC where every pattern has a list of candidate poses: the best of a sample, each with its neighbourhood.

At a few hundred photons many poses explain a pattern, yet few of all: the softmax of the log-likelihoods over the best
rotations of a coarse sample and their neighbours replaces that over a fine sample. The neighbours stand on a cube of 27
points a third of the sample's step apart, so the list is part of a sample three times as fine. Cubes of neighbouring
rotations overlap a little or leave small gaps; candidates count alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.data import Orientations
from fewphoton.data.rotation_group import spacing_deg
from fewphoton.xrai.ewald_views import EwaldViews, blocks, columns_at_a_time
from fewphoton.xrai.local_search import turned
from fewphoton.xrai.merging import Patterns, VolumeSums
from fewphoton.xrai.noise_models import NoiseModel
from fewphoton.xrai.pose_matching import match

_CUBE = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=3)))
_FARTHEST_NAT = 25.0
_SMALLEST_SHARE = 1e-3


@dataclass(frozen=True, eq=False)
class Candidates:
    """Poses that may explain each pattern, with their probabilities; pairs of one pattern stand together.

    Parameters
    ----------
    frame : ndarray of int64, `(n_pairs,)`
        Frame of each pair, ascending.
    quaternion : ndarray of float64, `(n_pairs, 4)`
        Pose.
    probability : ndarray of float64, `(n_pairs,)`
        Sums to one over the pairs of a frame.
    fluence : ndarray of float64, `(n_pairs,)`
        Fluence of the pattern if this were its pose.
    log_likelihood : ndarray of float64, `(n_frames,)`
        Logarithm of the likelihood averaged over the candidates of each frame, frames in ascending order.
    """

    frame: NDArray[np.int64]
    quaternion: NDArray[np.float64]
    probability: NDArray[np.float64]
    fluence: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]

    def best(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the most probable pose `(n_frames, 4)`, its probability and the entropy in nat, `(n_frames,)`."""
        start = np.flatnonzero(np.diff(self.frame, prepend=-1))
        highest = np.maximum.reduceat(self.probability, start)
        owner = np.repeat(np.arange(len(start)), np.diff(np.append(start, len(self.frame))))
        first = np.flatnonzero(self.probability == highest[owner])
        chosen = first[np.unique(owner[first], return_index=True)[1]]
        surprise = -self.probability * np.log(np.maximum(self.probability, np.finfo(float).tiny))
        return self.quaternion[chosen], highest, np.add.reduceat(surprise, start)


def candidate_poses(
    views: EwaldViews,
    volume: Tensor,
    noise: NoiseModel,
    patterns: Patterns,
    frame: NDArray[np.int64],
    sample: Orientations,
    per_frame: int,
    report: Callable[[int], None] = lambda done: None,
) -> Candidates:
    """Find the candidates of each pattern and weigh them.

    Cost: that of :func:`~fewphoton.xrai.pose_matching.match`, and 27 views for each candidate that lies within 25 nat
    of the best.

    Parameters
    ----------
    views, volume, noise, patterns, sample, report
        As in :func:`~fewphoton.xrai.pose_matching.match`.
    frame : ndarray of int64, `(n_frames,)`
        Frames, ascending.
    per_frame : int
        Most candidates of a frame, before their neighbours.
    """
    found = match(views, volume, noise, patterns, frame, sample, n_best=per_frame, report=report)
    near = found.score >= found.score[:, :1] - _FARTHEST_NAT
    owner, column = np.nonzero(near)
    centre = sample.quaternion[found.orientation[owner, column]]
    step = np.deg2rad(spacing_deg(len(sample)) / 3)
    poses = np.stack([turned(centre, np.tile(step * offset, (len(centre), 1))) for offset in _CUBE], axis=1)
    owner, poses = np.repeat(owner, len(_CUBE)), poses.reshape(-1, 4)
    value, fluence = np.empty(len(owner)), np.empty(len(owner))
    for part in blocks(len(owner), columns_at_a_time(views.n_pixels, views.device)):
        pattern, view = patterns(frame[owner[part]]), views.of(volume, poses[part])
        value[part] = noise.values(pattern, view).cpu().numpy()
        fluence[part] = noise.fluences(pattern, view).cpu().numpy()
    start = np.flatnonzero(np.diff(owner, prepend=-1))
    highest = np.maximum.reduceat(value, start)
    share = np.exp(value - highest[owner])
    mean = np.add.reduceat(share, start) / np.bincount(owner, minlength=len(frame))
    kept = share > _SMALLEST_SHARE
    total = np.bincount(owner[kept], share[kept], minlength=len(frame))
    return Candidates(
        frame[owner[kept]],
        poses[kept],
        share[kept] / total[owner[kept]],
        fluence[kept],
        highest + np.log(mean),
    )


def merge_candidates(
    views: EwaldViews, patterns: Patterns, candidates: Candidates, merged: NDArray[np.bool_] | None = None
) -> tuple[Tensor, Tensor]:
    """Merge patterns at all their candidates with their probabilities.

    Parameters
    ----------
    views, patterns
        As in :func:`fewphoton.xrai.merging.merge_poses`.
    candidates : Candidates
        Poses and probabilities.
    merged : ndarray of bool, `(n_pairs,)`, optional
        Pairs to merge; all by default.

    Returns
    -------
    volume, weight : Tensor
        As from :func:`fewphoton.xrai.merging.merge_poses`.
    """
    sums = VolumeSums(views)
    chosen = np.arange(len(candidates.frame)) if merged is None else np.flatnonzero(merged)
    for part in blocks(len(chosen), columns_at_a_time(views.n_pixels, views.device)):
        pair = chosen[part]
        weight = candidates.probability[pair]
        sums.add(
            patterns(candidates.frame[pair]), candidates.quaternion[pair], weight, weight * candidates.fluence[pair]
        )
    return sums.averaged()
