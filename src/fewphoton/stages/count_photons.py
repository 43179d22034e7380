"""count-photons: raw ADU to photon frames."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config import CountPhotonsConfig
from fewphoton.data import Detector, FrameTable
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.calibration_files import read_gain_stages, read_pixel_calibration
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import write_metrics
from fewphoton.io.photon_files import PhotonFileWriter, write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import RawFrames, open_raw_frames
from fewphoton.kernels.threads import use_threads
from fewphoton.photons.bad_frames import LevelProbe
from fewphoton.photons.bad_pixels import silent_pixels
from fewphoton.photons.calibration import best_threshold, threshold_errors
from fewphoton.photons.counting import Counted, CountReader, PhotonCounter
from fewphoton.photons.prepare import GivenCalibration, Preparation, corrected, prepare_counting
from fewphoton.photons.raw_sample import RawSample, native
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.frame_image import masked_by

Config = CountPhotonsConfig

_CHUNK_BYTES = 256 * 1024**2
_SAMPLE_BYTES = 512 * 1024**2


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    raw: tuple[str, ...] = path_field("raw frames: files, globs, file.h5::/dataset, @list.txt", many=True)
    geometry: Path = path_field("detector geometry and beam")
    calibration: Path | None = path_field("calibration file (HDF5), or dark frames", optional=True)
    masks: tuple[str, ...] = path_field(
        "images whose pixels other than 0 are masked: .npy, file.h5::/dataset, ...", optional=True, many=True
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    frames: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


@dataclass
class _Tally:
    """Sums over the frames of a run."""

    n_kept: int = 0
    n_bright: int = 0
    n_shifted: int = 0
    n_zero: int = 0
    n_photons: int = 0
    bad_reads: int = 0
    saturated: int = 0
    rejected_index: list[int] = field(default_factory=list)

    def add(
        self, writer: PhotonFileWriter, counted: Counted, bright: NDArray[np.bool_], shifted: NDArray[np.bool_]
    ) -> None:
        """Write the frames that are neither bright nor shifted, and count all."""
        keep = ~(bright | shifted)
        kept = counted.photons if keep.all() else counted.photons.take(keep)
        writer.append(kept)
        totals = kept.totals()
        self.n_kept += kept.n_frames
        self.n_shifted += int(shifted.sum())
        self.n_bright += int((bright & ~shifted).sum())
        self.n_zero += int((totals == 0).sum())
        self.n_photons += int(totals.sum())
        self.bad_reads += int(counted.n_invalid[keep].sum())
        self.saturated += int(counted.n_saturated[keep].sum())
        self.rejected_index += counted.photons.table.source_index[~keep].tolist()

    def metrics(self) -> dict[str, Any]:
        """Return what is the same for all calibrations."""
        return {
            "n_frames_read": self.n_kept + self.n_bright + self.n_shifted,
            "n_frames_kept": self.n_kept,
            "n_frames_rejected_total": self.n_bright + self.n_shifted,
            "n_frames_rejected_bright": self.n_bright,
            "n_frames_rejected_shifted": self.n_shifted,
            "n_zero_photon_frames": self.n_zero,
            "photons_total": self.n_photons,
            "photons_per_frame_mean": self.n_photons / max(self.n_kept, 1),
            "bad_reads": self.bad_reads,
            "saturated_pixels": self.saturated,
        }


def run(inputs: Inputs, outputs: Outputs, config: CountPhotonsConfig, context: Context) -> None:
    """Calibrate on sampled frames, then count all frames in one pass."""
    use_threads(context.threads)
    with contextlib.ExitStack() as stack:
        raw = stack.enter_context(open_raw_frames(inputs.raw))
        dark = None
        if config.calibration == "dark" and inputs.calibration is not None:
            dark = stack.enter_context(open_raw_frames([str(inputs.calibration)]))
        geometry = read_geometry(inputs.geometry, raw.frame_shape)
        detector = geometry.detector.with_mask(geometry.detector.masked | masked_by(inputs.masks, raw.frame_shape))
        files = _input_files(inputs, raw, dark)
        notes = ("counts taken as they are",) if config.calibration == "photons" else ()
        provenance = Provenance.of("count-photons", config.model_dump(mode="json"), files, notes)
        with write_photon_file(outputs.frames, detector, geometry.beam, provenance) as writer:
            try:
                if config.calibration == "photons":
                    metrics = _take_counts(raw, detector, writer, config, context)
                else:
                    given = _given_calibration(inputs, config, raw, dark, detector)
                    metrics = _count(raw, detector, given, writer, config, context)
            except DataError as error:
                raise DataError(f"{raw.path_names[0]}: {error}") from error
    write_metrics(outputs.metrics, metrics)


def _input_files(inputs: Inputs, raw: RawFrames, dark: RawFrames | None) -> dict[str, Path]:
    files = {f"raw{number}": Path(name.partition("::")[0]) for number, name in enumerate(raw.path_names)}
    files["geometry"] = inputs.geometry
    if dark is not None:
        files |= {f"dark{number}": Path(name.partition("::")[0]) for number, name in enumerate(dark.path_names)}
    elif inputs.calibration is not None:
        files["calibration"] = inputs.calibration
    files |= {f"mask{number}": Path(name.partition("::")[0]) for number, name in enumerate(inputs.masks)}
    return files


def _with_series(table: FrameTable, config: CountPhotonsConfig) -> FrameTable:
    """Fill in batches and angles that the files do not hold from the configuration."""
    number = np.arange(len(table))
    if config.exposures_per_batch is not None:
        table = replace(table, batch=(number // config.exposures_per_batch).astype(np.int32))
    if config.omega_start_deg is not None and config.omega_step_deg is not None:
        start = np.asarray(config.omega_start_deg + number * config.omega_step_deg, dtype=np.float64)
        table = replace(table, omega_start_deg=start, omega_end_deg=start + config.omega_step_deg)
    return table


def _chunk_frames(raw: RawFrames, config: CountPhotonsConfig) -> int:
    frame_bytes = raw.frame_shape[0] * raw.frame_shape[1] * raw.dtype.itemsize
    return int(max(1, min(config.chunk_frames, _CHUNK_BYTES // frame_bytes)))


def _chunks(
    raw: RawFrames, config: CountPhotonsConfig, context: Context
) -> Generator[tuple[slice, NDArray[Any]], None, None]:
    """Yield frame numbers and frames `(k, n_pixels)`; a thread reads one chunk ahead, so that decoding overlaps."""
    size = _chunk_frames(raw, config)
    first, last = 0, raw.n_frames
    if config.job is not None:
        first, last = (raw.n_frames * number // config.jobs for number in (config.job, config.job + 1))
    starts = list(range(first, last, size))
    if not starts:
        return

    def read(start: int) -> NDArray[Any]:
        parts = [frames for _, frames in raw.chunks(size, start, min(start + size, last))]
        return native(parts[0] if len(parts) == 1 else np.concatenate(parts))

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, starts[0])
        for start, following in context.track(
            zip(starts, [*starts[1:], None], strict=True), "count photons", "chunks", total=len(starts)
        ):
            frames = ahead.result()
            if following is not None:
                ahead = pool.submit(read, following)
            yield slice(start, start + len(frames)), frames


def _take_counts(
    raw: RawFrames, detector: Detector, writer: PhotonFileWriter, config: CountPhotonsConfig, context: Context
) -> dict[str, Any]:
    table = _with_series(raw.table, config)
    reader = CountReader(detector.masked, raw.dtype.newbyteorder("="))
    tally = _Tally()
    with contextlib.closing(_chunks(raw, config, context)) as chunks:
        for place, frames in chunks:
            none = np.zeros(len(frames), dtype=bool)
            tally.add(writer, reader.count(frames, table.take(place)), none, none)
    return {**tally.metrics(), "masked_pixels": int(detector.masked.sum())}


def _given_calibration(
    inputs: Inputs, config: CountPhotonsConfig, raw: RawFrames, dark: RawFrames | None, detector: Detector
) -> GivenCalibration:
    path = inputs.calibration
    if path is None:
        return GivenCalibration()
    if dark is not None:
        if dark.frame_shape != raw.frame_shape:
            raise InputFileError(
                path, "dark frames have another shape", expected=raw.frame_shape, found=dark.frame_shape
            )
        size = _chunk_frames(dark, config)
        sample = RawSample.spread(dark.read, dark.n_frames, config.fit_frames, size, config.minimum_valid_adu)
        return GivenCalibration(dark=sample.held(_SAMPLE_BYTES))
    if config.calibration == "given":
        return GivenCalibration(pixel=read_pixel_calibration(path, detector.n_pixels))
    if config.calibration == "jungfrau":
        return GivenCalibration(stages=read_gain_stages(path, detector.n_pixels))
    return GivenCalibration()


def _count(
    raw: RawFrames,
    detector: Detector,
    given: GivenCalibration,
    writer: PhotonFileWriter,
    config: CountPhotonsConfig,
    context: Context,
) -> dict[str, Any]:
    size = _chunk_frames(raw, config)
    sample = RawSample.spread(raw.read, raw.n_frames, config.fit_frames, size, config.minimum_valid_adu)
    prepared = prepare_counting(config, detector, sample.held(_SAMPLE_BYTES), given)
    table = _with_series(raw.table, config)
    probe = LevelProbe(prepared.calibration, config.threshold_photons)
    tally = _Tally()
    counter: PhotonCounter | None = None
    with contextlib.closing(_chunks(raw, config, context)) as chunks:
        for place, frames in chunks:
            values = corrected(prepared, frames)
            if counter is None:
                counter = PhotonCounter(
                    prepared.calibration, config.threshold_photons, values.dtype, prepared.minimum_valid
                )
            counted = counter.count(values, table.take(place))
            bright = counted.photons.totals() > prepared.limit
            shifted = np.abs(probe.shifts(values)) > config.max_shift_sigma
            tally.add(writer, counted, bright, shifted)
    if tally.n_kept == 0 and config.job is None:
        raise no_frame_was_kept(tally.n_shifted, tally.n_bright)
    if tally.rejected_index:
        listed = ", ".join(map(str, tally.rejected_index[:10])) + (" ..." if len(tally.rejected_index) > 10 else "")
        context.say(f"{len(tally.rejected_index)} frames were rejected, read with a wrong offset: {listed}")
    silent = np.zeros(detector.n_pixels, dtype=bool)
    if config.job is None:
        # Of a part, too few photons may be known to tell silence.
        silent = silent_pixels(writer.photons_of_pixel, detector.frame_shape, prepared.calibration.usable)
    writer.set_mask(prepared.calibration.unusable | silent)
    return {**tally.metrics(), **_calibration_metrics(prepared, silent, config)}


def no_frame_was_kept(n_shifted: int, n_bright: int) -> DataError:
    """Return the error of counts of which nothing is left."""
    return DataError(
        f"every frame was rejected ({n_shifted} for a shifted level, {n_bright} for their photon total); check the "
        "calibration"
    )


def _calibration_metrics(
    prepared: Preparation, silent: NDArray[np.bool_], config: CountPhotonsConfig
) -> dict[str, Any]:
    calibration = prepared.calibration
    false_photons, missed = threshold_errors(calibration, config.threshold_photons)
    good = calibration.usable
    return {
        "rejection_limit_photons": prepared.limit,
        "masked_pixels": int((calibration.unusable | silent).sum()),
        "noisy_pixels": int(prepared.bad.noisy.sum()),
        "dead_pixels": int((prepared.bad.dead | silent).sum()),
        "hot_pixels": int(prepared.bad.hot.sum()),
        "offset_adu_median": float(np.median(calibration.offset_adu[good])),
        "gain_adu_per_photon_median": float(np.median(calibration.adu_per_photon[good])),
        "read_noise_adu_median": float(np.median(calibration.read_noise_adu[good])),
        "panels_without_one_photon_peak": prepared.n_panels_without_peak,
        "threshold_photons": config.threshold_photons,
        "threshold_photons_best": best_threshold(calibration, prepared.occupancy),
        "expected_false_photons_per_frame": false_photons,
        "expected_missed_photon_fraction": missed,
    }
