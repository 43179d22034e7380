"""What sparsify and find-peaks need before the first frame: geometry, mask, dark and flat, rings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.separation import BackgroundConfig
from fewphoton.data import AzimuthalBins, Beam, Detector
from fewphoton.io.bins_cache import bins_digest, cached_bins
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.provenance import file_digest
from fewphoton.io.raw_frames import RawFrames
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from fewphoton.separation.background import valid_range
from fewphoton.stages.frame_image import read_image

_GAP_SAMPLE = 5


@dataclass(frozen=True, eq=False)
class SeparationSetup:
    """Geometry and rings for frames of one run.

    Parameters
    ----------
    detector : Detector
        With the mask that is used.
    beam : Beam
        Beam.
    bins : AzimuthalBins
        Rings.
    dark : ndarray of float32, `(n_pixels,)`, or None
        Subtracted from frames.
    n_always_bad : int
        Pixels masked because they were bad reads in all sampled frames.
    """

    detector: Detector
    beam: Beam
    bins: AzimuthalBins
    dark: NDArray[np.float32] | None
    n_always_bad: int


def set_up(
    raw: RawFrames,
    geometry_path: Path,
    mask_path: Path | None,
    dark_path: Path | None,
    flat_path: Path | None,
    config: BackgroundConfig,
) -> SeparationSetup:
    """Read geometry, mask, dark and flat, and find the rings.

    Raises
    ------
    InputFileError
        If a file cannot be read or does not fit the frames.
    """
    geometry = read_geometry(geometry_path, raw.frame_shape)
    masked = geometry.detector.masked.copy()
    if mask_path is not None:
        masked |= read_image(mask_path, raw.frame_shape) != 0
    bad = _always_bad(raw, config) & ~masked
    detector = geometry.detector.with_mask(masked | bad)
    dark = None if dark_path is None else read_image(dark_path, raw.frame_shape).astype(np.float32)
    flat = None if flat_path is None else read_image(flat_path, raw.frame_shape).astype(np.float64)
    parameters = (
        config.n_bins,
        config.unit,
        config.radial_range,
        config.solid_angle,
        config.polarization,
        None if flat_path is None else file_digest(flat_path),
    )

    def build() -> AzimuthalBins:
        norm = normalization(
            detector, geometry.beam, solid_angle=config.solid_angle, polarization=config.polarization, flat=flat
        )
        return azimuthal_bins(detector, geometry.beam, config.n_bins, config.unit, config.radial_range, norm)

    bins = cached_bins(bins_digest(detector, geometry.beam, parameters), build)
    return SeparationSetup(detector, geometry.beam, bins, dark, int(bad.sum()))


def _always_bad(raw: RawFrames, config: BackgroundConfig) -> NDArray[np.bool_]:
    """Tell which pixels are bad reads in all of a few frames spread over the run: gaps that no mask names."""
    smallest, largest = valid_range(config, np.dtype(raw.dtype))
    numbers = np.unique(np.linspace(0, raw.n_frames - 1, min(_GAP_SAMPLE, raw.n_frames)).astype(np.int64))
    bad = np.ones(raw.frame_shape[0] * raw.frame_shape[1], dtype=bool)
    for number in numbers:
        frame = raw.deferred(int(number))().ravel()
        bad &= ~((frame >= smallest) & (frame <= largest))
    # Frames that hold nothing valid at all say nothing about single pixels.
    return bad if not bad.all() else np.zeros_like(bad)
