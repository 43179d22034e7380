"""Collapsing: the sum of successive frames of one batch (Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 3).

Frames of a group come from one uninterrupted batch, in order. Place in the batch decides, not the source index: frames
rejected earlier are simply missing and break nothing. A group by number counts the frames present, so it may span a
little more rotation, and its rotation range says so; a group by angle may hold fewer frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.frames import CollapseConfig
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.errors import DataError
from fewphoton.kernels.frame_sums import pack_rows, sum_groups
from fewphoton.kernels.threads import threads_in_use

_LARGEST_COUNT = np.iinfo(np.uint32).max
_ROUNDING = 1e-6
"""Part of a range by which rounded angles may miss its end."""


def sum_frames(frames: PhotonFrames, group_ptr: NDArray[np.int64]) -> PhotonFrames:
    """Sum groups of successive frames.

    Parameters
    ----------
    frames : PhotonFrames
        Frames; here alone pixels of a frame may come in any order and may repeat.
    group_ptr : ndarray of int64, `(n_groups + 1,)`
        Group ``g`` holds frames ``group_ptr[g]`` to ``group_ptr[g + 1] - 1``; no group is empty.

    Returns
    -------
    PhotonFrames
        One frame a group: photons and exposures summed, batch and source index of the first frame, rotation from the
        start of the first to the end of the last; a known orientation stays known where all of a group share it, and
        known fluences and backgrounds are averaged.

    Raises
    ------
    DataError
        If a pixel lies outside the frame, or a summed pixel exceeds 2**32 - 1 photons.
    """
    n_groups = len(group_ptr) - 1
    if frames.n_hits and int(frames.pixel.max()) >= frames.n_pixels:
        raise DataError(f"pixel {int(frames.pixel.max())} lies outside the frame of {frames.n_pixels} pixels")
    pixel, count = np.empty(frames.n_hits, dtype=np.uint32), np.empty(frames.n_hits, dtype=np.uint32)
    n_summed, largest = np.empty(n_groups, dtype=np.int64), np.zeros(n_groups, dtype=np.int64)
    n_parts = max(1, min(threads_in_use(), n_groups))
    sum_groups(
        frames.indptr,
        frames.pixel,
        frames.count,
        group_ptr,
        frames.n_pixels,
        n_parts,
        pixel,
        count,
        n_summed,
        largest,
    )
    if largest.max(initial=0) > _LARGEST_COUNT:
        raise DataError(
            f"a collapsed pixel holds {largest.max()} photons, more than a photon file can store (2**32 - 1); collapse "
            "fewer frames, or mask or cap that pixel"
        )
    indptr = np.concatenate([[0], np.cumsum(n_summed)])
    if indptr[-1] < frames.n_hits:
        loose_pixel, loose_count = pixel, count
        pixel, count = np.empty(indptr[-1], dtype=np.uint32), np.empty(indptr[-1], dtype=np.uint32)
        pack_rows(frames.indptr[group_ptr[:-1]], indptr, loose_pixel, loose_count, pixel, count)
    return PhotonFrames(indptr, pixel, count, frames.n_pixels, _sum_rows(frames.table, group_ptr))


def _sum_rows(table: FrameTable, group_ptr: NDArray[np.int64]) -> FrameTable:
    first, last = group_ptr[:-1], group_ptr[1:] - 1
    exposures = np.concatenate([[0], np.cumsum(table.n_exposures, dtype=np.int64)])
    return FrameTable(
        table.source_index[first],
        exposures[group_ptr[1:]] - exposures[group_ptr[:-1]],
        table.batch[first],
        table.omega_start_deg[first],
        table.omega_end_deg[last],
        _shared_quaternion(table.quaternion, group_ptr),
        _mean(table.true_fluence, table.n_exposures, group_ptr),
        _mean(table.true_background, table.n_exposures, group_ptr),
    )


def _mean(
    factor: NDArray[np.float64] | None, n_exposures: NDArray[np.int32], group_ptr: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    if factor is None or len(group_ptr) == 1:
        return None if factor is None else np.zeros(0)
    starts = group_ptr[:-1]
    return np.asarray(np.add.reduceat(factor * n_exposures, starts) / np.add.reduceat(n_exposures, starts))


def _shared_quaternion(
    quaternion: NDArray[np.float64] | None, group_ptr: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    if quaternion is None:
        return None
    first = quaternion[group_ptr[:-1]]
    same = (quaternion == np.repeat(first, np.diff(group_ptr), axis=0)).all(axis=1)
    shared = np.logical_and.reduceat(same, group_ptr[:-1]) if len(first) else np.zeros(0, dtype=bool)
    return np.where(shared[:, None], first, np.nan)


def group_labels(table: FrameTable, config: CollapseConfig) -> NDArray[np.int64]:
    """Assign each frame its group, int64 `(n_frames,)`, never falling; -1 for frames of dropped groups.

    A group by angle holds the frames whose middle lies in its range; ranges are counted from the batch's first
    ``omega_start_deg``. Only the last group of a batch can be incomplete: by number where it holds fewer frames than
    the others, by angle where the batch ends before the range does.

    Raises
    ------
    DataError
        If groups go by angle and an angle is unknown.
    """
    n_frames = len(table)
    if n_frames == 0:
        return np.zeros(0, dtype=np.int64)
    number = np.arange(n_frames)
    new_batch = np.concatenate([[True], np.diff(table.batch) != 0])
    batch_first = np.maximum.accumulate(np.where(new_batch, number, 0))
    if config.n_frames is not None:
        group = (number - batch_first) // config.n_frames
    else:
        assert config.collapse_deg is not None  # the configuration has one of the two
        if not np.isfinite(table.omega_deg).all():
            frame = int(np.argmin(np.isfinite(table.omega_deg)))
            raise DataError(f"frame {frame} has no recorded angle; collapse by n_frames instead of collapse_deg")
        start_deg = table.omega_start_deg[batch_first]
        group = np.floor(np.abs(table.omega_deg - start_deg) / config.collapse_deg + _ROUNDING).astype(np.int64)
    label = np.cumsum(new_batch | np.concatenate([[False], np.diff(group) != 0])) - 1
    if config.drop_incomplete:
        last = np.flatnonzero(np.concatenate([new_batch[1:], [True]]))
        if config.n_frames is not None:
            complete = np.bincount(label)[label[last]] == config.n_frames
        else:
            reached = np.abs(table.omega_end_deg[last] - start_deg[last]) / config.collapse_deg
            complete = reached >= group[last] + 1 - _ROUNDING
        label = np.where(np.isin(label, label[last[~complete]]), -1, label)
    return np.asarray(label)


def collapse(chunks: Iterable[PhotonFrames], table: FrameTable, config: CollapseConfig) -> Iterator[PhotonFrames]:
    """Collapse a run that comes in chunks; groups may cross chunk borders.

    Of a group that goes on in the next chunk only the sum is held, so memory does not grow with the group.

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

    Raises
    ------
    DataError
        If the chunks do not hold as many frames as the table, or a rule of :func:`sum_frames` is broken.
    """
    labels = group_labels(table, config)
    held: PhotonFrames | None = None
    held_label = -1
    place = 0
    for chunk in chunks:
        label = labels[place : place + chunk.n_frames]
        place += chunk.n_frames
        if place > len(labels):
            break
        if (label < 0).any():
            chunk, label = chunk.take(label >= 0), label[label >= 0]
        if held is not None:
            chunk, label = PhotonFrames.concatenate([held, chunk]), np.concatenate([[held_label], label])
        if len(label) == 0:
            continue
        summed = sum_frames(chunk, np.flatnonzero(np.concatenate([[True], np.diff(label) != 0, [True]])))
        goes_on = place < len(labels) and labels[place] == label[-1]
        n_done = summed.n_frames - goes_on
        held = summed.take(slice(n_done, summed.n_frames)) if goes_on else None
        held_label = int(label[-1])
        if n_done:
            yield summed.take(slice(0, n_done)) if goes_on else summed
    if place != len(labels):
        raise DataError(f"the chunks hold {place} or more frames, but the table of the run has {len(labels)} rows")
