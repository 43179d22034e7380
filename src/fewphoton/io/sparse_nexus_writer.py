"""Writing sparsified frames in pyFAI's NeXus layout; see :mod:`fewphoton.io.sparse_nexus`."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike

import fewphoton
from fewphoton.data import AzimuthalBins, Beam, Detector, FrameTable, SparseFrames
from fewphoton.data.azimuthal_bins import RadialUnit
from fewphoton.data.detector import describe
from fewphoton.errors import DataError
from fewphoton.io.frame_table import write_frame_table
from fewphoton.io.hdf5 import COMPRESSION, created, store
from fewphoton.io.provenance import Provenance

KIND = "sparse_frames"
ENTRY = "entry_0000"
_CHUNK = 1 << 18
_UNITS: dict[RadialUnit, tuple[str, float]] = {"r_m": ("m", 1.0), "q_inv_angstrom": ("1/angstrom", 2 * math.pi)}
_INDEX_LIMIT = 2**32 - 1


class SparseFrameWriter:
    """Appends sparse frames to a file that takes its final name when all is written. Use :func:`write_sparse_file`."""

    def __init__(self, file: h5py.File, bins: AzimuthalBins, dtype: np.dtype[Any], gap: int | float) -> None:
        self._file = file
        self._n_bins = bins.n_bins
        self._dtype = dtype
        self._ptr = [0]
        file.attrs.update(default=ENTRY, creator=f"pyFAI layout by fewphoton {fewphoton.__version__}")
        entry = file.create_group(ENTRY)
        entry.attrs.update(NX_class="NXentry", default="sparse_frames", pyFAI_sparse_frames=f"/{ENTRY}/sparse_frames")
        entry["program_name"] = "fewphoton"
        self._group = group = entry.create_group("sparse_frames")
        group.attrs.update(NX_class="NXdata", signal="background_avg", axes=[".", "radius"])
        hits = {"shape": (0,), "maxshape": (None,), "chunks": (_CHUNK,), **COMPRESSION}
        self._index = group.create_dataset("index", dtype="<u4", **hits)
        self._intensity = group.create_dataset("intensity", dtype=dtype, **hits)
        rows = max(1, _CHUNK // (4 * bins.n_bins))
        curves = {
            "shape": (0, bins.n_bins),
            "maxshape": (None, bins.n_bins),
            "chunks": (rows, bins.n_bins),
            **COMPRESSION,
        }
        self._mean = group.create_dataset("background_avg", dtype="<f4", **curves)
        self._std = group.create_dataset("background_std", dtype="<f4", **curves)
        self._mean.attrs.update(interpretation="spectrum", long_name="Average value of background", signal=1)
        self._std.attrs.update(interpretation="spectrum", long_name="Standard deviation of background")
        group["errors"] = self._std
        unit, scale = _UNITS[bins.unit]
        name = {"m": "r_m", "1/angstrom": "q_A^-1"}[unit]
        radius = store(group, "radius", (bins.centres * scale).astype(np.float32), unit=unit, units=unit)
        radius.attrs.update(interpretation="scalar", long_name=name)
        image = (bins.radius.astype(np.float64) * scale).astype(np.float32).reshape(bins.frame_shape)
        store(group, "mask", image, unit=unit, units=unit, interpretation="image")
        group["dummy"] = dtype.type(gap)
        if bins.normalization is not None:
            store(group, "normalization", bins.normalization.reshape(bins.frame_shape), interpretation="image")

    @property
    def frame_bytes(self) -> int:
        """Bytes in the file that grow with the number of frames: pixels, intensities, curves."""
        items = (self._index, self._intensity, self._mean, self._std)
        return sum(int(item.id.get_storage_size()) for item in items)

    def append(self, frames: SparseFrames) -> None:
        """Add the next frames.

        Raises
        ------
        DataError
            If the type or the number of rings differ from the file's.
        """
        if frames.intensity.dtype != self._dtype or frames.background_mean.shape[1] != self._n_bins:
            raise DataError(
                f"sparse frames: expected {self._dtype} and {self._n_bins} rings, found {frames.intensity.dtype} and "
                f"{frames.background_mean.shape[1]}"
            )
        for item, values in (
            (self._index, frames.pixel),
            (self._intensity, frames.intensity),
            (self._mean, frames.background_mean),
            (self._std, frames.background_std),
        ):
            held = len(item)
            item.resize(held + len(values), axis=0)
            item[held:] = values
        self._ptr += (frames.indptr[1:] + self._ptr[-1]).tolist()

    def close(self, table: FrameTable, provenance: Provenance) -> None:
        """Write what is known only at the end."""
        if len(table) != len(self._ptr) - 1:
            raise DataError(f"{len(self._ptr) - 1} sparse frames were written for a table of {len(table)} rows")
        # FabIO wants 32 bits; beyond them only we can read the file, which is better than a wrong one.
        wide = self._ptr[-1] > _INDEX_LIMIT
        store(self._group, "frame_ptr", np.array(self._ptr, dtype=np.uint64 if wide else np.uint32))
        write_frame_table(self._file[ENTRY].create_group("frames"), table)
        provenance.write(self._file, KIND)


@contextlib.contextmanager
def write_sparse_file(
    path: Path | str,
    bins: AzimuthalBins,
    detector: Detector,
    beam: Beam,
    dtype: DTypeLike,
    gap: int | float,
    table: FrameTable,
    provenance: Provenance,
    source_links: Sequence[str] = (),
) -> Iterator[SparseFrameWriter]:
    """Open a file of sparse frames for writing; it appears under ``path`` only when the block ends well.

    Parameters
    ----------
    path : Path or str
        Final name.
    bins : AzimuthalBins
        Rings; their mask is that of the frames.
    detector, beam
        Geometry.
    dtype : data type
        Of the frames.
    gap : int or float
        Value of gaps and bad reads.
    table : FrameTable
        A row a frame.
    provenance : Provenance
        Record; its ``config`` goes into the layout's place for it as well.
    source_links : sequence of str
        Raw frames as ``file.h5::/dataset``, linked in order for programs that need them.
    """
    with created(path) as file:
        writer = SparseFrameWriter(file, bins, np.dtype(dtype), gap)
        entry = file[ENTRY]
        process = entry.create_group("sparsify")
        process.attrs["NX_class"] = "NXprocess"
        process["program"], process["version"] = "fewphoton", fewphoton.__version__
        note = process.create_group("configuration")
        note.attrs["NX_class"] = "NXnote"
        note["type"] = "text/json"
        content = {"sparsify": dict(provenance.config), "geometry": _poni(detector, beam)}
        note["data"] = json.dumps(content, sort_keys=True)
        instrument = entry.create_group("instrument")
        instrument.attrs["NX_class"] = "NXinstrument"
        place = instrument.create_group("detector")
        place.attrs.update(NX_class="NXdetector", digest=detector.digest())
        place["description"] = json.dumps(describe(detector, beam), sort_keys=True)
        store(place, "masked", detector.masked.reshape(detector.frame_shape))
        if source_links:
            _link(entry, Path(path), source_links)
        yield writer
        writer.close(table, provenance)


def _link(entry: h5py.Group, path: Path, links: Sequence[str]) -> None:
    group = entry.create_group("data")
    group.attrs["NX_class"] = "NXdata"
    for number, link in enumerate(links):
        name, separator, inside = link.partition("::")
        if separator:
            relative = os.path.relpath(Path(name).resolve(), path.resolve().parent)
            group[f"data_{number + 1:04d}"] = h5py.ExternalLink(relative, inside)


def _poni(detector: Detector, beam: Beam) -> dict[str, Any] | None:
    """Return pyFAI's description of a single panel across the beam; None for what it cannot describe."""
    panel = detector.panels[0]
    slow_size, fast_size = (float(np.linalg.norm(step)) for step in (panel.slow_step_m, panel.fast_step_m))
    # pyFAI's axes 1 and 2 are our y and -x; orientation 2 has its first pixel at the top right seen from the sample.
    towards = (np.sign(panel.slow_step_m[1]), np.sign(-panel.fast_step_m[0]))
    straight = np.allclose(
        [panel.slow_step_m, panel.fast_step_m],
        [[0, towards[0] * slow_size, 0], [-towards[1] * fast_size, 0, 0]],
        atol=1e-9 * slow_size,
    )
    if len(detector.panels) != 1 or not straight or not np.allclose(beam.direction, [0, 0, 1]):
        return None
    orientation = {(-1, -1): 1, (-1, 1): 2, (1, 1): 3, (1, -1): 4}[int(towards[0]), int(towards[1])]
    first, second = float(panel.corner_m[1]), float(-panel.corner_m[0])
    return {
        "poni_version": 2.1,
        "detector": "Detector",
        "detector_config": {
            "pixel1": slow_size,
            "pixel2": fast_size,
            "max_shape": list(detector.frame_shape),
            "orientation": orientation,
        },
        "dist": float(panel.corner_m[2]),
        "poni1": -first if towards[0] > 0 else panel.n_slow * slow_size - first,
        "poni2": -second if towards[1] > 0 else panel.n_fast * fast_size - second,
        "rot1": 0.0,
        "rot2": 0.0,
        "rot3": 0.0,
        "wavelength": float(beam.wavelength_angstrom) * 1e-10,
    }
