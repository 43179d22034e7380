"""The table of log intensities that the likelihood sums: in float32, or rounded to fewer bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.communicator import Communicator
from fewphoton.errors import ConfigError
from fewphoton.kernels.aligned_table import aligned_table
from fewphoton.kernels.quantized_rows import quantize_rows, row_extremes
from fewphoton.kernels.sparse_rows import add_weighted_rows

TableType = Literal["float32", "int16", "uint8"]


@dataclass(frozen=True, eq=False)
class LogTable:
    """Log intensities ``step * values + row_constant``.

    Parameters
    ----------
    values : ndarray of float32, int16 or uint8, `(n_rows, n_columns)`
        One row a pixel row; constants of a row cancel in the probabilities.
    step : float
        Nats a unit of ``values``; 1 in float32.
    row_constant : ndarray of float32, `(n_rows, 1)`, or None
        Nats that rounding took off each row; None where there is none.
    """

    values: NDArray[Any]
    step: float
    row_constant: NDArray[np.float32] | None

    @classmethod
    def build(cls, table: NDArray[np.float32], table_type: TableType, communicator: Communicator) -> LogTable:
        """Keep or round a table of logarithms `(n_rows, n_columns)`; ranks agree on step and constants.

        The step covers the widest row of all ranks, so nothing is cut off.

        Raises
        ------
        ConfigError
            If ``table_type`` is unknown.
        """
        if table_type not in get_args(TableType):
            raise ConfigError(f"table type {table_type!r} is none of {', '.join(get_args(TableType))}")
        if table_type == "float32":
            return cls(table, 1.0, None)
        highest, lowest = np.empty(len(table)), np.empty(len(table))
        row_extremes(table, highest, lowest)
        depth = -lowest
        communicator.maximum(highest)
        communicator.maximum(depth)
        limits = np.iinfo(table_type)
        widest = float((highest + depth).max())
        step = max(widest, 1e-6) / (int(limits.max) - int(limits.min))
        values = aligned_table(table.shape[0], table.shape[1], table_type)
        quantize_rows(table, highest, step, int(limits.max), int(limits.min), values)
        constant = (highest - step * int(limits.max)).astype(np.float32)
        return cls(values, step, constant[:, None])

    def add_log_likelihood(self, batch: FrameBatch, rows: NDArray[np.float32]) -> None:
        """Add what the photons of a batch say, in steps, to ``rows`` `(n_frames, n_columns)`."""
        photons = batch.by_frame
        add_weighted_rows(photons.indptr, photons.index, photons.count, self.values, rows)

    def frame_constants(self, batch: FrameBatch) -> NDArray[np.float64]:
        """Return what the constants of the rows add to each frame's log-likelihood, float64 `(n_frames,)`."""
        total = np.zeros((batch.n_frames, 1), dtype=np.float32)
        if self.row_constant is not None:
            photons = batch.by_frame
            add_weighted_rows(photons.indptr, photons.index, photons.count, self.row_constant, total)
        return total[:, 0].astype(np.float64)
