"""Summing squares of pixels into one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewphoton.data import Detector, Panel, PhotonFrames
from fewphoton.errors import GeometryError
from fewphoton.photons.collapse import sum_frames


def bin_detector(detector: Detector, binning: int) -> tuple[Detector, NDArray[np.int64]]:
    """Return the binned detector, and the binned pixel of each pixel.

    Squares of ``binning`` x ``binning`` pixels become one; rows and columns at a panel's end that fill no square are
    dropped. A binned pixel is masked where any of its pixels is: a square that counts with a part of its pixels only
    would need its own solid angle, and squares are small.

    Parameters
    ----------
    detector : Detector
        Full resolution.
    binning : int
        Pixels along the edge of a square.

    Returns
    -------
    binned : Detector
        Binned detector with mask.
    pixel_map : ndarray of int64, `(n_pixels,)`
        Binned pixel number, -1 for pixels that are dropped or lie in a masked square.

    Raises
    ------
    GeometryError
        If a panel does not start on a multiple of ``binning``, or is smaller than a square.
    """
    panels = []
    shape = (detector.frame_shape[0] // binning, detector.frame_shape[1] // binning)
    slow, fast = np.divmod(np.arange(detector.n_pixels), detector.frame_shape[1])
    inside = np.zeros(detector.n_pixels, dtype=bool)
    for panel in detector.panels:
        n_slow, n_fast = panel.n_slow // binning, panel.n_fast // binning
        if panel.slow_start % binning or panel.fast_start % binning or not n_slow or not n_fast:
            raise GeometryError(
                f"panel {panel.name} (start {panel.slow_start}, {panel.fast_start}; size {panel.n_slow} x "
                f"{panel.n_fast}) cannot be binned by {binning}; choose a divisor of its start"
            )
        panels.append(
            Panel(
                panel.name,
                panel.slow_start // binning,
                panel.fast_start // binning,
                n_slow,
                n_fast,
                panel.corner_m,
                panel.slow_step_m * binning,
                panel.fast_step_m * binning,
            )
        )
        inside |= (
            (slow >= panel.slow_start)
            & (slow < panel.slow_start + n_slow * binning)
            & (fast >= panel.fast_start)
            & (fast < panel.fast_start + n_fast * binning)
        )
    target = np.where(inside, (slow // binning) * shape[1] + fast // binning, -1)
    masked = np.bincount(target[inside], weights=detector.masked[inside], minlength=shape[0] * shape[1]) > 0
    binned = Detector(shape, tuple(panels), masked)
    target[inside & binned.masked[np.maximum(target, 0)]] = -1
    return binned, target


def bin_frames(frames: PhotonFrames, pixel_map: NDArray[np.int64], n_pixels: int) -> PhotonFrames:
    """Sum the photons of each frame by ``pixel_map``; photons on pixels that map to -1 are dropped.

    Parameters
    ----------
    frames : PhotonFrames
        Full resolution.
    pixel_map : ndarray of int64, `(n_pixels,)`
        Binned pixel of each pixel, from :func:`bin_detector`.
    n_pixels : int
        Pixels of the binned frame array.

    Raises
    ------
    DataError
        If a binned pixel exceeds 2**32 - 1 photons.
    """
    target = pixel_map[frames.pixel]
    kept = target >= 0
    indptr = np.concatenate([[0], np.cumsum(kept)])[frames.indptr]
    moved = PhotonFrames(indptr, target[kept].astype(np.uint32), frames.count[kept], n_pixels, frames.table)
    return sum_frames(moved, np.arange(frames.n_frames + 1))
