"""Our own geometry file: frame shape, beam, panels and rotation axis in YAML (lengths in metres)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from fewphoton.data import Beam, Detector
from fewphoton.data.detector import describe, from_description
from fewphoton.errors import GeometryError, InputFileError
from fewphoton.io.atomic import write_text

# libyaml's reader is the same and ten times as fast, where PyYAML was built with it.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, eq=False)
class Geometry:
    """What a geometry file tells.

    Parameters
    ----------
    detector : Detector
        Panels and mask.
    beam : Beam
        Wavelength, direction, polarization.
    rotation_axis : ndarray of float64, `(3,)`, or None
        Goniometer axis, where the file holds one.
    """

    detector: Detector
    beam: Beam
    rotation_axis: NDArray[np.float64] | None = None


def write_geometry_yaml(
    path: Path | str, detector: Detector, beam: Beam, rotation_axis: NDArray[np.float64] | None = None
) -> None:
    """Write geometry, beam and mask; masked pixels (gaps aside) are stored as runs of flat pixel numbers."""
    content = describe(detector, beam)
    if rotation_axis is not None:
        content["rotation_axis"] = [float(value) for value in rotation_axis]
    masked = detector.masked & (detector.panel_numbers() >= 0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], masked.astype(np.int8), [0]])))
    content["masked_runs"] = edges.reshape(-1, 2).tolist()
    write_text(path, yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def read_geometry_yaml(path: Path | str) -> Geometry:
    """Read what :func:`write_geometry_yaml` wrote; ``rotation_axis`` and ``masked_runs`` may be left out.

    Raises
    ------
    InputFileError
        If the file is no YAML, or a key is missing, unknown or impossible.
    """
    try:
        content = yaml.load(Path(path).read_text(encoding="utf-8"), _LOADER)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputFileError(path, f"cannot be read as a geometry: {error}") from error
    known = {"frame_shape", "beam", "panels", "rotation_axis", "masked_runs"}
    if not isinstance(content, dict) or not {"frame_shape", "beam", "panels"} <= set(content) <= known:
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise InputFileError(
            path, "is no geometry description", expected=f"keys {', '.join(sorted(known))}", found=found
        )
    axis = content.pop("rotation_axis", None)
    runs = content.pop("masked_runs", None) or []
    try:
        detector, beam = from_description(content)
        masked = detector.masked.copy()
        for start, stop in runs:
            if not 0 <= start < stop <= detector.n_pixels:
                raise GeometryError(f"masked run {start}, {stop} lies outside the {detector.n_pixels} pixels")
            masked[start:stop] = True
        rotation = None if axis is None else np.asarray(axis, dtype=np.float64).reshape(3)
    except (GeometryError, TypeError, ValueError) as error:
        raise InputFileError(path, str(error)) from error
    return Geometry(detector.with_mask(masked), beam, rotation)
