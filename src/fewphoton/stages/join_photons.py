"""join-photons: parts of a dataset, counted by several jobs, as one photon file, as one job would have written it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.config import JoinPhotonsConfig
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.metrics import read_metrics, write_metrics
from fewphoton.io.photon_files import PhotonFileReader, PhotonFileWriter, open_photon_file, write_photon_file
from fewphoton.io.provenance import Provenance, provenance_of
from fewphoton.photons.bad_pixels import silent_pixels
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.count_photons import no_frame_was_kept

Config = JoinPhotonsConfig

_SUMMED = (
    "n_frames_read",
    "n_frames_kept",
    "n_frames_rejected_total",
    "n_frames_rejected_bright",
    "n_frames_rejected_shifted",
    "n_zero_photon_frames",
    "photons_total",
    "bad_reads",
    "saturated_pixels",
)


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    parts: tuple[str, ...] = path_field("photon files of all jobs, in their order", many=True)
    part_metrics: tuple[str, ...] = path_field("their metrics (JSON), in the same order", many=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    frames: Path = path_field("photon file")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: JoinPhotonsConfig, context: Context) -> None:
    """Append the parts, and look for pixels that are silent in all of them.

    Raises
    ------
    InputFileError
        If a file cannot be read, or a part is not the one that belongs to its place.
    DataError
        If no frame was kept, or metrics and parts do not match in number.
    """
    if len(inputs.parts) != len(inputs.part_metrics):
        raise DataError(f"{len(inputs.part_metrics)} files of metrics for {len(inputs.parts)} parts")
    provenance = _of_the_whole(inputs.parts)
    metrics = _joined(inputs.part_metrics, [read_metrics(path) for path in inputs.part_metrics])
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(open_photon_file(inputs.parts[0]))
        writer = stack.enter_context(write_photon_file(outputs.frames, first.detector, first.beam, provenance))
        for path in context.track(inputs.parts, "join photons", "parts"):
            with open_photon_file(path) as reader:
                _append(reader, first, writer)
        if provenance.config["calibration"] == "photons":
            silent = np.zeros(first.detector.n_pixels, dtype=bool)
        elif metrics["n_frames_kept"] == 0:
            raise no_frame_was_kept(metrics["n_frames_rejected_shifted"], metrics["n_frames_rejected_bright"])
        else:
            silent = silent_pixels(writer.photons_of_pixel, first.detector.frame_shape, ~first.detector.masked)
        writer.set_mask(first.detector.masked | silent)
    for name in ("masked_pixels", "dead_pixels"):
        if name in metrics:
            metrics[name] += int(silent.sum())
    write_metrics(outputs.metrics, metrics)


def _of_the_whole(parts: tuple[str, ...]) -> Provenance:
    """Return the record of a single job that counts all; each part has to be what its place says."""
    records = [provenance_of(path) for path in parts]
    first = records[0]
    shared = {name: value for name, value in first["config"].items() if name != "job"}
    for number, (path, record) in enumerate(zip(parts, records, strict=True)):
        config = dict(record["config"])
        job = config.pop("job", None)
        place = f"job {number} of {len(parts)}"
        if record["stage"] != "count-photons" or (job, config.get("jobs")) != (number, len(parts)):
            told = f"an output of {record['stage']}"
            if record["stage"] == "count-photons":
                told = "all frames" if job is None else f"job {job} of {config.get('jobs')}"
            raise InputFileError(path, "is another part", where="provenance/config", expected=place, found=told)
        if (config, record["inputs"]) != (shared, first["inputs"]):
            raise InputFileError(
                path,
                f"was counted from other frames or with other parameters than {parts[0]}",
                where="provenance",
                remedy="Count all parts anew",
            )
    return Provenance("count-photons", shared | {"job": None}, first["inputs"], tuple(first["notes"]))


def _append(reader: PhotonFileReader, first: PhotonFileReader, writer: PhotonFileWriter) -> None:
    if not np.array_equal(reader.detector.masked, first.detector.masked):
        raise InputFileError(
            reader.path,
            f"has another mask than {first.path}, so that its calibration was another",
            where="entry/detector/masked",
            remedy="Count all parts anew with one version of fewphoton",
        )
    for frames in reader.chunks():
        writer.append(frames)


def _joined(paths: tuple[str, ...], records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return sums of what frames add to, and everything else as all parts have it."""
    joined = dict(records[0])
    for path, record in zip(paths, records, strict=True):
        if missing := [name for name in _SUMMED if not isinstance(record.get(name), int)]:
            raise InputFileError(path, "is no record of count-photons", expected=", ".join(missing))
        others = {name: value for name, value in record.items() if name not in (*_SUMMED, "photons_per_frame_mean")}
        if any(records[0].get(name) != value for name, value in others.items()):
            raise InputFileError(path, f"was calibrated in another way than {paths[0]}", remedy="Count all parts anew")
    joined |= {name: sum(record[name] for record in records) for name in _SUMMED}
    return joined | {"photons_per_frame_mean": joined["photons_total"] / max(joined["n_frames_kept"], 1)}
