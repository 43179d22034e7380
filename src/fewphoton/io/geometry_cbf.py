"""Geometry from the mini header of Pilatus CBF files."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from fewphoton.data import Beam, Detector, Panel
from fewphoton.errors import InputFileError
from fewphoton.io.geometry_yaml import Geometry
from fewphoton.io.image_files import open_image

_NUMBER = r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)"
_FIELDS = {
    "Pixel_size": rf"Pixel_size\s+{_NUMBER}\s*m\s*x\s*{_NUMBER}\s*m",
    "Detector_distance": rf"Detector_distance\s+{_NUMBER}\s*m",
    "Beam_xy": rf"Beam_xy\s+\(\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\)\s*pixels",
    "Wavelength": rf"Wavelength\s+{_NUMBER}\s*A",
}
_POLARIZATION = re.compile(rf"Polarization\s+{_NUMBER}")


def simple_panel(
    frame_shape: tuple[int, int],
    beam_slow_px: float,
    beam_fast_px: float,
    slow_size_m: float,
    fast_size_m: float,
    distance_m: float,
) -> Panel:
    """Return a detector normal to the beam, seen from the sample looking downstream: rows run down, columns right.

    The beam position counts pixels from the outer corner of the first pixel.
    """
    corner = np.array([beam_fast_px * fast_size_m, beam_slow_px * slow_size_m, distance_m])
    return Panel(
        "detector",
        0,
        0,
        frame_shape[0],
        frame_shape[1],
        corner,
        np.array([0.0, -slow_size_m, 0.0]),
        np.array([-fast_size_m, 0.0, 0.0]),
    )


def read_cbf_geometry(path: Path | str) -> Geometry:
    """Read geometry and beam from a Pilatus mini header; the goniometer axis is not in it.

    Raises
    ------
    InputFileError
        If FabIO cannot read the file, or a field is missing.
    """
    image = open_image(path)
    try:
        header = str(image.header.get("_array_data.header_contents", ""))
        shape = (int(image.shape[0]), int(image.shape[1]))
    except Exception as error:  # FabIO's readers raise whatever their format's parser meets
        raise InputFileError(path, f"FabIO cannot read it: {error}") from error
    values: dict[str, list[float]] = {}
    for name, pattern in _FIELDS.items():
        match = re.search(pattern, header)
        if match is None:
            raise InputFileError(
                path,
                "the mini header lacks a field",
                where=name,
                remedy="Give the geometry in a file of its own, for example .poni or our .yaml",
            )
        values[name] = [float(group) for group in match.groups()]
    fast_size, slow_size = values["Pixel_size"]
    beam_fast, beam_slow = values["Beam_xy"]
    panel = simple_panel(shape, beam_slow, beam_fast, slow_size, fast_size, values["Detector_distance"][0])
    polarization = _POLARIZATION.search(header)
    fraction = float(polarization.group(1)) if polarization else 0.5
    beam = Beam(values["Wavelength"][0], polarization_fraction=fraction if 0 <= fraction <= 1 else 0.5)
    return Geometry(Detector(shape, (panel,)), beam)
