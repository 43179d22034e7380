"""The trace of a reconstruction: its iterates, integrated as they come."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import IntensityVolume, IterateTrace
from fewphoton.emc.state import State
from fewphoton.evaluate.iterates import TracedPeaks

_PREFIX = "trace_"
"""Of the arrays that a checkpoint keeps for the trace, beside those of the iteration itself."""


class IterateTracing:
    """Gathers the trace; what was gathered is saved and loaded with the checkpoints.

    Parameters
    ----------
    peaks : TracedPeaks
        Spheres.
    every : int
        Iterations between entries.
    """

    def __init__(self, peaks: TracedPeaks, every: int) -> None:
        self._peaks, self._every = peaks, every
        self._begin, self._seconds = time.perf_counter(), 0.0
        self._rows: list[tuple[int, float, NDArray[np.float64]]] = []

    def add(self, state: State) -> None:
        """Take up the iterate of a finished iteration."""
        now = time.perf_counter()
        self._seconds += now - self._begin
        number = state.records[-1].iteration
        if number % self._every == 0:
            self._rows.append((number, self._seconds, self._peaks.sums(state.iterate)))
        self._begin = time.perf_counter()

    def saved(self) -> dict[str, NDArray[np.float64]]:
        """Return what a checkpoint keeps."""
        iteration, seconds, sums = self._columns()
        kept = {"iteration": iteration, "seconds": seconds, "sums": sums, "clock": np.array([self._seconds])}
        return {_PREFIX + name: values for name, values in kept.items()}

    def resume(self, memory: Mapping[str, NDArray[np.float64]]) -> None:
        """Go on from what a checkpoint kept; one written without a trace leaves the earlier iterations out."""
        if _PREFIX + "clock" not in memory:
            return
        columns = (memory[_PREFIX + name] for name in ("iteration", "seconds", "sums"))
        self._rows = [(int(n), float(second), row) for n, second, row in zip(*columns, strict=True)]
        self._seconds = float(memory[_PREFIX + "clock"][0])

    def trace(self, volume: IntensityVolume, symmetrized: bool) -> IterateTrace:
        """Return the trace of a reconstruction whose iterates, averaged or not, are known where ``volume`` has weight.

        Raises
        ------
        DataError
            If no iterate was traced.
        """
        iteration, seconds, sums = self._columns()
        return self._peaks.trace(iteration.astype(np.int64), seconds, sums, volume, symmetrized)

    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        iteration = np.array([row[0] for row in self._rows], dtype=np.float64)
        seconds = np.array([row[1] for row in self._rows])
        sums = np.array([row[2] for row in self._rows]).reshape(len(self._rows), len(self._peaks.hkl))
        return iteration, seconds, sums


def without_trace(memory: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return what the iteration itself keeps."""
    return {name: values for name, values in memory.items() if not name.startswith(_PREFIX)}
