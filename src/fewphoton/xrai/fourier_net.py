"""The particle's amplitude as a neural function of position: FourierNet.

Levy et al. 2022 (cryoAI, arXiv:2203.08138): the exponential of one network of sines times another one. X-RAI needs one
real number, the Fourier amplitude. Networks of sines are SIREN's (Sitzmann et al. 2020, arXiv:2006.09661), with its
starting weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_ENVELOPE_OMEGA, _MODULANT_OMEGA = 30.0, 40.0
_ENVELOPE_HIDDEN, _MODULANT_HIDDEN = 2, 3
_DARKEST_AMPLITUDE = 1e-4


class SineLayer(nn.Module):
    """sin(omega (W x + b)).

    Parameters
    ----------
    n_in, n_out : int
        Widths.
    omega : float
        Frequency.
    first : bool
        The layer sees coordinates, and its weights start wider.
    """

    def __init__(self, n_in: int, n_out: int, omega: float, *, first: bool) -> None:
        super().__init__()
        self.omega = omega
        self.linear = nn.Linear(n_in, n_out)
        bound = 1 / n_in if first else math.sqrt(6 / n_in) / omega
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, values: Tensor) -> Tensor:
        """Return `(..., n_out)` of `(..., n_in)`."""
        return torch.sin(self.omega * self.linear(values))


def sine_network(width: int, n_hidden: int, omega: float) -> nn.Sequential:
    """Three coordinates to one number: a first layer, ``n_hidden`` hidden ones of sines, and a linear one."""
    layers: list[nn.Module] = [SineLayer(3, width, omega, first=True)]
    layers += [SineLayer(width, width, omega, first=False) for _ in range(n_hidden)]
    last = nn.Linear(width, 1)
    bound = math.sqrt(6 / width) / omega
    nn.init.uniform_(last.weight, -bound, bound)
    return nn.Sequential(*layers, last)


class FourierNetDecoder(nn.Module):
    """exp(envelope(x)) modulant(x), evaluated at the one of x and -x in a half space, so Friedel mates are equal.

    Costs 5 width^2 multiplications and additions a point: 330,000 at the width of 256.

    Parameters
    ----------
    width : int
        Width of all layers.
    q_edge_per_angstrom : float
        Length of q at which coordinates are 1.
    friedel : bool
        Fold to the half space. The paper does not tell whether X-RAI does.
    """

    def __init__(self, width: int, q_edge_per_angstrom: float, *, friedel: bool) -> None:
        super().__init__()
        self.q_edge_per_angstrom = q_edge_per_angstrom
        self.friedel = friedel
        self.envelope = sine_network(width, _ENVELOPE_HIDDEN, _ENVELOPE_OMEGA)
        self.modulant = sine_network(width, _MODULANT_HIDDEN, _MODULANT_OMEGA)

    def prepared(self) -> Tensor:
        """Nothing is shared between points: an empty tensor."""
        return next(self.parameters()).new_empty(0)

    def amplitudes(self, points: Tensor, prepared: Tensor) -> Tensor:
        """Fourier amplitudes at ``points`` `(..., 3)` in 1/angstrom, `(...)`; the network may give them either sign."""
        place = points / self.q_edge_per_angstrom
        if self.friedel:
            place = torch.where(in_half_space(place), place, -place)
        envelope: Tensor = self.envelope(place)
        modulant: Tensor = self.modulant(place)
        return (torch.exp(envelope) * modulant).squeeze(-1)

    def log_intensities(self, points: Tensor, prepared: Tensor) -> Tensor:
        """Logarithms of the squared amplitudes, `(...)`."""
        return 2 * torch.log(self.amplitudes(points, prepared).abs().clamp_min(_DARKEST_AMPLITUDE))


def in_half_space(points: Tensor) -> Tensor:
    """Tell which of `(..., 3)` have a positive last coordinate, or none and a positive one before it, `(..., 1)`."""
    x, y, z = points[..., 0:1], points[..., 1:2], points[..., 2:3]
    return torch.logical_or(z > 0, (z == 0) & ((y > 0) | ((y == 0) & (x >= 0))))
