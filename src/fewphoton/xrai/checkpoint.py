"""Checkpoints of a training as bytes: tensors, numbers and text, nothing that could run when it is read."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import torch

from fewphoton.errors import DataError

FORMAT = 1


def checkpoint_bytes(content: dict[str, Any]) -> bytes:
    """Pack tensors, numbers, text, lists and dictionaries."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    return buffer.getvalue()


def checkpoint_content(data: bytes) -> dict[str, Any]:
    """Unpack, on the processor.

    Raises
    ------
    DataError
        If the bytes are truncated, of another kind, or hold anything but tensors, numbers and text.
    """
    try:
        is_archive = zipfile.is_zipfile(io.BytesIO(data))
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True) if is_archive else None
    except Exception as error:  # the unpickler raises whatever damaged bytes lead it to
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"no checkpoint of a training, or a broken one: {reason}") from error
    if not is_archive:
        raise DataError("no checkpoint of a training, or a truncated one")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError("a checkpoint of another program or version")
    return content
