"""Photon frames from strong pixels: what stands above the background, in whole photons."""

from __future__ import annotations

import numpy as np

from fewphoton.config.separation import ImportSparseConfig
from fewphoton.data import AzimuthalBins, FrameTable, PhotonFrames, SparseFrames
from fewphoton.separation.sparsify import gap_value


def separated_photons(
    frames: SparseFrames,
    bins: AzimuthalBins,
    table: FrameTable,
    config: ImportSparseConfig,
    gap: int | float | None = None,
) -> PhotonFrames:
    """Turn strong pixels into photon counts.

    Counts are ``(intensity - background) / adu_per_photon``, rounded; pixels that come to nothing, and bad reads,
    are left out.

    Parameters
    ----------
    frames : SparseFrames
        Strong pixels and background curves.
    bins : AzimuthalBins
        Rings of the curves.
    table : FrameTable
        A row a frame.
    config : ImportSparseConfig
        Whether the background is subtracted, and the gain.
    gap : int or float, optional
        Value of bad reads; None: :func:`fewphoton.separation.sparsify.gap_value`.

    Raises
    ------
    DataError
        If a count exceeds 2**32 - 1.
    """
    frame = np.repeat(np.arange(frames.n_frames), np.diff(frames.indptr))
    signal = frames.intensity.astype(np.float64)
    bad_read = gap_value(frames.intensity.dtype) if gap is None else gap
    good = np.isfinite(signal) & (frames.intensity != bad_read) & bins.usable[frames.pixel]
    if config.subtract_background:
        position = (bins.radius[frames.pixel].astype(np.float64) - bins.centres[0]) / bins.step
        position = np.clip(np.nan_to_num(position), 0, bins.n_bins - 1)
        left = np.minimum(position.astype(np.int64), max(bins.n_bins - 2, 0))
        right = np.minimum(left + 1, bins.n_bins - 1)
        share = position - left
        mean = frames.background_mean
        background = mean[frame, left] * (1 - share) + mean[frame, right] * share
        if bins.normalization is not None:
            background = background * bins.normalization[frames.pixel]
        signal = signal - background
    count = np.where(good, np.rint(np.where(good, signal, 0.0) / config.adu_per_photon), 0.0)
    kept = count >= 1
    indptr = np.concatenate([[0], np.cumsum(kept)])[frames.indptr]
    return PhotonFrames(indptr, frames.pixel[kept], count[kept].astype(np.int64), len(bins.radius), table)
