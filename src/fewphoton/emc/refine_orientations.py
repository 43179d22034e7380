"""Adaptive refinement: each frame searches the fine orientations around the coarse ones that it finds probable.

A frame that a coarse sample has placed need not be compared with the whole of a fine one. The fine orientations about
each coarse one are found once (:class:`FineAround`). In each iteration :func:`keep_probable` picks the coarse
orientations that a frame's probabilities leave, and :meth:`FineAround.candidates` names the fine ones to compute: the
local search of Lan et al. 2018, IUCrJ 5, 548-558, doi:10.1107/S205225251800903X.

With the reach of :func:`safe_reach_deg` nothing is lost that the coarse sample has right: if the coarse orientation
nearest to the truth is kept, the fine orientation nearest to the truth is among the candidates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fewphoton.data import Orientations
from fewphoton.data.point_group import PointGroup
from fewphoton.data.rotation_group import RotationIndex
from fewphoton.errors import DataError


@dataclass(frozen=True, eq=False)
class OrientationLists:
    """A list of orientations for each frame.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_frames + 1,)`
        Where each frame's list begins.
    index : ndarray of int32
        Numbers of orientations, ascending for each frame.
    n_orientations : int
        Size of the sample that they number.
    """

    indptr: NDArray[np.int64]
    index: NDArray[np.int32]
    n_orientations: int

    def __post_init__(self) -> None:
        lengths = np.diff(self.indptr)
        if len(self.indptr) == 0 or self.indptr[0] != 0 or self.indptr[-1] != len(self.index) or (lengths < 0).any():
            raise DataError(f"orientation lists: row pointers do not fit {len(self.index)} entries")
        if len(self.index) and (self.index.min() < 0 or self.index.max() >= self.n_orientations):
            raise DataError(f"orientation lists: numbers must lie in 0 to {self.n_orientations - 1}")

    @property
    def n_frames(self) -> int:
        """Frames, those with empty lists included."""
        return len(self.indptr) - 1

    def of_frame(self, frame: int) -> NDArray[np.int32]:
        """Orientations of one frame, int32 `(n,)`."""
        return self.index[self.indptr[frame] : self.indptr[frame + 1]]

    def by_orientation(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the frames that list each orientation: row pointers `(n_orientations + 1,)` and ascending frames.

        In this order each expected view is computed once and read by all frames that want it.
        """
        transposed = self._matrix().T.tocsr()
        transposed.sort_indices()
        return transposed.indptr.astype(np.int64), transposed.indices.astype(np.int32)

    def fraction(self) -> float:
        """Part of all pairs of frame and orientation that the lists name: the work that is left."""
        return len(self.index) / (self.n_frames * self.n_orientations) if self.n_frames else 0.0

    def _matrix(self) -> sparse.csr_matrix:
        entries = np.ones(len(self.index), dtype=np.int64)
        return sparse.csr_matrix((entries, self.index, self.indptr), shape=(self.n_frames, self.n_orientations))


def keep_probable(
    probability: NDArray[np.float32],
    threshold: float,
    largest: NDArray[np.float64] | None = None,
) -> tuple[OrientationLists, NDArray[np.float64]]:
    """List the orientations of each frame whose probability exceeds a fraction of the frame's largest.

    Parameters
    ----------
    probability : ndarray of float32, `(n_frames, n_orientations)`
        Orientation probabilities of a batch; zero throughout for frames that say nothing.
    threshold : float
        Fraction of the largest probability, 0 included to 1 excluded, so that a frame always keeps its best; 0 keeps
        all that are not zero. It is the quantity that stays the same when a sample gets finer or a frame is less sure.
    largest : ndarray of float64, `(n_frames,)`, optional
        Largest probability of each frame, where the columns at hand are but one rank's share of the orientations.

    Returns
    -------
    kept : OrientationLists
        Empty for frames whose probabilities are all zero.
    lost : ndarray of float64, `(n_frames,)`
        Probability, among the columns at hand, that the lists leave out.

    Raises
    ------
    DataError
        If the threshold is outside its range, or probabilities are negative or not finite.
    """
    if not 0 <= threshold < 1:
        raise DataError(f"the threshold must be at least 0 and below 1, found {threshold}")
    if probability.ndim != 2:
        raise DataError(f"probabilities: expected (n_frames, n_orientations), found shape {probability.shape}")
    if not (np.isfinite(probability).all() and (probability >= 0).all()):
        raise DataError("orientation probabilities must be finite and not negative")
    top = probability.max(axis=1, initial=0.0).astype(np.float64) if largest is None else largest
    if top.shape != (len(probability),):
        raise DataError(f"largest probabilities: expected {(len(probability),)}, found {top.shape}")
    kept = probability > threshold * top[:, None]
    indptr = np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)
    lost = np.where(kept, 0.0, probability).sum(axis=1, dtype=np.float64)
    return OrientationLists(indptr, np.nonzero(kept)[1].astype(np.int32), probability.shape[1]), lost


def keep_listed(
    by_frame: NDArray[np.int64],
    probability: NDArray[np.float64],
    threshold: float,
    over_ranks: Callable[[NDArray[np.float64]], None],
) -> NDArray[np.bool_]:
    """Mark the listed orientations whose probability exceeds a fraction of their frame's largest.

    Parameters
    ----------
    by_frame : ndarray of int64, `(n_frames + 1,)`
        Where the pairs of each frame begin.
    probability : ndarray of float64, `(n_pairs,)`
        One rank's pairs.
    threshold : float
        As in :func:`keep_probable`.
    over_ranks : callable
        Replaces each frame's largest probability by the largest over all ranks, in place.

    Returns
    -------
    ndarray of bool, `(n_pairs,)`
    """
    owner = np.repeat(np.arange(len(by_frame) - 1), np.diff(by_frame))
    largest = np.zeros(len(by_frame) - 1)
    np.maximum.at(largest, owner, probability)
    over_ranks(largest)
    return np.asarray(probability > threshold * largest[owner])


@dataclass(frozen=True, eq=False)
class FineAround:
    """The fine orientations about each coarse one.

    Parameters
    ----------
    indptr : ndarray of int64, `(n_coarse + 1,)`
        Where the fine orientations of each coarse one begin.
    index : ndarray of int32
        Fine orientations, ascending; neighbouring lists overlap.
    n_fine : int
        Size of the fine sample.
    reach_deg : float
        Largest angle between a coarse orientation and those on its list.
    """

    indptr: NDArray[np.int64]
    index: NDArray[np.int32]
    n_fine: int
    reach_deg: float

    @classmethod
    def build(
        cls,
        coarse: Orientations,
        fine: Orientations,
        reach_deg: float,
        group: PointGroup | None = None,
    ) -> FineAround:
        """Find the fine orientations within an angle of each coarse one.

        Parameters
        ----------
        coarse, fine : Orientations
            Samples of all rotations, or both reduced by ``group``.
        reach_deg : float
            Angle; :func:`safe_reach_deg` gives one that loses nothing.
        group : PointGroup, optional
            Symmetry by which the samples were reduced: neighbours across the edge of the zone are found too.

        Raises
        ------
        DataError
            If the reach leaves a fine orientation outside all lists: it could never be tried.
        """
        indptr, index = RotationIndex(fine.quaternion, group).within(coarse.quaternion, reach_deg)
        n_missed = len(fine) - len(np.unique(index))
        if n_missed:
            raise DataError(
                f"{n_missed} of {len(fine)} fine orientations lie farther than {reach_deg:g} degrees from every coarse "
                "one and would never be tried; enlarge the reach"
            )
        return cls(indptr, index, len(fine), reach_deg)

    def candidates(self, kept: OrientationLists) -> OrientationLists:
        """Fine orientations about the coarse ones that each frame kept, each once.

        Raises
        ------
        DataError
            If the lists number another coarse sample.
        """
        if kept.n_orientations != len(self.indptr) - 1:
            raise DataError(
                f"lists of {kept.n_orientations} coarse orientations for a sample of {len(self.indptr) - 1}"
            )
        entries = np.ones(len(self.index), dtype=np.int64)
        around = sparse.csr_matrix((entries, self.index, self.indptr), shape=(kept.n_orientations, self.n_fine))
        product = kept._matrix() @ around
        product.sort_indices()
        return OrientationLists(product.indptr.astype(np.int64), product.indices.astype(np.int32), self.n_fine)


def safe_reach_deg(coarse_covering_deg: float, fine_covering_deg: float) -> float:
    """Reach with which the fine orientation nearest to the truth is on the list of the coarse one nearest to it.

    The truth is no farther from either than their covering radii, so they are no farther apart than the sum.
    """
    return coarse_covering_deg + fine_covering_deg
