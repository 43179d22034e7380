"""Collapsing: the sum of successive frames of one batch (Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 3).

Frames of a group come from one uninterrupted batch, in order; frames rejected earlier are simply missing, so a group
counted by number may span a little more rotation, and its rotation range says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.frames import CollapseConfig
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.errors import DataError
from fewphoton.kernels.frame_sums import sum_groups


def sum_frames(frames: PhotonFrames, group_ptr: NDArray[np.int64]) -> PhotonFrames:
    """Sum groups of successive frames.

    Parameters
    ----------
    frames : PhotonFrames
        Frames.
    group_ptr : ndarray of int64, `(n_groups + 1,)`
        Group ``g`` holds frames ``group_ptr[g]`` to ``group_ptr[g + 1] - 1``; no group is empty.

    Raises
    ------
    DataError
        If a summed pixel exceeds 2**32 - 1 photons.
    """
    n_groups = len(group_ptr) - 1
    pixel = np.empty(frames.n_hits, dtype=np.uint32)
    count = np.empty(frames.n_hits, dtype=np.int64)
    n_summed = np.empty(n_groups, dtype=np.int64)
    sum_groups(frames.indptr, frames.pixel, frames.count, group_ptr, pixel, count, n_summed)
    indptr = np.concatenate([[0], np.cumsum(n_summed)])
    kept = np.arange(indptr[-1]) + np.repeat(frames.indptr[group_ptr[:-1]] - indptr[:-1], n_summed)
    pixel, count = pixel[kept], count[kept]
    if len(count) and count.max() > np.iinfo(np.uint32).max:
        raise DataError(
            f"a collapsed pixel holds {count.max()} photons, more than a photon file can store (2**32 - 1); collapse "
            "fewer frames, or mask or cap that pixel"
        )
    first, last = group_ptr[:-1], group_ptr[1:] - 1
    table = frames.table
    exposures = np.concatenate([[0], np.cumsum(table.n_exposures)])
    return PhotonFrames(
        indptr.astype(np.int64),
        pixel,
        count.astype(np.uint32),
        frames.n_pixels,
        FrameTable(
            table.source_index[first],
            exposures[group_ptr[1:]] - exposures[group_ptr[:-1]],
            table.batch[first],
            table.omega_start_deg[first],
            table.omega_end_deg[last],
        ),
    )


def group_labels(table: FrameTable, config: CollapseConfig) -> NDArray[np.int64]:
    """Assign each frame its group, int64 `(n_frames,)`, never falling; -1 for frames of dropped groups.

    Raises
    ------
    DataError
        If groups go by angle and an angle is unknown.
    """
    n_frames = len(table)
    number = np.arange(n_frames)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(table.batch) != 0])) if n_frames else number
    batch_first = np.repeat(starts, np.diff(np.concatenate([starts, [n_frames]])))
    if config.n_frames is not None:
        group = (number - batch_first) // config.n_frames
    else:
        assert config.collapse_deg is not None  # the configuration has one of the two
        omega = table.omega_deg
        if not np.isfinite(omega).all():
            frame = int(np.argmin(np.isfinite(omega)))
            raise DataError(f"frame {frame} has no recorded angle; collapse by n_frames instead of collapse_deg")
        turned = np.abs(omega - table.omega_start_deg[batch_first])
        group = np.floor(turned / config.collapse_deg).astype(np.int64)
    change = np.concatenate([[False], (np.diff(group) != 0) | (np.diff(table.batch) != 0)])
    label = np.cumsum(change)
    if config.drop_incomplete and n_frames:
        size = np.bincount(label)
        label = np.where(size[label] >= (config.n_frames or int(np.median(size))), label, -1)
    return np.asarray(label[:n_frames])


def collapse(chunks: Iterable[PhotonFrames], table: FrameTable, config: CollapseConfig) -> Iterator[PhotonFrames]:
    """Collapse a run that comes in chunks; groups may cross chunk borders.

    Parameters
    ----------
    chunks : iterable of PhotonFrames
        All frames in order.
    table : FrameTable
        Table of the whole run.
    config : CollapseConfig
        By number or by angle.

    Yields
    ------
    PhotonFrames
        Collapsed frames in order; photons are conserved, dropped incomplete groups aside.
    """
    labels = group_labels(table, config)
    waiting: PhotonFrames | None = None
    place = 0
    for chunk in chunks:
        held = chunk if waiting is None else PhotonFrames.concatenate([waiting, chunk])
        place += chunk.n_frames
        label = labels[place - held.n_frames : place]
        # The last group may go on in the next chunk, so it waits.
        open_from = int(np.searchsorted(label == label[-1], True)) if place < len(labels) else len(label)
        if open_from:
            yield _sum_labelled(held.take(slice(0, open_from)), label[:open_from])
        waiting = held.take(slice(open_from, held.n_frames)) if open_from < held.n_frames else None


def _sum_labelled(frames: PhotonFrames, label: NDArray[np.int64]) -> PhotonFrames:
    if (label < 0).any():
        frames, label = frames.take(label >= 0), label[label >= 0]
    edges = np.flatnonzero(np.concatenate([[True], np.diff(label) != 0, [True]])) if len(label) else np.zeros(1, int)
    return sum_frames(frames, edges.astype(np.int64))
