"""veto: which frames are hits, by their peaks."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewphoton.config.separation import VetoConfig
from fewphoton.errors import InputFileError
from fewphoton.io.atomic import write_text
from fewphoton.io.cxi_peaks import read_cxi_peaks
from fewphoton.io.metrics import write_metrics
from fewphoton.separation.veto import frame_signal, kept_against_threshold, kept_frames
from fewphoton.stages.contract import Context, path_field

Config = VetoConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    peaks: Path = path_field("peaks (CXI)")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    kept: Path = path_field("numbers of the kept frames, one a line")
    curve: Path = path_field("frames kept against the threshold on the number of peaks (CSV)")
    frames: Path = path_field("peaks, summed intensity and verdict of each frame (CSV)")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: VetoConfig, context: Context) -> None:
    """Judge every frame."""
    peaks, n_frames = read_cxi_peaks(inputs.peaks)
    if n_frames == 0:
        raise InputFileError(inputs.peaks, "holds no frames")
    signal = frame_signal(peaks, n_frames)
    kept = kept_frames(signal, config)
    numbers = np.flatnonzero(kept)
    write_text(outputs.kept, "".join(f"{number}\n" for number in numbers))
    thresholds, remaining = kept_against_threshold(signal)
    write_text(
        outputs.curve,
        _table(
            ("minimum_peaks", "n_frames_kept", "fraction_kept"),
            zip(thresholds.tolist(), remaining.tolist(), (remaining / n_frames).tolist(), strict=True),
        ),
    )
    write_text(
        outputs.frames,
        _table(
            ("frame", "n_peaks", "bragg_intensity", "kept"),
            zip(
                range(n_frames),
                signal.n_peaks.tolist(),
                signal.intensity.tolist(),
                kept.astype(int).tolist(),
                strict=True,
            ),
        ),
    )
    write_metrics(
        outputs.metrics,
        {
            "n_frames": n_frames,
            "n_frames_kept": len(numbers),
            "fraction_kept": len(numbers) / n_frames,
            "minimum_peaks": config.minimum_peaks,
            "minimum_intensity": config.minimum_intensity,
        },
    )


def _table(names: tuple[str, ...], rows: object) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(rows)  # type: ignore[arg-type]
    return text.getvalue()
