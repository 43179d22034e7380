"""How well expected photons explain a pattern: Poisson counts, and noise-free amplitudes.

Both models give, up to a constant of the pattern, a logarithm of a likelihood. As products of matrices they score many
views against many patterns; pair by pair they also give slope and curvature for a search between the views of a grid.

Per-frame fluence is profiled: each pair of pattern and view gets the factor that explains it best, which for Poisson
counts leaves the likelihood of a multinomial distribution with the total fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

_DARKEST = 1e-6


class NoiseModel(Protocol):
    """What a search asks of a noise model; patterns and views are columns, `(n_pixels, n)`."""

    def scorer(self, views: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what gives patterns their log-likelihood with every view, float32 `(n_patterns, n_views)`."""
        ...

    def values(self, patterns: Tensor, views: Tensor) -> Tensor:
        """Log-likelihood of column with column, float64 `(n,)`."""
        ...

    def misfits(self, patterns: Tensor, views: Tensor) -> Tensor:
        """How much worse column fits column than it should, comparable between patterns, float64 `(n,)`."""
        ...

    def expansion(self, patterns: Tensor, views: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
        """Slope `(n, 3)` and expected curvature `(n, 3, 3)` along three changes of the views `(3, n_pixels, n)`."""
        ...

    def within(self, chosen: Tensor) -> NoiseModel:
        """Return the model of some pixels only, bool `(n_pixels,)`."""
        ...

    def fluences(self, patterns: Tensor, views: Tensor) -> Tensor:
        """Fluence of each pattern by its view, float64 `(n,)`; 1 where all are equal."""
        ...


@dataclass(frozen=True, eq=False)
class PoissonCounts:
    """Photon counts.

    log L = sum(y log(m) - m), or with the fluence profiled sum(y) log(sum(y) / sum(m)) + sum(y log(m)) - sum(y), up to
    terms of y alone (Loh & Elser 2009, doi:10.1103/PhysRevE.80.026705, eq. 9).

    Parameters
    ----------
    per_frame_fluence : bool
        Profile a factor for each pattern. Otherwise all patterns have fluence 1.
    """

    per_frame_fluence: bool

    def scorer(self, views: Tensor) -> Callable[[Tensor], Tensor]:
        """See :class:`NoiseModel`. One matrix product: 2 operations a pixel and pair."""
        safe = views.clamp_min(_DARKEST)
        expected, logarithm = safe.sum(dim=0), safe.log()

        def scores(patterns: Tensor) -> Tensor:
            total = patterns.T @ logarithm
            if self.per_frame_fluence:
                return total.addmm_(patterns.sum(dim=0)[:, None], -expected.log()[None, :])
            return total.sub_(expected)

        return scores

    def values(self, patterns: Tensor, views: Tensor) -> Tensor:
        """See :class:`NoiseModel`."""
        safe = views.clamp_min(_DARKEST)
        # torch adds in pairs, so float32 loses no more than 1e-6 of these sums.
        total = (patterns * safe.log()).sum(dim=0).double()
        expected = safe.sum(dim=0).double()
        if self.per_frame_fluence:
            return total - patterns.sum(dim=0).double() * expected.log()
        return total - expected

    def misfits(self, patterns: Tensor, views: Tensor) -> Tensor:
        """See :class:`NoiseModel`: how far the log-likelihood lies below its expectation, in standard deviations."""
        expected = (views * self.fluences(patterns, views).to(views.dtype)).clamp_min(_DARKEST)
        logarithm = expected.log()
        shortfall = ((expected - patterns) * logarithm).sum(dim=0, dtype=torch.float64)
        return shortfall / (expected * logarithm.square()).sum(dim=0, dtype=torch.float64).sqrt()

    def expansion(self, patterns: Tensor, views: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`NoiseModel`; the curvature is Fisher's information."""
        safe = views.clamp_min(_DARKEST)
        fluence = self.fluences(patterns, views).to(safe.dtype)
        slope = torch.einsum("jpn,pn->nj", changes, patterns / safe - fluence)
        curvature = torch.einsum("jpn,pn,kpn->njk", changes, fluence / safe, changes)
        if self.per_frame_fluence:
            # The total is fixed: what changes all pixels alike says nothing.
            common = changes.sum(dim=1).T
            expected = safe.sum(dim=0)
            curvature = curvature - (fluence / expected)[:, None, None] * common[:, :, None] * common[:, None, :]
        return slope, curvature

    def within(self, chosen: Tensor) -> PoissonCounts:
        """See :class:`NoiseModel`."""
        return self

    def fluences(self, patterns: Tensor, views: Tensor) -> Tensor:
        """See :class:`NoiseModel`."""
        if not self.per_frame_fluence:
            return torch.ones(patterns.shape[1], dtype=torch.float64, device=patterns.device)
        return patterns.sum(dim=0).double() / views.sum(dim=0).double().clamp_min(_DARKEST)


@dataclass(frozen=True, eq=False)
class NoiseFreeAmplitudes:
    """Noise-free patterns: a weighted square of differences of amplitudes stands in for a log-likelihood.

    log L = -sum(w (sqrt(y) - sqrt(m))^2) / 2, all fluences equal to 1.

    Parameters
    ----------
    weight : Tensor of float32, `(n_pixels,)`
        Weight of each pixel; see :func:`ring_weights`.
    """

    weight: Tensor

    def scorer(self, views: Tensor) -> Callable[[Tensor], Tensor]:
        """See :class:`NoiseModel`. One matrix product: 2 operations a pixel and pair."""
        amplitude = views.clamp_min(0.0).sqrt() * self.weight[:, None]
        own = (self.weight @ views) / 2

        def scores(patterns: Tensor) -> Tensor:
            total = patterns.clamp_min(0.0).sqrt().T @ amplitude
            return total.sub_(own).sub_((self.weight @ patterns)[:, None] / 2)

        return scores

    def values(self, patterns: Tensor, views: Tensor) -> Tensor:
        """See :class:`NoiseModel`."""
        difference = patterns.clamp_min(0.0).sqrt() - views.clamp_min(0.0).sqrt()
        return -(self.weight[:, None] * difference.square_()).sum(dim=0).double() / 2

    def misfits(self, patterns: Tensor, views: Tensor) -> Tensor:
        """See :class:`NoiseModel`: the weighted square of differences relative to that of the amplitudes."""
        power = (self.weight[:, None] * patterns).sum(dim=0, dtype=torch.float64)
        return -self.values(patterns, views) / power.clamp_min(_DARKEST)

    def expansion(self, patterns: Tensor, views: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
        """See :class:`NoiseModel`."""
        amplitude = views.clamp_min(_DARKEST).sqrt()
        # Where the view is dark its amplitude has no slope worth the name.
        by_amplitude = changes / (2 * amplitude + 0.1 * amplitude.mean(dim=0))
        residual = self.weight[:, None] * (patterns.clamp_min(0.0).sqrt() - amplitude)
        slope = torch.einsum("jpn,pn->nj", by_amplitude, residual)
        return slope, torch.einsum("jpn,p,kpn->njk", by_amplitude, self.weight, by_amplitude)

    def within(self, chosen: Tensor) -> NoiseFreeAmplitudes:
        """See :class:`NoiseModel`."""
        return NoiseFreeAmplitudes(self.weight[chosen])

    def fluences(self, patterns: Tensor, views: Tensor) -> Tensor:
        """See :class:`NoiseModel`."""
        return torch.ones(patterns.shape[1], dtype=torch.float64, device=patterns.device)


def ring_weights(patterns: Tensor, q_length: Tensor, n_rings: int) -> Tensor:
    """Inverse variance of amplitudes over patterns, averaged in rings of q, float32 `(n_pixels,)`.

    Rings far out, where patterns are faint, then count as much for a pose as those near the centre.

    Parameters
    ----------
    patterns : Tensor of float32, `(n_pixels, n_patterns)`
        A sample of the patterns, two or more.
    q_length : Tensor, `(n_pixels,)`
        Length of q.
    n_rings : int
        Rings of equal width.
    """
    variance = patterns.clamp_min(0.0).sqrt().var(dim=1).double()
    ring = (q_length / q_length.max() * n_rings).long().clamp_max(n_rings - 1)
    zeros = torch.zeros(n_rings, dtype=torch.float64, device=patterns.device)
    pixels = zeros.index_add(0, ring, torch.ones_like(variance)).clamp_min(1.0)
    mean = zeros.index_add(0, ring, variance) / pixels
    return (1 / mean.clamp_min(_DARKEST * float(mean.max()) + torch.finfo(torch.float32).tiny))[ring].float()
