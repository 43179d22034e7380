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
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fewphoton.data import AzimuthalBins, Beam, Detector, FrameTable, SparseFrames
from fewphoton.data.azimuthal_bins import RadialUnit
from fewphoton.data.detector import from_description
from fewphoton.errors import DataError, GeometryError, InputFileError
from fewphoton.io.frame_table import FrameTableReader
from fewphoton.io.hdf5 import dataset, opened, text
from fewphoton.io.parsed_text import parsed_json
from fewphoton.io.sparse_nexus_writer import ENTRY, KIND, write_sparse_file

__all__ = ["KIND", "SparseFile", "SparseFileReader", "open_sparse_file", "write_sparse_file"]


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
    gap : int or float, or None
        Value of bad reads, where the file is ours; other programs do not keep them.
    """

    bins: AzimuthalBins
    n_frames: int
    dtype: np.dtype[Any]
    config: Mapping[str, Any]
    table: FrameTable
    geometry: tuple[Detector, Beam] | None
    gap: int | float | None


class SparseFileReader:
    """Reads sparse frames in pieces. Use :func:`open_sparse_file`."""

    def __init__(self, group: h5py.Group) -> None:
        self._group = group
        self._ptr = dataset(group, "frame_ptr", kind="iu", shape=(None,))[()].astype(np.int64)
        n_frames = len(self._ptr) - 1
        if n_frames < 1:
            raise InputFileError(group.file.filename, "holds no frames", where=f"{group.name}/frame_ptr")
        n_hits = int(self._ptr[-1])
        if self._ptr[0] != 0 or (np.diff(self._ptr) < 0).any():
            raise InputFileError(group.file.filename, "frame_ptr does not rise from 0", where=f"{group.name}/frame_ptr")
        self._index = dataset(group, "index", kind="iu", shape=(n_hits,))
        self._intensity = dataset(group, "intensity", kind="iuf", shape=(n_hits,))
        radius = dataset(group, "radius", kind="f", shape=(None,))
        self._mean = dataset(group, "background_avg", kind="f", shape=(n_frames, len(radius)))
        self._std = dataset(group, "background_std", kind="f", shape=(n_frames, len(radius)))
        geometry = _geometry(group)
        self.file = SparseFile(
            _bins(group, radius),
            n_frames,
            self._intensity.dtype.newbyteorder("="),
            _config(group),
            _table(group, n_frames),
            geometry,
            None if geometry is None else dataset(group, "dummy", kind="iuf", shape=())[()].item(),
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
        entry = file.get(str(file.attrs.get("default", ENTRY)))
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
    label = " ".join(str(radius.attrs.get(name, "")) for name in ("long_name", "unit")).strip()
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
    if not len(centres) or not np.isfinite(centres).all() or not (np.diff(centres) > 0).all():
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
    content = parsed_json(text(group.parent, "sparsify/configuration/data"), group.file.filename, item.name)
    found = content.get("sparsify", {}) if isinstance(content, dict) else None
    if not isinstance(found, dict):
        raise InputFileError(group.file.filename, "is no configuration", where=item.name, expected="a JSON object")
    return found


def _table(group: h5py.Group, n_frames: int) -> FrameTable:
    place = group.parent.get("frames")
    if not isinstance(place, h5py.Group):
        return FrameTable.unknown(n_frames)
    return FrameTableReader(group.parent, "frames", n_frames).read()


def _geometry(group: h5py.Group) -> tuple[Detector, Beam] | None:
    place = group.parent.get("instrument/detector")
    if not isinstance(place, h5py.Group) or "description" not in place or "digest" not in place.attrs:
        return None
    path = group.file.filename
    try:
        detector, beam = from_description(parsed_json(text(place, "description"), path, place.name))
    except GeometryError as error:
        raise InputFileError(path, str(error), where=place.name) from error
    masked = dataset(place, "masked", kind="b", shape=detector.frame_shape)[()].ravel()
    return detector.with_mask(masked), beam
