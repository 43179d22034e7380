"""Small pictures of figures, and their places on a page."""

import io
import re

import numpy as np
import pytest
from matplotlib import image

from fewphoton.errors import DataError
from fewphoton.figures.gallery import GalleryPicture, gallery, thumbnail


def picture(pixels, name="a.png"):
    buffer = io.BytesIO()
    image.imsave(buffer, pixels, format="png")
    return GalleryPicture(name, buffer.getvalue(), "A & B: Fig. 1", "emc-fig-1")


def read(content):
    return image.imread(io.BytesIO(content), format="png")


def test_pixels_are_means_of_blocks():
    drawn = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    small = read(thumbnail(picture(drawn), width_pixel=4))
    expected = drawn.reshape(3, 2, 4, 2, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(small[..., :3], expected, atol=1 / 255)


def test_edges_that_fill_no_block_are_completed_in_white():
    small = read(thumbnail(picture(np.zeros((3, 5, 3), np.uint8)), width_pixel=3))
    assert small.shape[:2] == (2, 3)
    np.testing.assert_allclose(small[..., 0], [[0, 0, 0.5], [0.5, 0.5, 0.75]], atol=1 / 255)


def test_small_figures_keep_their_size():
    drawn = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(read(thumbnail(picture(drawn)))[..., :3], drawn / 255, atol=1 / 255)


def test_each_picture_leads_to_its_figure():
    page = gallery([picture(np.zeros((2, 2, 3), np.uint8), name) for name in ("a.png", "<b>.png")])
    assert re.findall('href="([^"]+)"', page) == ["#emc-fig-1"] * 2
    assert re.findall('alt="([^"]+)"', page) == ["a.png", "&lt;b&gt;.png"]
    assert page.count("A &amp; B: Fig. 1") == 2


def test_what_is_no_picture_is_named():
    with pytest.raises(DataError, match=r"a\.png: is no PNG picture"):
        thumbnail(GalleryPicture("a.png", b"\x89PNG\r\n\x1a\nbroken", "", ""))
