"""Images of the frames' size beside the frames: masks, dark and flat images."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import InputFileError
from fewphoton.io.raw_frames import open_raw_frames


def read_image(path: Path, frame_shape: tuple[int, int]) -> NDArray[Any]:
    """Return an image of the frames' size, float64 `(n_pixels,)`; several frames are averaged.

    Raises
    ------
    InputFileError
        If the image has another size.
    """
    with open_raw_frames([str(path)]) as frames:
        if frames.frame_shape != tuple(frame_shape):
            raise InputFileError(path, "does not fit the frames", expected=frame_shape, found=frames.frame_shape)
        total = np.zeros(frame_shape, dtype=np.float64)
        for _, chunk in frames.chunks(16):
            total += chunk.sum(axis=0, dtype=np.float64)
    return (total / frames.n_frames).ravel()


def masked_by(images: Iterable[str], frame_shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels at which any of the images is not 0 (NaN is not), bool `(n_pixels,)`.

    Raises
    ------
    InputFileError
        If an image cannot be read or has another size.
    """
    masked = np.zeros(frame_shape[0] * frame_shape[1], dtype=bool)
    for image in images:
        masked |= read_image(Path(image), frame_shape) != 0
    return masked
