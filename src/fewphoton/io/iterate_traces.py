"""Files of traced iterates (HDF5)."""

from __future__ import annotations

from pathlib import Path

from fewphoton.data import IterateTrace
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.hdf5 import created, dataset, number_attribute, opened, require_kind, store, whole_attribute
from fewphoton.io.provenance import Provenance

KIND = "iterate_trace"


def write_iterate_trace(path: Path | str, trace: IterateTrace, provenance: Provenance) -> None:
    """Write the traced iterates of a reconstruction."""
    with created(path) as file:
        store(file, "iteration", trace.iteration)
        store(file, "seconds", trace.seconds, units="s")
        store(file, "hkl", trace.hkl)
        store(file, "intensity", trace.intensity)
        store(file, "weight", trace.weight)
        file.attrs["radius_hkl"] = trace.radius_hkl
        file.attrs["symmetrized"] = trace.symmetrized
        provenance.write(file, KIND)


def read_iterate_trace(path: Path | str) -> IterateTrace:
    """Read the traced iterates of a reconstruction.

    Raises
    ------
    InputFileError
        If the file is missing, truncated, foreign, or inconsistent.
    """
    with opened(path) as file:
        require_kind(file, KIND)
        try:
            return IterateTrace(
                dataset(file, "iteration", kind="i", shape=(None,))[()],
                dataset(file, "seconds", kind="f", shape=(None,))[()],
                dataset(file, "hkl", kind="i", shape=(None, 3))[()],
                dataset(file, "intensity", kind="f", shape=(None, None))[()],
                dataset(file, "weight", kind="f", shape=(None,))[()],
                number_attribute(file, "radius_hkl"),
                bool(whole_attribute(file, "symmetrized")),
            )
        except DataError as error:
            raise InputFileError(path, str(error)) from error
