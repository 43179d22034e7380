"""Geometry from NXmx metadata in HDF5 files, written out in full or in the short form of Dectris files.

NeXus' frame (McStas) is ours: z along the beam, y up. Where detector modules carry direction vectors, their
``depends_on`` chains of translations and rotations are followed; otherwise the detector is taken as normal to the
beam, by beam centre, distance and pixel size, seen from the sample with rows running down and columns to the right.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Beam, Detector, Panel
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import GeometryError, InputFileError
from fewphoton.io.geometry_cbf import simple_panel
from fewphoton.io.geometry_yaml import Geometry
from fewphoton.io.hdf5 import attribute, dataset, opened, text_attribute

_METRES = {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "um": 1e-6, "micron": 1e-6, "nm": 1e-9}
_ANGSTROMS = {"A": 1.0, "angstrom": 1.0, "Angstrom": 1.0, "nm": 10.0, "m": 1e10}
_WAVELENGTHS = (
    "entry/instrument/beam/incident_wavelength",
    "entry/sample/beam/incident_wavelength",
    "entry/instrument/monochromator/wavelength",
)
_MAX_CHAIN = 32


def read_nxmx(path: Path | str) -> Geometry:
    """Read detector, mask, beam and goniometer axis.

    Raises
    ------
    InputFileError
        If a value or unit is missing, a chain of transformations is broken, or modules do not fit the frame.
    """
    with opened(path) as file:
        detector = file.get("entry/instrument/detector")
        if not isinstance(detector, h5py.Group):
            raise InputFileError(path, "group is missing", where="/entry/instrument/detector")
        modules = [item for item in detector.values() if _is_module(item)]
        try:
            panels = [_module_panel(module, number) for number, module in enumerate(modules)]
            if not panels:
                panels = [_short_panel(file, detector)]
            shape = tuple(
                max(getattr(panel, f"{axis}_start") + getattr(panel, f"n_{axis}") for panel in panels)
                for axis in ("slow", "fast")
            )
            found = Detector((shape[0], shape[1]), tuple(panels))
        except GeometryError as error:
            raise InputFileError(path, str(error), where="/entry/instrument/detector") from error
        return Geometry(found.with_mask(_mask(detector, found)), Beam(_wavelength(file)), _goniometer_axis(file))


def _is_module(item: object) -> bool:
    return isinstance(item, h5py.Group) and "fast_pixel_direction" in item and "slow_pixel_direction" in item


def _number(item: h5py.Dataset) -> float:
    value = np.nan
    if isinstance(item, h5py.Dataset) and item.shape is not None and item.size and item.dtype.kind in "iuf":
        value = float(item[(0,) * item.ndim])
    if not np.isfinite(value):
        raise InputFileError(item.file.filename, "holds no number", where=item.name)
    return value


def _word(item: h5py.Dataset, name: str, default: str) -> str:
    found = item.attrs.get(name, default)
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def _quantity(item: h5py.Dataset, units: dict[str, float], default: str) -> float:
    unit = _word(item, "units", default)
    if unit not in units:
        raise InputFileError(
            item.file.filename, "has an unknown unit", where=item.name, expected=", ".join(units), found=unit
        )
    return _number(item) * units[unit]


def _first(group: h5py.Group, names: tuple[str, ...]) -> h5py.Dataset:
    found = next((name for name in names if name in group), names[0])
    return dataset(group, found, kind="iuf")


def _wavelength(file: h5py.File) -> float:
    return _quantity(_first(file, _WAVELENGTHS), _ANGSTROMS, "angstrom")


def _short_panel(file: h5py.File, detector: h5py.Group) -> Panel:
    slow_size = _quantity(_first(detector, ("y_pixel_size",)), _METRES, "m")
    fast_size = _quantity(_first(detector, ("x_pixel_size",)), _METRES, "m")
    distance = _quantity(_first(detector, ("detector_distance", "distance")), _METRES, "m")
    beam_fast = _number(_first(detector, ("beam_center_x",)))
    beam_slow = _number(_first(detector, ("beam_center_y",)))
    return simple_panel(_frame_shape(file, detector), beam_slow, beam_fast, slow_size, fast_size, distance)


def _frame_shape(file: h5py.File, detector: h5py.Group) -> tuple[int, int]:
    special = detector.get("detectorSpecific")
    if isinstance(special, h5py.Group) and "x_pixels_in_detector" in special:
        slow, fast = (_first(special, (f"{axis}_pixels_in_detector",)) for axis in "yx")
        return int(_number(slow)), int(_number(fast))
    for name in ("pixel_mask", "data"):
        item = detector.get(name)
        if isinstance(item, h5py.Dataset) and len(item.shape or ()) >= 2:
            return int(item.shape[-2]), int(item.shape[-1])
    group = file.get("entry/data")
    for key in sorted(group) if isinstance(group, h5py.Group) else ():
        item = group.get(key)
        if isinstance(item, h5py.Dataset) and len(item.shape or ()) >= 2:
            return int(item.shape[-2]), int(item.shape[-1])
    raise InputFileError(
        file.filename, "holds no frame shape", where=detector.name, expected="detectorSpecific/x_pixels_in_detector"
    )


def _module_panel(module: h5py.Group, number: int) -> Panel:
    start, size = (_two_axes(module, name) for name in ("data_origin", "data_size"))
    fast, slow = module["fast_pixel_direction"], module["slow_pixel_direction"]
    fast_turn, _ = _chain(fast)
    slow_turn, _ = _chain(slow)
    fast_step = fast_turn @ _vector(fast) * _quantity(fast, _METRES, "m")
    slow_step = slow_turn @ _vector(slow) * _quantity(slow, _METRES, "m")
    offset = module.get("module_offset", fast)
    turn, shift = _chain(offset)
    corner = shift
    if "module_offset" in module:
        corner = turn @ (_vector(offset) * _quantity(offset, _METRES, "m")) + shift
    name = str(module.name).rsplit("/", 1)[-1]
    return Panel(
        f"{name}{number}", int(start[0]), int(start[1]), int(size[0]), int(size[1]), corner, slow_step, fast_step
    )


def _two_axes(module: h5py.Group, name: str) -> NDArray[np.int64]:
    """Return the last two entries, slow and fast; what comes before counts frames."""
    item = dataset(module, name, kind="iu")
    found = item[()].ravel()[-2:]
    if len(found) != 2:
        raise InputFileError(item.file.filename, "tells no two axes", where=item.name, found=f"shape {item.shape}")
    return np.asarray(found, dtype=np.int64)


def _vector(item: h5py.Dataset, name: str = "vector") -> NDArray[np.float64]:
    found = np.asarray(attribute(item, name))
    if found.dtype.kind not in "iuf" or found.size != 3 or not np.isfinite(found).all():
        raise InputFileError(
            item.file.filename, f"attribute {name!r} is no vector", where=item.name, expected="three finite numbers"
        )
    return found.astype(np.float64).reshape(3)


def _offset(item: h5py.Dataset) -> NDArray[np.float64]:
    return _vector(item, "offset") if "offset" in item.attrs else np.zeros(3)


def _chain(item: h5py.Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rotation and shift of all transformations that ``item`` depends on, nearest first."""
    turn, shift = np.eye(3), _offset(item)
    place = item
    for _ in range(_MAX_CHAIN):
        target = _word(place, "depends_on", ".")
        if target in (".", ""):
            return turn, shift
        parent = place.parent
        if target not in parent:
            raise InputFileError(place.file.filename, f"depends_on {target!r} leads nowhere", where=place.name)
        place = parent[target]
        kind = text_attribute(place, "transformation_type")
        offset = _offset(place)
        if kind == "translation":
            shift = shift + _vector(place) * _quantity(place, _METRES, "m") + offset
        else:
            step = rotation_about_axis(_vector(place), _angle_deg(place))
            turn, shift = step @ turn, step @ shift + offset
    raise InputFileError(item.file.filename, "the chain of depends_on has no end", where=item.name)


def _angle_deg(item: h5py.Dataset) -> float:
    unit = _word(item, "units", "deg")
    return float(np.rad2deg(_number(item))) if unit.startswith("rad") else _number(item)


def _mask(detector: h5py.Group, found: Detector) -> NDArray[np.bool_]:
    item = detector.get("pixel_mask", detector.get("detectorSpecific/pixel_mask"))
    if item is None:
        return np.asarray(found.masked)
    if not isinstance(item, h5py.Dataset) or len(item.shape or ()) < 2 or item.shape[-2:] != found.frame_shape:
        raise InputFileError(
            item.file.filename, "has another shape than the frame", where=item.name, expected=found.frame_shape
        )
    values = dataset(item.parent, item.name, kind="iufb")[(0,) * (item.ndim - 2)]
    return np.asarray(found.masked | (values != 0).ravel())


def _goniometer_axis(file: h5py.File) -> NDArray[np.float64] | None:
    group = file.get("entry/sample/transformations", file.get("entry/sample/goniometer"))
    omega = group.get("omega") if isinstance(group, h5py.Group) else None
    if isinstance(omega, h5py.Dataset) and "vector" in omega.attrs:
        return _vector(omega)
    return None
