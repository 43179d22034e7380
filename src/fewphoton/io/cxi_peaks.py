"""Peaks as CXI, the layout that CrystFEL reads with ``--peaks=cxi``.

Layout::

    /                      cxi_version = 160, default = entry_1
    /entry_1/result_1      NXdata, the default plot; signal = nPeaks
        nPeaks             int32   (n_frames)
        peakXPosRaw        float32 (n_frames, max_peaks)  fast, in pixels from the centre of the first one; zero padded
        peakYPosRaw        the same for slow
        peakTotalIntensity, peakSNR, peakSigma      float32 (n_frames, max_peaks)
        peakNPixels        int32   (n_frames, max_peaks)
        peakSaturated      uint8   (n_frames, max_peaks)
    /entry_1/powder_1      NXdata: intensity of all peaks over q_A^-1 (with 2π, as pyFAI has it) and d_A
    /entry_1/instrument_1  detector_1 (distance, pixel sizes, mask, corner_position, basis_vectors), beam_1
    /entry_1/data_1/data   link to the frames, one row of the result a frame
    /provenance

Arrays are deflated: every HDF5 library can read that without plugins. CrystFEL adds the half pixel between its
convention and ours by itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Beam, Detector, Panel, PeakTable
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.crystfel_peak_list import peak_panels_and_q
from fewphoton.io.dense_nxmx import direct_beam
from fewphoton.io.hdf5 import created, dataset, opened
from fewphoton.io.provenance import Provenance

KIND = "cxi_peaks"
RESULT = "entry_1/result_1"
_VERSION = 160
_POWDER_BINS = 800
_CHUNK_BYTES = 256 * 1024
_DEFLATE: dict[str, Any] = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
_NEEDED = {"peakXPosRaw": "fast_px", "peakYPosRaw": "slow_px", "peakTotalIntensity": "intensity"}
_TYPES = {
    "peakXPosRaw": "<f4",
    "peakYPosRaw": "<f4",
    "peakTotalIntensity": "<f4",
    "peakSNR": "<f4",
    "peakSigma": "<f4",
    "peakNPixels": "<i4",
    "peakSaturated": "u1",
}


def write_cxi_peaks(
    path: Path | str,
    peaks: PeakTable,
    n_frames: int,
    detector: Detector,
    beam: Beam,
    provenance: Provenance,
    frames_link: str | Sequence[str] | None = None,
) -> None:
    """Write peaks.

    Parameters
    ----------
    path : Path or str
        Final name, ``.cxi`` for CrystFEL.
    peaks : PeakTable
        Peaks of all frames.
    n_frames : int
        Number of frames.
    detector : Detector
        Geometry and mask.
    beam : Beam
        Wavelength and direction.
    provenance : Provenance
        Record of the making.
    frames_link : str or sequence of str, optional
        ``file.h5::/dataset`` of the frames: one becomes an external link, several a virtual dataset of them all.
        CrystFEL wants frames and peaks in one file, and so it finds them.

    Raises
    ------
    DataError
        If a peak lies outside the frames or the frame, or a value is not finite.
    InputFileError
        If linked frames are missing or not ``n_frames``.
    OutputFileError
        If the file cannot be written.
    """
    counts = peaks.counts(n_frames)
    for name in ("slow_px", "fast_px", "intensity"):
        if not np.isfinite(getattr(peaks, name)).all():
            raise DataError(f"peak table: {name} holds values that are not finite")
    _, q_inv_angstrom = peak_panels_and_q(peaks, detector, beam)
    with created(path) as file:
        file.attrs["default"] = "entry_1"
        file["cxi_version"] = _VERSION
        provenance.write(file, KIND)
        entry = _group(file, "entry_1", "NXentry")
        entry.attrs["default"] = "result_1"
        _write_result(_group(entry, "result_1", "NXdata"), peaks, counts)
        _write_powder(_group(entry, "powder_1", "NXdata"), peaks, q_inv_angstrom, detector, beam)
        _write_instrument(_group(entry, "instrument_1", "NXinstrument"), detector, beam)
        if frames_link is not None:
            links = [frames_link] if isinstance(frames_link, str) else list(frames_link)
            data = _group(entry, "data_1", "NXdata")
            data.attrs["signal"] = "data"
            _link_frames(data, links, n_frames, Path(path).absolute().parent)


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def _write_result(group: h5py.Group, peaks: PeakTable, counts: NDArray[np.int64]) -> None:
    group.attrs["signal"] = "nPeaks"
    item = group.create_dataset("nPeaks", data=counts.astype(np.int32))
    item.attrs.update(interpretation="spectrum", long_name="number of peaks")
    n_frames, width = len(counts), max(1, int(counts.max(initial=0)))
    rows_a_block = max(1, min(n_frames, _CHUNK_BYTES // (4 * width)))
    # A sigma of zero says that it is unknown: no ratio can be told then.
    known = peaks.sigma > 0
    ratio = np.divide(peaks.intensity, peaks.sigma, out=np.zeros_like(peaks.intensity), where=known)
    columns = {
        "peakXPosRaw": peaks.fast_px,
        "peakYPosRaw": peaks.slow_px,
        "peakTotalIntensity": peaks.intensity,
        "peakSNR": ratio,
        "peakSigma": peaks.sigma,
        "peakNPixels": peaks.n_pixels,
        "peakSaturated": peaks.saturated,
    }
    filters = {"chunks": (rows_a_block, width), **_DEFLATE} if n_frames else {}
    first = np.concatenate([[0], np.cumsum(counts)])
    for name, values in columns.items():
        table = group.create_dataset(name, shape=(n_frames, width), dtype=_TYPES[name], **filters)
        if name in ("peakXPosRaw", "peakYPosRaw"):
            table.attrs["units"] = "pixel"
        for start, stop in _blocks(n_frames, rows_a_block):
            padded = np.zeros((stop - start, width), dtype=_TYPES[name])
            padded[np.arange(width) < counts[start:stop, None]] = values[first[start] : first[stop]]
            table[start:stop] = padded


def _blocks(n_rows: int, size: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n_rows, size):
        yield start, min(start + size, n_rows)


def _write_powder(
    group: h5py.Group, peaks: PeakTable, q_inv_angstrom: NDArray[np.float64], detector: Detector, beam: Beam
) -> None:
    # On a plane the scattering angle is largest at a corner.
    corners = np.concatenate([_outer_corners(panel) for panel in detector.panels])
    outgoing = corners / np.linalg.norm(corners, axis=1, keepdims=True)
    q_max = float(np.linalg.norm(outgoing - beam.direction, axis=1).max()) / beam.wavelength_angstrom
    intensity, edges = np.histogram(q_inv_angstrom, bins=_POWDER_BINS, range=(0.0, q_max), weights=peaks.intensity)
    q_two_pi = np.pi * (edges[1:] + edges[:-1])
    group.attrs.update(signal="I", axes="q_A^-1")
    group.create_dataset("I", data=intensity).attrs["long_name"] = "intensity of all peaks"
    group.create_dataset("q_A^-1", data=q_two_pi).attrs.update(units="1/angstrom", long_name="4 pi sin(theta)/lambda")
    group.create_dataset("d_A", data=2.0 * np.pi / q_two_pi).attrs.update(units="angstrom", long_name="d spacing")


def _outer_corners(panel: Panel) -> NDArray[np.float64]:
    slow, fast = np.array([0, 0, panel.n_slow, panel.n_slow]), np.array([0, panel.n_fast, 0, panel.n_fast])
    return np.asarray(panel.corner_m + slow[:, None] * panel.slow_step_m + fast[:, None] * panel.fast_step_m)


def _quantity(group: h5py.Group, name: str, value: Any, units: str) -> None:
    group.create_dataset(name, data=value).attrs["units"] = units


def _write_instrument(group: h5py.Group, detector: Detector, beam: Beam) -> None:
    group["name"] = "instrument_1"
    place = _group(group, "detector_1", "NXdetector")
    place["description"] = f"{len(detector.panels)} panels in frames of {detector.frame_shape} pixels"
    first = detector.panels[0]
    meeting = direct_beam(detector, beam)
    if meeting is not None:
        _quantity(place, "distance", meeting.distance_m, "m")
        _quantity(place, "beam_center_x", meeting.fast_px, "pixel")
        _quantity(place, "beam_center_y", meeting.slow_px, "pixel")
    _quantity(place, "x_pixel_size", float(np.linalg.norm(first.fast_step_m)), "m")
    _quantity(place, "y_pixel_size", float(np.linalg.norm(first.slow_step_m)), "m")
    masked = detector.masked.reshape(detector.frame_shape).astype(np.int8)
    place.create_dataset("mask", data=masked, chunks=masked.shape, **_DEFLATE)
    _quantity(place, "corner_position", np.array([panel.corner_m for panel in detector.panels]), "m")
    steps = np.array([(panel.slow_step_m, panel.fast_step_m) for panel in detector.panels])
    _quantity(place, "basis_vectors", steps, "m")
    if len(detector.panels) == 1:
        geometry = _group(place, "geometry_1", "NXgeometry")
        _quantity(geometry, "translation", first.corner_m, "m")
        geometry["orientation"] = np.concatenate(
            [v / np.linalg.norm(v) for v in (first.fast_step_m, first.slow_step_m)]
        )
    wave = _group(group, "beam_1", "NXbeam")
    _quantity(wave, "incident_wavelength", beam.wavelength_angstrom * 1e-10, "m")


def _link_frames(group: h5py.Group, links: list[str], n_frames: int, folder: Path) -> None:
    """Link frames by paths relative to the peak file, so that both can be moved together."""
    places, shapes, dtypes = [], [], []
    for link in links:
        name, separator, inside = link.partition("::")
        if not separator or not inside:
            raise InputFileError(
                name, "the frames' dataset is not named", expected="file.h5::/path/to/data", found=link
            )
        with opened(name) as source:
            item = dataset(source, inside, kind="iuf")
            if item.ndim < 3:
                raise InputFileError(name, "holds no stack of frames", where=inside, found=item.shape)
            places.append((os.path.relpath(Path(name).absolute(), folder), inside))
            shapes.append(item.shape)
            dtypes.append(item.dtype)
    found = sum(shape[0] for shape in shapes)
    if found != n_frames or len({shape[1:] for shape in shapes}) != 1 or len(set(dtypes)) != 1:
        raise InputFileError(
            links[0].partition("::")[0],
            "linked frames do not fit the peaks",
            expected=f"{n_frames} frames of one shape and type",
            found=f"{found} frames in {', '.join(f'{d} {s}' for d, s in zip(dtypes, shapes, strict=True))}",
        )
    if len(places) == 1:
        group["data"] = h5py.ExternalLink(*places[0])
        return
    layout = h5py.VirtualLayout((n_frames, *shapes[0][1:]), dtypes[0])
    start = 0
    for (name, inside), shape in zip(places, shapes, strict=True):
        layout[start : start + shape[0]] = h5py.VirtualSource(name, inside, shape, dtypes[0])
        start += shape[0]
    group.create_virtual_dataset("data", layout)


def read_cxi_peaks(path: Path | str, result: str = RESULT) -> tuple[PeakTable, int]:
    """Read peaks from a CXI file, ours or another program's (pyFAI, Cheetah, OM).

    Where a file has no sigma it follows from intensity and peakSNR, and is 0 where that tells nothing; pixels are 0 and
    saturation is False where the file is silent.

    Parameters
    ----------
    path : Path or str
        File.
    result : str
        Group of the peaks.

    Returns
    -------
    peaks : PeakTable
        Peaks in the order of the file.
    n_frames : int
        Number of frames.

    Raises
    ------
    InputFileError
        If a dataset is missing, has the wrong type or shape, counts and rows disagree, or values are impossible.
    """
    with opened(path) as file:
        group = file.get(result)
        if not isinstance(group, h5py.Group):
            raise InputFileError(path, "group is missing", where=result, found=", ".join(file) or "nothing")
        counts = dataset(group, "nPeaks", kind="iu", shape=(None,))[()].astype(np.int64)
        tables = {name: dataset(group, name, kind="iuf", shape=(len(counts), None)) for name in _NEEDED}
        optional = set(_TYPES) - set(_NEEDED)
        tables |= {name: dataset(group, name, kind="iufb", shape=(len(counts), None)) for name in optional & set(group)}
        widths = [item.shape[1] for item in tables.values()]
        if (counts < 0).any() or counts.max(initial=0) > min(widths):
            raise InputFileError(
                path,
                "numbers of peaks do not fit the tables",
                where=f"{result}/nPeaks",
                expected=f"0 to {min(widths)}",
                found=f"{counts.min(initial=0)} to {counts.max(initial=0)}",
            )
        values = {name: _unpadded(item, counts) for name, item in tables.items()}
    columns: dict[str, Any] = {column: values[name] for name, column in _NEEDED.items()}
    for name, column in _NEEDED.items():
        if not np.isfinite(columns[column]).all():
            raise InputFileError(path, "holds values that are not finite", where=f"{result}/{name}")
    columns["sigma"] = _sigma(values, columns["intensity"])
    n_peaks = int(counts.sum())
    columns["n_pixels"] = values.get("peakNPixels", np.zeros(n_peaks)).astype(np.int32)
    columns["saturated"] = values.get("peakSaturated", np.zeros(n_peaks)).astype(bool)
    try:
        return PeakTable(frame=np.repeat(np.arange(len(counts)), counts), **columns), len(counts)
    except DataError as error:
        raise InputFileError(path, str(error), where=result) from error


def _unpadded(item: h5py.Dataset, counts: NDArray[np.int64]) -> NDArray[Any]:
    """Return the stored values of all frames, one after the other, without the padding."""
    width = item.shape[1]
    parts = [np.empty(0, dtype=item.dtype)]
    for start, stop in _blocks(len(counts), max(1, 64 * _CHUNK_BYTES // max(1, 4 * width))):
        parts.append(item[start:stop][np.arange(width) < counts[start:stop, None]])
    return np.concatenate(parts)


def _sigma(values: dict[str, NDArray[Any]], intensity: NDArray[Any]) -> NDArray[np.float32]:
    if "peakSigma" in values:
        return np.asarray(values["peakSigma"], dtype=np.float32)
    sigma = np.zeros(len(intensity), dtype=np.float32)
    if "peakSNR" in values:
        ratio = values["peakSNR"].astype(np.float64)
        usable = np.isfinite(ratio) & (ratio != 0)
        sigma[usable] = np.abs(intensity[usable] / ratio[usable])
    return sigma
