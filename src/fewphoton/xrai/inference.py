"""Poses of frames by a trained model, how likely frames are, and the trained volume on the box's grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fewphoton.data import IntensityVolume
from fewphoton.data.pattern_source import PatternSource
from fewphoton.data.volume import voxels_to_hold
from fewphoton.xrai.pose_model import PoseModel
from fewphoton.xrai.processes import Processes
from fewphoton.xrai.rotations import quaternions_from_matrices

_SAMPLES_AT_A_TIME = 2_000_000
_POINTS_AT_A_TIME = 262_144


@dataclass(frozen=True, eq=False)
class FoundPoses:
    """Poses of frames.

    Parameters
    ----------
    quaternion : ndarray of float64, `(n, 4)`
        Unit quaternions, scalar first; NaN for frames without photons.
    head : ndarray of int64, `(n,)`
        Head that gave it; -1 for frames without photons.
    probability, entropy_nat : ndarray of float64, `(n,)`
        Of the scores: the probability of this head, and their entropy.
    log_likelihood : ndarray of float64, `(n,)`
        Of the frame at this pose, up to a constant of the data set.
    fluence : ndarray of float64, `(n,)`
        Factor of the expected intensity; 0 for frames without photons.
    """

    quaternion: NDArray[np.float64]
    head: NDArray[np.int64]
    probability: NDArray[np.float64]
    entropy_nat: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    fluence: NDArray[np.float64]


def _block_frames(model: PoseModel) -> int:
    return max(1, _SAMPLES_AT_A_TIME // (model.n_pixels * model.config.encoder.heads))


@torch.no_grad()
def _found(model: PoseModel, patterns: Tensor, *, by_score: bool) -> Tensor:
    """Columns quaternion, head, probability, entropy, log-likelihood, fluence of patterns, float64 `(n, 9)`."""
    pixels = model.candidates
    prepared = model.decoder.prepared()
    intensity = model.scaled(patterns)
    proposals = model.propose(intensity)
    rotation, log_probability = proposals.rotation, proposals.score.double().log_softmax(dim=1)
    row = torch.arange(len(patterns), device=patterns.device)
    if by_score:
        head = proposals.score.argmax(dim=1)
        misfit, fluence = model.compare(rotation[row, head], intensity[:, pixels], pixels, prepared)
    else:
        misfits, fluences = model.compare(rotation, intensity[:, None, pixels], pixels, prepared)
        head = misfits.argmin(dim=1)
        misfit, fluence = misfits[row, head], fluences[row, head]
    # Squared differences stand for minus twice a logarithm.
    factor = len(pixels) if model.likelihood == "poisson" else len(pixels) / 2
    columns = [
        head.double(),
        log_probability[row, head].exp(),
        -(log_probability.exp() * log_probability).sum(dim=1),
        -factor * misfit.double(),
        fluence.double(),
    ]
    quaternion = quaternions_from_matrices(rotation[row, head].double())
    return torch.cat([quaternion, torch.stack(columns, dim=1)], dim=1)


def mean_log_likelihood(model: PoseModel, patterns: Tensor, device: torch.device) -> float:
    """Mean over frames and pixels at the best head, of patterns `(n, n_pixels)` on the processor."""
    was_training = model.training
    model.eval()
    total, block = 0.0, _block_frames(model)
    for start in range(0, len(patterns), block):
        total += float(_found(model, patterns[start : start + block].to(device), by_score=False)[:, 7].sum())
    model.train(was_training)
    return total / (len(patterns) * len(model.candidates))


def find_poses(
    model: PoseModel,
    source: PatternSource,
    device: torch.device,
    processes: Processes,
    report: Callable[[int], None] = lambda n_frames: None,
) -> FoundPoses:
    """Find the poses of all frames of a source; processes share them.

    Parameters
    ----------
    model : PoseModel
        Trained.
    source : PatternSource
        Frames.
    device : torch.device
        Where the model is.
    processes : Processes
        With whom.
    report : callable
        Told how many frames were just done by this process.
    """
    model.eval()
    mine = np.arange(source.n_patterns)[processes.share(source.n_patterns)]
    found, block = [np.zeros((0, 10))], _block_frames(model)
    for start in range(0, len(mine), block):
        patterns = torch.from_numpy(source.patterns(mine[start : start + block]))
        has_photons = (patterns.sum(dim=1) > 0).double()[:, None]
        columns = _found(model, patterns.to(device), by_score=model.config.pose_choice == "score").cpu()
        found.append(torch.cat([columns, has_photons], dim=1).numpy())
        report(len(patterns))
    table = processes.joined(np.concatenate(found), source.n_patterns, device)
    lit = table[:, 9] > 0
    return FoundPoses(
        np.where(lit[:, None], table[:, :4], np.nan),
        np.where(lit, table[:, 4], -1).astype(np.int64),
        table[:, 5],
        table[:, 6],
        table[:, 7],
        np.where(lit, table[:, 8], 0.0),
    )


@torch.no_grad()
def trained_volume(model: PoseModel, box_angstrom: float) -> IntensityVolume:
    """Evaluate the decoder on the box's grid: photons on a pixel of response 1 at fluence 1, voxels 1/L apart.

    The weight is 1 where some orientation of some pixel reaches, from the smallest to the largest q, and 0 elsewhere.
    """
    q_length = np.linalg.norm(model.grid.q_inv_angstrom, axis=1)
    n = voxels_to_hold(float(q_length.max()), 1 / box_angstrom, 1)
    axis = (np.arange(n) - n // 2) / box_angstrom
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    prepared = model.decoder.prepared()
    device = next(model.decoder.parameters()).device
    values = np.empty(len(points))
    for start in range(0, len(points), _POINTS_AT_A_TIME):
        part = slice(start, start + _POINTS_AT_A_TIME)
        place = torch.as_tensor(points[part], dtype=torch.float32, device=device)
        values[part] = (model.decoder.amplitudes(place, prepared).double() ** 2).cpu().numpy()
    radius = np.linalg.norm(points, axis=1)
    seen = (radius >= q_length.min()) & (radius <= q_length.max())
    shape = (n, n, n)
    cube = np.where(seen, values / model.calibration.scale, 0.0).reshape(shape)
    # Interpolation rounds mates differently.
    return IntensityVolume((cube + cube[::-1, ::-1, ::-1]) / 2, seen.astype(np.float64).reshape(shape), 1)
