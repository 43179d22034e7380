"""Dense frames in the layouts of the field: LImA, NXmx, miniCBF, each written as a stream of frames."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Protocol

from numpy.typing import ArrayLike, DTypeLike, NDArray

from fewphoton.data import Beam, Detector, FrameTable
from fewphoton.io.dense_cbf import write_dense_cbf
from fewphoton.io.dense_hdf5 import write_dense_lima
from fewphoton.io.dense_nxmx import Sensor, write_dense_nxmx
from fewphoton.io.provenance import Provenance

__all__ = ["DenseLayout", "Sensor", "write_dense_cbf", "write_dense_frames", "write_dense_lima", "write_dense_nxmx"]

DenseLayout = Literal["lima", "nxmx", "cbf"]


class DenseFrameWriter(Protocol):
    """What every layout offers."""

    def append(self, frames: NDArray[Any]) -> None:
        """Add the next frames, `(k, n_slow, n_fast)`."""


@contextlib.contextmanager
def write_dense_frames(
    path: Path | str,
    layout: DenseLayout,
    detector: Detector,
    beam: Beam,
    dtype: DTypeLike,
    n_frames: int,
    provenance: Provenance,
    *,
    table: FrameTable | None = None,
    rotation_axis: ArrayLike | None = None,
    sensor: Sensor | None = None,
    threads: int = 1,
) -> Iterator[DenseFrameWriter]:
    """Open dense frames for writing in one of the layouts; they take their final name when the block ends well.

    Parameters
    ----------
    path : Path or str
        File (``lima``, ``nxmx``) or folder (``cbf``).
    layout : {"lima", "nxmx", "cbf"}
        See :func:`write_dense_lima`, :func:`write_dense_nxmx` and :func:`write_dense_cbf`, also for the other
        parameters and the errors. ``rotation_axis`` goes into ``nxmx``, ``sensor`` into ``nxmx`` and ``cbf``;
        ``threads`` encode the HDF5 layouts, FabIO's CBF encoder runs in one.
    """
    writer: contextlib.AbstractContextManager[DenseFrameWriter]
    common = (path, detector, beam, dtype, n_frames, provenance)
    if layout == "lima":
        writer = write_dense_lima(*common, table=table, threads=threads)
    elif layout == "nxmx":
        writer = write_dense_nxmx(*common, table=table, rotation_axis=rotation_axis, sensor=sensor, threads=threads)
    else:
        writer = write_dense_cbf(*common, table=table, sensor=sensor)
    with writer as open_writer:
        yield open_writer
