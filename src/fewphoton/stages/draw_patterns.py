"""draw-patterns: patterns of single particles in the order of their score, and the score's curve."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewphoton.config.select_patterns import DrawPatternsConfig
from fewphoton.errors import InputFileError
from fewphoton.figures import ranked_patterns, style
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.photon_files import open_photon_file
from fewphoton.particle.pattern_plane import beam_centre
from fewphoton.particle.roc import roc_curve
from fewphoton.stages.contract import Context, path_field

Config = DrawPatternsConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file")
    patterns: Path = path_field("table that select-patterns wrote of it (CSV)")
    metrics: Path = path_field("metrics that select-patterns wrote (JSON)")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    figure: Path = path_field("figure: .png, .svg or .pdf")


def run(inputs: Inputs, outputs: Outputs, config: DrawPatternsConfig, context: Context) -> None:
    """Draw hits by falling score; by falling photons where they have none."""
    rows = read_table(inputs.patterns)
    try:
        hit = np.array([row["hit"] == "True" for row in rows], dtype=bool)
        photons = np.array([int(row["photons"]) for row in rows])
        score = np.array([float(row["score"] or "nan") for row in rows])
        label = np.array([int(row["label"] or -1) for row in rows])
    except (KeyError, ValueError) as error:
        raise InputFileError(inputs.patterns, f"is no table of select-patterns: {error}") from error
    ranking = np.flatnonzero(hit)
    ranking = ranking[np.lexsort((ranking, -photons[ranking], -np.nan_to_num(score[ranking], nan=-1.0)))]
    if len(ranking) > config.n_patterns:
        ranking = ranking[np.linspace(0, len(ranking) - 1, config.n_patterns).astype(np.int64)]
    with open_photon_file(inputs.frames) as reader:
        if reader.n_frames != len(rows):
            raise InputFileError(
                inputs.patterns, "belongs to another photon file", expected=f"{reader.n_frames} rows", found=len(rows)
            )
        detector = reader.detector
        centre = beam_centre(detector, reader.beam)
        images = []
        for number in ranking.tolist():
            counts = reader.read(number, number + 1).to_dense()[0].astype(np.float64)
            counts[detector.masked] = np.nan
            images.append(ranked_patterns.around(counts.reshape(detector.frame_shape), centre, config.half_width_pixel))
    sheet = ranked_patterns.RankedPatterns(images, ranking, score[ranking], label[ranking])
    known = hit & (label >= 0) & np.isfinite(score)
    curve = None
    if len(set(label[known].tolist())) == 2:
        _, unwanted, wanted = roc_curve(score[known], label[known] == 1)
        found = read_metrics(inputs.metrics)
        area = [float(found.get(name) or np.nan) for name in ("auc", "auc_low", "auc_high", "auc_confidence")]
        curve = ranked_patterns.RocCurve(unwanted, wanted, *area)
    figure = ranked_patterns.draw(sheet, curve, (config.wanted, config.unwanted))
    style.save(figure, outputs.figure)
