"""Experiment lists of DIALS (``.expt``, JSON, also gzipped): detector, beam, goniometer, scan and crystal.

DIALS keeps the imgCIF frame: +z from the sample towards the source, so that the beam travels along -z, and +y up.
Half a turn about y leads to the laboratory frame of this suite (beam along +z, y up), without any mirror. The beam
keeps its refined direction, which may lean from +z by some degrees. Rotations are S R(axis, angle) F A h with the
fixed rotation F nearest to the crystal and the setting rotation S outermost; both are folded into UB and axis.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Beam, Crystal, Detector, Panel
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import DataError, GeometryError, InputFileError

_TO_LABORATORY = np.diag([-1.0, 1.0, -1.0])
_GZIP_MAGIC = b"\x1f\x8b"
_METRE_PER_MM = 1e-3
_VARYING = ("s0_at_scan_points", "setting_rotation_at_scan_points")


@dataclass(frozen=True, eq=False)
class DialsExperiment:
    """One experiment: a crystal in a sweep, or in a still where ``rotation_axis`` is None.

    Parameters
    ----------
    template : str
        Image template, as the file names it.
    detector : Detector
        Panels in the laboratory frame; the panels' own rectangles of dead pixels are masked.
    beam : Beam
        Wavelength, direction of travel, polarization.
    crystal : Crystal
        Cell and space group of the file; U at angle 0 from the middle of the scan.
    ub_inv_angstrom : ndarray of float64, `(n_points, 3, 3)`
        UB in the laboratory at angle 0: one, or one at each edge of the scan's images (``n_images + 1``).
    rotation_axis : ndarray of float64, `(3,)`, or None
        Unit vector of the scan axis in the laboratory; angles are right-handed about it.
    first_image, n_images : int
        Number of the first image and images of the scan; 1 and 1 for a still.
    omega_start_deg, omega_step_deg : float
        Angle where the first image begins, and rotation in one image; 0 for a still.
    mosaicity_deg : float or None
        Standard deviation of the rocking curve (sigma_m of the profile model) where the file tells it.
    sensor_thickness_m, attenuation_inv_m : ndarray of float64, `(n_panels,)`
        Sensor thickness and linear attenuation coefficient; 0 where the file asks for no parallax correction.
    largest_trusted : float
        Largest trusted pixel value over the panels; infinite where the file tells none.
    """

    template: str
    detector: Detector
    beam: Beam
    crystal: Crystal
    ub_inv_angstrom: NDArray[np.float64]
    rotation_axis: NDArray[np.float64] | None
    first_image: int
    n_images: int
    omega_start_deg: float
    omega_step_deg: float
    mosaicity_deg: float | None
    sensor_thickness_m: NDArray[np.float64]
    attenuation_inv_m: NDArray[np.float64]
    largest_trusted: float


def read_dials_experiments(path: Path | str) -> tuple[DialsExperiment, ...]:
    """Read all experiments of a DIALS experiment list, in their order.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, no experiment list, lacks a model or a key, contradicts itself, or holds
        a beam or goniometer that moves during the scan, which this suite does not follow.
    """
    content = _load(path)
    if not content.get("experiment"):
        raise InputFileError(path, "lists no experiments", where="experiment")
    return tuple(_experiment(path, content, number) for number in range(len(content["experiment"])))


def _load(path: Path | str) -> Mapping[str, Any]:
    try:
        raw = Path(path).read_bytes()
        content = json.loads(gzip.decompress(raw) if raw.startswith(_GZIP_MAGIC) else raw)
    except (OSError, EOFError, zlib.error, ValueError, MemoryError, RecursionError) as error:
        raise InputFileError(path, f"cannot be read as a DIALS experiment list: {error}") from error
    kind = content.get("__id__", "other keys") if isinstance(content, dict) else type(content).__name__
    if kind != "ExperimentList":
        raise InputFileError(path, "is no DIALS experiment list", where="__id__", expected="ExperimentList", found=kind)
    return dict(content)


def _experiment(path: Path | str, content: Mapping[str, Any], number: int) -> DialsExperiment:
    where = f"experiment {number}"
    try:
        entry = content["experiment"][number]
        models = {
            name: content[name][entry[name]] if name in entry else None
            for name in ("imageset", "beam", "detector", "goniometer", "scan", "crystal", "profile")
        }
        for name in ("beam", "detector", "crystal"):
            if models[name] is None:
                raise InputFileError(path, f"has no {name}", where=where)
        for name in ("beam", "goniometer"):
            varying = [key for key in _VARYING if key in (models[name] or {})]
            if varying:
                raise InputFileError(
                    path,
                    f"the {name} moves during the scan",
                    where=f"{where}: {varying[0]}",
                    remedy="Refine it as static (only the crystal may vary with the scan)",
                )
        return _assemble(models)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, np.linalg.LinAlgError) as error:
        problem = f"is incomplete or malformed ({type(error).__name__}: {error})"
        raise InputFileError(path, problem, where=where) from error
    except (GeometryError, DataError) as error:
        raise InputFileError(path, str(error), where=where) from error


def _assemble(models: Mapping[str, Any]) -> DialsExperiment:
    detector, thickness, attenuation, largest = _detector(models["detector"])
    scan = models["scan"]
    turned = np.eye(3)
    axis, first_image, n_images, start, step = None, 1, 1, 0.0, 0.0
    if scan is not None:
        first_image, n_images, start, step = _scan(scan)
    # A scan without rotation (a series of stills) leaves the crystal as it stands.
    if scan is not None and step != 0.0:
        setting, axis_before, fixed = _goniometer(models["goniometer"])
        turned, axis = setting @ fixed, _TO_LABORATORY @ setting @ axis_before
    a_matrices = _a_matrices(models["crystal"], n_images)
    ub = _TO_LABORATORY @ turned @ a_matrices
    crystal = _crystal(models["crystal"], a_matrices[len(a_matrices) // 2], ub[len(ub) // 2])
    mosaicity = (models["profile"] or {}).get("sigma_m")
    return DialsExperiment(
        str((models["imageset"] or {}).get("template", "")),
        detector,
        _beam(models["beam"]),
        crystal,
        ub,
        axis,
        first_image,
        n_images,
        start,
        step,
        float(mosaicity) if isinstance(mosaicity, (int, float)) else None,
        thickness,
        attenuation,
        largest,
    )


def _scan(scan: Mapping[str, Any]) -> tuple[int, int, float, float]:
    first, last = (int(value) for value in scan["image_range"])
    if last < first:
        raise ValueError(f"image_range {first} to {last} is empty")
    if "properties" not in scan:
        start, step = scan.get("oscillation", (0.0, 0.0))
        return first, last - first + 1, float(start), float(step)
    # Newer lists hold the start angle of every image in place of start and step.
    starts = np.asarray(scan["properties"].get("oscillation", [0.0]), dtype=np.float64)
    steps = np.diff(starts)
    if len(steps) and not np.allclose(steps, steps[0], atol=1e-6):
        raise ValueError("images of the scan differ in their rotation")
    width = scan["properties"].get("oscillation_width", [0.0])[0]
    return first, last - first + 1, float(starts[0]), float(steps[0] if len(steps) else width)


def _goniometer(model: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return setting rotation, scan axis and fixed rotation."""
    if "axes" not in model:
        setting = np.asarray(model["setting_rotation"], dtype=np.float64).reshape(3, 3)
        fixed = np.asarray(model["fixed_rotation"], dtype=np.float64).reshape(3, 3)
        axis = np.asarray(model["rotation_axis"], dtype=np.float64)
        return setting, axis / np.linalg.norm(axis), fixed
    axes, angles, scan_axis = model["axes"], model["angles"], int(model["scan_axis"])
    # The list runs from the axis that carries the crystal to the one on the floor.
    fixed, setting = np.eye(3), np.eye(3)
    for number, (axis, angle) in enumerate(zip(axes, angles, strict=True)):
        turn = rotation_about_axis(axis, angle)
        if number < scan_axis:
            fixed = turn @ fixed
        elif number > scan_axis:
            setting = turn @ setting
    axis = np.asarray(axes[scan_axis], dtype=np.float64)
    return setting, axis / np.linalg.norm(axis), fixed


def _a_matrices(model: Mapping[str, Any], n_images: int) -> NDArray[np.float64]:
    matrices: NDArray[Any]
    if "A_at_scan_points" in model:
        matrices = np.asarray(model["A_at_scan_points"], dtype=np.float64).reshape(-1, 3, 3)
        if len(matrices) != n_images + 1:
            raise ValueError(f"A_at_scan_points holds {len(matrices)} matrices for {n_images} images")
    else:
        real = np.array([model[f"real_space_{letter}"] for letter in "abc"], dtype=np.float64).reshape(3, 3)
        matrices = np.linalg.inv(real)[None]
    if not np.isfinite(matrices).all():
        raise ValueError("crystal orientation is not finite")
    return np.asarray(matrices)


def _crystal(model: Mapping[str, Any], a_matrix: NDArray[np.float64], ub: NDArray[np.float64]) -> Crystal:
    a, b, c = np.linalg.inv(a_matrix)
    lengths = [float(np.linalg.norm(vector)) for vector in (a, b, c)]
    cosines = [np.dot(b, c), np.dot(a, c), np.dot(a, b)]
    products = [lengths[1] * lengths[2], lengths[0] * lengths[2], lengths[0] * lengths[1]]
    angles = [float(np.degrees(np.arccos(dot / length))) for dot, length in zip(cosines, products, strict=True)]
    hall = str(model["space_group_hall_symbol"]).strip()
    group = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(hall))
    if group is None:
        raise ValueError(f"space group with Hall symbol {hall!r} is not tabulated")
    return Crystal.from_ub(ub, (*lengths, *angles), group.xhm())


def _beam(model: Mapping[str, Any]) -> Beam:
    # DIALS points the beam direction from the sample to the source.
    direction = -(_TO_LABORATORY @ np.asarray(model["direction"], dtype=np.float64))
    normal = _TO_LABORATORY @ np.asarray(model["polarization_normal"], dtype=np.float64)
    return Beam(
        float(model["wavelength"]), direction, float(model["polarization_fraction"]), np.cross(normal, direction)
    )


def _detector(model: Mapping[str, Any]) -> tuple[Detector, NDArray[np.float64], NDArray[np.float64], float]:
    frames = _panel_frames(model)
    panels, dead, thickness, attenuation, largest = [], [], [], [], [np.inf]
    for number, description in enumerate(model["panels"]):
        fast, slow, origin = frames[number]
        n_fast, n_slow = (int(value) for value in description["image_size"])
        first_fast, first_slow = (int(value) for value in description.get("raw_image_offset", (0, 0)))
        step_fast, step_slow = (float(value) * _METRE_PER_MM for value in description["pixel_size"])
        # Names need not be unique in DIALS; with the number they are.
        name = f"{description.get('name') or 'panel'}{number}" if len(model["panels"]) > 1 else "panel0"
        panels.append(
            Panel(
                name,
                first_slow,
                first_fast,
                n_slow,
                n_fast,
                _TO_LABORATORY @ origin * _METRE_PER_MM,
                _TO_LABORATORY @ slow * step_slow,
                _TO_LABORATORY @ fast * step_fast,
            )
        )
        corrected = "Parallax" in str((description.get("px_mm_strategy") or {}).get("type", ""))
        thickness.append(float(description["thickness"]) * _METRE_PER_MM if corrected else 0.0)
        attenuation.append(float(description["mu"]) / _METRE_PER_MM if corrected else 0.0)
        trusted = description.get("trusted_range", (0.0, 0.0))
        if trusted[1] > 0:
            largest.append(float(trusted[1]))
        dead += [
            (first_slow + int(y0), first_slow + int(y1), first_fast + int(x0), first_fast + int(x1))
            for x0, y0, x1, y1 in description.get("mask", [])
        ]
    shape = (
        max(panel.slow_start + panel.n_slow for panel in panels),
        max(panel.fast_start + panel.n_fast for panel in panels),
    )
    masked = np.zeros(shape, dtype=bool)
    for slow_0, slow_1, fast_0, fast_1 in dead:
        masked[slow_0:slow_1, fast_0:fast_1] = True
    return Detector(shape, tuple(panels), masked), np.array(thickness), np.array(attenuation), min(largest)


_Frame = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _panel_frames(model: Mapping[str, Any]) -> dict[int, _Frame]:
    """Return fast axis, slow axis and origin (mm) of each panel, after following the hierarchy of groups."""
    panels: Sequence[Mapping[str, Any]] = model["panels"]
    found: dict[int, _Frame] = {}

    def place(node: Mapping[str, Any], axes: NDArray[np.float64], origin: NDArray[np.float64]) -> None:
        description = panels[node["panel"]] if "panel" in node else node
        fast = np.asarray(description["fast_axis"], dtype=np.float64)
        slow = np.asarray(description["slow_axis"], dtype=np.float64)
        fast, slow = axes @ (fast / np.linalg.norm(fast)), axes @ (slow / np.linalg.norm(slow))
        here = origin + axes @ np.asarray(description["origin"], dtype=np.float64)
        if "panel" in node:
            found[int(node["panel"])] = (fast, slow, here)
            return
        inner = np.column_stack([fast, slow, np.cross(fast, slow)])
        for child in node["children"]:
            place(child, inner, here)

    if "hierarchy" in model:
        place(model["hierarchy"], np.eye(3), np.zeros(3))
    else:
        for number in range(len(panels)):
            place({"panel": number}, np.eye(3), np.zeros(3))
    if len(found) != len(panels):
        raise ValueError(f"hierarchy places {len(found)} of {len(panels)} panels")
    return found
