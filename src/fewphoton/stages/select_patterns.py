"""select-patterns: hits, and which of them show one particle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.select_patterns import SelectPatternsConfig
from fewphoton.data import PhotonFrames
from fewphoton.errors import GeometryError
from fewphoton.io.atomic import write_text
from fewphoton.io.frame_labels import UNKNOWN, read_labels
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.photon_files import PhotonFileReader, open_photon_file, write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.particle.hits import hit_threshold
from fewphoton.particle.linear_classifier import fit_classifier, out_of_fold_probability
from fewphoton.particle.pattern_features import FEATURES, pattern_features
from fewphoton.particle.pattern_plane import PatternPlane, pattern_plane
from fewphoton.particle.roc import area_under_curve
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.frame_tally import require_frames

Config = SelectPatternsConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")
    empties: Path | None = path_field("photon file of frames without a particle, for the threshold", optional=True)
    labels: tuple[str, ...] = path_field(
        "label of each frame, 1 wanted, 0 not, negative unknown: file.h5::/dataset, .npy or text; several are joined",
        optional=True,
        many=True,
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    patterns: Path = path_field("photons, features, label, score and verdict of each frame (CSV)")
    kept: Path = path_field("numbers of the selected frames, one a line")
    metrics: Path = path_field("metrics (JSON)")
    selected: Path | None = path_field("photon file of the selected frames", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: SelectPatternsConfig, context: Context) -> None:
    """Find hits, score those by their features, and keep the best."""
    with open_photon_file(inputs.frames) as reader:
        n_frames = require_frames(reader)
        plane = pattern_plane(reader.detector, reader.beam, config.ring_width_pixel)
        label = _labels(inputs, n_frames)
        photons, features = _measured(reader, plane, context)
        threshold = _threshold(inputs, reader, plane, config)
        hit = (photons >= threshold) & np.isfinite(features).all(axis=1)
        score, scored = _scores(features, label, hit, config)
        selected = hit & (score >= config.minimum_score) if scored else hit
        numbers = np.flatnonzero(selected)
        if outputs.selected is not None:
            files = {f"labels{number}": Path(name.partition("::")[0]) for number, name in enumerate(inputs.labels)}
            files |= input_files(inputs)
            provenance = Provenance.of("select-patterns", config.model_dump(mode="json"), files)
            with write_photon_file(outputs.selected, reader.detector, reader.beam, provenance) as writer:
                for part in _parts(reader, numbers):
                    writer.append(part)
    write_text(outputs.kept, "".join(f"{number}\n" for number in numbers))
    write_table(
        outputs.patterns,
        [
            {
                "frame": number,
                "photons": photons[number],
                **dict(zip(FEATURES, features[number], strict=True)),
                "label": None if label[number] == UNKNOWN else label[number],
                "hit": bool(hit[number]),
                "score": score[number],
                "selected": bool(selected[number]),
            }
            for number in range(n_frames)
        ],
    )
    known = hit & (label != UNKNOWN)
    metrics: dict[str, Any] = {
        "n_frames": n_frames,
        "hit_threshold_photons": threshold,
        "n_hits": int(hit.sum()),
        "n_labelled_hits": int(known.sum()),
        "n_selected": len(numbers),
    }
    for name, value in (("wanted", 1), ("unwanted", 0)):
        metrics[f"n_{name}_hits"] = int((label[known] == value).sum())
        metrics[f"n_{name}_selected"] = int((label[selected] == value).sum())
    write_metrics(outputs.metrics, metrics | scored)


def _parts(reader: PhotonFileReader, numbers: NDArray[np.int64]) -> list[PhotonFrames]:
    return [reader.read(int(number), int(number) + 1) for number in numbers]


def _labels(inputs: Inputs, n_frames: int) -> NDArray[np.int8]:
    if not inputs.labels:
        return np.full(n_frames, UNKNOWN, dtype=np.int8)
    return read_labels(inputs.labels, n_frames)


def _photons(frames: PhotonFrames, plane: PatternPlane) -> NDArray[np.int64]:
    """Photons on usable pixels of each frame."""
    seen = plane.usable[frames.pixel]
    totals = np.bincount(frames.frame_numbers()[seen], frames.count[seen], frames.n_frames)
    return np.asarray(totals.astype(np.int64))


def _measured(
    reader: PhotonFileReader, plane: PatternPlane, context: Context
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    photons, features = [], []
    for part in context.track(reader.chunks(max_frames=256), "select patterns", "chunks"):
        photons.append(_photons(part, plane))
        features.append(pattern_features(part, plane))
    return np.concatenate(photons), np.concatenate(features)


def _threshold(inputs: Inputs, reader: PhotonFileReader, plane: PatternPlane, config: SelectPatternsConfig) -> int:
    if config.minimum_photons is not None:
        return config.minimum_photons
    if inputs.empties is None:
        return 1
    with open_photon_file(inputs.empties) as empties:
        if empties.detector.digest() != reader.detector.digest():
            raise GeometryError(f"{inputs.empties}: frames of another detector than those of {inputs.frames}")
        chunks = [_photons(part, plane) for part in empties.chunks()]
    return hit_threshold(np.concatenate([np.zeros(0, dtype=np.int64), *chunks]), config.false_hit_rate)


def _scores(
    features: NDArray[np.float64], label: NDArray[np.int8], hit: NDArray[np.bool_], config: SelectPatternsConfig
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Return a score for each hit, and how good it is; NaN and nothing where no frame has a label.

    Labelled frames get the mean of the fits that did not see them, the others that of a fit to all labelled ones.
    """
    score = np.full(len(label), np.nan)
    known = hit & (label != UNKNOWN)
    if not known.any():
        return score, {}
    seen, wanted = features[known], label[known] == 1
    folds: dict[str, Any] = {"n_folds": config.n_folds, "ridge": config.ridge}
    repeats = out_of_fold_probability(seen, wanted, n_repeats=config.n_repeats, seed=config.seed, **folds)
    fitted = fit_classifier(seen, wanted, config.ridge)
    score[hit] = fitted.probability(features[hit])
    within = area_under_curve(score[known], wanted)
    score[known] = repeats.mean(axis=0)
    area = area_under_curve(score[known], wanted, config.confidence)
    single = [area_under_curve(row, wanted).area for row in repeats]
    metrics = {
        "auc": area.area,
        "auc_standard_error": area.standard_error,
        "auc_confidence": config.confidence,
        "auc_low": area.low,
        "auc_high": area.high,
        "auc_of_repeats_mean": float(np.mean(single)),
        "auc_of_repeats_min": min(single),
        "auc_of_repeats_max": max(single),
        "auc_of_fitted_frames": within.area,
    }
    rng = np.random.default_rng([config.seed, 1])
    by_chance = []
    for number in range(config.n_shuffles):
        mixed = rng.permutation(wanted)
        alone = out_of_fold_probability(seen, mixed, n_repeats=1, seed=config.seed + number, **folds)[0]
        by_chance.append(area_under_curve(alone, mixed).area)
    if by_chance:
        metrics |= {"auc_of_shuffled_labels_mean": float(np.mean(by_chance)), "auc_of_shuffled_max": max(by_chance)}
    for number, name in enumerate(FEATURES):
        metrics[f"auc_{name}"] = area_under_curve(seen[:, number], wanted).area
        metrics[f"weight_{name}"] = float(fitted.weight[number])
    return score, metrics
