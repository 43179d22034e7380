"""A reconstruction of the size of Ayyer et al. (2015), filled with synthetic photons."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import FrameTable, Orientations, PhotonFrames
from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.communicator import Communicator, Serial, shard
from fewphoton.emc.photon_storage import InMemory, PhotonStorage
from fewphoton.emc.pixels import PixelRows
from fewphoton.emc.problem import Problem

N_FRAMES = 290_541
PHOTONS_PER_FRAME = 47.85
N_ORIENTATIONS = 1150
N_VOXELS = 366
SHAPE = (256, 384)
"""98,304 pixels."""


def pixel_rows() -> PixelRows:
    """Return a flat detector whose corners reach the edge of the grid."""
    slow, fast = (axis.ravel() - (size - 1) / 2 for axis, size in zip(np.indices(SHAPE), SHAPE, strict=True))
    outgoing = np.column_stack([fast, slow, np.full(fast.size, 275.0)])
    cosine = outgoing[:, 2] / np.linalg.norm(outgoing, axis=1)
    q = outgoing * (cosine / 275.0)[:, None] - np.array([0.0, 0.0, 1.0])
    q *= ((N_VOXELS - 1) // 2 - 1) / np.linalg.norm(q, axis=1).max()
    likelihood = np.abs(fast) >= 11
    rows = np.arange(len(q), dtype=np.int32)
    return PixelRows(q, cosine**3 / np.mean(cosine**3), likelihood, rows, N_VOXELS, 10)


def transforms(n_orientations: int = N_ORIENTATIONS) -> NDArray[np.float64]:
    """Return rotations about a vertical axis of a crystal in a general setting."""
    setting = Orientations.about_axis((1.0, 2.0, 3.0), 11).matrices()[1]
    scan = Orientations.about_axis((0.0, 1.0, 0.0), n_orientations).matrices()
    return np.ascontiguousarray(setting @ np.swapaxes(scan, -1, -2))


def mean_pattern(rows: PixelRows, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the share of the photons that each pixel counts: falling with q, and speckled."""
    length = np.linalg.norm(rows.q_inv_angstrom, axis=1)
    share = np.exp(-3.0 * length / length.max()) * rng.gamma(2.0, 0.5, rows.n_rows)
    return np.asarray(share / share.sum())


def photon_frames(share: NDArray[np.float64], n_frames: int, rng: np.random.Generator) -> PhotonFrames:
    """Draw Poisson frames."""
    totals = rng.poisson(PHOTONS_PER_FRAME, n_frames)
    place = np.searchsorted(np.cumsum(share), rng.random(int(totals.sum())) * (1 - 1e-12))
    keys = np.repeat(np.arange(n_frames), totals) * share.size + np.minimum(place, share.size - 1)
    keys, count = np.unique(keys, return_counts=True)
    indptr = np.searchsorted(keys, np.arange(n_frames + 1) * share.size)
    return PhotonFrames(indptr, keys % share.size, count, share.size, FrameTable.unknown(n_frames))


def build(
    n_frames: int,
    batch_frames: int,
    seed: int,
    communicator: Communicator | None = None,
    storage: PhotonStorage | None = None,
    n_orientations: int = N_ORIENTATIONS,
) -> tuple[Problem, NDArray[np.float64]]:
    """Return a problem, with the orientations that this rank owns, and a volume to start from."""
    communicator = communicator or Serial()
    storage = storage or InMemory()
    rng = np.random.default_rng(seed)
    rows = pixel_rows()
    share = mean_pattern(rows, rng)
    batches = (
        FrameBatch.build(photon_frames(share, min(batch_frames, n_frames - first), rng), rows, first)
        for first in range(0, n_frames, batch_frames)
    )
    first, last = shard(n_orientations, communicator)
    problem = Problem(
        rows=rows,
        transforms=np.ascontiguousarray(transforms(n_orientations)[first:last]),
        log_prior=np.full(last - first, -np.log(n_orientations)),
        first_orientation=first,
        n_orientations=n_orientations,
        batches=storage.keep(batches, None),
        n_frames=n_frames,
        n_informative_frames=n_frames,
        row_offset=np.log(PHOTONS_PER_FRAME * share),
        log_likelihood_constant=0.0,
    )
    # The photons were drawn by one rank of a node, so the volume needs a generator of its own.
    volume = np.random.default_rng([seed, 1]).random((N_VOXELS,) * 3)
    volume *= 2 * PHOTONS_PER_FRAME / rows.n_rows
    return problem, volume
