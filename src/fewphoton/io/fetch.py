"""Public data sets: a local copy where there is one, else the public address; checked by SHA-256 either way."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from fewphoton.errors import InputFileError
from fewphoton.io.atomic import written_aside

_TIMEOUT_SECONDS = 60
_PIECE = 1 << 20


def local_folder(data_dir: Path | None, folder: str) -> Path | None:
    """Return the folder of local copies: below ``data_dir``, else below ``$FEWPHOTON_DATA``, else None.

    Raises
    ------
    InputFileError
        If a place is named but does not hold the folder.
    """
    named = data_dir or (Path(os.environ["FEWPHOTON_DATA"]) if os.environ.get("FEWPHOTON_DATA") else None)
    if named is None:
        return None
    place = named / folder
    if not place.is_dir():
        raise InputFileError(
            place,
            "no such folder",
            remedy="Correct data_dir (or FEWPHOTON_DATA), or leave it out to fetch from the public address",
        )
    return place


def sha256_of(path: Path | str) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    state = hashlib.sha256()
    with Path(path).open("rb") as handle:
        while piece := handle.read(_PIECE):
            state.update(piece)
    return state.hexdigest()


def fetch(name: str, destination: Path, source: Path | None, url: str | None, sha256: str | None) -> str:
    """Bring a file to ``destination`` and check it.

    Parameters
    ----------
    name : str
        File name in the folder or below the address.
    destination : Path
        Where the file goes.
    source : Path or None
        Folder of local copies; None: fetch.
    url : str or None
        Public address (http or https) of the folder.
    sha256 : str or None
        Expected digest; None: not checked.

    Returns
    -------
    str
        Where the file came from.

    Raises
    ------
    InputFileError
        If the file is in neither place, or its digest is another.
    """
    if source is None and url is None:
        raise InputFileError(name, "no local copy and no address", remedy="Set data_dir, FEWPHOTON_DATA or url")
    origin = str(source / name) if source is not None else f"{str(url).rstrip('/')}/{urllib.parse.quote(name)}"
    with written_aside(destination) as aside:
        if source is not None:
            if not (source / name).is_file():
                raise InputFileError(source / name, "no such file")
            shutil.copyfile(source / name, aside)
        else:
            _download(origin, aside)
        found = sha256_of(aside)
        if sha256 is not None and found != sha256:
            raise InputFileError(origin, "has another content than was published", expected=sha256, found=found)
    return origin


def _download(address: str, target: Path) -> None:
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise InputFileError(address, "is no http(s) address")
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT_SECONDS) as answer, target.open("wb") as handle:
            shutil.copyfileobj(answer, handle, _PIECE)
    except (urllib.error.URLError, TimeoutError) as error:
        raise InputFileError(
            address, f"cannot be fetched: {error}", remedy="Copy the data set by hand and set data_dir"
        ) from error
