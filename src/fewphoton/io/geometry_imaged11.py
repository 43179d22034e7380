"""Detector geometry from ImageD11 parameter files (.par).

ImageD11's laboratory has x along the beam and z up; ours has z along the beam and y up, so (x, y, z) there is
(z, x, y) here. Pixel coordinates name pixel centres; the detector is turned by the tilts about its beam centre and
moved along the beam. The goniometer axis is ImageD11's z, our y; chi and wedge must be 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fewphoton.data import Beam, Detector, Panel
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import InputFileError
from fewphoton.io.geometry_yaml import Geometry

_NEEDED = ("distance", "wavelength", "y_center", "y_size", "z_center", "z_size")
_TO_OURS = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
_METRES_PER_MICROMETRE = 1e-6


def read_imaged11(path: Path | str, frame_shape: tuple[int, int] | None) -> Geometry:
    """Read an ImageD11 parameter file; lengths in it are micrometres.

    Parameters
    ----------
    path : Path or str
        File of lines ``name value``.
    frame_shape : tuple of int or None
        `(n_slow, n_fast)`; the format does not hold it.

    Raises
    ------
    InputFileError
        If a parameter is missing or no number, the frame shape is not given, or chi or wedge is not 0.
    """
    values: dict[str, float] = {}
    try:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            name, _, text = line.strip().partition(" ")
            if name in (
                *_NEEDED,
                "o11",
                "o12",
                "o21",
                "o22",
                "tilt_x",
                "tilt_y",
                "tilt_z",
                "chi",
                "wedge",
                "omegasign",
            ):
                values[name] = float(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputFileError(path, f"cannot be read as ImageD11 parameters: {error}") from error
    missing = [name for name in _NEEDED if name not in values]
    if missing:
        raise InputFileError(path, "parameters are missing", expected=", ".join(_NEEDED), found=f"no {missing[0]}")
    if frame_shape is None:
        raise InputFileError(path, "ImageD11 files hold no frame shape, so it must come from the frames")
    if values.get("chi", 0.0) or values.get("wedge", 0.0):
        raise InputFileError(path, "chi and wedge are not supported", expected="0", found="another value")

    flip = np.array(
        [[values.get("o11", 1.0), values.get("o12", 0.0)], [values.get("o21", 0.0), values.get("o22", 1.0)]]
    )
    tilts = [np.rad2deg(1.0) * values.get(f"tilt_{axis}", 0.0) for axis in "xyz"]
    rotation = (
        rotation_about_axis((1, 0, 0), tilts[0])
        @ rotation_about_axis((0, 1, 0), tilts[1])
        @ rotation_about_axis((0, 0, 1), tilts[2])
    )

    def placed(slow: float, fast: float, at_distance: float) -> np.ndarray:
        """Map detector coordinates in micrometres (slow is ImageD11's z, fast its y) to our laboratory in metres."""
        vertical, horizontal = flip @ np.array([slow, fast])
        place = rotation @ np.array([0.0, horizontal, vertical]) + np.array([at_distance, 0.0, 0.0])
        return np.asarray(_TO_OURS @ place * _METRES_PER_MICROMETRE)

    slow_size, fast_size = values["z_size"], values["y_size"]
    # The corner lies half a pixel before the centre of the first pixel, whose coordinate is 0.
    corner = placed(
        (-0.5 - values["z_center"]) * slow_size, (-0.5 - values["y_center"]) * fast_size, values["distance"]
    )
    panel = Panel(
        "detector", 0, 0, frame_shape[0], frame_shape[1], corner, placed(slow_size, 0, 0), placed(0, fast_size, 0)
    )
    axis = np.array([0.0, 1.0, 0.0]) * values.get("omegasign", 1.0)
    return Geometry(Detector(frame_shape, (panel,)), Beam(values["wavelength"]), axis)
