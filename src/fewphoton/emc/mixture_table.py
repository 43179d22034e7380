"""Signal and background of every pixel row, in place of a table of logarithms where frames have background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.problem import Problem
from fewphoton.kernels.signal_and_background import (
    add_log_sums,
    add_signal_photons,
    background_photons,
    floor_and_scale_rows,
)


@dataclass(frozen=True, eq=False)
class MixtureTable:
    """Expected counts of signal and background, row by row in units of the exponential of the row's offset.

    Parameters
    ----------
    values : ndarray of float32, `(n_rows, n_columns)`
        Signal at fluence 1.
    pedestal : ndarray of float32, `(n_rows,)`
        Background of one photon a frame.
    fluence, background_photons : ndarray of float64, `(n_frames,)`
        Factors of the frames.
    step : float
        1: values are in no other unit than that of the rows.
    """

    values: NDArray[np.float32]
    pedestal: NDArray[np.float32]
    fluence: NDArray[np.float64]
    background_photons: NDArray[np.float64]
    step: float = 1.0

    @classmethod
    def build(
        cls,
        problem: Problem,
        table: NDArray[np.float32],
        floor: float,
        share: NDArray[np.float64],
        fluence: NDArray[np.float64],
        background_photons: NDArray[np.float64],
    ) -> MixtureTable:
        """Take over expected intensities `(n_rows, n_columns)`; ``share`` `(n_rows,)` is the background's."""
        floor_and_scale_rows(table, floor, problem.row_offset)
        pedestal = share / problem.rows.response * np.exp(-problem.row_offset)
        return cls(table, pedestal.astype(np.float32), fluence, background_photons)

    def add_log_likelihood(self, batch: FrameBatch, rows: NDArray[np.float32]) -> None:
        """Add what the photons of a batch say to ``rows`` `(n_frames, n_columns)`."""
        place, photons = batch.place, batch.by_frame
        add_log_sums(
            photons.indptr,
            photons.index,
            photons.count,
            self.values,
            self.pedestal,
            self.fluence[place].astype(np.float32),
            self.background_photons[place].astype(np.float32),
            rows,
        )

    def frame_constants(self, batch: FrameBatch) -> NDArray[np.float64]:
        """Return zeros: no row has a constant of its own."""
        return np.zeros(batch.n_frames)

    def add_signal(self, batch: FrameBatch, probability: NDArray[np.float32], photons: NDArray[np.float32]) -> None:
        """Add the signal's share of a batch's photons to views ``photons`` `(n_rows, n_columns)`."""
        hits = batch.by_pixel
        add_signal_photons(
            hits.indptr,
            hits.index,
            hits.count,
            probability,
            self.values,
            self.pedestal,
            self._ratio(batch),
            photons,
        )

    def background_found(self, batch: FrameBatch, probability: NDArray[np.float32]) -> NDArray[np.float64]:
        """Photons of each frame that are background in the orientations of this rank, float64 `(n_frames,)`."""
        found = np.empty(batch.n_frames)
        hits = batch.by_frame
        background_photons(
            hits.indptr, hits.index, hits.count, probability, self.values, self.pedestal, self._ratio(batch), found
        )
        return found

    def _ratio(self, batch: FrameBatch) -> NDArray[np.float32]:
        place = batch.place
        # Frames without photons have no fluence, and take no part.
        fluence = self.fluence[place]
        ratio = np.divide(self.background_photons[place], fluence, out=np.zeros(batch.n_frames), where=fluence > 0)
        return ratio.astype(np.float32)
