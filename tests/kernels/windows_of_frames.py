"""Blocks kept for frames, and the dense tables they stand for."""

from __future__ import annotations

import numpy as np

BLOCK = 32


def chosen_blocks(marks):
    """Row pointers and block numbers of marked blocks."""
    frame, block = np.nonzero(marks)
    return np.searchsorted(frame, np.arange(len(marks) + 1)).astype(np.int64), block.astype(np.int32)


def columns(marks, n_columns):
    """Marks of single columns."""
    return np.repeat(marks, BLOCK, axis=1)[:, :n_columns].astype(bool)


def packed(dense, marks):
    """Marked blocks of a dense table, one behind another, zero beyond its columns."""
    whole = np.zeros((len(dense), marks.shape[1] * BLOCK), dtype=dense.dtype)
    whole[:, : dense.shape[1]] = dense
    return np.ascontiguousarray(whole.reshape(len(dense), -1, BLOCK)[marks.astype(bool)])


def unpacked(values, marks, n_columns):
    """Dense table of packed blocks, zero elsewhere."""
    whole = np.zeros((*marks.shape, BLOCK))
    whole[marks.astype(bool)] = values
    return whole.reshape(len(marks), -1)[:, :n_columns]
