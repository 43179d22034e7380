"""What lies beside raw frames: series of frames, geometries that fit them, crystals."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from fewphoton.errors import FewphotonError
from fewphoton.io.cell_files import CELL_SUFFIXES, FoundCell, read_cell
from fewphoton.io.geometry_files import Geometry, read_geometry
from fewphoton.io.sparse_scan import open_sparse_scan

_FRAME_SUFFIXES = (".cbf", ".h5", ".hdf5", ".nxs", ".cxi", ".npy", ".edf", ".tif", ".tiff", ".img", ".mccd", ".sfrm")
_GEOMETRY_SUFFIXES = (".poni", ".geom", ".yaml", ".yml", ".par", ".nxs", ".h5", ".hdf5", ".cbf")
_PACKED = (".bz2", ".gz")
_RUNNING_NUMBER = re.compile(r"\d+(?=\D*$)")
_MOST_CANDIDATES = 40


def frame_patterns(folder: Path) -> list[str]:
    """Return series of frames in a folder, longest first: files of one name but for a running number as one glob.

    Eiger's numbered data files are left out where their master file is there.
    """
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file() and _kind(entry) in _FRAME_SUFFIXES)
    masters = {name.removesuffix("_master.h5") for name in names if name.endswith("_master.h5")}
    names = [name for name in names if not any(name.startswith(f"{master}_data_") for master in masters)]
    series: dict[str, list[str]] = {}
    for name in names:
        series.setdefault(_RUNNING_NUMBER.sub("*", _stem(name), count=1) + name[len(_stem(name)) :], []).append(name)
    found = sorted(series.items(), key=lambda item: -len(item[1]))
    return [str(folder / (pattern if len(files) > 1 else files[0])) for pattern, files in found]


def folder_of(patterns: Sequence[str]) -> Path:
    """Return the folder that holds the first of some frames."""
    return Path(os.path.abspath(patterns[0].partition("::")[0].lstrip("@"))).parent


def first_file(patterns: Sequence[str]) -> Path | None:
    """Return the first file of some frames."""
    found = sorted(glob.glob(patterns[0].partition("::")[0]))
    return Path(found[0]) if found else None


def is_sparse_scan(path: Path) -> bool:
    """Tell whether a file is a sparse rotation scan."""
    try:
        with open_sparse_scan(path) as scan:
            return scan.n_frames > 0
    except FewphotonError:
        return False


def geometries(folder: Path, frames: Path | None, shape: tuple[int, int] | None) -> list[tuple[Path, Geometry]]:
    """Return geometries that can be read and fit the frames: files of their own first, then the frames' header."""
    beside = [path for path in _files(folder) if _kind(path) in _GEOMETRY_SUFFIXES[:5]]
    masters = [path for path in _files(folder) if path.name.endswith(("_master.h5", ".nxs"))]
    candidates = [*sorted(beside, key=lambda path: _GEOMETRY_SUFFIXES.index(_kind(path))), *masters]
    if frames is not None:
        candidates.append(frames)
    found = []
    for path in dict.fromkeys(candidates[:_MOST_CANDIDATES]):
        try:
            found.append((path, read_geometry(path, shape)))
        except FewphotonError:
            continue  # not a geometry, or of another detector
    return found


def crystals(folder: Path) -> list[tuple[Path, FoundCell]]:
    """Return unit cells of files in a folder and the one above, those that know an orientation first."""
    found = []
    for path in [path for place in (folder, folder.parent) for path in _files(place)][: 10 * _MOST_CANDIDATES]:
        if _kind(path) in CELL_SUFFIXES:
            try:
                found.append((path, read_cell(path)))
            except FewphotonError:
                continue  # a file of another kind with such a name
    return sorted(found, key=lambda item: (item[1].ub_inv_angstrom is None, item[1].space_group is None))


def _files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def _stem(name: str) -> str:
    """Name without its suffixes for packing and kind."""
    bare = next((name.removesuffix(suffix) for suffix in _PACKED if name.lower().endswith(suffix)), name)
    return bare[: len(bare) - len(Path(bare).suffix)]


def _kind(path: Path) -> str:
    name = path.name.lower()
    return Path(next((name.removesuffix(suffix) for suffix in _PACKED if name.endswith(suffix)), name)).suffix
