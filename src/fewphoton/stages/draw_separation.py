"""draw-separation: one figure of signal separation (Kieffer et al. 2025), and its table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.separation_figure import DrawSeparationConfig
from fewphoton.errors import ConfigError, DataError, InputFileError
from fewphoton.figures import (
    error_models,
    peak_comparison,
    peak_counts,
    pick_share,
    signal_separation,
    spot_quality,
    style,
    veto,
)
from fewphoton.io.crystfel_peak_list import peak_panels_and_q
from fewphoton.io.cxi_peaks import read_cxi_peaks
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import Value, read_metrics, read_table, write_table
from fewphoton.io.raw_frames import open_raw_frames
from fewphoton.io.still_truth import read_still_truth
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from fewphoton.separation.background import valid_range
from fewphoton.separation.veto import FrameSignal, frame_signal, kept_against_threshold
from fewphoton.simulate.ring_background import background_mean
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.figure_inputs import errors_name_files, file_labels, given_paths, needed
from fewphoton.stages.frame_image import masked_by
from fewphoton.stages.predicted_positions import predicted_positions
from fewphoton.stages.ring_curves import corrected_values, ring_curves, ring_radii, ring_rows
from fewphoton.stages.separation_setup import SeparationSetup, set_up

Config = DrawSeparationConfig
_Drawn = tuple[style.Figure, list[dict[str, Any]]]


@dataclass(frozen=True)
class Inputs:
    """What the stage reads; each figure tells which of these it needs."""

    raw: tuple[str, ...] = path_field(
        "raw frames: files, globs, file.h5::/dataset (signal_separation, peak_comparison; error_models: for its mask)",
        optional=True,
        many=True,
    )
    geometry: Path | None = path_field(
        "detector geometry and beam (error_models, signal_separation, peak_comparison)", optional=True
    )
    mask: Path | None = path_field("image whose pixels other than 0 are masked", optional=True)
    dark: Path | None = path_field("dark image, or frames to average (signal_separation)", optional=True)
    flat: Path | None = path_field("flat-field image (signal_separation)", optional=True)
    peaks: tuple[str, ...] = path_field(
        "peaks, CXI: one file a finder (peak_counts, peak_comparison), one (veto)", optional=True, many=True
    )
    still_truth: Path | None = path_field("truth of simulated stills (veto, peak_comparison)", optional=True)
    experiments: Path | None = path_field("DIALS experiment list of the frame (peak_comparison)", optional=True)
    sparsify: tuple[str, ...] = path_field(
        "metrics of sparsify, JSON, one a cut-off (pick_share, spot_quality)", optional=True, many=True
    )
    spots: tuple[str, ...] = path_field(
        "metrics of integrate-spots, JSON: original frames, then one a cut-off (spot_quality)", optional=True, many=True
    )
    shells: tuple[str, ...] = path_field(
        "shells of integrate-spots, CSV, in the same order (spot_quality)", optional=True, many=True
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    figure: Path = path_field("figure: .png, .svg or .pdf")
    table: Path | None = path_field("numbers of the figure, CSV; of spot_quality the paper's Table 1", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: DrawSeparationConfig, context: Context) -> None:
    """Draw the figure that the configuration names.

    Raises
    ------
    ConfigError
        If an input file that the figure needs was not given.
    DataError
        If the files hold nothing that could be drawn.
    """
    with errors_name_files(inputs, config.figure):
        figure, rows = _FIGURES[config.figure](inputs, config)
    style.save(figure, outputs.figure)
    if outputs.table is not None:
        write_table(outputs.table, rows)


def _draw_error_models(inputs: Inputs, config: DrawSeparationConfig) -> _Drawn:
    settings = config.background
    if inputs.raw:
        # Frames know gaps that the geometry may not name.
        _, setup = _read_frame(inputs, config)
        detector, beam = setup.detector, setup.beam
    else:
        geometry = read_geometry(needed(inputs, "geometry", config.figure))
        detector, beam = geometry.detector, geometry.beam
        detector = detector.with_mask(
            detector.masked | masked_by(map(str, given_paths(inputs.mask)), detector.frame_shape)
        )
    mean = background_mean(config.simulated_background, detector, beam)
    usable = np.isfinite(mean)
    frame = np.zeros(detector.n_pixels, dtype=np.int32)
    frame[usable] = np.random.default_rng(config.seed).poisson(mean[usable])
    norm = normalization(detector, beam, solid_angle=settings.solid_angle, polarization=settings.polarization)
    bins = azimuthal_bins(detector, beam, settings.n_bins, settings.unit, settings.radial_range, norm)
    curves = ring_curves(bins, settings, frame, clipped=False)
    radii = ring_radii(bins)
    weight = np.ones(detector.n_pixels) if norm is None else norm.astype(np.float64)
    counts = np.diff(bins.ring_ptr)
    with np.errstate(invalid="ignore", divide="ignore"):
        # The variance in the sums of equations 8 to 13 is that of Poisson's law: the mean.
        ring, inside = bins.bin_of_pixel[bins.usable], bins.usable
        variance = np.bincount(ring, mean[inside], bins.n_bins) / np.bincount(ring, weight[inside] ** 2, bins.n_bins)
    figure = error_models.draw(frame, detector, radii, curves.std, counts, np.sqrt(variance))
    columns = {"n_pixels": counts, "std_true": np.sqrt(variance)}
    return figure, ring_rows(radii, columns | {f"std_{name}": values for name, values in curves.std.items()})


def _read_frame(inputs: Inputs, config: DrawSeparationConfig) -> tuple[NDArray[Any], SeparationSetup]:
    """Return the frame shown, `(n_pixels,)`, and its geometry."""
    geometry = needed(inputs, "geometry", config.figure)
    with open_raw_frames(needed(inputs, "raw", config.figure)) as raw:
        if config.frame >= raw.n_frames:
            raise DataError(f"there is no frame {config.frame}; the files hold {raw.n_frames}")
        setup = set_up(raw, geometry, inputs.mask, inputs.dark, inputs.flat, config.background)
        frame = raw.deferred(config.frame)().ravel()
    return frame.astype(frame.dtype.newbyteorder("="), copy=False), setup


def _draw_signal_separation(inputs: Inputs, config: DrawSeparationConfig) -> _Drawn:
    frame, setup = _read_frame(inputs, config)
    bins, settings = setup.bins, config.background
    before = ring_curves(bins, settings, frame, setup.dark, clipped=False)
    after = ring_curves(bins, settings, frame, setup.dark, clipped=True)
    values = corrected_values(frame, setup, settings)
    radii = ring_radii(bins)
    chosen = config.ring_radii or tuple(bins.edges[0] + share * np.ptp(bins.edges) for share in (0.25, 0.5))
    spread = after.std["azimuthal" if settings.error_model == "azimuthal" else "poisson"]
    histograms = []
    for radius in chosen:
        ring = int(np.searchsorted(bins.edges, radius, side="right")) - 1
        if not 0 <= ring < bins.n_bins:
            low, high = bins.edges[[0, -1]]
            raise ConfigError(f"ring_radii: {radius:g} lies outside the rings, {low:.6g} to {high:.6g}")
        inside = values[bins.bin_of_pixel == ring]
        place = float(radii.centres[ring])
        inside = inside[np.isfinite(inside)]
        histograms.append(signal_separation.RingHistogram(place, inside, float(after.mean[ring]), float(spread[ring])))
    figure = signal_separation.draw(values, setup.detector, radii, before, after, histograms)
    columns = {"n_pixels": np.diff(bins.ring_ptr)}
    for when, curves in (("all", before), ("clipped", after)):
        columns[f"mean_{when}"] = curves.mean
        columns |= {f"std_{model}_{when}": spread for model, spread in curves.std.items()}
    return figure, ring_rows(radii, columns)


def _cutoffs(records: list[dict[str, Value]], n_files: int, config: DrawSeparationConfig) -> tuple[float, ...]:
    """Cut-offs of sparsified frames: configured, or those that sparsify wrote down."""
    if config.cutoffs:
        if len(config.cutoffs) != n_files:
            raise ConfigError(f"cutoffs: expected one for each of the {n_files} files, found {len(config.cutoffs)}")
        return config.cutoffs
    told = [record.get("cutoff_pick") for record in records]
    if not told or not all(isinstance(value, (int, float)) for value in told):
        raise ConfigError(f"figure {config.figure!r} needs cutoffs: the metrics do not tell them all (cutoff_pick)")
    return tuple(float(value) for value in told if isinstance(value, (int, float)))


def _draw_pick_share(inputs: Inputs, config: DrawSeparationConfig) -> _Drawn:
    rows: list[dict[str, Any]] = [
        {"frames": "normal tail", "cutoff_pick": n, "kept_fraction": float(pick_share.normal_share(n))}
        for n in (1.0, 2.0, 3.0)
    ]
    measured = []
    if inputs.sparsify:
        records = [read_metrics(path) for path in inputs.sparsify]
        cutoffs = np.array(_cutoffs(records, len(records), config))
        kept = np.array([_number(record, "kept_fraction") for record in records])
        if len(config.labels) > 1:
            raise ConfigError(f"labels: pick_share takes one name for all its files, found {len(config.labels)}")
        label = config.labels[0] if config.labels else "measured"
        measured.append(pick_share.MeasuredShare(label, cutoffs, kept))
        rows += [
            {"frames": label, "cutoff_pick": float(n), "kept_fraction": float(share)}
            for n, share in zip(cutoffs, kept, strict=True)
        ]
    return pick_share.draw(measured), rows


def _number(record: dict[str, Value], name: str) -> float:
    value = record.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else np.nan


def _draw_spot_quality(inputs: Inputs, config: DrawSeparationConfig) -> _Drawn:
    spots, shells = needed(inputs, "spots", config.figure), needed(inputs, "shells", config.figure)
    if len(shells) != len(spots):
        raise ConfigError(f"--shells: expected one for each of the {len(spots)} files of --spots, found {len(shells)}")
    sizes = [read_metrics(path) for path in inputs.sparsify]
    if sizes and len(sizes) != len(spots) - 1:
        raise ConfigError(
            f"--sparsify: expected one for each of the {len(spots) - 1} cut-offs (the first of --spots are the "
            f"original frames), found {len(sizes)}"
        )
    cutoffs = _cutoffs(sizes, len(spots) - 1, config) if len(spots) > 1 else ()
    labels = (
        file_labels(spots, config.labels) if config.labels else ("original", *(f"n = {cutoff:g}" for cutoff in cutoffs))
    )
    ratio = "compression_ratio_to"
    ratios = {"uncompressed frames": f"{ratio}_uncompressed", "bitshuffle-LZ4": f"{ratio}_bitshuffle_lz4"}
    versions = []
    for number, (path, table, label) in enumerate(zip(spots, shells, labels, strict=True)):
        overall = read_metrics(path)
        given = {}
        if number and sizes:
            given = {name: _number(sizes[number - 1], key) for name, key in ratios.items() if key in sizes[number - 1]}
        rows = read_table(table)
        if not rows:
            raise InputFileError(table, "holds no resolution shell")
        versions.append(
            spot_quality.FrameVersion(
                label,
                cutoffs[number - 1] if number else None,
                {name: _number(overall, name) for name in (*spot_quality.TABLE, *spot_quality.NAMES)},
                rows,
                given,
            )
        )
    return spot_quality.draw(versions), spot_quality.quality_table(versions)


def _draw_peak_counts(inputs: Inputs, config: DrawSeparationConfig) -> _Drawn:
    paths = needed(inputs, "peaks", config.figure)
    counts = {}
    for path, label in zip(paths, file_labels(paths, config.labels), strict=True):
        peaks, n_frames = read_cxi_peaks(path)
        counts[label] = peaks.counts(n_frames)
    figure = peak_counts.draw(counts, config.minimum_peaks)
    lists = [values.tolist() for values in counts.values()]
    return figure, [
        {"frame": frame, **dict(zip(counts, row, strict=True))} for frame, row in enumerate(zip(*lists, strict=True))
    ]


def _draw_peak_comparison(inputs: Inputs, config: DrawSeparationConfig) -> _Drawn:
    paths = needed(inputs, "peaks", config.figure)
    frame, setup = _read_frame(inputs, config)
    lists = []
    for path, label in zip(paths, file_labels(paths, config.labels), strict=True):
        peaks, n_frames = read_cxi_peaks(path)
        if config.frame >= n_frames:
            raise InputFileError(path, "does not hold the frame", expected=f"frame {config.frame}", found=n_frames)
        panel, q = peak_panels_and_q(peaks, setup.detector, setup.beam)
        mine = peaks.frame == config.frame
        lists.append(
            peak_comparison.FramePeakList(label, peaks.slow_px[mine], peaks.fast_px[mine], panel[mine], q[mine])
        )
    predicted = predicted_positions(inputs.still_truth, inputs.experiments, config, setup.detector, setup.beam)
    smallest, largest = valid_range(config.background, frame.dtype)
    values = np.where((frame >= smallest) & (frame <= largest), frame.astype(np.float64), np.nan)
    look = {"shell_width_inv_angstrom": config.shell_width_inv_angstrom, "tolerance_px": config.tolerance_px}
    figure = peak_comparison.draw(values, setup.detector, lists, predicted, **look)
    edges, counts = peak_comparison.count_by_shell(lists, predicted, **look)
    near = "near_predicted" if predicted is not None else "near_another"
    rows: list[dict[str, Any]] = []
    for number, (low, high) in enumerate(pairwise(edges.tolist())):
        row: dict[str, Any] = {"q_low_inv_angstrom": low, "q_high_inv_angstrom": high}
        for one in counts:
            row |= {f"{one.label}": int(one.n_peaks[number]), f"{one.label}_{near}": int(one.n_confirmed[number])}
        rows.append(row)
    return figure, rows


def _draw_veto(inputs: Inputs, config: DrawSeparationConfig) -> _Drawn:
    (path, *more) = needed(inputs, "peaks", config.figure)
    if more:
        raise ConfigError(f"figure 'veto' takes one file of peaks, found {1 + len(more)}")
    peaks, n_frames = read_cxi_peaks(path)
    if not n_frames:
        raise DataError("there is no frame")
    signal = frame_signal(peaks, n_frames)
    thresholds, kept = kept_against_threshold(signal)
    parts: list[NDArray[np.int64]] = []
    if inputs.still_truth is not None:
        is_hit = read_still_truth(inputs.still_truth).shots.is_hit
        if len(is_hit) != n_frames:
            raise InputFileError(
                inputs.still_truth, "does not fit the peaks", expected=f"{n_frames} frames", found=len(is_hit)
            )
        for chosen in (is_hit, ~is_hit):
            part = np.zeros_like(kept)
            if chosen.any():
                some = kept_against_threshold(FrameSignal(signal.n_peaks[chosen], signal.intensity[chosen]))[1]
                part[: len(some)] = some
            parts.append(part)
    figure = veto.draw(veto.VetoCurves(thresholds, kept, *parts), config.minimum_peaks)
    columns = dict(zip(("n_hits_kept", "n_blanks_kept"), parts, strict=False))
    named = {"minimum_peaks": thresholds, "n_frames_kept": kept, "data_kept": kept / n_frames, **columns}
    return figure, [
        dict(zip(named, row, strict=True)) for row in zip(*(v.tolist() for v in named.values()), strict=True)
    ]


_FIGURES: dict[str, Callable[[Inputs, DrawSeparationConfig], _Drawn]] = {
    "error_models": _draw_error_models,
    "signal_separation": _draw_signal_separation,
    "pick_share": _draw_pick_share,
    "spot_quality": _draw_spot_quality,
    "peak_counts": _draw_peak_counts,
    "peak_comparison": _draw_peak_comparison,
    "veto": _draw_veto,
}
