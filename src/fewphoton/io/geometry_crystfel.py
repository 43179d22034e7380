"""Geometry from CrystFEL's .geom files.

CrystFEL's frame is ours: z along the beam, y up, x to the left when looking downstream. Panels are rectangles of the
data array by ``min_fs`` to ``max_ss``; ``corner_x`` and ``corner_y`` place the outer corner of the first pixel, in
pixels of 1/``res``; ``fs`` and ``ss`` are steps in pixels. ``mask`` datasets are left to the frames' own masks.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import constants

from fewphoton.data import Beam, Detector, Panel
from fewphoton.errors import GeometryError, InputFileError
from fewphoton.io.geometry_yaml import Geometry

_TERM = re.compile(r"([-+]?)\s*(\d*\.?\d*(?:[eE][-+]?\d+)?)\s*\*?\s*([xyz])")
_NUMBER = re.compile(r"^\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)\s*$")
_METRES = {"": 1.0, "m": 1.0, "mm": 1e-3, "cm": 1e-2, "um": 1e-6}
_ELECTRONVOLTS = {"": 1.0, "eV": 1.0, "keV": 1e3, "MeV": 1e6}
_ANGSTROMS = {"m": 1e10, "A": 1.0, "nm": 10.0}
_HC_EV_ANGSTROM = constants.h * constants.c / constants.e * 1e10


def read_crystfel_geometry(path: Path | str) -> Geometry:
    """Read a .geom file.

    Stacks with a panel number in a ``dim`` line (``dim0 = 3``) are frames whose panels lie below each other along slow.

    Raises
    ------
    InputFileError
        If a value is missing or no number, a length is an HDF5 path, or panels overlap.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputFileError(path, f"cannot be read as CrystFEL geometry: {error}") from error
    defaults: dict[str, str] = {}
    panels: dict[str, dict[str, str]] = {}
    bad: dict[str, dict[str, str]] = {}
    for line in lines:
        text = line.split(";")[0].strip()
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or name.startswith(("rigid_group", "group")):
            continue
        owner, slash, key = name.rpartition("/")
        if owner.startswith("bad"):
            bad.setdefault(owner, {})[key] = value
        elif slash:
            panels.setdefault(owner, dict(defaults))[key] = value
        else:
            defaults[name] = value
    panels = {name: values for name, values in panels.items() if "min_fs" in values}
    if not panels:
        raise InputFileError(path, "holds no panels", expected="lines like panel/min_fs = 0")
    try:
        placed = [_panel(name, values) for name, values in panels.items()]
        shape = tuple(
            max(getattr(panel, f"{axis}_start") + getattr(panel, f"n_{axis}") for panel in placed)
            for axis in ("slow", "fast")
        )
        detector = Detector((shape[0], shape[1]), tuple(placed))
        beam = Beam(_wavelength(defaults))
        return Geometry(detector.with_mask(detector.masked | _bad_pixels(detector, bad, panels)), beam)
    except (GeometryError, KeyError, ValueError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputFileError(path, problem, remedy="Write the value into the .geom file") from error


def _quantity(text: str, units: dict[str, float], name: str) -> float:
    match = _NUMBER.match(text)
    if match is None:
        raise ValueError(f"{name} = {text} is no number (values in the frames' HDF5 are not followed)")
    if match.group(2) not in units:
        raise ValueError(f"{name} = {text} has no unit of {', '.join(unit for unit in units if unit)}")
    return float(match.group(1)) * float(units[match.group(2)])


def _wavelength(values: dict[str, str]) -> float:
    if "wavelength" in values:
        return _quantity(values["wavelength"], _ANGSTROMS, "wavelength")
    return float(_HC_EV_ANGSTROM / _quantity(values["photon_energy"], _ELECTRONVOLTS, "photon_energy"))


def _direction(text: str, name: str) -> NDArray[np.float64]:
    vector = np.zeros(3)
    rest = _TERM.sub("", text).strip()
    if rest:
        raise ValueError(f"{name} = {text} is no sum of x, y and z")
    for sign, size, axis in _TERM.findall(text):
        vector["xyz".index(axis)] += float(size or 1.0) * (-1.0 if sign == "-" else 1.0)
    return vector


def _stack_offset(values: dict[str, str]) -> int:
    """Row where the panel's slab begins: numbered slabs of a stack lie below each other."""
    numbers = [value for key, value in values.items() if key.startswith("dim") and value.isdigit()]
    return int(numbers[-1]) * (int(values["max_ss"]) + 1) if numbers else 0


def _panel(name: str, values: dict[str, str]) -> Panel:
    size = 1.0 / float(values["res"])
    first_fast, last_fast = int(values["min_fs"]), int(values["max_fs"])
    first_slow, last_slow = int(values["min_ss"]), int(values["max_ss"])
    distance = _quantity(values["clen"], _METRES, f"{name}/clen")
    distance += _quantity(values.get("coffset", "0"), _METRES, f"{name}/coffset")
    return Panel(
        name,
        first_slow + _stack_offset(values),
        first_fast,
        last_slow - first_slow + 1,
        last_fast - first_fast + 1,
        np.array([float(values["corner_x"]) * size, float(values["corner_y"]) * size, distance]),
        _direction(values["ss"], f"{name}/ss") * size,
        _direction(values["fs"], f"{name}/fs") * size,
    )


def _bad_pixels(
    detector: Detector, bad: dict[str, dict[str, str]], panels: dict[str, dict[str, str]]
) -> NDArray[np.bool_]:
    masked = np.zeros(detector.n_pixels, dtype=bool)
    slow, fast = np.divmod(np.arange(detector.n_pixels), detector.frame_shape[1])
    owner = detector.panel_numbers()
    names = [panel.name for panel in detector.panels]
    centres = detector.pixel_centres_m()
    for name, region in bad.items():
        limits: dict[str, Any] = {key: float(value) for key, value in region.items() if key.startswith(("min", "max"))}
        if "min_fs" in limits:
            chosen = np.ones(detector.n_pixels, dtype=bool)
            offset = 0
            if "panel" in region:
                if region["panel"] not in names:
                    raise ValueError(f"{name}/panel = {region['panel']} is no panel")
                chosen = owner == names.index(region["panel"])
                offset = _stack_offset(panels[region["panel"]])
            chosen &= (fast >= limits["min_fs"]) & (fast <= limits["max_fs"])
            masked |= chosen & (slow >= limits["min_ss"] + offset) & (slow <= limits["max_ss"] + offset)
        else:
            size = 1.0 / float(next(iter(panels.values()))["res"])
            x, y = centres[:, 0] / size, centres[:, 1] / size
            with np.errstate(invalid="ignore"):
                inside = (
                    (x >= limits["min_x"]) & (x <= limits["max_x"]) & (y >= limits["min_y"]) & (y <= limits["max_y"])
                )
            masked |= inside
    return masked
