"""Sparsified frames in the NeXus layout of pyFAI's ``sparsify-Bragg``, which FabIO and silx open.

Layout::

    /                                    creator = "pyFAI layout by fewphoton …" (FabIO goes by the first letters)
    /entry_0000/sparse_frames            NXdata, the default plot; signal = background_avg
        frame_ptr      (n_frames + 1)    first entry of each frame in index and intensity
        index          uint32            flat pixel numbers, increasing in a frame
        intensity      the frames' type  raw less dark
        background_avg, background_std   float32 (n_frames, n_bins)
        radius         float32 (n_bins)  ring centres; q_A^-1 with 2 pi
        mask           float32           radius of each pixel, NaN where masked
        dummy                            value of gaps and bad reads
        normalization  float32           only where the frames were corrected
    /entry_0000/sparsify                 NXprocess with the configuration as JSON
    /entry_0000/instrument/detector      our geometry as JSON, and the gaps' mask
    /entry_0000/frames                   batch and angles
    /provenance
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike

import fewphoton
from fewphoton.data import AzimuthalBins, Beam, Detector, FrameTable, SparseFrames
from fewphoton.data.azimuthal_bins import RadialUnit
from fewphoton.data.detector import describe, from_description
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import COMPRESSION, created, dataset, opened, store
from fewphoton.io.provenance import Provenance

KIND = "sparse_frames"
_ENTRY = "entry_0000"
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
        file.attrs.update(default=_ENTRY, creator=f"pyFAI layout by fewphoton {fewphoton.__version__}")
        entry = file.create_group(_ENTRY)
        entry.attrs.update(NX_class="NXentry", default="sparse_frames", pyFAI_sparse_frames=f"/{_ENTRY}/sparse_frames")
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
        place = self._file[_ENTRY].create_group("frames")
        for column in fields(FrameTable):
            store(place, column.name, getattr(table, column.name))
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
        entry = file[_ENTRY]
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


@dataclass(frozen=True, eq=False)
class SparseFile:
    """What a file of sparse frames tells beside the frames.

    Parameters
    ----------
    bins : AzimuthalBins
        Rings.
    n_frames : int
        Number of frames.
    dtype : numpy.dtype
        Of the frames.
    config : mapping
        Parameters of the sparsification as far as the file holds them.
    table : FrameTable
        Batch and angles, unknown where the file is another program's.
    geometry : tuple of Detector and Beam, or None
        Where the file is ours.
    """

    bins: AzimuthalBins
    n_frames: int
    dtype: np.dtype[Any]
    config: Mapping[str, Any]
    table: FrameTable
    geometry: tuple[Detector, Beam] | None


class SparseFileReader:
    """Reads sparse frames in pieces. Use :func:`open_sparse_file`."""

    def __init__(self, group: h5py.Group) -> None:
        self._group = group
        self._ptr = dataset(group, "frame_ptr", kind="iu", shape=(None,))[()].astype(np.int64)
        n_frames = len(self._ptr) - 1
        n_hits = int(self._ptr[-1]) if n_frames >= 0 else -1
        if n_frames < 1 or self._ptr[0] != 0 or (np.diff(self._ptr) < 0).any():
            raise InputFileError(group.file.filename, "frame_ptr does not rise from 0", where=f"{group.name}/frame_ptr")
        self._index = dataset(group, "index", kind="iu", shape=(n_hits,))
        self._intensity = dataset(group, "intensity", kind="iuf", shape=(n_hits,))
        radius = dataset(group, "radius", kind="f", shape=(None,))
        self._mean = dataset(group, "background_avg", kind="f", shape=(n_frames, len(radius)))
        self._std = dataset(group, "background_std", kind="f", shape=(n_frames, len(radius)))
        self.file = SparseFile(
            _bins(group, radius),
            n_frames,
            self._intensity.dtype.newbyteorder("="),
            _config(group),
            _table(group, n_frames),
            _geometry(group),
        )

    def read(self, start: int, stop: int) -> SparseFrames:
        """Return frames ``start`` to ``stop - 1``; pixels are sorted in each.

        Raises
        ------
        InputFileError
            If a pixel lies outside the frame or occurs twice, or the background is not finite.
        """
        first, last = int(self._ptr[start]), int(self._ptr[stop])
        indptr = self._ptr[start : stop + 1] - first
        stored = self._index[first:last]
        intensity = self._intensity[first:last].astype(self.file.dtype)
        n_pixels = len(self.file.bins.radius)
        outside = (stored < 0) | (stored >= n_pixels)
        if outside.any():
            raise InputFileError(
                self._group.file.filename,
                f"pixel {stored[outside][0]} lies outside the frame of {n_pixels}",
                where=f"{self._group.name}/index",
            )
        pixel = stored.astype(np.uint32)
        frame = np.repeat(np.arange(stop - start), np.diff(indptr))
        place = frame * n_pixels + pixel
        step = np.diff(place)
        if (step <= 0).any():
            # Other programs leave the pixels of a frame in any order.
            order = np.argsort(place, kind="stable")
            pixel, intensity = pixel[order], intensity[order]
            if (np.diff(place[order]) == 0).any():
                raise InputFileError(
                    self._group.file.filename, "a pixel occurs twice in a frame", where=f"{self._group.name}/index"
                )
        mean, std = self._mean[start:stop], self._std[start:stop]
        for name, curves in (("background_avg", mean), ("background_std", std)):
            if not np.isfinite(curves).all():
                raise InputFileError(
                    self._group.file.filename, "holds values that are not finite", where=f"{self._group.name}/{name}"
                )
        return SparseFrames(indptr, pixel, intensity, mean, std)


@contextlib.contextmanager
def open_sparse_file(path: Path | str) -> Iterator[SparseFileReader]:
    """Open sparse frames of ours or of pyFAI.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign or inconsistent.
    """
    with opened(path) as file:
        entry = file.get(str(file.attrs.get("default", _ENTRY)))
        name = entry.attrs.get("pyFAI_sparse_frames", "sparse_frames") if isinstance(entry, h5py.Group) else None
        group = entry.get(str(name)) if name is not None else None
        if not isinstance(group, h5py.Group) or "frame_ptr" not in group:
            raise InputFileError(
                path, "holds no sparse frames", expected="the layout of sparsify-Bragg (frame_ptr, index, intensity)"
            )
        yield SparseFileReader(group)


def _bins(group: h5py.Group, radius: h5py.Dataset) -> AzimuthalBins:
    centres = radius[()].astype(np.float64)
    image = dataset(group, "mask", kind="f", shape=(None, None))
    label = str(radius.attrs.get("long_name", "")) + str(radius.attrs.get("unit", ""))
    per_length = "q" in label or "angstrom" in label.lower()
    if not per_length and label and "m" not in label:
        raise InputFileError(
            group.file.filename, "unknown unit of the radius", where=radius.name, expected="m or q_A^-1", found=label
        )
    scale = 1.0
    if per_length:
        scale = 2 * math.pi * (10.0 if "nm" in label else 1.0)
    elif "mm" in label:
        scale = 1e3
    if not len(centres) or not np.isfinite(centres).all() or (np.diff(centres) <= 0).any():
        raise InputFileError(group.file.filename, "does not rise", where=radius.name, expected="ring centres")
    centres = centres / scale
    step = (centres[-1] - centres[0]) / (len(centres) - 1) if len(centres) > 1 else max(abs(centres[0]), 1e-9)
    edges = centres[0] + step * (np.arange(len(centres) + 1) - 0.5)
    values = image[()].astype(np.float64) / scale
    with np.errstate(invalid="ignore"):
        ring = np.clip(np.floor((values - edges[0]) / step), 0, len(centres) - 1)
    known = np.isfinite(values)
    bins = np.where(known, np.where(known, ring, 0), len(centres)).astype(np.uint16)
    norm = None
    if "normalization" in group:
        norm = dataset(group, "normalization", kind="f", shape=image.shape)[()].astype(np.float32)
        # Masked pixels may hold anything here.
        norm = np.where(known, norm, np.float32(1)).ravel()
    unit: RadialUnit = "q_inv_angstrom" if per_length else "r_m"
    shape = (image.shape[0], image.shape[1])
    try:
        return AzimuthalBins(shape, unit, edges, values.astype(np.float32).ravel(), bins.ravel(), norm)
    except DataError as error:
        raise InputFileError(group.file.filename, str(error), where=group.name) from error


def _config(group: h5py.Group) -> dict[str, Any]:
    item = group.parent.get("sparsify/configuration/data")
    if not isinstance(item, h5py.Dataset):
        return {}
    try:
        return dict(json.loads(item.asstr()[()]).get("sparsify", {}))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputFileError(
            group.file.filename, f"the configuration cannot be read as JSON: {error}", where=item.name
        ) from error


def _table(group: h5py.Group, n_frames: int) -> FrameTable:
    place = group.parent.get("frames")
    if not isinstance(place, h5py.Group):
        return FrameTable.unknown(n_frames)
    columns = {
        column.name: dataset(place, column.name, kind="iuf", shape=(n_frames,))[()] for column in fields(FrameTable)
    }
    return FrameTable(**columns)


def _geometry(group: h5py.Group) -> tuple[Detector, Beam] | None:
    place = group.parent.get("instrument/detector")
    if not isinstance(place, h5py.Group) or "description" not in place or "digest" not in place.attrs:
        return None
    try:
        detector, beam = from_description(json.loads(place["description"].asstr()[()]))
    except ValueError as error:
        raise InputFileError(group.file.filename, f"the geometry is no JSON: {error}", where=place.name) from error
    masked = dataset(place, "masked", kind="b", shape=detector.frame_shape)[()].ravel()
    return detector.with_mask(masked), beam
