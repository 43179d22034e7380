"""Peaks as a CrystFEL stream: the text that indexamajig writes for frames it did not index.

Each frame is a chunk with a table ``fs/px ss/px (1/d)/nm^-1 Intensity Panel``; the geometry is written into the head,
as CrystFEL's reader demands. CrystFEL counts pixels from the outer corner of the first one, so our positions, which
count from its centre, grow by a half. 1/d = 2 sin(theta)/wavelength carries no 2π.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray
from scipy import constants

import fewphoton
from fewphoton.data import Beam, Detector, Panel, PeakTable
from fewphoton.errors import DataError
from fewphoton.io.atomic import written_aside
from fewphoton.io.provenance import Provenance

_HC_EV_ANGSTROM = constants.h * constants.c / constants.e * 1e10
_BLOCK = 1_000_000
# CrystFEL reads these as something else than panels.
_RESERVED = ("bad", "group", "rigid_group", "mask", "dim")


def peak_panels_and_q(
    peaks: PeakTable, detector: Detector, beam: Beam
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the panel of each peak and its |q| = 2 sin(theta)/wavelength.

    A centroid that falls into a gap belongs to the panel whose rectangle is nearest.

    Parameters
    ----------
    peaks : PeakTable
        Peaks.
    detector : Detector
        Geometry.
    beam : Beam
        Wavelength and direction.

    Returns
    -------
    panel : ndarray of int32, `(n_peaks,)`
        Number of the panel.
    q_inv_angstrom : ndarray of float64, `(n_peaks,)`
        In 1/angstrom.

    Raises
    ------
    DataError
        If a peak lies outside the frame.
    """
    slow, fast = peaks.slow_px.astype(np.float64), peaks.fast_px.astype(np.float64)
    n_slow, n_fast = detector.frame_shape
    inside = (slow >= -0.5) & (slow <= n_slow - 0.5) & (fast >= -0.5) & (fast <= n_fast - 0.5)
    if not inside.all():
        lost = int(np.flatnonzero(~inside)[0])
        raise DataError(
            f"peak {lost} of frame {peaks.frame[lost]} at slow {slow[lost]}, fast {fast[lost]} lies outside the frame "
            f"of {detector.frame_shape} pixels"
        )
    near_slow = np.clip(np.rint(slow).astype(np.int64), 0, n_slow - 1)
    near_fast = np.clip(np.rint(fast).astype(np.int64), 0, n_fast - 1)
    owner = detector.panel_numbers()[near_slow * n_fast + near_fast]
    in_gap = np.flatnonzero(owner < 0)
    if len(in_gap):
        owner[in_gap] = _nearest_panels(detector, slow[in_gap], fast[in_gap])
    q_inv_angstrom = np.empty(len(peaks))
    for start in range(0, len(peaks), _BLOCK):
        rows = slice(start, start + _BLOCK)
        place = _positions_m(detector, owner[rows], slow[rows], fast[rows])
        outgoing = place / np.linalg.norm(place, axis=1, keepdims=True)
        q_inv_angstrom[rows] = np.linalg.norm(outgoing - beam.direction, axis=1) / beam.wavelength_angstrom
    return owner, q_inv_angstrom


def _positions_m(
    detector: Detector, owner: NDArray[np.int32], slow: NDArray[np.float64], fast: NDArray[np.float64]
) -> NDArray[np.float64]:
    corner, slow_step, fast_step = (
        np.array([getattr(panel, name) for panel in detector.panels])[owner]
        for name in ("corner_m", "slow_step_m", "fast_step_m")
    )
    start = np.array([(panel.slow_start, panel.fast_start) for panel in detector.panels])[owner]
    along_slow, along_fast = slow - start[:, 0] + 0.5, fast - start[:, 1] + 0.5
    return np.asarray(corner + along_slow[:, None] * slow_step + along_fast[:, None] * fast_step)


def _nearest_panels(detector: Detector, slow: NDArray[np.float64], fast: NDArray[np.float64]) -> NDArray[np.int32]:
    distance = [
        np.hypot(
            slow - np.clip(slow, panel.slow_start, panel.slow_start + panel.n_slow - 1),
            fast - np.clip(fast, panel.fast_start, panel.fast_start + panel.n_fast - 1),
        )
        for panel in detector.panels
    ]
    return np.asarray(np.argmin(distance, axis=0), dtype=np.int32)


def crystfel_panel_names(detector: Detector) -> list[str]:
    """Return the panels' names where CrystFEL can take them all, else ``p0``, ``p1``, ..."""
    names = [panel.name for panel in detector.panels]
    plain = all(re.fullmatch(r"[A-Za-z]\w*", name) and not name.startswith(_RESERVED) for name in names)
    return names if plain and len(set(names)) == len(names) else [f"p{number}" for number in range(len(names))]


def crystfel_geometry(detector: Detector, beam: Beam, frames_path: str | None = None) -> str:
    """Return the text of a CrystFEL geometry.

    Parameters
    ----------
    detector : Detector
        Panels; the mask is left to the frames' own file.
    beam : Beam
        Wavelength.
    frames_path : str, optional
        Dataset of the frames `(n_frames, n_slow, n_fast)` inside an HDF5 file that has CXI peaks beside them. Without
        it the geometry is for files of one frame each.
    """
    # CrystFEL has one camera length for all panels; each tells how far it is off.
    distance_m = _camera_length_m(detector.panels)
    lines = [
        f"photon_energy = {_HC_EV_ANGSTROM / beam.wavelength_angstrom:.6f} eV",
        "adu_per_photon = 1",
        f"clen = {distance_m:.12g} m",
    ]
    if frames_path is not None:
        lines += [
            f"data = {frames_path}",
            "dim0 = %",
            "dim1 = ss",
            "dim2 = fs",
            "peak_list = /entry_1/result_1",
            "peak_list_type = cxi",
        ]
    for name, panel in zip(crystfel_panel_names(detector), detector.panels, strict=True):
        size = float(np.linalg.norm(panel.fast_step_m))
        values = {
            "min_fs": panel.fast_start,
            "max_fs": panel.fast_start + panel.n_fast - 1,
            "min_ss": panel.slow_start,
            "max_ss": panel.slow_start + panel.n_slow - 1,
            "res": f"{1.0 / size:.12g}",
            "coffset": f"{panel.corner_m[2] - distance_m:.12f}",
            "corner_x": f"{panel.corner_m[0] / size:.9f}",
            "corner_y": f"{panel.corner_m[1] / size:.9f}",
            "fs": _direction(panel.fast_step_m / size),
            "ss": _direction(panel.slow_step_m / size),
        }
        lines += ["", *(f"{name}/{key} = {value}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def _direction(vector: NDArray[np.float64]) -> str:
    return " ".join(f"{value:+.12f}{axis}" for value, axis in zip(vector, "xyz", strict=True))


def write_crystfel_peak_list(
    path: Path | str,
    peaks: PeakTable,
    n_frames: int,
    detector: Detector,
    beam: Beam,
    provenance: Provenance,
    frames: str | Sequence[str],
) -> None:
    """Write peaks as a CrystFEL stream (format 2.3), one chunk a frame, frames without peaks included.

    Parameters
    ----------
    path : Path or str
        Final name, usually ``.stream``.
    peaks : PeakTable
        Peaks of all frames.
    n_frames : int
        Number of frames.
    detector : Detector
        Geometry; 1/d follows from it.
    beam : Beam
        Wavelength and direction.
    provenance : Provenance
        Record of the making; program, version and stage go into the head.
    frames : str or sequence of str
        ``file.h5::/dataset`` (or one file name) that holds all frames, which makes events ``//0`` and on, or the
        names of ``n_frames`` files of one frame each.

    Raises
    ------
    DataError
        If a peak lies outside the frames or frame, or file names are too few.
    OutputFileError
        If the file cannot be written.
    """
    counts = peaks.counts(n_frames)
    if isinstance(frames, str):
        file, _, inside = frames.partition("::")
        frames_path: str | None = inside or "/entry_1/data_1/data"
        places = [(file, f"//{number}") for number in range(n_frames)]
    else:
        frames_path = None
        places = [(name, "//") for name in frames]
        if len(places) != n_frames:
            raise DataError(f"peak list: {len(places)} file names for {n_frames} frames")
    panel, q_inv_angstrom = peak_panels_and_q(peaks, detector, beam)
    names = crystfel_panel_names(detector)
    first = np.concatenate([[0], np.cumsum(counts)])
    record = provenance.record()
    energy = f"{_HC_EV_ANGSTROM / beam.wavelength_angstrom:.6f}"
    distance = f"{_camera_length_m(detector.panels):.6f}"
    with written_aside(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("CrystFEL stream format 2.3\n")
        stream.write(f"Generated by fewphoton {fewphoton.__version__}\n")
        stream.write(f"{record['program']} {record['stage']}, commit {record['commit']}\n")
        stream.write("----- Begin geometry file -----\n")
        stream.write(crystfel_geometry(detector, beam, frames_path))
        stream.write("----- End geometry file -----\n")
        for number, (file, event) in enumerate(places):
            rows = slice(int(first[number]), int(first[number + 1]))
            head = [
                "----- Begin chunk -----",
                f"Image filename: {file}",
                f"Event: {event}",
                f"Image serial number: {number + 1}",
                f"hit = {int(counts[number] > 0)}",
                "indexed_by = none",
                f"photon_energy_eV = {energy}",
                "beam_divergence = 0.00e+00 rad",
                "beam_bandwidth = 0.00e+00 (fraction)",
                f"average_camera_length = {distance} m",
                f"num_peaks = {counts[number]}",
            ]
            stream.write("\n".join(head) + "\n")
            _write_peaks(stream, peaks, rows, q_inv_angstrom, [names[n] for n in panel[rows]])
            stream.write("----- End chunk -----\n")


def _camera_length_m(panels: Sequence[Panel]) -> float:
    return float(np.mean([panel.corner_m[2] for panel in panels]))


def _write_peaks(
    stream: TextIO, peaks: PeakTable, rows: slice, q_inv_angstrom: NDArray[np.float64], names: list[str]
) -> None:
    stream.write("Peaks from peak search\n  fs/px   ss/px (1/d)/nm^-1   Intensity  Panel\n")
    columns = (peaks.fast_px[rows] + 0.5, peaks.slow_px[rows] + 0.5, 10.0 * q_inv_angstrom[rows], peaks.intensity[rows])
    for fast, slow, inverse_nm, intensity, name in zip(*columns, names, strict=True):
        stream.write(f"{fast:7.2f} {slow:7.2f} {inverse_nm:10.2f}  {intensity:10.2f}   {name}\n")
    stream.write("End of peak list\n")
