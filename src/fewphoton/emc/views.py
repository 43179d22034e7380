"""Sums over frames that become a volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.frame_model import FrameFit
from fewphoton.emc.problem import Problem
from fewphoton.emc.windows import Blocks
from fewphoton.kernels.aligned_table import aligned_table, padded_columns
from fewphoton.kernels.block_vectors import BLOCK
from fewphoton.kernels.orientation_probability import weighted_column_sums
from fewphoton.kernels.sparse_rows import add_weighted_rows
from fewphoton.kernels.windowed_views import add_weighted_blocks, block_column_sums


@dataclass
class Views:
    """Sums over frames: photons times probability for each pixel row and orientation, and probability alone.

    Parameters
    ----------
    photons : ndarray of float32, `(n_rows, n_columns)`
        Numerator of equation 2; columns from ``n_local`` on are zero and fill the rows up to whole cache lines.
    exposure : ndarray of float64, `(n_local,)`
        Denominator of equation 2; where frames differ in fluence, each counts as much as its fluence.
    """

    photons: NDArray[np.float32]
    exposure: NDArray[np.float64]

    @classmethod
    def empty(cls, problem: Problem) -> Views:
        """Return sums of nothing."""
        n_columns = padded_columns(problem.n_local)
        photons = aligned_table(problem.rows.n_rows, n_columns, np.float32, zeroed=True)
        return cls(photons, np.zeros(problem.n_local))

    def add(
        self,
        batch: FrameBatch,
        probability: NDArray[np.float32],
        frames: FrameFit | None = None,
        blocks: Blocks | None = None,
    ) -> None:
        """Add the photons of a batch, or with ``frames`` the signal among them; with ``blocks``, by these alone."""
        by_pixel = batch.by_pixel
        weight = np.ones(batch.n_frames) if frames is None else frames.exposures(batch)
        if blocks is not None:
            kept = blocks.indptr, blocks.block, blocks.place, probability.reshape(-1, BLOCK)
            n_blocks = -(-len(self.exposure) // BLOCK)
            add_weighted_blocks(by_pixel.indptr, by_pixel.index, by_pixel.count, *kept, n_blocks, self.photons)
            block_column_sums(*kept, weight, self.exposure)
            return
        if frames is None or not frames.add_photons(batch, probability, self.photons):
            add_weighted_rows(by_pixel.indptr, by_pixel.index, by_pixel.count, probability, self.photons)
        weighted_column_sums(probability, weight, self.exposure)
