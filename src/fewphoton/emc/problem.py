"""What stays the same over all iterations: pixels, orientations of this rank, photons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, FrameTable, Orientations, PhotonFrames
from fewphoton.emc.batches import FrameBatch, grouped
from fewphoton.emc.communicator import Communicator, shard
from fewphoton.emc.photon_storage import InMemory, PhotonStorage
from fewphoton.emc.pixels import PixelRows
from fewphoton.errors import ConvergenceError, DataError

_OFFSET_FLOOR = 1e-12


@dataclass(frozen=True, eq=False)
class Problem:
    """Photons and geometry of one reconstruction, as one rank sees them.

    Parameters
    ----------
    rows : PixelRows
        Pixels that take part.
    transforms : ndarray of float64, `(n_local, 3, 3)`
        From q to voxels, for the orientations of this rank.
    log_prior : ndarray of float64, `(n_local,)`
        Logarithm of their weights.
    first_orientation, n_orientations : int
        Where this rank's orientations begin, and how many there are over all ranks.
    batches : tuple of FrameBatch
        Photons.
    n_frames, n_informative_frames : int
        All frames, and those with a photon that enters the likelihood.
    row_offset : ndarray of float64, `(n_rows,)`
        Subtracted from log intensities; cancels in the probabilities.
    log_likelihood_constant : float
        What the offsets took from the log-likelihood, over all photons.
    storage : PhotonStorage
        Where the photons are kept, and those of parts of this problem.
    """

    rows: PixelRows
    transforms: NDArray[np.float64]
    log_prior: NDArray[np.float64]
    first_orientation: int
    n_orientations: int
    batches: tuple[FrameBatch, ...]
    n_frames: int
    n_informative_frames: int
    row_offset: NDArray[np.float64]
    log_likelihood_constant: float
    storage: PhotonStorage = field(default_factory=InMemory)

    @classmethod
    def build(
        cls,
        chunks: Iterable[PhotonFrames],
        rows: PixelRows,
        crystal: Crystal,
        orientations: Orientations,
        batch_frames: int,
        communicator: Communicator,
        *,
        batch_hits: int = 8_000_000,
        storage: PhotonStorage | None = None,
        most_bytes: int | None = None,
    ) -> Problem:
        """Arrange the photons.

        Parameters
        ----------
        chunks : iterable of PhotonFrames
            All frames in order, in pieces of any size, which has no effect on the result; gone through once, by the
            ranks that ``storage`` lets read.
        rows : PixelRows
            Pixels that take part.
        crystal : Crystal
            UB matrix.
        orientations : Orientations
            The whole sample; this rank keeps its shard.
        batch_frames : int
            Frames of a batch at the most.
        communicator : Communicator
            World.
        batch_hits : int
            Hits of a batch at the most (but at least one frame), so that bright frames make no larger batches.
        storage : PhotonStorage, optional
            Where photons are kept; None: in the memory of each rank.
        most_bytes : int, optional
            Bytes that the arranged photons take at the most (:func:`~fewphoton.emc.batches.arranged_bytes`), where
            known.

        Raises
        ------
        ConvergenceError
            If no photon enters the likelihood.
        DataError
            If the frames have another number of pixels than the detector.
        """
        place = InMemory() if storage is None else storage
        batches = place.keep(_arranged(chunks, rows, batch_frames, batch_hits), most_bytes)
        n_frames = sum(batch.n_frames for batch in batches)
        photons = np.concatenate([batch.likelihood_photons for batch in batches]) if batches else np.zeros(0)
        if not photons.any():
            raise ConvergenceError(
                f"none of the {n_frames} frames holds a photon on a pixel that enters the orientation probabilities; "
                "check mask, grid and axis_margin_pixels"
            )
        totals = _row_totals(batches, rows)
        offset = np.log(np.maximum(totals / n_frames / rows.response, _OFFSET_FLOOR))
        first, last = shard(len(orientations), communicator)
        return cls(
            rows,
            rows.transforms(crystal, orientations.shard(first, last)),
            np.log(orientations.weight[first:last]),
            first,
            len(orientations),
            batches,
            n_frames,
            int((photons > 0).sum()),
            offset,
            _likelihood_constant(totals, offset, rows),
            place,
        )

    def with_frames(self, chosen: NDArray[np.bool_]) -> Problem:
        """Return the problem of the frames that ``chosen`` `(n_frames,)` marks, numbered anew from 0.

        Row offsets stay those of all frames; they cancel in the probabilities.

        Raises
        ------
        ConvergenceError
            If the chosen frames hold no photon that enters the likelihood.
        """
        parts = [chosen[batch.place] for batch in self.batches]
        return self._rearranged(self.rows, self.row_offset, parts)

    def with_rows(
        self,
        kept: NDArray[np.bool_],
        likelihood: NDArray[np.bool_],
        n_voxels: int,
        crystal: Crystal,
        orientations: Orientations,
        communicator: Communicator,
    ) -> Problem:
        """Return the problem of fewer pixel rows, a smaller grid and another sample of orientations.

        Parameters
        ----------
        kept : ndarray of bool, `(n_rows,)`
            Rows that take part; responses keep their scale, so intensities do as well.
        likelihood : ndarray of bool, `(n_rows,)`
            Rows that enter the likelihood, as far as they are kept and entered it before.
        n_voxels : int
            Edge of the grid, which must hold the kept rows.
        crystal, orientations, communicator
            As in :meth:`build`.

        Raises
        ------
        ConvergenceError
            If no photon enters the likelihood.
        """
        old = self.rows
        row_of_pixel = np.full(len(old.row_of_pixel), -1, dtype=np.int32)
        row_of_pixel[np.flatnonzero(old.row_of_pixel >= 0)[kept]] = np.arange(int(kept.sum()), dtype=np.int32)
        rows = PixelRows(
            old.q_inv_angstrom[kept],
            old.response[kept],
            (old.likelihood & likelihood)[kept],
            row_of_pixel,
            n_voxels,
            old.voxels_per_cell,
        )
        first, last = shard(len(orientations), communicator)
        problem = self._rearranged(rows, self.row_offset[kept], [None] * len(self.batches))
        return replace(
            problem,
            transforms=rows.transforms(crystal, orientations.shard(first, last)),
            log_prior=np.log(orientations.weight[first:last]),
            first_orientation=first,
            n_orientations=len(orientations),
        )

    def _rearranged(
        self, rows: PixelRows, row_offset: NDArray[np.float64], chosen: Sequence[NDArray[np.bool_] | None]
    ) -> Problem:
        most_bytes = sum(batch.nbytes for batch in self.batches)
        batches = self.storage.keep(self._parts(rows, chosen), most_bytes)
        n_frames = sum(batch.n_frames for batch in batches)
        photons = np.concatenate([batch.likelihood_photons for batch in batches]) if batches else np.zeros(0)
        if not photons.any():
            raise ConvergenceError(
                f"none of {n_frames} chosen frames holds a photon on a pixel that enters orientation probabilities; "
                "take more frames (minibatch, held_out) or a larger q_fraction (march)"
            )
        totals = _row_totals(batches, rows)
        return replace(
            self,
            rows=rows,
            batches=batches,
            n_frames=n_frames,
            n_informative_frames=int((photons > 0).sum()),
            row_offset=row_offset,
            log_likelihood_constant=_likelihood_constant(totals, row_offset, rows),
        )

    def _parts(self, rows: PixelRows, chosen: Sequence[NDArray[np.bool_] | None]) -> Iterator[FrameBatch]:
        n_frames = 0
        for batch, marks in zip(self.batches, chosen, strict=True):
            frames = _frames_of(batch, self.rows, marks)
            if frames.n_frames:
                yield FrameBatch.build(frames, rows, n_frames)
                n_frames += frames.n_frames

    @property
    def n_local(self) -> int:
        """Orientations of this rank."""
        return len(self.transforms)

    @property
    def view_weight(self) -> NDArray[np.float64]:
        """Weight of each of this rank's orientations over the mean weight, `(n_local,)`; 1 throughout an axis scan."""
        relative = np.exp(self.log_prior) * self.n_orientations
        # Equal weights must be 1 to the last bit, so that they leave sums as they are.
        return np.where(np.abs(relative - 1) < 1e-9, 1.0, relative)

    @property
    def likelihood_photons(self) -> float:
        """Photons that enter the likelihood, over all frames."""
        return float(sum(batch.likelihood_photons.sum() for batch in self.batches))

    @property
    def likelihood_response(self) -> NDArray[np.float64]:
        """Response of each row, 0 where it does not enter the likelihood, `(n_rows,)`."""
        return np.where(self.rows.likelihood, self.rows.response, 0.0)


def _arranged(
    chunks: Iterable[PhotonFrames], rows: PixelRows, batch_frames: int, batch_hits: int
) -> Iterator[FrameBatch]:
    def checked() -> Iterator[PhotonFrames]:
        for chunk in chunks:
            if chunk.n_pixels != len(rows.row_of_pixel):
                raise DataError(f"frames of {chunk.n_pixels} pixels for a detector of {len(rows.row_of_pixel)}")
            yield chunk

    n_frames = 0
    for frames in grouped(checked(), batch_frames, batch_hits):
        yield FrameBatch.build(frames, rows, n_frames)
        n_frames += frames.n_frames


def _row_totals(batches: Sequence[FrameBatch], rows: PixelRows) -> NDArray[np.float64]:
    totals = np.zeros(rows.n_rows)
    for batch in batches:
        totals += batch.row_totals()
    return totals


def _likelihood_constant(totals: NDArray[np.float64], offset: NDArray[np.float64], rows: PixelRows) -> float:
    return float((totals * (offset + np.log(rows.response)))[rows.likelihood].sum())


def _frames_of(batch: FrameBatch, rows: PixelRows, chosen: NDArray[np.bool_] | None) -> PhotonFrames:
    """Photons of a batch, or of its ``chosen`` frames, on the pixels of ``rows``; what else was measured is gone."""
    by_pixel = batch.by_pixel
    marks = np.ones(batch.n_frames, dtype=bool) if chosen is None else chosen
    hits = np.flatnonzero(marks[by_pixel.index])
    row = np.searchsorted(by_pixel.indptr, hits, side="right") - 1
    new_number = np.cumsum(marks) - 1
    frame = new_number[by_pixel.index[hits]]
    # Rows rise with pixel numbers, and a stable sort keeps them rising inside each frame.
    order = np.argsort(frame, kind="stable")
    n_frames = int(marks.sum())
    return PhotonFrames(
        np.searchsorted(frame[order], np.arange(n_frames + 1)).astype(np.int64),
        np.flatnonzero(rows.row_of_pixel >= 0)[row[order]].astype(np.uint32),
        by_pixel.count[hits][order].astype(np.uint32),
        len(rows.row_of_pixel),
        FrameTable.unknown(n_frames),
    )
