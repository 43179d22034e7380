"""Geometry from pyFAI's .poni files (versions 1 to 2.1).

pyFAI's axis 1 runs up, axis 3 along the beam, and axis 2 completes the right-handed set: to the right when looking
downstream. Its (1, 2, 3) are therefore our (y, -x, z). Rotations about its axes 1 and 2 are left-handed, about 3
right-handed. In its native orientation 3 the first pixel is at the bottom left when looking from the sample.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Beam, Detector, Panel
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.data.pixel_detectors import pixel_detector
from fewphoton.errors import InputFileError
from fewphoton.io.geometry_yaml import Geometry
from fewphoton.io.parsed_text import parsed_json

_NEEDED = ("Distance", "Poni1", "Poni2", "Rot1", "Rot2", "Rot3", "Wavelength")
_DEFAULT_ORIENTATION = 3
# Whether the slow and the fast axis of the frame run against pyFAI's axes 1 and 2.
_REVERSED = {1: (True, True), 2: (True, False), 3: (False, False), 4: (False, True)}


def read_poni(path: Path | str, frame_shape: tuple[int, int] | None) -> Geometry:
    """Read a .poni file; of several calibrations in one file the last counts, as in pyFAI.

    Parameters
    ----------
    path : Path or str
        File.
    frame_shape : tuple of int or None
        `(n_slow, n_fast)`; used where the file holds no ``max_shape`` and its detector is not known by name.

    Raises
    ------
    InputFileError
        If a field is missing, or pixel size or shape are told by the name of a detector that is not known here.
    """
    fields = _fields(path)
    missing = [name for name in _NEEDED if name not in fields]
    if missing:
        raise InputFileError(path, "fields are missing", expected=", ".join(_NEEDED), found=f"no {', '.join(missing)}")
    try:
        values = {name: float(fields[name]) for name in _NEEDED}
        config = parsed_json(fields.get("Detector_config", "{}"), path, "Detector_config")
        size_m, own_shape = pixel_detector(fields.get("Detector", "")) or (None, None)
        sizes = [config.get(f"pixel{n}", fields.get(f"PixelSize{n}", size_m)) for n in (1, 2)]
        shape = config.get("max_shape") or own_shape or frame_shape
        orientation = int(config.get("orientation") or _DEFAULT_ORIENTATION)
    except (ValueError, AttributeError) as error:
        raise InputFileError(path, f"cannot be read as a .poni file: {error}") from error
    if None in sizes or shape is None:
        raise InputFileError(
            path,
            f"names its detector ({fields.get('Detector', 'unknown')}) without pixel size or shape",
            expected="pixel1, pixel2 and max_shape in Detector_config, or a Pilatus, Eiger, Jungfrau or Lambda",
            remedy="Save it with pyFAI as a generic Detector, or convert it to our .yaml",
        )
    if orientation not in _REVERSED:
        raise InputFileError(path, "unknown orientation", where="Detector_config", expected="1 to 4", found=orientation)
    slow_size, fast_size = (float(size) for size in sizes)
    panel = _panel(values, (int(shape[0]), int(shape[1])), slow_size, fast_size, orientation)
    return Geometry(Detector((panel.n_slow, panel.n_fast), (panel,)), Beam(values["Wavelength"] * 1e10))


def _fields(path: Path | str) -> dict[str, str]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(path, f"cannot be read as a .poni file: {error}") from error
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#"):
            fields[name.strip()] = value.strip()
    return fields


def _panel(
    values: dict[str, float], shape: tuple[int, int], slow_size: float, fast_size: float, orientation: int
) -> Panel:
    reversed_slow, reversed_fast = _REVERSED[orientation]
    turn = (
        rotation_about_axis((0, 0, 1), math.degrees(values["Rot3"]))
        @ rotation_about_axis((0, 1, 0), -math.degrees(values["Rot2"]))
        @ rotation_about_axis((1, 0, 0), -math.degrees(values["Rot1"]))
    )

    def placed(first: float, second: float, third: float) -> NDArray[np.float64]:
        one, two, three = turn @ np.array([first, second, third])
        return np.array([-two, one, three])

    first = (shape[0] * slow_size if reversed_slow else 0.0) - values["Poni1"]
    second = (shape[1] * fast_size if reversed_fast else 0.0) - values["Poni2"]
    return Panel(
        "detector",
        0,
        0,
        shape[0],
        shape[1],
        placed(first, second, values["Distance"]),
        placed(-slow_size if reversed_slow else slow_size, 0, 0),
        placed(0, -fast_size if reversed_fast else fast_size, 0),
    )
