"""Photons and geometry where each frame has its own list of orientations, as one rank sees them.

The orientations that any frame lists are sharded over ranks; those that none lists cost nothing. Every rank holds the
photons of all frames, as in the dense problem, and ranks meet where they meet there: for the largest log-likelihood of
each frame, for its normalisation, and for the sums of their volumes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, Orientations
from fewphoton.data.orientations import rotation_matrices
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.problem import Problem
from fewphoton.emc.refine_orientations import OrientationLists
from fewphoton.errors import ParallelError

BYTES_PER_PAIR = 64
"""Memory that a pair of frame and listed orientation takes while lists are made and turned."""
_VIEW_COST = 20
"""Expanding, logarithm and compressing of a pixel over looking up a photon, about."""


@dataclass(frozen=True, eq=False)
class FramePhotons:
    """Photons by frame on all pixel rows.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_frames + 1,)`
        Row pointers.
    pixel : ndarray of int32, `(n_hits,)`
        Pixel row, ascending in a frame.
    count : ndarray of float32, `(n_hits,)`
        Photons.
    """

    indptr: NDArray[np.int64]
    pixel: NDArray[np.int32]
    count: NDArray[np.float32]

    @classmethod
    def of(cls, problem: Problem) -> FramePhotons:
        """Join the batches of a problem."""
        lengths, pixels, counts = [np.zeros(1, dtype=np.int64)], [], []
        for batch in problem.batches:
            frame = batch.by_pixel.index
            order = np.argsort(frame, kind="stable")
            row = np.repeat(np.arange(problem.rows.n_rows, dtype=np.int32), np.diff(batch.by_pixel.indptr))
            lengths.append(np.bincount(frame, minlength=batch.n_frames))
            pixels.append(row[order])
            counts.append(batch.by_pixel.count[order])
        return cls(np.cumsum(np.concatenate(lengths)), np.concatenate(pixels), np.concatenate(counts))


@dataclass(frozen=True, eq=False)
class ListedProblem:
    """Pairs of frames and the orientations that they list, in both orders, for one rank's orientations.

    Parameters
    ----------
    dense : Problem
        Pixels, row offsets and totals.
    photons : FramePhotons
        All frames.
    orientations : Orientations
        The whole sample.
    number : ndarray of int64, `(n_local,)`
        This rank's orientations in the sample, ascending; the following arrays number them from 0.
    transforms : ndarray of float64, `(n_local, 3, 3)`
        From q to voxels.
    log_prior : ndarray of float64, `(n_local,)`
        Logarithm of their weights.
    by_frame : ndarray of int64, `(n_frames + 1,)`
        Where the pairs of each frame begin.
    orientation : ndarray of int32, `(n_pairs,)`
        Orientation of each pair, ascending in a frame.
    by_orientation : ndarray of int64, `(n_local + 1,)`
        Where the pairs of each orientation begin in the other order.
    frame : ndarray of int32, `(n_pairs,)`
        Frame of each pair in that order, ascending for an orientation.
    place : ndarray of int64, `(n_pairs,)`
        Its place in the order by frame.
    n_in_use : int
        Orientations that frames list, over all ranks.
    """

    dense: Problem
    photons: FramePhotons
    orientations: Orientations
    number: NDArray[np.int64]
    transforms: NDArray[np.float64]
    log_prior: NDArray[np.float64]
    by_frame: NDArray[np.int64]
    orientation: NDArray[np.int32]
    by_orientation: NDArray[np.int64]
    frame: NDArray[np.int32]
    place: NDArray[np.int64]
    n_in_use: int

    @classmethod
    def build(
        cls,
        dense: Problem,
        photons: FramePhotons,
        lists: OrientationLists,
        orientations: Orientations,
        crystal: Crystal,
        communicator: Communicator,
    ) -> ListedProblem:
        """Take this rank's share of the orientations in use.

        Parameters
        ----------
        dense : Problem
            Pixels and photons.
        photons : FramePhotons
            Of the same problem.
        lists : OrientationLists
            Of all frames, the same on every rank.
        orientations : Orientations
            The sample that the lists number.
        crystal : Crystal
            UB matrix.
        communicator : Communicator
            World.

        Raises
        ------
        ParallelError
            If there are more ranks than orientations in use.
        """
        n_listing = np.bincount(lists.index, minlength=len(orientations))
        in_use = np.flatnonzero(n_listing)
        if len(in_use) < communicator.size:
            raise ParallelError(
                f"{communicator.size} ranks cannot share {len(in_use)} orientations in use; ask for fewer tasks"
            )
        mean_hits = len(photons.pixel) / max(1, dense.n_frames)
        work = np.cumsum(_VIEW_COST * dense.rows.n_rows + mean_hits * n_listing[in_use])
        shares = work[-1] * np.arange(1, communicator.size) / communicator.size
        bounds = [0, *np.searchsorted(work, shares), len(in_use)]
        # Every rank keeps one at least.
        first = max(bounds[communicator.rank], communicator.rank)
        last = min(max(bounds[communicator.rank + 1], first + 1), len(in_use))
        number = in_use[first:last]
        local = np.full(len(orientations), -1, dtype=np.int32)
        local[number] = np.arange(len(number), dtype=np.int32)
        orientation = local[lists.index]
        mine = orientation >= 0
        owner = np.repeat(np.arange(lists.n_frames, dtype=np.int32), np.diff(lists.indptr))[mine]
        orientation = orientation[mine]
        place = np.argsort(orientation, kind="stable")
        return cls(
            dense,
            photons,
            orientations,
            number,
            dense.rows.transforms(crystal, rotation_matrices(orientations.quaternion[number])),
            np.log(orientations.weight[number]),
            np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=lists.n_frames))]).astype(np.int64),
            orientation,
            np.concatenate([[0], np.cumsum(np.bincount(orientation, minlength=len(number)))]).astype(np.int64),
            owner[place],
            place,
            len(in_use),
        )

    @property
    def n_local(self) -> int:
        """Orientations of this rank."""
        return len(self.number)

    @property
    def n_frames(self) -> int:
        """All frames."""
        return len(self.by_frame) - 1

    @property
    def view_weight(self) -> NDArray[np.float64]:
        """Weight of each orientation over the mean weight of the sample, `(n_local,)`."""
        return np.exp(self.log_prior) * len(self.orientations)
