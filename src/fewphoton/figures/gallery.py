"""All figures of a page as small pictures side by side."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from matplotlib import image

from fewphoton.errors import DataError

STYLE = """
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: .8rem; }
.gallery a { color: inherit; text-decoration: none; font-size: .85rem; line-height: 1.3; }
.gallery img { width: 100%; height: 150px; object-fit: contain; background: #fff; }
"""
WIDTH_PIXEL = 380
"""Width that small pictures do not exceed: twice that of their places, for fine screens."""


@dataclass(frozen=True)
class GalleryPicture:
    """A figure (PNG), what is told below it, and where on the page the figure stands."""

    name: str
    content: bytes
    caption: str
    anchor: str


def thumbnail(picture: GalleryPicture, width_pixel: int = WIDTH_PIXEL) -> bytes:
    """Return the figure at most so wide, as PNG; each pixel is the mean of a square block of the figure's.

    Parameters
    ----------
    picture : GalleryPicture
        The figure.
    width_pixel : int
        Largest width.

    Raises
    ------
    DataError
        If the figure is no PNG picture.
    """
    try:
        pixels = image.imread(io.BytesIO(picture.content), format="png")
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{picture.name}: is no PNG picture: {error}") from error
    factor = max(1, -(-pixels.shape[1] // width_pixel))
    colours = np.atleast_3d(pixels)[..., :3]
    # What is left over at the lower and the right edge is blank paper, which white continues.
    n_rows, n_columns = (-(-size // factor) for size in colours.shape[:2])
    paper = np.ones((n_rows * factor, n_columns * factor, colours.shape[2]), dtype=np.float64)
    paper[: colours.shape[0], : colours.shape[1]] = colours
    small = paper.reshape(n_rows, factor, n_columns, factor, -1).mean(axis=(1, 3))
    buffer = io.BytesIO()
    shown = np.repeat(small, 3, axis=2) if small.shape[2] == 1 else small
    image.imsave(buffer, shown, format="png")
    return buffer.getvalue()


def gallery(pictures: Sequence[GalleryPicture]) -> str:
    """Return the pictures as HTML; each leads to its figure."""
    places = [
        f'<a href="#{escape(picture.anchor)}"><img src="data:image/png;base64,'
        f'{base64.b64encode(thumbnail(picture)).decode()}" alt="{escape(picture.name)}">{escape(picture.caption)}</a>'
        for picture in pictures
    ]
    return f'<div class="gallery">{"".join(places)}</div>'
