import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from fewphoton.xrai.image_encoder import GaussianPyramid, ImageEncoder
from fewphoton.xrai.pixel_encoder import PixelEncoder


def test_pyramid_is_five_gaussians_of_the_mirrored_image():
    image = np.random.default_rng(0).random((14, 12)).astype(np.float32)
    found = GaussianPyramid()(torch.tensor(image)[None, None])[0].numpy()
    square = np.add.outer((np.arange(11) - 5) ** 2, (np.arange(11) - 5) ** 2)
    for channel, variance in enumerate((0.01, 0.1, 1, 10, 100)):
        kernel = np.exp(-square / (2 * variance))
        np.testing.assert_allclose(found[channel], correlate(image, kernel / kernel.sum(), mode="mirror"), atol=1e-5)
    np.testing.assert_allclose(found[0], image, atol=1e-5)


@pytest.mark.parametrize(("edge", "features"), [(128, 2 * 2 * 8), (32, 2 * 2 * 8), (12, 3 * 3 * 8)])
def test_maps_end_two_or_three_pixels_wide(edge, features):
    encoder = ImageEncoder((edge, edge), (2, 4, 8, 8, 8), (16, 8))
    assert encoder.connected[0].in_features == features
    assert encoder.eval()(torch.rand(2, edge, edge)).shape == (2, 8)
    convolutions = [layer for layer in encoder.modules() if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 11


def test_brightness_does_not_matter_and_dark_images_give_numbers():
    encoder = ImageEncoder((16, 16), (2, 2, 2, 2, 2), (8, 4)).eval()
    image = torch.rand(1, 16, 16)
    torch.testing.assert_close(encoder(image), encoder(7 * image), atol=1e-4, rtol=1e-4)
    assert torch.isfinite(encoder(torch.zeros(1, 16, 16))).all()


def test_layers_of_the_pixel_encoder():
    encoder = PixelEncoder(30, (12, 7))
    assert encoder.n_features == 7
    assert encoder(torch.randn(3, 30)).shape == (3, 7)
