"""Rings on disk, by a digest of all that fixes them: jobs on many chunks of a run need not find them again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fewphoton.data import AzimuthalBins, Beam, Detector
from fewphoton.data.detector import describe
from fewphoton.errors import FewphotonError, InputFileError
from fewphoton.io.hdf5 import attribute, created, dataset, opened, store

_VERSION = 2


def cache_folder() -> Path:
    """Return the folder of cached rings: FEWPHOTON_CACHE, or ``fewphoton`` in the user's cache folder."""
    named = os.environ.get("FEWPHOTON_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fewphoton"


def bins_digest(detector: Detector, beam: Beam, parameters: object) -> str:
    """Return SHA-256 (hex) of geometry, mask, beam and the rings' parameters."""
    state = hashlib.sha256(repr((_VERSION, describe(detector, beam), parameters)).encode())
    state.update(np.packbits(detector.masked).tobytes())
    return state.hexdigest()


def cached_bins(digest: str, build: Callable[[], AzimuthalBins]) -> AzimuthalBins:
    """Return the rings of a digest, from disk where they are, else built and kept.

    A cache that cannot be read or written is passed over: the rings are then built.
    """
    path = cache_folder() / f"azimuthal_bins_{digest}.h5"
    try:
        if path.is_file():
            return _read(path)
    except (OSError, FewphotonError, TypeError, ValueError, IndexError):
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    bins = build()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with created(path) as file:
            file.attrs.update(unit=bins.unit, frame_shape=bins.frame_shape, digest=bins.digest())
            for name in ("edges", "radius", "bin_of_pixel"):
                store(file, name, getattr(bins, name))
            if bins.normalization is not None:
                store(file, "normalization", bins.normalization)
    except (OSError, FewphotonError):
        pass
    return bins


def _read(path: Path) -> AzimuthalBins:
    with opened(path) as file:
        shape = attribute(file, "frame_shape")
        norm = dataset(file, "normalization", kind="f")[()] if "normalization" in file else None
        bins = AzimuthalBins(
            (int(shape[0]), int(shape[1])),
            attribute(file, "unit"),
            dataset(file, "edges", kind="f")[()],
            dataset(file, "radius", kind="f")[()],
            dataset(file, "bin_of_pixel", kind="u")[()],
            norm,
        )
        if bins.digest() != attribute(file, "digest"):
            raise InputFileError(path, "was damaged after it was written")
        return bins
