"""JSON inside files, so that every way it can be wrong becomes a typed error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fewphoton.errors import InputFileError


def parsed_json(text: str | bytes, path: Path | str, where: str | None = None) -> Any:
    """Return what JSON text holds.

    Parameters
    ----------
    text : str or bytes
        The text.
    path : Path or str
        File it comes from.
    where : str, optional
        Dataset, line or key it stands in.

    Raises
    ------
    InputFileError
        If it is no JSON, is no UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise InputFileError(path, "is nested too deeply to be read as JSON", where=where) from error
    except ValueError as error:
        raise InputFileError(path, f"cannot be read as JSON: {error}", where=where) from error
