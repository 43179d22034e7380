"""sparsify: raw frames to strong pixels and background curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewphoton.config.separation import SparsifyConfig
from fewphoton.data import SparseFrames
from fewphoton.errors import DataError
from fewphoton.io.bitshuffle_codec import ChunkEncoder, bitshuffle_library
from fewphoton.io.metrics import write_metrics
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import RawFrames, open_raw_frames
from fewphoton.io.sparse_nexus import write_sparse_file
from fewphoton.separation.sparsify import SparseFrame, Sparsifier, bad_read_value
from fewphoton.stages.contract import Context, path_field
from fewphoton.stages.frame_pool import map_in_order
from fewphoton.stages.separation_setup import SeparationSetup, set_up

Config = SparsifyConfig

_FRAMES_A_WRITE = 32
_FRAMES_TO_ENCODE = 5


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    raw: tuple[str, ...] = path_field("raw frames: files, globs, file.h5::/dataset, @list.txt", many=True)
    geometry: Path = path_field("detector geometry and beam")
    mask: Path | None = path_field("image whose pixels other than 0 are masked", optional=True)
    dark: Path | None = path_field("dark image, or frames to average", optional=True)
    flat: Path | None = path_field("flat-field image (response or weight of each pixel)", optional=True)


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    sparse: Path = path_field("sparse frames (NeXus, pyFAI's layout)")
    metrics: Path = path_field("metrics (JSON)")


@dataclass
class _Tally:
    n_frames: int = 0
    n_hits: int = 0
    n_bad_reads: int = 0
    n_without_valid: int = 0
    background_sum: float = 0.0

    def add(self, frame: SparseFrame) -> None:
        self.n_frames += 1
        self.n_hits += len(frame.pixel)
        self.n_bad_reads += len(frame.background.invalid)
        kept = frame.background.n_kept
        if frame.background.known:
            self.background_sum += float(frame.background.mean @ kept / kept.sum())
        else:
            self.n_without_valid += 1


def run(inputs: Inputs, outputs: Outputs, config: SparsifyConfig, context: Context) -> None:
    """Separate every frame."""
    with open_raw_frames(inputs.raw) as raw:
        setup = set_up(raw, inputs.geometry, inputs.mask, inputs.dark, inputs.flat, config)
        dtype = _frame_type(raw)
        provenance = Provenance.of("sparsify", config.model_dump(mode="json"), _files(inputs, raw))
        links = raw.path_names if config.link_source else ()
        tally = _Tally()
        with write_sparse_file(
            outputs.sparse,
            setup.bins,
            setup.detector,
            setup.beam,
            dtype,
            bad_read_value(config, dtype, setup.dark is not None),
            raw.table,
            provenance,
            links,
        ) as writer:
            held: list[SparseFrame] = []
            for frame in context.track(
                _sparse_frames(raw, setup, config, dtype, context.threads), "sparsify", "frames", raw.n_frames
            ):
                tally.add(frame)
                held.append(frame)
                if len(held) == _FRAMES_A_WRITE:
                    writer.append(_joined(held, dtype))
                    held = []
            if held:
                writer.append(_joined(held, dtype))
            frame_bytes = writer.frame_bytes
        n_pixels = int(setup.bins.usable.sum())
        encoded = _encoded_bytes(raw, dtype)
        raw_bytes = raw.n_frames * raw.frame_shape[0] * raw.frame_shape[1] * dtype.itemsize
    if tally.n_without_valid:
        context.say(f"{tally.n_without_valid} frames hold no valid pixel: they have no background and no hits")
    sizes = _bytes_on_disk(raw)
    sparse_bytes = outputs.sparse.stat().st_size
    n_known = tally.n_frames - tally.n_without_valid
    write_metrics(
        outputs.metrics,
        {
            "cutoff_pick": config.cutoff_pick,
            "n_frames": tally.n_frames,
            "n_frames_without_valid_pixel": tally.n_without_valid,
            "n_pixels_used": n_pixels,
            "n_pixels_always_bad": setup.n_always_bad,
            "n_bad_reads": tally.n_bad_reads,
            "n_hits": tally.n_hits,
            "kept_fraction": (tally.n_hits - tally.n_bad_reads) / (tally.n_frames * n_pixels),
            "background_mean": tally.background_sum / n_known if n_known else None,
            "bytes_uncompressed": raw_bytes,
            "bytes_source": sizes,
            "bytes_bitshuffle_lz4": encoded,
            "bytes_sparse": sparse_bytes,
            "bytes_sparse_without_geometry": frame_bytes,
            "compression_ratio_to_uncompressed": raw_bytes / sparse_bytes,
            "compression_ratio_to_source": sizes / sparse_bytes,
            "compression_ratio_to_bitshuffle_lz4": encoded / frame_bytes if encoded is not None else None,
        },
    )


def _frame_type(raw: RawFrames) -> np.dtype[Any]:
    dtype = np.dtype(raw.dtype).newbyteorder("=")
    if dtype.kind not in "iuf":
        raise DataError(f"{raw.path_names[0]}: frames of {dtype} cannot be separated")
    return dtype


def _files(inputs: Inputs, raw: RawFrames) -> dict[str, Path]:
    files = {f"raw{number}": Path(name.partition("::")[0]) for number, name in enumerate(raw.path_names)}
    named = {role: getattr(inputs, role) for role in ("geometry", "mask", "dark", "flat")}
    return files | {role: path for role, path in named.items() if path is not None}


def _bytes_on_disk(raw: RawFrames) -> int:
    return sum(path.stat().st_size for path in {Path(name.partition("::")[0]) for name in raw.path_names})


def _encoded_bytes(raw: RawFrames, dtype: np.dtype[Any]) -> int | None:
    """Return what the frames take in bitshuffle-LZ4, judged by a few of them; None where the codec is out of reach.

    It is the measure of the paper, whatever the source files are packed in.
    """
    if bitshuffle_library() is None:
        return None
    numbers = np.unique(np.linspace(0, raw.n_frames - 1, min(_FRAMES_TO_ENCODE, raw.n_frames)).astype(np.int64))
    encoder = ChunkEncoder(raw.frame_shape, dtype)
    total = 0
    for number in numbers:
        np.copyto(encoder.frame, raw.deferred(int(number))())
        total += len(encoder.encode())
    return int(total * raw.n_frames / len(numbers))


def _sparse_frames(
    raw: RawFrames, setup: SeparationSetup, config: SparsifyConfig, dtype: np.dtype[Any], threads: int
) -> Iterator[SparseFrame]:
    first = raw.deferred(0)().ravel().astype(dtype, copy=False)

    def make_worker() -> Sparsifier:
        worker = Sparsifier(setup.bins, config, dtype, setup.dark)
        worker.finder.shape_table(first)
        return worker

    def work(worker: Sparsifier, read: Callable[[], NDArray[Any]]) -> SparseFrame:
        return worker.sparsify(read().ravel().astype(dtype, copy=False))

    reads = (raw.deferred(number) for number in range(raw.n_frames))
    return map_in_order(reads, make_worker, work, threads)


def _joined(frames: list[SparseFrame], dtype: np.dtype[Any]) -> SparseFrames:
    lengths = [len(frame.pixel) for frame in frames]
    return SparseFrames(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([frame.pixel for frame in frames]),
        np.concatenate([frame.intensity for frame in frames]).astype(dtype),
        np.stack([frame.background.mean for frame in frames]),
        np.stack([frame.background.std for frame in frames]),
    )
