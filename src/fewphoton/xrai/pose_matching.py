"""Matching every pattern against every orientation of a sample, by products of matrices.

Cost: 2 operations for each pixel, pattern and orientation, 81 GFLOP for 10,000 patterns of 812 pixels and 5,000
orientations. Views are made once a tile of orientations and met by all patterns, so memory holds a tile of views, a
batch of patterns, and their scores, whatever the number of either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.data import Orientations
from fewphoton.data.point_group import positive_quaternions, quaternion_product
from fewphoton.data.rotation_group import RotationIndex
from fewphoton.xrai.ewald_views import EwaldViews, blocks
from fewphoton.xrai.merging import Patterns
from fewphoton.xrai.noise_models import NoiseModel

_TILE = 4096
_BATCH = 1024


# Half of 73 degrees about an axis that is none of the 600-cell's.
_OBLIQUE = np.concatenate([[np.cos(np.deg2rad(36.5))], np.sin(np.deg2rad(36.5)) * np.array([0.36, 0.48, 0.8])])


def oblique_sample(level: int) -> Orientations:
    """Return the sample of all rotations of a subdivision of the 600-cell, turned away from the axes of the laboratory.

    A half turn about the beam maps the 600-cell as it stands onto itself: every orientation has its near double in the
    sample, which tells a nearly flat Ewald sphere nothing. Turned, doubles fall between, and where half turns are free
    the sample is as good as one of 1.7 times its size.
    """
    plain = Orientations.over_rotation_group(level)
    return Orientations(positive_quaternions(quaternion_product(_OBLIQUE, plain.quaternion)), plain.weight)


@dataclass(frozen=True, eq=False)
class Matches:
    """The best orientations of each pattern.

    Parameters
    ----------
    orientation : ndarray of int64, `(n_patterns, n_best)`
        Numbers in the sample, best first.
    score : ndarray of float64, `(n_patterns, n_best)`
        Their log-likelihoods up to a constant of the pattern.
    """

    orientation: NDArray[np.int64]
    score: NDArray[np.float64]


def match(
    views: EwaldViews,
    volume: Tensor,
    noise: NoiseModel,
    patterns: Patterns,
    frame: NDArray[np.int64],
    sample: Orientations,
    *,
    n_best: int = 1,
    pixels: NDArray[np.bool_] | None = None,
    report: Callable[[int], None] = lambda done: None,
) -> Matches:
    """Find the best orientations of each pattern in a sample.

    Parameters
    ----------
    views : EwaldViews
        Geometry.
    volume : Tensor of float32
        Intensity.
    noise : NoiseModel
        Scores patterns against views.
    patterns : callable
        Source of the patterns.
    frame : ndarray of int64, `(n_patterns,)`
        Frames to match.
    sample : Orientations
        Candidates.
    n_best : int
        How many to keep.
    pixels : ndarray of bool, `(n_pixels,)`, optional
        Pixels that are compared. Default: all.
    report : callable
        Told how many pairs of pattern and orientation were just scored.
    """
    n_best = min(n_best, len(sample))
    score = torch.full((len(frame), n_best), -torch.inf, dtype=torch.float64)
    orientation = torch.zeros((len(frame), n_best), dtype=torch.int64)
    compared = slice(None) if pixels is None else torch.as_tensor(pixels, device=views.device)
    if pixels is not None:
        views, noise = views.within(pixels), noise.within(torch.as_tensor(pixels, device=views.device))
    for tile in blocks(len(sample), _TILE):
        score_all = noise.scorer(views.of(volume, sample.quaternion[tile]))
        for part in blocks(len(frame), _BATCH):
            scores = score_all(patterns(frame[part])[compared])
            best, place = scores.topk(min(n_best, scores.shape[1]), dim=1) if n_best > 1 else scores.max(1, True)
            both = torch.cat([score[part], best.double().cpu()], dim=1)
            numbers = torch.cat([orientation[part], place.cpu() + tile.start], dim=1)
            score[part], kept = both.topk(n_best, dim=1)
            orientation[part] = numbers.gather(1, kept)
            report(scores.numel())
    return Matches(orientation.numpy(), score.numpy())


@dataclass(frozen=True)
class PoseFloor:
    """How near the nearest rotation of a sample is to any rotation: no match on the sample can do better.

    Parameters
    ----------
    median_deg : float
        Median angle.
    median_up_to_half_turn_deg : float
        The same where a half turn about the beam is free.
    """

    median_deg: float
    median_up_to_half_turn_deg: float


def pose_floor(sample: Orientations, beam_direction: NDArray[np.float64], n_drawn: int = 20000) -> PoseFloor:
    """Measure the floor of a sample at ``n_drawn`` random rotations, the same at every call."""
    drawn = np.random.default_rng(0).standard_normal((n_drawn, 4))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    half_turn = np.concatenate([[0.0], beam_direction])
    index = RotationIndex(sample.quaternion)
    straight, turned = index.nearest(drawn)[1], index.nearest(quaternion_product(half_turn, drawn))[1]
    return PoseFloor(float(np.median(straight)), float(np.median(np.minimum(straight, turned))))
