"""How badly an expected pattern explains a pattern: squared differences of amplitudes, or photon counts.

Each is a mean over pixels, so that random subsets of pixels estimate the same number. Fluences that are free are those
that explain the pattern best; as the loss is flat there, no gradient has to pass through them.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

_FLUENCE_STEPS = 3
_SMALLEST = 1e-12


class Decoder(Protocol):
    """A volume that is trained."""

    def prepared(self) -> Tensor:
        """Return what all points of a step share."""
        ...

    def amplitudes(self, points: Tensor, prepared: Tensor) -> Tensor:
        """Amplitudes at `(..., 3)`."""
        ...

    def log_intensities(self, points: Tensor, prepared: Tensor) -> Tensor:
        """Logarithms of intensities at `(..., 3)`."""
        ...


class AmplitudeDifference:
    """Weighted mean of (sqrt(I) - a)^2, with I the intensity over response and a the decoder's amplitude.

    Parameters
    ----------
    response, weight : Tensor of float, `(n_pixels,)`
        Of the usable pixels.
    per_frame_fluence : bool
        Fit the factor of the amplitudes for each frame.
    """

    def __init__(self, response: Tensor, weight: Tensor, *, per_frame_fluence: bool) -> None:
        self._response, self._weight, self._free = response, weight, per_frame_fluence

    def __call__(
        self, decoder: Decoder, prepared: Tensor, points: Tensor, pattern: Tensor, pixels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compare.

        Parameters
        ----------
        decoder : Decoder
            The volume.
        prepared : Tensor
            What it prepared for this step.
        points : Tensor of float, `(..., n_chosen, 3)`
            Chosen pixels in the particle's frame.
        pattern : Tensor of float, `(..., n_chosen)`
            Their intensities; dimensions before the last may be 1 where those of ``points`` are not.
        pixels : Tensor of int64, `(n_chosen,)`
            Their numbers.

        Returns
        -------
        misfit : Tensor of float, `(...)`
            Mean over the chosen pixels.
        fluence : Tensor of float, `(...)`
            Factor of the expected intensities.
        """
        weight = self._weight[pixels]
        target = torch.sqrt(pattern / self._response[pixels])
        found = decoder.amplitudes(points, prepared)
        factor = torch.ones_like(found[..., 0])
        if self._free:
            with torch.no_grad():
                own = (weight * found * found).sum(-1).clamp_min(_SMALLEST)
                factor = ((weight * found * target).sum(-1) / own).clamp_min(0.0)
        return (weight * (target - factor[..., None] * found) ** 2).mean(-1), factor**2


class PoissonCounts:
    """Mean of m - y log m, with y photons and m = fluence * response * intensity + background expected.

    Parameters
    ----------
    response : Tensor of float, `(n_pixels,)`
        Of the usable pixels.
    background : float
        Photons of the background on each pixel.
    per_frame_fluence : bool
        Fit the fluence of each frame, by steps of expectation and maximization.
    """

    def __init__(self, response: Tensor, background: float, *, per_frame_fluence: bool) -> None:
        self._response, self._background, self._free = response, background, per_frame_fluence

    def __call__(
        self, decoder: Decoder, prepared: Tensor, points: Tensor, pattern: Tensor, pixels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compare; see :class:`AmplitudeDifference`."""
        log_expected = decoder.log_intensities(points, prepared) + torch.log(self._response[pixels])
        fluence = torch.ones_like(log_expected[..., 0])
        if self._free:
            fluence = self._best_fluence(log_expected, pattern)
            log_expected = log_expected + torch.log(fluence)[..., None]
        expected = torch.exp(log_expected)
        if self._background > 0:
            expected = expected + self._background
            log_expected = torch.log(expected)
        return (expected - pattern * log_expected).mean(-1), fluence

    @torch.no_grad()
    def _best_fluence(self, log_expected: Tensor, pattern: Tensor) -> Tensor:
        expected = torch.exp(log_expected)
        total = expected.sum(-1).clamp_min(_SMALLEST)
        fluence = (pattern.sum(-1) / total).expand_as(total).clamp_min(_SMALLEST)
        if self._background > 0:
            for _ in range(_FLUENCE_STEPS):
                of_particle = fluence[..., None] * expected
                share = of_particle / (of_particle + self._background)
                fluence = ((pattern * share).sum(-1) / total).clamp_min(_SMALLEST)
        return fluence
