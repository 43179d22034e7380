"""Encoder, heads and decoder as one model whose output is its loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from fewphoton.config.train_xrai import TrainXraiConfig
from fewphoton.data.pattern_source import PatternSource
from fewphoton.data.volume import voxels_to_hold
from fewphoton.errors import ConfigError
from fewphoton.xrai.calibration import Calibration
from fewphoton.xrai.fourier_net import FourierNetDecoder
from fewphoton.xrai.image_encoder import ImageEncoder
from fewphoton.xrai.likelihoods import AmplitudeDifference, PoissonCounts
from fewphoton.xrai.pixel_encoder import PixelEncoder
from fewphoton.xrai.rotations import matrices_from_six
from fewphoton.xrai.voxel_decoder import VoxelDecoder

_POSE = 6
_SMALLEST_IMAGE = 12
_OFF_CENTRE = 0.01


@dataclass(frozen=True, eq=False)
class PixelGrid:
    """Usable pixels that take part in training.

    Parameters
    ----------
    q_inv_angstrom : ndarray of float64, `(n_pixels, 3)`
        Scattering vectors.
    response : ndarray of float64, `(n_pixels,)`
        Response.
    number : ndarray of int64, `(n_pixels,)`
        Place in the flat detector grid.
    shape : tuple of int
        That grid.
    """

    q_inv_angstrom: NDArray[np.float64]
    response: NDArray[np.float64]
    number: NDArray[np.int64]
    shape: tuple[int, int]

    @classmethod
    def of_source(cls, source: PatternSource) -> PixelGrid:
        """Take all pixels of a source."""
        number = source.row * source.shape[1] + source.column
        return cls(source.q_per_angstrom, source.response, number, source.shape)

    def partners(self) -> NDArray[np.int64]:
        """Of each pixel, the one at the same distance opposite the grid's middle, `(n_pixels,)`; -1 where masked."""
        place = np.full(self.shape[0] * self.shape[1], -1, dtype=np.int64)
        place[self.number] = np.arange(len(self.number))
        return place[::-1][self.number]


@dataclass(frozen=True, eq=False)
class Proposals:
    """What the encoder says of patterns.

    Parameters
    ----------
    rotation : Tensor of float32, `(n, heads, 3, 3)`
        Poses.
    score : Tensor of float32, `(n, heads)`
        Logarithms of the probabilities that a head is the best, up to a constant.
    """

    rotation: Tensor
    score: Tensor


class PoseModel(nn.Module):
    """An autoencoder of patterns whose code is a pose.

    Parameters
    ----------
    config : TrainXraiConfig
        Networks and likelihood.
    grid : PixelGrid
        Pixels.
    calibration : Calibration
        Statistics of the frames.
    box_angstrom : float
        Edge of the box; voxels of the volume are as wide as its inverse, or finer.
    counts : bool
        Patterns are photon counts.
    """

    def __init__(
        self, config: TrainXraiConfig, grid: PixelGrid, calibration: Calibration, box_angstrom: float, *, counts: bool
    ) -> None:
        super().__init__()
        self.config, self.grid, self.calibration = config, grid, calibration
        self.likelihood = config.likelihood.model
        if self.likelihood == "automatic":
            self.likelihood = "poisson" if counts else "amplitudes"
        reach = float(np.linalg.norm(grid.q_inv_angstrom, axis=1).max())
        self.n_pixels = len(grid.number)
        if self.likelihood == "amplitudes" and config.likelihood.background_photons_per_frame:
            raise ConfigError(
                "likelihood.background_photons_per_frame: frames without noise are compared by amplitudes, "
                "which know no background; set likelihood.model to poisson"
            )
        for name, values in self._constants().items():
            self.register_buffer(name, torch.as_tensor(values), persistent=False)
        encoder, decoder = config.encoder, config.decoder
        self.encoder: nn.Module
        if encoder.network == "images":
            if min(grid.shape) < _SMALLEST_IMAGE:
                raise ConfigError(
                    f"encoder.network: images needs {_SMALLEST_IMAGE} x {_SMALLEST_IMAGE} pixels or more, the detector "
                    f"has {grid.shape[0]} x {grid.shape[1]}; take pixels"
                )
            self.encoder = ImageEncoder(grid.shape, encoder.widths, encoder.hidden)
        else:
            self.encoder = PixelEncoder(self.n_pixels, encoder.widths)
        self.heads = nn.Linear(int(self.encoder.n_features), encoder.heads * (_POSE + 1))
        self.decoder: VoxelDecoder | FourierNetDecoder
        if decoder.volume == "voxels":
            spacing = 1 / (box_angstrom * decoder.oversampling)
            self.decoder = VoxelDecoder(voxels_to_hold(reach, spacing, 1), spacing)
        else:
            self.decoder = FourierNetDecoder(decoder.width, reach, friedel=decoder.friedel)

    q: Tensor
    response: Tensor
    amplitude_mean: Tensor
    amplitude_deviation: Tensor
    ring_weight: Tensor
    number: Tensor
    partner: Tensor
    candidates: Tensor

    def compile_networks(self) -> None:
        """Compile the networks on their first use (torch.compile)."""
        self.encoder.compile()
        if isinstance(self.decoder, FourierNetDecoder):
            self.decoder.envelope.compile()
            self.decoder.modulant.compile()

    def _constants(self) -> dict[str, NDArray[np.float32] | NDArray[np.int64]]:
        q_length = np.linalg.norm(self.grid.q_inv_angstrom, axis=1)
        partner = self.grid.partners()
        usable = np.flatnonzero(partner >= 0) if self.config.likelihood.symmetric else np.arange(len(partner))
        apart = np.abs(q_length[usable] - q_length[partner[usable]]).max(initial=0.0)
        if self.config.likelihood.symmetric and apart > _OFF_CENTRE * q_length.max():
            raise ConfigError(
                "likelihood.symmetric: the beam does not meet the middle of the detector's grid (opposite pixels "
                f"differ by {apart:.2g} 1/angstrom in q), so turned frames are no frames; set it to false and take "
                "several heads"
            )
        if len(usable) == 0:
            raise ConfigError(
                "likelihood.symmetric: no usable pixel has a usable partner opposite the detector's middle"
            )
        weight = self.calibration.ring_weight
        self.grid_q_length = np.sort(q_length[usable])
        return {
            "q": self.grid.q_inv_angstrom.astype(np.float32),
            "response": self.grid.response.astype(np.float32),
            "amplitude_mean": self.calibration.amplitude_mean,
            "amplitude_deviation": self.calibration.amplitude_deviation,
            "ring_weight": weight if self.config.likelihood.ring_weights else np.ones_like(weight),
            "number": self.grid.number,
            "partner": np.maximum(partner, 0),
            # Pixels of the likelihood, from the centre outwards, so that a largest q is a number of pixels.
            "candidates": usable[np.argsort(q_length[usable], kind="stable")],
        }

    def start(self, generator: torch.Generator) -> None:
        """Set voxels to the frames' radial mean with noise; networks keep the weights they were made with."""
        if isinstance(self.decoder, VoxelDecoder):
            radius = torch.as_tensor(self.calibration.radius_inv_angstrom)
            course = torch.as_tensor(self.calibration.log_intensity)
            self.decoder.start(radius, course, self.config.decoder.start_spread, generator)

    def scaled(self, patterns: Tensor) -> Tensor:
        """Intensities in the units of the decoder, `(n, n_pixels)`."""
        return patterns * self.calibration.scale

    def propose(self, intensity: Tensor) -> Proposals:
        """Return poses and scores of scaled patterns `(n, n_pixels)`."""
        if self.config.likelihood.fluence == "per_frame":
            total = intensity.sum(1, keepdim=True)
            intensity = intensity * torch.where(total > 0, self.calibration.mean_total / total, 0.0)
        amplitude = torch.sqrt(intensity / self.response + self.calibration.offset)
        if self.config.encoder.network == "images":
            rows, columns = self.grid.shape
            image = amplitude.new_zeros(len(amplitude), rows * columns)
            given = image.index_copy(1, self.number, amplitude).reshape(-1, rows, columns)
        else:
            given = (amplitude - self.amplitude_mean) / self.amplitude_deviation
        half = self.config.precision == "bfloat16" and given.device.type != "cpu"
        with torch.autocast(given.device.type, torch.bfloat16, enabled=half):
            features = self.encoder(given)
        answer = self.heads(features.float()).reshape(len(given), -1, _POSE + 1)
        return Proposals(matrices_from_six(answer[..., :_POSE]), answer[..., _POSE])

    def compare(self, rotation: Tensor, intensity: Tensor, pixels: Tensor, prepared: Tensor) -> tuple[Tensor, Tensor]:
        """Return misfit and fluence, `(...)`, of scaled patterns.

        Parameters
        ----------
        rotation : Tensor of float32, `(..., 3, 3)`
            Poses.
        intensity : Tensor of float32, `(..., n_chosen)`
            Patterns on the chosen pixels.
        pixels : Tensor of int64, `(n_chosen,)`
            Numbers of these pixels.
        prepared : Tensor
            What the decoder prepared.
        """
        free = self.config.likelihood.fluence == "per_frame"
        rule: AmplitudeDifference | PoissonCounts
        if self.likelihood == "poisson":
            background = self.calibration.scale * self.config.likelihood.background_photons_per_frame / self.n_pixels
            rule = PoissonCounts(self.response, background, per_frame_fluence=free)
        else:
            rule = AmplitudeDifference(self.response, self.ring_weight, per_frame_fluence=free)
        # Rows of q R are R^-1 q.
        return rule(self.decoder, prepared, self.q[pixels] @ rotation, intensity, pixels)

    def forward(self, patterns: Tensor, pixels: Tensor) -> Tensor:
        """Return the loss, and the mean misfit of the best heads in it, `(2,)`.

        Parameters
        ----------
        patterns : Tensor of float32, `(n, n_pixels)`
            Intensities as the source gives them.
        pixels : Tensor of int64, `(n_chosen,)`
            Pixels on which poses are compared.
        """
        intensity = self.scaled(patterns)
        proposals = self.propose(intensity)
        rotation, score = proposals.rotation, proposals.score
        heads = rotation.shape[1]
        target = intensity[:, None, pixels].expand(-1, heads, -1)
        if self.config.likelihood.symmetric:
            turned = self.propose(intensity[:, self.partner])
            rotation = torch.cat([rotation, turned.rotation], dim=1)
            score = torch.stack([score, turned.score], dim=1)
            opposite = intensity[:, None, self.partner[pixels]].expand(-1, heads, -1)
            target = torch.cat([target, opposite], dim=1)
        else:
            score = score[:, None]
        prepared = self.decoder.prepared()
        row = torch.arange(len(intensity), device=intensity.device)
        best = torch.zeros_like(row)
        if rotation.shape[1] > 1:
            with torch.no_grad():
                best = self.compare(rotation, target, pixels, prepared)[0].argmin(dim=1)
        # A frame without photons knows nothing of its pose, and would only darken the volume.
        lit = intensity.sum(dim=1) > 0
        misfit = (lit * self.compare(rotation[row, best], target[row, best], pixels, prepared)[0]).mean()
        loss = misfit
        if heads > 1:
            loss = loss + self.config.encoder.score_weight * cross_entropy(score[row, best // heads], best % heads)
        return torch.stack([loss, misfit.detach()])
