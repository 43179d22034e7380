"""count-photons: raw ADU to photon frames."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config import CountPhotonsConfig
from fewphoton.data import Beam, Detector, FrameTable, PhotonFrames
from fewphoton.errors import ConfigError, DataError, InputFileError
from fewphoton.io.calibration_files import read_gain_stages, read_pixel_calibration
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import write_metrics
from fewphoton.io.photon_files import PhotonFileWriter, write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import RawFrames, open_raw_frames
from fewphoton.kernels.threads import use_threads
from fewphoton.photons.calibration import best_threshold, threshold_errors
from fewphoton.photons.counting import integer_photons
from fewphoton.photons.prepare import CalibrationSource, PreparedCounter, prepare_counter
from fewphoton.stages.contract import Context, input_files, path_field

Config = CountPhotonsConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    raw: tuple[str, ...] = path_field("raw frames: files, globs, file.h5::/dataset, @list.txt", many=True)
    geometry: Path = path_field("detector geometry and beam")
    calibration: Path | None = path_field("calibration file (HDF5), or dark frames", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    frames: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: CountPhotonsConfig, context: Context) -> None:
    """Calibrate on sampled frames, then count all frames in one pass."""
    use_threads(context.threads)
    with open_raw_frames(inputs.raw) as raw:
        geometry = read_geometry(inputs.geometry, raw.frame_shape)
        table = _with_series(raw.table, config)
        notes = ("counts taken as they are",) if config.calibration == "photons" else ()
        provenance = Provenance.of("count-photons", config.model_dump(mode="json"), _all_inputs(inputs, raw), notes)
        with write_photon_file(outputs.frames, geometry.detector, geometry.beam, provenance) as writer:
            if config.calibration == "photons":
                metrics = _take_counts(raw, table, geometry.detector, writer, config, context)
            else:
                metrics = _count(raw, table, geometry.detector, geometry.beam, writer, inputs, config, context)
    write_metrics(outputs.metrics, metrics)


def _all_inputs(inputs: Inputs, raw: RawFrames) -> dict[str, Path]:
    files = {f"raw{number}": Path(name.partition("::")[0]) for number, name in enumerate(raw.path_names)}
    return {**files, **input_files(inputs)}


def _with_series(table: FrameTable, config: CountPhotonsConfig) -> FrameTable:
    """Fill in batches and angles that the files do not hold from the configuration."""
    number = np.arange(len(table))
    if config.exposures_per_batch is not None:
        table = replace(table, batch=(number // config.exposures_per_batch).astype(np.int32))
    if config.omega_start_deg is not None and config.omega_step_deg is not None:
        start = config.omega_start_deg + number * config.omega_step_deg
        table = replace(table, omega_start_deg=start, omega_end_deg=start + config.omega_step_deg)
    return table


def _flat(frames: NDArray[Any]) -> NDArray[Any]:
    return frames.reshape(len(frames), -1)


def _take_counts(
    raw: RawFrames,
    table: FrameTable,
    detector: Detector,
    writer: PhotonFileWriter,
    config: CountPhotonsConfig,
    context: Context,
) -> dict[str, Any]:
    photons = zero = 0
    for first, frames in _chunks(raw, config, context):
        counted = integer_photons(_flat(frames), detector.masked, table.take(slice(first, first + len(frames))))
        writer.append(counted)
        photons += int(counted.totals().sum())
        zero += int((counted.totals() == 0).sum())
    return {
        "n_frames_read": raw.n_frames,
        "n_frames_kept": raw.n_frames,
        "n_zero_photon_frames": zero,
        "photons_per_frame_mean": photons / raw.n_frames,
        "masked_pixels": int(detector.masked.sum()),
    }


def _chunks(raw: RawFrames, config: CountPhotonsConfig, context: Context) -> Any:
    """Yield chunks, reading one ahead in a thread: decoding and counting overlap."""
    source = raw.chunks(config.chunk_frames)
    total = -(-raw.n_frames // config.chunk_frames)
    bar = context.track(range(total), "count photons", "chunks", total=total)
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(next, source, None)
        while (chunk := ahead.result()) is not None:
            ahead = pool.submit(next, source, None)
            next(bar, None)
            yield chunk
    for _ in bar:
        pass


def _prepare(raw: RawFrames, detector: Detector, inputs: Inputs, config: CountPhotonsConfig) -> PreparedCounter:
    n_sample = min(config.fit_frames, raw.n_frames)
    chosen = np.unique(np.linspace(0, raw.n_frames - 1, n_sample).astype(np.int64))
    sample = _flat(raw.read(chosen))
    given = inputs.calibration
    source = CalibrationSource()
    if config.calibration == "given" and given is not None:
        source = CalibrationSource(pixel=read_pixel_calibration(given, detector.n_pixels))
    elif config.calibration == "jungfrau" and given is not None:
        source = CalibrationSource(stages=read_gain_stages(given, detector.n_pixels))
    elif config.calibration == "dark" and given is not None:
        with open_raw_frames([str(given)]) as dark:
            if dark.frame_shape != raw.frame_shape:
                raise InputFileError(
                    given, "dark frames have another shape", expected=raw.frame_shape, found=dark.frame_shape
                )
            source = CalibrationSource(dark=_flat(dark.read(np.arange(min(dark.n_frames, config.fit_frames)))))
    try:
        return prepare_counter(config, detector, sample, source)
    except (ConfigError, DataError) as error:
        raise type(error)(f"{raw.path_names[0]}: {error}") from error


def _count(
    raw: RawFrames,
    table: FrameTable,
    detector: Detector,
    beam: Beam,
    writer: PhotonFileWriter,
    inputs: Inputs,
    config: CountPhotonsConfig,
    context: Context,
) -> dict[str, Any]:
    prepared = _prepare(raw, detector, inputs, config)
    counter, calibration = prepared.counter, prepared.counter.calibration
    writer.set_mask(calibration.unusable)
    kept_frames = photons = zero = bad_reads = 0
    for first, frames in _chunks(raw, config, context):
        corrected = prepared.correct(_flat(frames))
        counted = counter.count(corrected, table.take(slice(first, first + len(frames))))
        bad_reads += counter.bad_reads(corrected) if _can_be_bad(corrected, config) else 0
        usual: PhotonFrames = counted.take(counted.totals() <= prepared.limit)
        writer.append(usual)
        kept_frames += usual.n_frames
        photons += int(usual.totals().sum())
        zero += int((usual.totals() == 0).sum())
    if kept_frames == 0:
        raise DataError(f"{raw.path_names[0]}: every frame was rejected for its photon total; check the calibration")
    false_photons, missed = threshold_errors(calibration, config.threshold_photons)
    good = ~calibration.unusable
    rejected = raw.n_frames - kept_frames
    if rejected:
        context.say(f"{rejected} frames with more than {prepared.limit:.0f} photons were rejected")
    return {
        "n_frames_read": raw.n_frames,
        "n_frames_kept": kept_frames,
        "n_frames_rejected_total": rejected,
        "rejection_limit_photons": prepared.limit,
        "n_zero_photon_frames": zero,
        "photons_per_frame_mean": photons / kept_frames,
        "masked_pixels": int(calibration.unusable.sum()),
        "noisy_pixels": int(prepared.bad.noisy.sum()),
        "dead_pixels": int(prepared.bad.dead.sum()),
        "hot_pixels": int(prepared.bad.hot.sum()),
        "bad_reads": bad_reads,
        "gain_adu_per_photon_median": float(np.median(calibration.adu_per_photon[good])),
        "read_noise_adu_median": float(np.median(calibration.read_noise_adu[good])),
        "threshold_photons": config.threshold_photons,
        "threshold_photons_best": best_threshold(calibration, prepared.occupancy),
        "expected_false_photons_per_frame": false_photons,
        "expected_missed_photon_fraction": missed,
    }


def _can_be_bad(frames: NDArray[Any], config: CountPhotonsConfig) -> bool:
    return frames.dtype.kind == "f" or config.minimum_valid_adu is not None
