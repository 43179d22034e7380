"""Recall and false peaks of the peak finders on simulated lysozyme stills, over background levels.

``python -m benchmarks.separation.recall --structure lysozyme.pdb --work FOLDER [--peers PEERS]`` simulates ten Eiger 4M
frames a level (kept in the folder), runs every finder at several settings, and prints one table: for each finder the
recall at the setting with the most recall among those with at most one false peak a frame, and at its usual setting.

A spot counts as detectable where its expected photons are at least 6 + 5 sqrt(13 b) on a background of b photons a
pixel and at least 90 % of it lies on the detector. A peak is false where no spot of two or more photons lies within
2 pixels.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.separation.frames import DataSet
from benchmarks.separation.peers import AbsentError, exact_grid, om_extension, opencl_finder
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fewphoton.config.peakfinder8 import Peakfinder8Config
from fewphoton.config.separation import FindPeaksConfig
from fewphoton.data import Beam, Detector
from fewphoton.data.still_truth import StillTruth
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.raw_frames import open_raw_frames
from fewphoton.io.still_truth import read_still_truth
from fewphoton.separation.azimuthal_bins import azimuthal_bins
from fewphoton.separation.peakfinder8 import Peakfinder8, radius_from_beam_px
from fewphoton.separation.peaks import PeakFinder

LEVELS = (0.05, 0.2, 1.0, 5.0, 20.0, 50.0)
TOLERANCE_PX = 2.0
MOST_FALSE = 1.0
Finder = Callable[[NDArray[Any]], NDArray[np.floating]]


@dataclass(frozen=True)
class Setting:
    """A finder at one setting; ``usual`` marks the setting its program comes with."""

    program: str
    label: str
    find: Finder
    usual: bool = False


def simulate(level: float, structure: Path, folder: Path) -> dict[str, Path]:
    """Simulate the frames of a level unless the folder holds them."""
    files = {name: folder / f"{name}_{level:g}" for name in ("raw", "geometry", "truth", "metrics")}
    suffixes = {"raw": ".h5", "geometry": ".yaml", "truth": ".h5", "metrics": ".json"}
    files = {name: path.with_name(path.name + suffixes[name]) for name, path in files.items()}
    if not files["metrics"].exists():
        config = {
            "structure": str(structure),
            "n_frames": 10,
            "hit_fraction": 0.7,
            "seed": 5,
            "background": {"mean_photons": level},
        }
        words = [f"--{name}={path}" for name, path in files.items()]
        command = [sys.executable, "-m", "fewphoton", "simulate-stills", *words, "--config-json", json.dumps(config)]
        subprocess.run(command, check=True)
    return files


def ours(detector: Detector, beam: Beam, dtype: np.dtype[Any]) -> list[Setting]:
    """The project's finders."""
    bins = azimuthal_bins(detector, beam, 800, "q_inv_angstrom")
    panels = detector.panel_numbers()

    def rings(**values: Any) -> Finder:
        finder = PeakFinder(bins, panels, FindPeaksConfig(**values), dtype)

        def find(frame: NDArray[Any]) -> NDArray[np.floating]:
            peaks, _ = finder.find(frame.ravel())
            return np.column_stack([peaks.slow_px, peaks.fast_px])

        return find

    found = [Setting("ours, rings", "poisson, 3 sigma, 3 of 5 x 5, noise 1", rings(), True)]
    for cutoff, connected in ((3.0, 3), (3.5, 3), (4.0, 3), (4.0, 2), (5.0, 2)):
        for noise in (0.0, 1.0):
            label = f"poisson, {cutoff:g} sigma, {connected} of 5 x 5, noise {noise:g}"
            found.append(Setting("ours, rings", label, rings(cutoff_peak=cutoff, connected=connected, noise=noise)))
    for probability in (3e-7, 1e-6, 1e-7, 3e-8, 1e-8):
        values = {"method": "sums", "error_model": "poisson_tail", "noise": 0.0, "false_probability": probability}
        found.append(Setting("ours, sums", f"probability {probability:g}", rings(**values), probability == 3e-7))
    radius = radius_from_beam_px(detector, beam)
    for snr, pixels in ((5.0, 2), (5.0, 3), (6.0, 2), (4.0, 3), (6.0, 4), (8.0, 3), (8.0, 5)):
        config = Peakfinder8Config(threshold=0, min_snr=snr, min_pixels=pixels)
        finder = Peakfinder8(radius, ~detector.masked, panels, detector.frame_shape, config)

        def find(frame: NDArray[Any], finder: Peakfinder8 = finder) -> NDArray[np.floating]:
            values = np.where(detector.masked.reshape(frame.shape), np.nan, frame.astype(np.float32))
            peaks = finder.find(values)
            return np.column_stack([peaks.slow_px, peaks.fast_px])

        found.append(Setting("ours, peakfinder8", f"SNR {snr:g}, {pixels} pixels", find, (snr, pixels) == (5.0, 2)))
    return found


def as_data_set(detector: Detector, beam: Beam, frames: NDArray[Any]) -> DataSet:
    """The frames as the peers take them: one flat panel square to the beam, gaps included."""
    panel = detector.panels[0]
    return DataSet(
        "stills",
        frames,
        detector.masked.reshape(detector.frame_shape),
        float(np.linalg.norm(panel.fast_step_m)),
        float(panel.corner_m[2]),
        float(panel.corner_m[1] / -panel.slow_step_m[1]),
        float(panel.corner_m[0] / -panel.fast_step_m[0]),
        beam.wavelength_angstrom,
    )


def pyfai(data: DataSet) -> list[Setting]:
    """pyFAI's own OpenCL kernels, their launch grid corrected (which changes the time, not the peaks)."""
    finder = opencl_finder("Portable Computing Language", data)
    finder.kernels.peakfinder = exact_grid(finder.kernels.peakfinder)
    settings = []
    for cutoff, connected, noise in ((3.0, 3, 1.0), (3.0, 3, 0.0), (4.0, 3, 0.0), (4.0, 2, 1.0), (5.0, 2, 0.0)):

        def find(
            frame: NDArray[Any], cutoff: float = cutoff, connected: int = connected, noise: float = noise
        ) -> NDArray[np.floating]:
            peaks = finder.peakfinder(
                frame,
                error_model="poisson",
                cutoff_peak=cutoff,
                patch_size=5,
                connected=connected,
                safe=False,
                cutoff_clip=0.0,
                cycle=5,
                noise=noise,
            )
            return np.column_stack([peaks["pos0"], peaks["pos1"]]).astype(float)

        label = f"poisson, {cutoff:g} sigma, {connected} of 5 x 5, noise {noise:g}"
        settings.append(Setting("pyFAI peakfinder", label, find, (cutoff, connected, noise) == (3.0, 3, 1.0)))
    return settings


def om(data: DataSet) -> list[Setting]:
    """The compiled peakfinder8 of OM."""
    extension = om_extension().peakfinder_8
    n_slow, n_fast = data.masked.shape
    good = (~data.masked).astype(np.int8)
    radius = data.radius_px().astype(np.float32)
    settings = []
    for snr, pixels in ((5.0, 2), (5.0, 3), (6.0, 2), (4.0, 3), (6.0, 4), (8.0, 3), (8.0, 5)):

        def find(frame: NDArray[Any], snr: float = snr, pixels: int = pixels) -> NDArray[np.floating]:
            values = np.where(data.masked, 0, frame).astype(np.float32)
            fast, slow = extension(
                40000, values, good, radius, 0, None, None, 0, n_fast, n_slow, 1, 1, 0.0, snr, pixels, 200, 3
            )[:2]
            return np.column_stack([slow, fast]).reshape(-1, 2)

        settings.append(Setting("peakfinder8 (OM)", f"SNR {snr:g}, {pixels} pixels", find, (snr, pixels) == (5.0, 2)))
    return settings


def score(truth: StillTruth, frames: NDArray[Any], find: Finder) -> tuple[float, float, int]:
    """Return recall, false peaks a frame, and the number of detectable spots."""
    spots = truth.spots
    n_found = n_true = n_false = 0
    for number, frame in enumerate(frames):
        part = slice(spots.indptr[number], spots.indptr[number + 1])
        position = np.column_stack([spots.slow_px[part], spots.fast_px[part]]).astype(float)
        photons, visible = spots.photons[part], spots.visible_fraction[part]
        place = np.clip(np.rint(position).astype(int), 0, np.array(frame.shape) - 1)
        level = np.nan_to_num(truth.background_mean[place[:, 0], place[:, 1]]) * truth.shots.background_scale[number]
        real = photons >= 2
        wanted = position[real & (visible >= 0.9) & (photons >= 6 + 5 * np.sqrt(13 * level))]
        peaks = find(frame)
        n_true += len(wanted)
        if not len(peaks):
            continue
        if len(wanted):
            n_found += int((cKDTree(peaks).query(wanted)[0] < TOLERANCE_PX).sum())
        near = cKDTree(position[real]).query(peaks)[0] < TOLERANCE_PX if real.any() else np.zeros(len(peaks), bool)
        n_false += int((~near).sum())
    return n_found / max(n_true, 1), n_false / len(frames), n_true


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structure", type=Path, required=True, help="lysozyme model (PDB, mmCIF)")
    parser.add_argument("--work", type=Path, required=True, help="folder for the simulated frames")
    parser.add_argument("--peers", type=Path, help="folder of installed peers; default: FEWPHOTON_PEERS")
    options = parser.parse_args()
    if options.peers:
        os.environ["FEWPHOTON_PEERS"] = str(options.peers)
        sys.path.append(str(options.peers))
    options.work.mkdir(parents=True, exist_ok=True)
    print(
        "| background, photons/pixel | program | usual setting: recall | false/frame | best with at most "
        f"{MOST_FALSE:g} false/frame: recall | false/frame | setting |"
    )
    print("|--:|---|--:|--:|--:|--:|---|")
    for level in LEVELS:
        files = simulate(level, options.structure, options.work)
        geometry = read_geometry(files["geometry"])
        truth = read_still_truth(files["truth"])
        with open_raw_frames([str(files["raw"])]) as raw:
            frames = raw.read(np.arange(raw.n_frames))
        data = as_data_set(geometry.detector, geometry.beam, frames)
        settings = ours(geometry.detector, geometry.beam, frames.dtype)
        for peer in (pyfai, om):
            try:
                settings += peer(data)
            except (AbsentError, ImportError) as error:
                print(f"{peer.__name__} is absent: {error}", file=sys.stderr)
        results = [(setting, *score(truth, frames, setting.find)) for setting in settings]
        for program in dict.fromkeys(setting.program for setting in settings):
            of_program = [result for result in results if result[0].program == program]
            usual = next(result for result in of_program if result[0].usual)
            quiet = [result for result in of_program if result[2] <= MOST_FALSE]
            best = max(quiet, key=lambda result: result[1]) if quiet else None
            line = f"| {level:g} ({usual[3]} spots) | {program} | {usual[1]:.3f} | {usual[2]:.1f} | "
            line += f"{best[1]:.3f} | {best[2]:.1f} | {best[0].label} |" if best else "– | – | none |"
            print(line, flush=True)


if __name__ == "__main__":
    main()
