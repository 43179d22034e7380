"""Geometry from any of the files the field uses: the reader is chosen by the file's name."""

from __future__ import annotations

from pathlib import Path

from fewphoton.errors import DataError, GeometryError, InputFileError
from fewphoton.io.geometry_yaml import Geometry, read_geometry_yaml

__all__ = ["Geometry", "read_geometry"]


def read_geometry(path: Path | str, frame_shape: tuple[int, int] | None = None) -> Geometry:
    """Read detector, beam and, where the file holds it, the rotation axis.

    Parameters
    ----------
    path : Path or str
        ``.yaml`` (ours), ``.poni`` (pyFAI), ``.geom`` (CrystFEL), ``.h5``/``.nxs`` (NXmx), ``.cbf`` with a Pilatus
        header (also ``.bz2``, ``.gz``), ``.par`` (ImageD11).
    frame_shape : tuple of int, optional
        `(n_slow, n_fast)` of the frames; needed where the format does not tell it, checked where it does.

    Raises
    ------
    InputFileError
        If the file is missing, of an unknown kind, incomplete, or does not fit the frames.
    """
    source = Path(path)
    if not source.is_file():
        raise InputFileError(source, "no such file")
    try:
        geometry = _by_name(source, frame_shape)
    except (GeometryError, DataError, OverflowError) as error:
        raise InputFileError(source, f"describes an impossible detector or beam: {error}") from error
    if frame_shape is not None and geometry.detector.frame_shape != tuple(frame_shape):
        raise InputFileError(
            source,
            "describes another detector than the frames come from",
            expected=f"frames of {tuple(frame_shape)} pixels",
            found=geometry.detector.frame_shape,
        )
    return geometry


def _by_name(source: Path, frame_shape: tuple[int, int] | None) -> Geometry:
    name = source.name.lower().removesuffix(".bz2").removesuffix(".gz")
    if name.endswith((".yaml", ".yml")):
        geometry = read_geometry_yaml(source)
    elif name.endswith(".poni"):
        from fewphoton.io.geometry_poni import read_poni

        geometry = read_poni(source, frame_shape)
    elif name.endswith(".geom"):
        from fewphoton.io.geometry_crystfel import read_crystfel_geometry

        geometry = read_crystfel_geometry(source)
    elif name.endswith(".par"):
        from fewphoton.io.geometry_imaged11 import read_imaged11

        geometry = read_imaged11(source, frame_shape)
    elif name.endswith(".cbf"):
        from fewphoton.io.geometry_cbf import read_cbf_geometry

        geometry = read_cbf_geometry(source)
    elif name.endswith((".h5", ".hdf5", ".nxs")):
        from fewphoton.io.geometry_nxmx import read_nxmx

        geometry = read_nxmx(source)
    else:
        raise InputFileError(
            source, "is no known kind of geometry", expected=".yaml, .poni, .geom, .par, .cbf, .h5 or .nxs"
        )
    return geometry
