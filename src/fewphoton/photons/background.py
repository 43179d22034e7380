"""Adding Poisson background (Ayyer et al. 2015, doi:10.1107/S2052252514022313, section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.frames import AddBackgroundConfig
from fewphoton.data import Beam, Detector, PhotonFrames
from fewphoton.data.detector import q_vectors
from fewphoton.errors import DataError
from fewphoton.photons.thin import in_blocks


def background_shape(config: AddBackgroundConfig, detector: Detector, beam: Beam) -> NDArray[np.float64]:
    """Return the share of each pixel in the background, float64 `(n_pixels,)`, summing to one; 0 on masked pixels.

    Radial: a Gaussian in the length of q, exp(-q² / 2w²) with w = ``radial_width_inv_angstrom``.

    Raises
    ------
    DataError
        If every pixel is masked.
    """
    usable = ~detector.masked
    if not usable.any():
        raise DataError("no background can be added: every pixel is masked")
    shape = usable.astype(np.float64)
    if config.shape == "radial":
        exponent = 0.5 * (np.linalg.norm(q_vectors(detector, beam), axis=1) / config.radial_width_inv_angstrom) ** 2
        # The largest share is set to one, so that no width makes all of them vanish.
        shape[usable] = np.exp(exponent[usable].min() - exponent[usable])
    return np.asarray(shape / shape.sum())


def add_background(
    chunks: Iterable[PhotonFrames], shape: NDArray[np.float64], photons_per_frame: float, seed: int
) -> Iterator[PhotonFrames]:
    """Add Poisson photons of mean ``photons_per_frame * shape`` to every frame.

    Parameters
    ----------
    chunks : iterable of PhotonFrames
        All frames in order.
    shape : ndarray of float64, `(n_pixels,)`
        Share of each pixel, summing to one.
    photons_per_frame : float
        Mean number of background photons in a frame.
    seed : int
        Seed; blocks of a fixed number of frames have a random stream each, so chunks do not change the result.

    Yields
    ------
    PhotonFrames
        All frames in order.
    """
    cumulative = np.cumsum(shape)
    cumulative /= cumulative[-1]
    for number, block in enumerate(in_blocks(chunks)):
        rng = np.random.default_rng([seed, number])
        n_added = rng.poisson(photons_per_frame, block.n_frames)
        added = np.searchsorted(cumulative, rng.random(int(n_added.sum())), side="right")
        place = np.concatenate(
            [
                block.frame_numbers() * block.n_pixels + block.pixel,
                np.repeat(np.arange(block.n_frames), n_added) * block.n_pixels + added,
            ]
        )
        weight = np.concatenate([block.count.astype(np.int64), np.ones(len(added), dtype=np.int64)])
        unique, back = np.unique(place, return_inverse=True)
        yield PhotonFrames(
            np.searchsorted(unique, np.arange(block.n_frames + 1) * block.n_pixels).astype(np.int64),
            (unique % block.n_pixels).astype(np.uint32),
            np.bincount(back, weights=weight, minlength=len(unique)).astype(np.int64),
            block.n_pixels,
            block.table,
        )
