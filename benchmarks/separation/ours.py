"""The project's own steps, measured in the same run as the peers'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.separation.frames import N_BINS
from numpy.typing import NDArray

from fewphoton.config.peakfinder8 import Peakfinder8Config
from fewphoton.config.separation import FindPeaksConfig, SparsifyConfig
from fewphoton.data import Beam, Detector
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from fewphoton.separation.background import BackgroundFinder
from fewphoton.separation.densify import Densifier, PickRule
from fewphoton.separation.peakfinder8 import Peakfinder8, radius_from_beam_px
from fewphoton.separation.peaks import PeakFinder
from fewphoton.separation.sparsify import SparseFrame, Sparsifier


def steps(frames: NDArray[Any], detector: Detector, beam: Beam) -> list[tuple[str, Callable[[int], int]]]:
    """Return the project's steps as `(label, callable)`.

    Called once in a process of one thread and once in a process of two, so that thread counts need no care here: Numba
    finds ``NUMBA_NUM_THREADS`` set. What a run prepares once (bin map, buffers) is made here, outside the clock.

    Parameters
    ----------
    frames : ndarray, `(n, slow, fast)`
        uint16, uint32, int32 or float32 (NaN in gaps).
    detector : Detector
        Geometry; ``masked`` holds gaps and dead pixels.
    beam : Beam
        Wavelength.

    Returns
    -------
    list of (str, callable)
        The callable takes a frame's number and returns how many things it found (pixels kept or picked, peaks).
    """
    flat = frames.reshape(len(frames), -1)
    bins = azimuthal_bins(detector, beam, N_BINS, "r_m")
    panels = detector.panel_numbers()
    corrected = azimuthal_bins(
        detector, beam, N_BINS, "r_m", norm=normalization(detector, beam, solid_angle=True, polarization=True)
    )
    counts = frames.dtype.kind in "iu"
    found: list[tuple[str, Callable[[int], int]]] = []
    for model in ("poisson", "azimuthal", "hybrid"):
        finder = BackgroundFinder(bins, SparsifyConfig(error_model=model), frames.dtype)
        found.append((f"background, {model}", _background(finder, flat)))
    for model in ("poisson", "azimuthal", "hybrid"):
        for cutoff in (2.0, 3.0):
            config = SparsifyConfig(error_model=model, cutoff_pick=cutoff)
            found.append(
                (f"sparsify {cutoff:g} sigma, {model}", _sparsify(Sparsifier(bins, config, frames.dtype), flat))
            )
    for model in ("poisson", "azimuthal"):
        config = SparsifyConfig(error_model=model, solid_angle=True, polarization=True)
        label = f"sparsify 3 sigma with solid angle and polarization, {model}"
        found.append((label, _sparsify(Sparsifier(corrected, config, frames.dtype), flat)))
    model = "poisson" if counts else "azimuthal"
    for method, noise in (("rings", 1.0), ("sums", 0.0)):
        config = FindPeaksConfig(error_model=model, method=method, noise=noise)
        found.append((f"find peaks, {method}, {model}", _peaks(PeakFinder(bins, panels, config, frames.dtype), flat)))
    for fast in (False, True):
        rival = Peakfinder8(
            radius_from_beam_px(detector, beam),
            ~detector.masked,
            panels,
            detector.frame_shape,
            Peakfinder8Config(threshold=10.0, fast=fast),
        )
        found.append((f"peakfinder8, {'fast' if fast else 'full'}", lambda n, rival=rival: len(rival.find(frames[n]))))
    sparsifier = Sparsifier(bins, SparsifyConfig(error_model=model, cutoff_pick=2.0), frames.dtype)
    kept = [sparsifier.sparsify(frame) for frame in flat]
    for noise in (False, True):
        densifier = Densifier(bins, PickRule(model, 2.0, 1.0), frames.dtype, noise=noise)
        found.append((f"densify, {'noise' if noise else 'no noise'}", _densify(densifier, kept)))
    return found


def _background(finder: BackgroundFinder, flat: NDArray[Any]) -> Callable[[int], int]:
    return lambda number: int(finder.find(flat[number]).n_kept.sum())


def _sparsify(sparsifier: Sparsifier, flat: NDArray[Any]) -> Callable[[int], int]:
    return lambda number: len(sparsifier.sparsify(flat[number]).pixel)


def _peaks(finder: PeakFinder, flat: NDArray[Any]) -> Callable[[int], int]:
    return lambda number: len(finder.find(flat[number])[0])


def _densify(densifier: Densifier, kept: list[SparseFrame]) -> Callable[[int], int]:
    def run(number: int) -> int:
        frame = kept[number]
        curves = frame.background
        densifier.densify(frame.pixel, frame.intensity, curves.mean, curves.std, number)
        return len(frame.pixel)

    return run
