"""Features of whole images by a convolutional network, as in X-RAI.

Shenoy, Levy, Poitevin & Wetzstein 2023, *Amortized pose estimation for X-ray single particle imaging*, section 2.2:
amplitudes, low-pass filtered into a Gaussian pyramid, pass a network after VGG16 (Simonyan & Zisserman 2014,
arXiv:1409.1556). The paper gives no sizes; the preset ones are those of cryoAI, from which X-RAI descends (Levy et al.
2022, arXiv:2203.08138).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

_VARIANCES_PIXELS2 = (0.01, 0.1, 1.0, 10.0, 100.0)
_KERNEL = 11
_MEAN, _DEVIATION = 0.45, 0.226
_SMALLEST_EDGE = 2


class GaussianPyramid(nn.Module):
    """The image blurred by five fixed Gaussians, 0.01 to 100 square pixels of variance, a channel each."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        square = (torch.arange(_KERNEL, dtype=torch.float32) - _KERNEL // 2) ** 2
        kernels = [torch.exp(-(square[:, None] + square[None, :]) / (2 * variance)) for variance in _VARIANCES_PIXELS2]
        weights = torch.stack([kernel / kernel.sum() for kernel in kernels])[:, None]
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Blur ``image`` `(n, 1, rows, columns)`, mirrored at its edges, to `(n, 5, rows, columns)`."""
        margin = _KERNEL // 2
        return conv2d(pad(image, (margin,) * 4, mode="reflect"), self.weights)


class ImageEncoder(nn.Module):
    """Convolutions in five groups with pools between them, then two fully connected layers.

    A pool is left out where the map is down to two pixels, so small detectors pass as well; 128 x 128 pixels end in
    2 x 2 times the last width.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the image, 12 or more each.
    widths : tuple of five int
        Channels of the groups.
    hidden : tuple of two int
        Widths of the fully connected layers.
    """

    def __init__(self, shape: tuple[int, int], widths: tuple[int, ...], hidden: tuple[int, int]) -> None:
        super().__init__()
        self.pyramid = GaussianPyramid()
        layers: list[nn.Module] = []
        channels, (rows, columns) = len(_VARIANCES_PIXELS2), shape
        convolutions = (2, 2, 3, 2, 2)
        pools = (nn.MaxPool2d, nn.MaxPool2d, nn.MaxPool2d, nn.AvgPool2d, nn.AvgPool2d)
        for width, repeats, pool in zip(widths, convolutions, pools, strict=True):
            for _ in range(repeats):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            if min(rows, columns) >= 2 * _SMALLEST_EDGE:
                layers.append(pool(2))
                rows, columns = rows // 2, columns // 2
        if min(rows, columns) >= 2 * _SMALLEST_EDGE:
            layers.append(nn.MaxPool2d(2))
            rows, columns = rows // 2, columns // 2
        self.convolutions = nn.Sequential(*layers)
        self.n_features = hidden[1]
        self.connected = nn.Sequential(
            nn.Linear(channels * rows * columns, hidden[0]),
            nn.BatchNorm1d(hidden[0]),
            nn.ReLU(),
            nn.Linear(hidden[0], hidden[1]),
            nn.ReLU(),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Return features `(n, n_features)` of amplitude images `(n, rows, columns)`."""
        channels = self.pyramid(image[:, None])
        deviation, mean = torch.std_mean(channels, dim=(-2, -1), keepdim=True)
        # An image without any photon has no deviation; it stays level.
        level = (channels - mean) / deviation.clamp_min(torch.finfo(channels.dtype).tiny) * _DEVIATION + _MEAN
        features: Tensor = self.connected(self.convolutions(level).flatten(1))
        return features
