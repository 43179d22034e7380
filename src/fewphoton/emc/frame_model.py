"""What may differ between frames beside their orientation: the fluence, and the level of a background of fixed shape.

Expected counts of frame d at pixel t in orientation r are ``(fluence_d * W_rt) * response_t + background_d * share_t``.
An iteration takes the orientation probabilities of the present parameters, finds fluences and levels that raise the
expected log-likelihood with the volume as it is, and then the volume with the new fluences: conditional maximisation
step by step, which never lowers the likelihood (Meng & Rubin 1993, Biometrika 80, 267-278,
doi:10.1093/biomet/80.2.267) where views are free; their averaging in a volume may. Photons are shared between signal
and background in the ratio of their expected counts (Shepp & Vardi 1982, doi:10.1109/TMI.1982.4307558).

Two freedoms are left by any data. A common factor of fluences cancels against the volume: the mean fluence is kept.
A part of the volume that looks like the background in every orientation cancels against its level: adding it to
the volume takes the same multiple of the fluence off the level of each frame. How much of such a part is background is
decided by the start alone; differences between frames are found. They are found as far as the volume is determined by
many frames: where it has about as many voxels as there are photons, it explains the background of each frame as well.

Cost beside that of frames that are alike, per photon and orientation: nothing for fluence alone (4 bytes and one
multiply-add per frame and orientation); with background the likelihood computes a quarter of a logarithm and 5
operations instead of one, the update half a division and 7 operations, and background photons are counted in a
further pass of the latter cost over orientations that frames do not exclude.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.reconstruct import ReconstructConfig
from fewphoton.emc.batches import FrameBatch
from fewphoton.emc.communicator import Communicator
from fewphoton.emc.mixture_table import MixtureTable
from fewphoton.emc.pixels import PixelRows
from fewphoton.emc.problem import Problem
from fewphoton.emc.windows import Blocks
from fewphoton.errors import ConfigError, DataError
from fewphoton.kernels.signal_and_background import weighted_row_sums
from fewphoton.kernels.windowed_views import block_row_sums

SMALLEST_FLUENCE = 1e-6
"""Fluences of frames with photons stay above; one that falls to nothing could not return."""


@dataclass(frozen=True, eq=False)
class FrameParameters:
    """Parameters of frames.

    Parameters
    ----------
    fluence : ndarray of float64, `(n_frames,)`
        Relative to the mean of frames with photons; 0 for frames without.
    background_photons : ndarray of float64, `(n_frames,)`
        Expected background photons on the pixels of the likelihood.
    """

    fluence: NDArray[np.float64]
    background_photons: NDArray[np.float64]

    def take(self, frames: NDArray[np.int64]) -> FrameParameters:
        """Return the parameters of some frames."""
        return FrameParameters(self.fluence[frames], self.background_photons[frames])

    def replaced(self, frames: NDArray[np.int64], part: FrameParameters) -> FrameParameters:
        """Return all parameters, with ``part`` for some frames."""
        fluence, background = self.fluence.copy(), self.background_photons.copy()
        fluence[frames], background[frames] = part.fluence, part.background_photons
        return FrameParameters(fluence, background)

    def memory(self) -> dict[str, NDArray[np.float64]]:
        """Return the arrays by name, as checkpoints keep them."""
        return {"fluence": self.fluence, "background_photons": self.background_photons}

    @classmethod
    def remembered(cls, memory: Mapping[str, NDArray[np.float64]]) -> FrameParameters:
        """Return what :meth:`memory` gave."""
        return cls(memory["fluence"], memory["background_photons"])


@dataclass(frozen=True, eq=False)
class FrameModel:
    """Which parameters are estimated.

    Parameters
    ----------
    fluence : bool
        Each frame has a fluence of its own; otherwise all have 1.
    background_share : ndarray of float64, `(n_pixels,)`, or None
        Share of each detector pixel in the background; sums to 1 over the pixels of the likelihood. None: there is no
        background.
    start_fraction : float
        Part of the photons that is background at the start.
    """

    fluence: bool
    background_share: NDArray[np.float64] | None
    start_fraction: float

    @classmethod
    def build(
        cls, problem: Problem, config: ReconstructConfig, background: NDArray[np.float64] | None
    ) -> FrameModel | None:
        """Return the model of a configuration; None where all frames are alike and have no background.

        Parameters
        ----------
        problem : Problem
            Pixels and photons.
        config : ReconstructConfig
            Tells what is estimated.
        background : ndarray of float64, `(n_pixels,)`, or None
            Shape of the background over the detector, on any scale; None: the same on all pixels.

        Raises
        ------
        ConfigError
            If a shape is given, but no background is asked for.
        DataError
            If the shape has another number of pixels, is negative or not finite, or empty on the likelihood's pixels.
        """
        if config.background == "none":
            if background is not None:
                raise ConfigError("a shape of the background is given, but background is 'none'; set it to 'per_frame'")
            return cls(True, None, 0.0) if config.fluence == "per_frame" else None
        n_pixels = len(problem.rows.row_of_pixel)
        shape = np.ones(n_pixels) if background is None else background
        if shape.shape != (n_pixels,):
            raise DataError(f"the background's shape has {shape.size} pixels, the detector {n_pixels}")
        part = _on_rows(shape, problem.rows)
        if not np.isfinite(part).all() or (part < 0).any():
            raise DataError("the background's shape must be finite and not negative on all pixels that take part")
        total = float(part[problem.rows.likelihood].sum())
        if not total > 0:
            raise DataError("the background's shape is zero on all pixels that enter the orientation probabilities")
        return cls(config.fluence == "per_frame", shape / total, config.background_start)

    def share(self, rows: PixelRows) -> NDArray[np.float64] | None:
        """Share of each pixel row in the background, float64 `(n_rows,)`; None: no background."""
        return None if self.background_share is None else _on_rows(self.background_share, rows)

    def start(self, problem: Problem) -> FrameParameters:
        """Take fluence and background of each frame as proportional to its photons."""
        photons = _likelihood_photons(problem)
        mean = problem.likelihood_photons / problem.n_informative_frames
        fluence = photons / mean if self.fluence else np.ones(problem.n_frames)
        return FrameParameters(fluence, self.start_fraction * photons)


class FrameFit:
    """Parameters of a problem's frames during one iteration: the present ones, and the new ones batch by batch.

    Parameters
    ----------
    model : FrameModel
        What is estimated.
    problem : Problem
        Frames and pixels.
    present : FrameParameters
        One row a frame of ``problem``.
    """

    def __init__(self, model: FrameModel, problem: Problem, present: FrameParameters) -> None:
        self._model, self._problem = model, problem
        self._share = model.share(problem.rows)
        self._total_share = 0.0 if self._share is None else float(self._share[problem.rows.likelihood].sum())
        self._table: MixtureTable | None = None
        self._informative = _likelihood_photons(problem) > 0
        self.present = present
        self.updated = FrameParameters(present.fluence.copy(), present.background_photons.copy())

    def mixture(self, table: NDArray[np.float32], floor: float) -> MixtureTable | None:
        """Take over the table of expected intensities; None, and the table is left, where there is no background."""
        if self._share is not None:
            self._table = MixtureTable.build(
                self._problem, table, floor, self._share, self.present.fluence, self.present.background_photons
            )
        return self._table

    def release(self) -> None:
        """Let go of the table."""
        self._table = None

    def fluence(self, batch: FrameBatch) -> NDArray[np.float32]:
        """Present fluence of each frame of a batch."""
        return self.present.fluence[batch.place].astype(np.float32)

    def log_constants(self, batch: FrameBatch) -> NDArray[np.float64]:
        """Log-likelihood that is the same in all orientations, float64 `(n_frames,)`."""
        place = batch.place
        if self._share is not None:
            return -self._total_share * self.present.background_photons[place]
        photons = batch.likelihood_photons
        return photons * np.log(np.where(photons > 0, self.present.fluence[place], 1.0))

    def estimate(
        self,
        batch: FrameBatch,
        probability: NDArray[np.float32],
        expected: NDArray[np.float64],
        communicator: Communicator,
        blocks: Blocks | None = None,
    ) -> None:
        """Note the new parameters of a batch.

        Parameters
        ----------
        batch : FrameBatch
            Photons.
        probability : ndarray of float32, `(n_frames, n_columns)`
            Probabilities of this rank's orientations; on windows `(n_blocks, 32)`.
        expected : ndarray of float64, `(n_local,)`
            Photons that each view expects at fluence 1.
        communicator : Communicator
            World; one reduction of two numbers a frame.
        blocks : Blocks, optional
            Windows to which the probabilities belong, where there is no background.
        """
        place = batch.place
        seen = np.empty(batch.n_frames)
        if blocks is None:
            weighted_row_sums(probability, expected, seen)
        else:
            block_row_sums(blocks.indptr, blocks.block, blocks.place, probability, expected, seen)
        background = np.zeros(batch.n_frames)
        if self._table is not None:
            background = self._table.background_found(batch, probability)
        sums = np.stack([seen, background])
        communicator.sum(sums)
        seen, background = sums
        informative = batch.likelihood_photons > 0
        if self._model.fluence:
            usable = informative & (seen > 0)
            signal = np.maximum(batch.likelihood_photons - background, 0.0)
            self.updated.fluence[place][usable] = np.maximum(signal[usable] / seen[usable], SMALLEST_FLUENCE)
        if self._total_share > 0:
            self.updated.background_photons[place][informative] = background[informative] / self._total_share

    def add_photons(self, batch: FrameBatch, probability: NDArray[np.float32], photons: NDArray[np.float32]) -> bool:
        """Add the signal of a batch to views; False where every photon is signal, and nothing was added."""
        if self._table is None:
            return False
        self._table.add_signal(batch, probability, photons)
        return True

    def exposures(self, batch: FrameBatch) -> NDArray[np.float64]:
        """Weight of each frame in the exposure of views: its new fluence, float64 `(n_frames,)`."""
        return self.updated.fluence[batch.place]

    def keep_mean_fluence(self) -> float:
        """Scale the new fluences to the present mean and return the factor by which exposures must be divided.

        Frames that take no part keep their fluence, so those that do must stay on one scale with them.
        """
        if not self._model.fluence:
            return 1.0
        chosen = self._informative
        factor = float(self.updated.fluence[chosen].mean() / self.present.fluence[chosen].mean())
        self.updated.fluence[chosen] /= factor
        return factor

    def fluence_spread(self) -> float:
        """Return standard deviation over mean of the new fluences of frames with photons."""
        fluence = self.updated.fluence[self._informative]
        return float(fluence.std() / fluence.mean())

    def background_fraction(self) -> float:
        """Return the part of all photons that is background by the new levels."""
        level = float(self.updated.background_photons[self._informative].sum())
        return level * self._total_share / self._problem.likelihood_photons


def _likelihood_photons(problem: Problem) -> NDArray[np.float64]:
    return np.concatenate([batch.likelihood_photons for batch in problem.batches])


def _on_rows(values: NDArray[np.float64], rows: PixelRows) -> NDArray[np.float64]:
    return np.asarray(values[rows.row_of_pixel >= 0], dtype=np.float64)
