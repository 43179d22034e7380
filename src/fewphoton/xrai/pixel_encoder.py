"""Features of the usable pixels by a fully connected network, each pixel brought to mean 0 and variance 1 before."""

from __future__ import annotations

from torch import Tensor, nn


class PixelEncoder(nn.Module):
    """Fully connected layers, each normalized over its features.

    Amplitudes fall by orders of magnitude from the centre outwards; whitening each pixel by its own mean and standard
    deviation over frames lets high q count. The network knows no neighbourhood of pixels: a beam that wanders over the
    detector needs the convolutional encoder.

    Parameters
    ----------
    n_pixels : int
        Usable pixels.
    widths : tuple of int
        Widths of the layers.
    """

    def __init__(self, n_pixels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = n_pixels
        for width in widths:
            layers += [nn.Linear(before, width), nn.LayerNorm(width), nn.GELU()]
            before = width
        self.layers = nn.Sequential(*layers)
        self.n_features = before

    def forward(self, whitened: Tensor) -> Tensor:
        """Return features `(n, n_features)` of whitened amplitudes `(n, n_pixels)`."""
        features: Tensor = self.layers(whitened)
        return features
