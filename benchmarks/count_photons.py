"""Speed of photon counting beside NumPy and beside the floor that reading memory sets.

Run ``python benchmarks/count_photons.py``; every line is the best of several runs in one process.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numba
import numpy as np

from fewphoton.config.simulate import SimulatedReadout
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.kernels.threads import use_threads
from fewphoton.photons.calibration import Calibration
from fewphoton.photons.common_mode import CommonMode
from fewphoton.photons.counting import PhotonCounter
from fewphoton.photons.gain_stages import GainStages
from fewphoton.simulate.readout import make_gain_stage_readout, make_readout, render_adu, render_gain_stages

READ_NOISE_ADU = 5.0


@numba.njit(parallel=True)
def read_all(frames: np.ndarray, answer: np.ndarray) -> None:
    """Touch every value once: the least that any counting must do."""
    for d in numba.prange(frames.shape[0]):
        bits = np.uint16(0)
        for p in range(frames.shape[1]):
            bits |= frames[d, p]
        answer[d] = bits


def count_with_numpy(frames: np.ndarray, calibration: Calibration, threshold_photons: float) -> PhotonFrames:
    """Subtract, divide, round up, find what is left: the plain way."""
    signal = (frames - calibration.offset_adu) / calibration.adu_per_photon
    photons = np.maximum(np.ceil(signal - np.float32(threshold_photons)), 0).astype(np.uint16)
    photons[:, calibration.unusable] = 0
    return PhotonFrames.from_dense(photons)


def best_seconds(work: Callable[[], object], repeats: int) -> float:
    """Time of the fastest of several runs, after one that compiles."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--pixels", type=int, default=6 * 128 * 128)
    parser.add_argument("--photons", type=float, nargs="+", default=[3.2, 200.0, 5000.0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    settings = SimulatedReadout(hot_pixels=0, dead_pixels=0, read_noise_adu=READ_NOISE_ADU)
    readout = make_readout(settings, options.pixels, rng)
    calibration = Calibration.of(
        readout.offset_adu, readout.adu_per_photon, READ_NOISE_ADU, np.zeros(options.pixels, dtype=bool)
    )
    table = FrameTable.unknown(options.frames)
    panel = (np.arange(options.pixels) * 6 // options.pixels).astype(np.int32)
    stage_readout = make_gain_stage_readout(options.pixels, 10.0, rng)
    stages = GainStages(stage_readout.pedestal_adu, stage_readout.gain_adu_per_kev)
    print(f"{options.frames} frames of {options.pixels} pixels, uint16")
    print(f"{'photons/frame':>13} {'threads':>7} {'step':<26} {'GB/s':>7} {'ns/pixel':>9} {'of floor':>8}")
    for photons in options.photons:
        per_frame = rng.poisson(photons, options.frames)
        places = [np.unique(rng.integers(0, options.pixels, number)) for number in per_frame]
        indptr = np.concatenate([[0], np.cumsum([len(place) for place in places])])
        pixel = np.concatenate(places).astype(np.uint32)
        frames = PhotonFrames(indptr, pixel, np.ones(len(pixel), dtype=np.uint16), options.pixels, table)
        raw = render_adu(frames, readout, rng, np.zeros(options.frames, dtype=bool))
        words = render_gain_stages(frames.take(slice(0, 50)), stage_readout, 10.0, rng)
        counter = PhotonCounter(calibration, 0.6, raw.dtype)
        common_mode = CommonMode(calibration, panel, None)
        answer = np.empty(options.frames, dtype=np.uint16)
        some = raw[:50]
        for threads in options.threads:
            use_threads(threads)
            steps: dict[str, tuple[int, Callable[[], object]]] = {
                "read memory (floor)": (raw.nbytes, lambda raw=raw, answer=answer: read_all(raw, answer)),
                "count photons": (raw.nbytes, lambda raw=raw, counter=counter: counter.count(raw, table)),
                "subtract common mode": (some.nbytes, lambda some=some, common=common_mode: common(some)),
                "decode gain stages": (words.nbytes, lambda words=words: stages(words)),
            }
            if threads == 1:
                steps["NumPy"] = (some.nbytes, lambda some=some: count_with_numpy(some, calibration, 0.6))
            floor = 0.0
            for name, (n_bytes, work) in steps.items():
                speed = n_bytes / best_seconds(work, options.repeats) / 1e9
                floor = floor or speed
                print(
                    f"{photons:>13g} {threads:>7} {name:<26} {speed:>7.2f} {2 / speed:>9.3f} {speed / floor:>8.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
