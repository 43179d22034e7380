"""What stays the same over all iterations: pixels, orientations of this rank, photons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Crystal, Orientations, PhotonFrames
from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.communicator import Communicator, shard
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

    @classmethod
    def build(
        cls,
        chunks: Iterable[PhotonFrames],
        rows: PixelRows,
        crystal: Crystal,
        orientations: Orientations,
        batch_frames: int,
        communicator: Communicator,
    ) -> Problem:
        """Arrange the photons.

        Parameters
        ----------
        chunks : iterable of PhotonFrames
            All frames in order, in pieces of any size.
        rows : PixelRows
            Pixels that take part.
        crystal : Crystal
            UB matrix.
        orientations : Orientations
            The whole sample; this rank keeps its shard.
        batch_frames : int
            Frames a batch.
        communicator : Communicator
            World.

        Raises
        ------
        ConvergenceError
            If no photon enters the likelihood.
        DataError
            If the frames have another number of pixels than the detector.
        """
        batches: list[FrameBatch] = []
        n_frames = 0
        for chunk in chunks:
            if chunk.n_pixels != len(rows.row_of_pixel):
                raise DataError(f"frames of {chunk.n_pixels} pixels for a detector of {len(rows.row_of_pixel)}")
            for start in range(0, chunk.n_frames, batch_frames):
                part = chunk.take(slice(start, start + batch_frames))
                batches.append(FrameBatch.build(part, rows, n_frames))
                n_frames += part.n_frames
        photons = np.concatenate([batch.likelihood_photons for batch in batches]) if batches else np.zeros(0)
        if not photons.any():
            raise ConvergenceError(
                f"none of the {n_frames} frames holds a photon on a pixel that enters the orientation probabilities; "
                "check mask, grid and axis_margin_pixels"
            )
        totals = np.sum([batch.row_totals() for batch in batches], axis=0)
        offset = np.log(np.maximum(totals / n_frames / rows.response, _OFFSET_FLOOR))
        constant = float((totals * (offset + np.log(rows.response)))[rows.likelihood].sum())
        first, last = shard(len(orientations), communicator)
        return cls(
            rows,
            rows.transforms(crystal, orientations.shard(first, last)),
            np.log(orientations.weight[first:last]),
            first,
            len(orientations),
            tuple(batches),
            n_frames,
            int((photons > 0).sum()),
            offset,
            constant,
        )

    @property
    def n_local(self) -> int:
        """Orientations of this rank."""
        return len(self.transforms)

    @property
    def likelihood_photons(self) -> float:
        """Photons that enter the likelihood, over all frames."""
        return float(sum(batch.likelihood_photons.sum() for batch in self.batches))

    @property
    def likelihood_response(self) -> NDArray[np.float64]:
        """Response of each row, 0 where it does not enter the likelihood, `(n_rows,)`."""
        return np.where(self.rows.likelihood, self.rows.response, 0.0)
