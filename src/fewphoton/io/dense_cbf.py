"""Dense frames as one miniCBF a frame, with the header of a Pilatus.

The header tells a flat detector normal to the beam, rows running down and columns to the right as seen from the
sample. There is no mask in it: as Pilatus files have it, pixels of gaps hold -1 and other masked ones -2.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fabio.cbfimage
import numpy as np
from numpy.typing import DTypeLike, NDArray

import fewphoton
from fewphoton.data import Beam, Detector, FrameTable
from fewphoton.errors import DataError, GeometryError, OutputFileError
from fewphoton.io.dense_hdf5 import check_frames
from fewphoton.io.dense_nxmx import Sensor
from fewphoton.io.provenance import Provenance

GAP_VALUE, MASKED_VALUE = -1, -2
_TOLERANCE_M = 1e-6
_LARGEST = np.iinfo(np.int32).max


class CbfWriter:
    """Writes frames to numbered files. Use :func:`write_dense_cbf`."""

    def __init__(
        self,
        folder: Path,
        stem: str,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        lines: list[str],
        table: FrameTable | None,
        detector: Detector,
    ) -> None:
        self._folder, self._stem, self._shape, self._dtype = folder, stem, shape, dtype
        self._lines, self._table = lines, table
        gaps = (detector.panel_numbers() < 0).reshape(detector.frame_shape)
        self._masked = detector.masked.reshape(detector.frame_shape)
        self._fill = np.where(gaps, GAP_VALUE, MASKED_VALUE)[self._masked].astype(np.int32)
        self._written = 0

    def append(self, frames: NDArray[Any]) -> None:
        """Write the next frames, `(k, n_slow, n_fast)`, as 32-bit integers; masked pixels get -1 or -2.

        Raises
        ------
        DataError
            If shape or type differ from what was announced, or a count exceeds 2³¹ - 1.
        """
        check_frames(frames, self._written, self._shape, self._dtype)
        for frame in frames:
            if self._dtype.itemsize >= 4 and (frame[~self._masked] > _LARGEST).any():
                raise DataError(f"frame {self._written}: a CBF holds counts up to {_LARGEST}; write nxmx or lima")
            values = frame.astype(np.int32)
            values[self._masked] = self._fill
            self._write(values)
            self._written += 1

    def _write(self, values: NDArray[np.int32]) -> None:
        lines = list(self._lines)
        if self._table is not None and np.isfinite(self._table.omega_start_deg[self._written]):
            start = float(self._table.omega_start_deg[self._written])
            lines.append(f"Start_angle {start:.6f} deg.")
            lines.append(f"Angle_increment {float(self._table.omega_end_deg[self._written]) - start:.6f} deg.")
        header = {
            "_array_data.header_convention": "PILATUS_1.2",
            "_array_data.header_contents": "\r\n".join(f"# {line}" for line in lines),
        }
        name = f"{self._stem}_{self._written + 1:05d}.cbf"
        fabio.cbfimage.CbfImage(data=values, header=header).write(str(self._folder / name))

    def finish(self) -> None:
        """Check that all frames were written."""
        if self._written != self._shape[0]:
            raise DataError(f"{self._written} of {self._shape[0]} announced frames were written")


@contextlib.contextmanager
def write_dense_cbf(
    folder: Path | str,
    detector: Detector,
    beam: Beam,
    dtype: DTypeLike,
    n_frames: int,
    provenance: Provenance,
    *,
    table: FrameTable | None = None,
    sensor: Sensor | None = None,
) -> Iterator[CbfWriter]:
    """Open a folder for CBF files ``<folder name>_00001.cbf`` and on, with ``provenance.json`` beside them.

    Parameters
    ----------
    folder : Path or str
        Final name; the folder appears there when the block ends well and takes the place of a former one of this kind.
    detector : Detector
        Flat, normal to the beam; its panels, if several, must lie on one grid of pixels.
    beam : Beam
        Along +z.
    dtype : dtype
        Type of the frames that will be appended: integers.
    n_frames : int
        Number of frames, at least 1.
    provenance : Provenance
        Record of the making.
    table : FrameTable, optional
        Gives the angles.
    sensor : Sensor, optional
        Material and thickness.

    Yields
    ------
    CbfWriter
        Its ``append`` takes `(k, n_slow, n_fast)`.

    Raises
    ------
    GeometryError
        If the header cannot tell this detector.
    DataError
        If values are no integers, frames do not fit, or are too few.
    OutputFileError
        If the folder holds other files or cannot be written.
    """
    final = Path(folder)
    kind = np.dtype(dtype)
    if kind.kind not in "iu" or n_frames < 1:
        raise DataError(f"a CBF holds integers, and there must be a frame: found {kind} and {n_frames} frames")
    if table is not None and len(table) != n_frames:
        raise DataError(f"dense frames: the frame table has {len(table)} rows for {n_frames} frames")
    lines = _header_lines(detector, beam, sensor)
    _require_replaceable(final)
    aside = final.with_name(f".{final.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        writer = CbfWriter(aside, final.name, (n_frames, *detector.frame_shape), kind, lines, table, detector)
        yield writer
        writer.finish()
        record = json.dumps(provenance.record(), indent=2, sort_keys=True)
        (aside / "provenance.json").write_text(record + "\n", encoding="utf-8")
        if final.exists():
            shutil.rmtree(final)
        os.replace(aside, final)
    except OSError as error:
        raise OutputFileError(
            final,
            f"cannot be written: {error.strerror or error}",
            remedy="Check free space and permissions of the folder; nothing was left under this name",
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _require_replaceable(final: Path) -> None:
    """Refuse to replace a folder that holds anything but what this writer makes."""
    if not final.exists():
        return
    if not final.is_dir():
        raise OutputFileError(final, "is a file, not a folder for CBF files")
    ours = re.compile(rf"{re.escape(final.name)}_\d+\.cbf|provenance\.json")
    foreign = sorted(item.name for item in final.iterdir() if ours.fullmatch(item.name) is None)
    if foreign:
        raise OutputFileError(
            final, "is in use", found=", ".join(foreign[:5]), remedy="Name a folder that does not exist yet"
        )


def _header_lines(detector: Detector, beam: Beam, sensor: Sensor | None) -> list[str]:
    first = detector.panels[0]
    slow_size, fast_size = float(np.linalg.norm(first.slow_step_m)), float(np.linalg.norm(first.fast_step_m))
    origin = first.corner_m - first.slow_start * first.slow_step_m - first.fast_start * first.fast_step_m
    slow_step, fast_step = np.array([0.0, -slow_size, 0.0]), np.array([-fast_size, 0.0, 0.0])
    for panel in detector.panels:
        expected = origin + panel.slow_start * slow_step + panel.fast_start * fast_step
        error_m = max(
            np.abs(panel.corner_m - expected).max(),
            panel.n_slow * np.abs(panel.slow_step_m - slow_step).max(),
            panel.n_fast * np.abs(panel.fast_step_m - fast_step).max(),
        )
        if error_m > _TOLERANCE_M:
            raise GeometryError(
                f"a CBF header tells one flat detector normal to the beam, rows down and columns to the right as seen "
                f"from the sample; panel {panel.name} is off by {error_m:.2g} m; write nxmx"
            )
    if origin[2] <= 0 or not np.allclose(beam.direction, [0, 0, 1], atol=1e-7):
        raise GeometryError(
            f"a CBF header needs the beam along +z and the detector behind the sample, found {beam.direction.tolist()} "
            f"and a distance of {origin[2]} m"
        )
    lines = [
        f"Detector: unknown, frames by fewphoton {fewphoton.__version__}",
        f"Pixel_size {fast_size:.9g} m x {slow_size:.9g} m",
    ]
    if sensor is not None:
        name = {"Si": "Silicon"}.get(sensor.material, sensor.material)
        lines.append(f"{name} sensor, thickness {sensor.thickness_m:.6f} m")
    return [
        *lines,
        f"Wavelength {beam.wavelength_angstrom:.9g} A",
        f"Detector_distance {origin[2]:.9g} m",
        f"Beam_xy ({origin[0] / fast_size:.6f}, {origin[1] / slow_size:.6f}) pixels",
        f"Polarization {beam.polarization_fraction:.6f}",
    ]
