"""find-peaks: Bragg peaks of raw or sparse frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.separation import FindPeaksConfig
from fewphoton.data import Beam, Detector
from fewphoton.errors import ConfigError
from fewphoton.io.crystfel_peak_list import write_crystfel_peak_list
from fewphoton.io.cxi_peaks import write_cxi_peaks
from fewphoton.io.metrics import write_metrics
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import RawFrames, open_raw_frames
from fewphoton.io.sparse_nexus import open_sparse_file
from fewphoton.separation.background import Background, valid_range
from fewphoton.separation.peakfinder8 import Peakfinder8, radius_from_beam_px
from fewphoton.separation.peaks import FramePeaks, PeakFinder, peak_table
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.densify import pick_rule, sparse_geometry
from fewphoton.stages.frame_pool import map_in_order
from fewphoton.stages.separation_setup import SeparationSetup, set_up

Config = FindPeaksConfig

_FRAMES_A_READ = 64


@dataclass(frozen=True)
class Inputs:
    """What the stage reads: raw frames with their geometry, or sparse frames."""

    raw: tuple[str, ...] = path_field("raw frames: files, globs, file.h5::/dataset", many=True, optional=True)
    sparse: Path | None = path_field("sparse frames instead of raw ones", optional=True)
    geometry: Path | None = path_field("detector geometry and beam", optional=True)
    mask: Path | None = path_field("image whose pixels other than 0 are masked", optional=True)
    dark: Path | None = path_field("dark image, or frames to average", optional=True)
    flat: Path | None = path_field("flat-field image (response or weight of each pixel)", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    peaks: Path = path_field("peaks (CXI, for CrystFEL's --peaks=cxi)")
    metrics: Path = path_field("metrics (JSON)")
    peak_list: Path | None = path_field("peaks as a CrystFEL stream, to be read by eye and scripts", optional=True)


class _Finder(Protocol):
    def find(self, frame: NDArray[Any]) -> tuple[FramePeaks, Background]:
        """Return peaks and background of a frame `(n_pixels,)`."""


class _Peakfinder8Frames:
    """peakfinder8 behind the same call."""

    def __init__(self, setup: SeparationSetup, config: FindPeaksConfig, dtype: np.dtype[Any]) -> None:
        detector = setup.detector
        self._shape = detector.frame_shape
        self._usable = setup.bins.usable
        self._finder = Peakfinder8(
            radius_from_beam_px(detector, setup.beam),
            setup.bins.usable,
            detector.panel_numbers(),
            detector.frame_shape,
            config.peakfinder8,
        )
        self._smallest, self._largest = valid_range(config, dtype)
        self._saturation = np.inf if config.saturation is None else config.saturation
        self._dark = setup.dark

    def find(self, frame: NDArray[Any]) -> tuple[FramePeaks, Background]:
        """Return the peaks of a frame, and a background without curves."""
        values: NDArray[Any] = frame
        bad = ~((frame >= self._smallest) & (frame <= self._largest))
        if bad.any() or self._dark is not None:
            values = frame.astype(np.float32)
            values[bad] = np.nan
            if self._dark is not None:
                values -= self._dark
        found = self._finder.find(values.reshape(self._shape))
        peaks = FramePeaks(
            found.slow_px,
            found.fast_px,
            found.intensity,
            found.intensity_sigma,
            found.n_pixels,
            np.asarray(found.maximum >= self._saturation),
        )
        invalid = np.flatnonzero(bad & self._usable).astype(np.uint32)
        n_valid = np.array([self._usable.sum() - len(invalid)], dtype=np.float64)
        return peaks, Background(np.zeros(0), np.zeros(0), n_valid, invalid)


def run(inputs: Inputs, outputs: Outputs, config: FindPeaksConfig, context: Context) -> None:
    """Find the peaks of every frame."""
    if bool(inputs.raw) == (inputs.sparse is not None):
        raise ConfigError("find-peaks reads either --raw or --sparse frames")
    if inputs.sparse is not None:
        found, detector, beam, names = _from_sparse(inputs, config, context)
    else:
        found, detector, beam, names = _from_raw(inputs, config, context)
    n_frames = len(found)
    peaks = peak_table([frame.peaks for frame in found])
    sources = list(dict.fromkeys(names)) if inputs.raw else []
    provenance = Provenance.of("find-peaks", config.model_dump(mode="json"), _files(inputs, sources))
    # Frames and rows of the peaks must match, so either all sources are linked or none.
    linked = bool(sources) and all("::" in name for name in sources)
    write_cxi_peaks(outputs.peaks, peaks, n_frames, detector, beam, provenance, sources if linked else None)
    if outputs.peak_list is not None:
        # Frames of several HDF5 files are found together behind the link beside the peaks.
        frames = (sources[0] if len(sources) == 1 else str(outputs.peaks)) if linked else names
        write_crystfel_peak_list(outputs.peak_list, peaks, n_frames, detector, beam, provenance, frames)
    counts = peaks.counts(n_frames)
    without = sum(not frame.known for frame in found)
    if without:
        context.say(f"{without} frames hold no valid pixel: no peaks were looked for")
    write_metrics(
        outputs.metrics,
        {
            "n_frames": n_frames,
            "n_frames_without_valid_pixel": without,
            "n_peaks": len(peaks),
            "peaks_per_frame_mean": float(counts.mean()),
            "peaks_per_frame_median": float(np.median(counts)),
            "peaks_per_frame_max": int(counts.max()),
            "n_saturated_peaks": int(peaks.saturated.sum()),
            "bragg_intensity_total": float(peaks.intensity.sum(dtype=np.float64)),
            "n_bad_reads": sum(frame.n_bad_reads for frame in found),
        },
    )


@dataclass(frozen=True, eq=False)
class _FrameResult:
    """What stays of a frame; the curves of a million frames would fill the memory."""

    peaks: FramePeaks
    known: bool
    n_bad_reads: int

    @classmethod
    def of(cls, peaks: FramePeaks, background: Background) -> _FrameResult:
        return cls(peaks, background.known, len(background.invalid))


_Found = tuple[list[_FrameResult], Detector, Beam, list[str]]
"""Results, geometry, and the name of each frame's source."""


def _files(inputs: Inputs, sources: list[str]) -> dict[str, Path]:
    files = {f"frames{number}": Path(name.partition("::")[0]) for number, name in enumerate(sources)}
    named = {role: getattr(inputs, role) for role in ("sparse", "geometry", "mask", "dark", "flat")}
    return files | {role: path for role, path in named.items() if path is not None}


def _from_raw(inputs: Inputs, config: FindPeaksConfig, context: Context) -> _Found:
    if inputs.geometry is None:
        raise ConfigError("find-peaks needs --geometry with raw frames")
    with open_raw_frames(inputs.raw) as raw:
        setup = set_up(raw, inputs.geometry, inputs.mask, inputs.dark, inputs.flat, config)
        frames = _peaks_of(raw, setup, config, context.threads)
        found = list(context.track(frames, "find peaks", "frames", raw.n_frames))
        return found, setup.detector, setup.beam, raw.names_of_frames()


def _peaks_of(raw: RawFrames, setup: SeparationSetup, config: FindPeaksConfig, threads: int) -> Iterator[_FrameResult]:
    dtype = np.dtype(raw.dtype).newbyteorder("=")
    first = raw.deferred(0)().ravel().astype(dtype, copy=False)

    def make_worker() -> _Finder:
        if config.method == "peakfinder8":
            return _Peakfinder8Frames(setup, config, dtype)
        finder = PeakFinder(setup.bins, setup.detector.panel_numbers(), config, dtype, setup.dark)
        finder.finder.shape_table(first)
        return finder

    def work(worker: _Finder, read: Callable[[], NDArray[Any]]) -> _FrameResult:
        return _FrameResult.of(*worker.find(read().ravel().astype(dtype, copy=False)))

    reads = (raw.deferred(number) for number in range(raw.n_frames))
    return map_in_order(reads, make_worker, work, threads)


def _from_sparse(inputs: Inputs, config: FindPeaksConfig, context: Context) -> _Found:
    if config.method == "peakfinder8":
        raise ConfigError("peakfinder8 needs raw frames: sparse ones hold no local background")
    assert inputs.sparse is not None
    with open_sparse_file(inputs.sparse) as reader:
        file = reader.file
        detector, beam = sparse_geometry(inputs.sparse, inputs.geometry, file)
        picked = pick_rule(inputs.sparse, file).cutoff
        if "cutoff_pick" in file.config and picked > config.cutoff_peak:
            raise ConfigError(
                f"{inputs.sparse}: holds pixels above {picked:g} sigma only, so cutoff_peak must not be "
                f"{config.cutoff_peak:g}"
            )
        # Bad reads are marked in the file; signal above a negative background or less dark may be negative. Counts
        # stay counts where their Poisson probability is asked for.
        dtype = file.dtype if config.error_model == "poisson_tail" else np.dtype(np.float32)
        rule = config.model_copy(update={"minimum_valid": None})
        finder = PeakFinder(file.bins, detector.panel_numbers(), rule, dtype)

        ring_sizes = np.diff(file.bins.ring_ptr).astype(np.float64)

        def frames() -> Iterator[_FrameResult]:
            for start in range(0, file.n_frames, _FRAMES_A_READ):
                part = reader.read(start, min(start + _FRAMES_A_READ, file.n_frames))
                for place in range(part.n_frames):
                    hits = slice(part.indptr[place], part.indptr[place + 1])
                    mean, std = (
                        curves[place].astype(np.float64) for curves in (part.background_mean, part.background_std)
                    )
                    pixel, intensity = part.pixel[hits], part.intensity[hits]
                    background = Background(mean, std, ring_sizes)
                    peaks = finder.find_in_sparse(pixel, intensity, background, file.gap)
                    n_bad = 0 if file.gap is None else int((np.isnan(intensity) | (intensity == file.gap)).sum())
                    yield _FrameResult(peaks, n_bad < ring_sizes.sum(), n_bad)

        found = list(context.track(frames(), "find peaks", "frames", file.n_frames))
        return found, detector, beam, file.n_frames * [str(inputs.sparse)]
