"""Dense frames as NXmx, in one file of the form that Eiger detectors write.

Frames are ``/entry/data/data_000001`` as in Dectris files, the default plot, and linked as NXmx's detector data.
NeXus' frame (McStas) is ours, with the beam along +z. Every panel is a module with its place in the frame array and
its vectors in the laboratory: ``module_offset`` leads to the outer corner of the panel's first pixel and depends on the
translation along the beam. Start and end times, which NXmx asks for, are left out: the same inputs give the same bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

import fewphoton
from fewphoton.data import Beam, Detector, FrameTable, Panel
from fewphoton.errors import GeometryError
from fewphoton.io.dense_hdf5 import (
    KIND,
    DenseDatasetWriter,
    dense_dataset_writer,
    pixel_mask,
    store_frame_table,
)
from fewphoton.io.hdf5 import created, store
from fewphoton.io.provenance import Provenance

_TRANSLATION = "/entry/instrument/detector/transformations/translation"


@dataclass(frozen=True)
class Sensor:
    """What absorbs the photons; DIALS asks for it.

    Parameters
    ----------
    material : str
        Chemical formula, for example ``"Si"`` or ``"CdTe"``.
    thickness_m : float
        Thickness in metres.
    """

    material: str
    thickness_m: float


class DirectBeam(NamedTuple):
    """Where the beam meets the detector, or the plane of the panel nearest to it.

    Parameters
    ----------
    panel : int
        Number of the panel.
    slow_px, fast_px : float
        Place in the frame array, in pixels from the outer corner of its first pixel.
    distance_m : float
        From the sample along the beam.
    """

    panel: int
    slow_px: float
    fast_px: float
    distance_m: float


def direct_beam(detector: Detector, beam: Beam) -> DirectBeam | None:
    """Return where the beam meets the detector, None where no panel's plane lies ahead of it."""
    found: list[tuple[float, DirectBeam]] = []
    for number, panel in enumerate(detector.panels):
        system = np.column_stack([beam.direction, -panel.slow_step_m, -panel.fast_step_m])
        # In units of a pixel's area times the cosine of incidence: 1e-6 is a panel seen edge-on.
        if abs(np.linalg.det(system)) < 1e-6 * panel.pixel_area_m2:
            continue
        distance, slow, fast = np.linalg.solve(system, panel.corner_m)
        if distance <= 0:
            continue
        outside = np.hypot(slow - np.clip(slow, 0, panel.n_slow), fast - np.clip(fast, 0, panel.n_fast))
        place = DirectBeam(number, float(panel.slow_start + slow), float(panel.fast_start + fast), float(distance))
        found.append((float(outside), place))
    return min(found, key=lambda pair: pair[0])[1] if found else None


@contextlib.contextmanager
def write_dense_nxmx(
    path: Path | str,
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
) -> Iterator[DenseDatasetWriter]:
    """Open an NXmx file for dense frames.

    Parameters
    ----------
    path : Path or str
        Final name; the file appears there when the block ends well.
    detector : Detector
        Panels, any number and orientation, and mask.
    beam : Beam
        Along +z.
    dtype : dtype
        Type of the values.
    n_frames : int
        Number of frames, at least 1.
    provenance : Provenance
        Record of the making.
    table : FrameTable, optional
        Batches and angles of the frames.
    rotation_axis : array_like, `(3,)`, optional
        Goniometer axis; with it and known angles the file describes a rotation scan, else stills.
    sensor : Sensor, optional
        Material and thickness.
    threads : int
        Threads that encode.

    Yields
    ------
    DenseDatasetWriter
        Its ``append`` takes `(k, n_slow, n_fast)`.

    Raises
    ------
    GeometryError
        If the beam is not along +z, which NXmx takes for granted.
    DataError
        If frames do not fit or are too few.
    OutputFileError
        If the file cannot be written.
    """
    if not np.allclose(beam.direction, [0, 0, 1], atol=1e-7):
        raise GeometryError(
            f"NXmx has the beam along +z, found {beam.direction.tolist()}; turn detector, axis and beam together first"
        )
    with created(path) as file:
        file.attrs.update(default="entry", creator=f"fewphoton {fewphoton.__version__}")
        provenance.write(file, KIND)
        entry = _group(file, "entry", "NXentry")
        entry.attrs["default"] = "data"
        entry["definition"] = "NXmx"
        instrument = _group(entry, "instrument", "NXinstrument")
        _scalar(_group(instrument, "beam", "NXbeam"), "incident_wavelength", beam.wavelength_angstrom, "angstrom")
        _detector(instrument, detector, beam, np.dtype(dtype), n_frames, sensor)
        _sample(entry, table, rotation_axis)
        store_frame_table(entry, table, n_frames)
        data = _group(entry, "data", "NXdata")
        data.attrs["signal"] = "data_000001"
        shape = (n_frames, *detector.frame_shape)
        with dense_dataset_writer(data, "data_000001", shape, dtype, threads) as writer:
            instrument["detector"]["data"] = data["data_000001"]
            yield writer


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    return group


def _scalar(group: h5py.Group, name: str, value: float, units: str) -> h5py.Dataset:
    item = group.create_dataset(name, data=value)
    item.attrs["units"] = units
    return item


def _detector(
    instrument: h5py.Group,
    detector: Detector,
    beam: Beam,
    dtype: np.dtype[np.generic],
    n_frames: int,
    sensor: Sensor | None,
) -> None:
    group = _group(instrument, "detector", "NXdetector")
    first = detector.panels[0]
    _scalar(group, "x_pixel_size", float(np.linalg.norm(first.fast_step_m)), "m")
    _scalar(group, "y_pixel_size", float(np.linalg.norm(first.slow_step_m)), "m")
    meeting = direct_beam(detector, beam)
    if meeting is not None:
        _scalar(group, "beam_center_x", meeting.fast_px, "pixel")
        _scalar(group, "beam_center_y", meeting.slow_px, "pixel")
        _scalar(group, "distance", meeting.distance_m, "m")
        _scalar(group, "detector_distance", meeting.distance_m, "m")
    if sensor is not None:
        group["sensor_material"] = sensor.material
        _scalar(group, "sensor_thickness", sensor.thickness_m, "m")
    if dtype.kind in "iu":
        group["bit_depth_image"] = np.int32(8 * dtype.itemsize)
    mask = store(group, "pixel_mask", pixel_mask(detector), interpretation="image")
    special = _group(group, "detectorSpecific", "NXcollection")
    special["x_pixels_in_detector"] = np.int32(detector.frame_shape[1])
    special["y_pixels_in_detector"] = np.int32(detector.frame_shape[0])
    special["nimages"], special["ntrigger"] = np.int32(n_frames), np.int32(1)
    special["pixel_mask"] = mask
    shift_m = meeting.distance_m if meeting is not None else 0.0
    chain = _group(group, "transformations", "NXtransformations")
    _transformation(chain, "translation", shift_m, np.array([0.0, 0.0, 1.0]), ".")
    group["depends_on"] = _TRANSLATION
    width = len(str(len(detector.panels) - 1))
    for number, panel in enumerate(detector.panels):
        # Readers meet groups in alphabetical order: the padding keeps the panels in theirs.
        _module(_group(group, f"module_{number:0{width}d}", "NXdetector_module"), panel, shift_m)


def _module(group: h5py.Group, panel: Panel, shift_m: float) -> None:
    group["data_origin"] = np.array([panel.slow_start, panel.fast_start], dtype=np.int32)
    group["data_size"] = np.array([panel.n_slow, panel.n_fast], dtype=np.int32)
    group["module_name"] = panel.name
    corner = panel.corner_m - np.array([0.0, 0.0, shift_m])
    length = float(np.linalg.norm(corner))
    direction = corner / length if length > 0 else np.array([1.0, 0.0, 0.0])
    _transformation(group, "module_offset", length, direction, _TRANSLATION)
    for name, step in (("fast_pixel_direction", panel.fast_step_m), ("slow_pixel_direction", panel.slow_step_m)):
        size = float(np.linalg.norm(step))
        _transformation(group, name, size, step / size, f"{group.name}/module_offset")


def _transformation(
    group: h5py.Group, name: str, length_m: float, vector: NDArray[np.float64], depends_on: str
) -> None:
    item = group.create_dataset(name, data=np.array([length_m]))
    item.attrs.update(
        units="m",
        transformation_type="translation",
        vector=vector,
        offset=np.zeros(3),
        offset_units="m",
        depends_on=depends_on,
    )


def _sample(entry: h5py.Group, table: FrameTable | None, rotation_axis: ArrayLike | None) -> None:
    group = _group(entry, "sample", "NXsample")
    known = table is not None and np.isfinite(table.omega_start_deg).all() and np.isfinite(table.omega_end_deg).all()
    if table is None or rotation_axis is None or not known:
        group["depends_on"] = "."
        return
    axis = np.asarray(rotation_axis, dtype=np.float64).reshape(3)
    chain = _group(group, "transformations", "NXtransformations")
    omega = chain.create_dataset("omega", data=table.omega_start_deg)
    omega.attrs.update(
        units="deg",
        transformation_type="rotation",
        vector=axis / np.linalg.norm(axis),
        offset=np.zeros(3),
        offset_units="m",
        depends_on=".",
    )
    chain.create_dataset("omega_end", data=table.omega_end_deg).attrs["units"] = "deg"
    group["depends_on"] = "/entry/sample/transformations/omega"
