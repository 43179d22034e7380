"""What made a file: program, version, commit, stage, configuration and input digests.

No times and no host names: the same inputs give the same bytes.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

import fewphoton
from fewphoton.errors import InputFileError

_WHOLE_FILE_LIMIT = 64 * 1024 * 1024
_EDGE = 4 * 1024 * 1024


def file_digest(path: Path | str) -> str:
    """Return ``sha256:…`` of a file, or ``edges-sha256:…`` of size, first and last 4 MiB where it exceeds 64 MiB.

    Raises
    ------
    InputFileError
        If the file cannot be read.
    """
    source = Path(path)
    try:
        size = source.stat().st_size
        with source.open("rb") as handle:
            if size <= _WHOLE_FILE_LIMIT:
                return f"sha256:{hashlib.sha256(handle.read()).hexdigest()}"
            state = hashlib.sha256(str(size).encode())
            state.update(handle.read(_EDGE))
            handle.seek(size - _EDGE)
            state.update(handle.read(_EDGE))
            return f"edges-sha256:{state.hexdigest()}"
    except OSError as error:
        raise InputFileError(source, f"cannot be read: {error.strerror or error}") from error


@functools.cache
def source_commit() -> str:
    """Return the last git commit that changed the package, or ``unknown`` for an installed copy.

    Other commits in the same clone, of a configuration for example, make no other program, and leave checkpoints valid.
    """
    folder = Path(fewphoton.__file__).resolve().parent
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "log", "-1", "--format=%H", "--", "."],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return answer.stdout.strip() or "unknown"


@dataclass(frozen=True)
class Provenance:
    """Who made a file and from what.

    Parameters
    ----------
    stage : str
        Name of the stage.
    config : mapping
        Its configuration section, JSON-ready.
    inputs : mapping of str to str
        File name and digest of each input.
    notes : tuple of str
        What a reader must know, for example that counts were thinned.
    """

    stage: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, stage: str, config: Mapping[str, Any], inputs: Mapping[str, Path], notes: tuple[str, ...] = ()
    ) -> Provenance:
        """Digest the input files and build the record."""
        return cls(stage, config, {f"{role}:{path.name}": file_digest(path) for role, path in inputs.items()}, notes)

    def record(self) -> dict[str, Any]:
        """Return the record as JSON-ready values."""
        return {
            "program": "fewphoton",
            "version": fewphoton.__version__,
            "commit": source_commit(),
            "stage": self.stage,
            "config": dict(self.config),
            "inputs": dict(self.inputs),
            "notes": list(self.notes),
        }

    def write(self, file: h5py.File, kind: str) -> None:
        """Mark an HDF5 file as ours (``fewphoton_kind``) and store the record as an NXprocess group."""
        file.attrs["fewphoton_kind"] = kind
        file.attrs["NX_class"] = "NXroot"
        group = file.create_group("provenance")
        group.attrs["NX_class"] = "NXprocess"
        for key, value in self.record().items():
            group.create_dataset(key, data=value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def provenance_of(path: Path | str) -> dict[str, Any]:
    """Return the record that a result file carries: HDF5, or JSON with an entry ``provenance``.

    Raises
    ------
    InputFileError
        If the file cannot be read, or holds no provenance.
    """
    source = Path(path)
    try:
        if h5py.is_hdf5(source):
            with h5py.File(source, "r") as file:
                return read_provenance(file)
        content = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputFileError(source, f"provenance cannot be read: {error}") from error
    record = content.get("provenance") if isinstance(content, dict) else None
    if not isinstance(record, dict):
        raise InputFileError(source, "holds no provenance", where="provenance")
    return record


def record_digest(*content: Any) -> str:
    """Return the SHA-256 (64 hexadecimal digits) of JSON-ready values; the order of keys does not matter."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def read_provenance(file: h5py.File) -> dict[str, Any]:
    """Return the record that :meth:`Provenance.write` stored."""
    if "provenance" not in file:
        raise InputFileError(file.filename, "holds no provenance", where="/provenance")
    texts = {key: item.asstr()[()] for key, item in file["provenance"].items()}
    plain = ("program", "version", "commit", "stage")
    return {key: text if key in plain else json.loads(text) for key, text in texts.items()}
