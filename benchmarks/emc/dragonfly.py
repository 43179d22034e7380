"""The first iterations on one single-particle data set, by this suite and by Dragonfly, on the same cores.

Run ``python -m benchmarks.emc.dragonfly --structure PDB --dragonfly ENVIRONMENT/bin/dragonfly.emc`` in the project's
root, where ENVIRONMENT is a virtual environment of its own with ``dragonfly-spi`` (https://github.com/duaneloh/Dragonfly;
it needs a C compiler, an MPI, GSL and HDF5; its setup asks ``mpicc --showme``, which MPICH's wrapper does not answer).
Both programs get the same photons, pixels, voxels and rotations; each makes its own random start. They run one after
the other, so that nothing shares the cores with them but what else runs on the machine. Wall times are what the
programs' own logs say; processor times, which other work on the machine stretches less, and the largest memory are the
process's.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewphoton.cli import main as fewphoton
from fewphoton.evaluate.rotation_error import align_rotations
from fewphoton.io.metrics import read_metrics
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.volumes import read_volume_file

_DRAGONFLY_STAGE = re.compile(r"^\t(\w+)\t([\d.]+)", re.MULTILINE)
_HIGH_WATER = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
# A first line at the start of the first iteration, then one at the end of each.
_DRAGONFLY_MARK = r"\A(?s:.*?)beta factor|^Finished iteration"
_OUR_MARK = r"^\d+ frames \(\d+ with photons\)|^iteration \d+ "
HEADINGS = ("program", "exponent", "iteration", "processor, s", "wall, s", "of which (wall)", "nat gained per frame")


@dataclass(frozen=True)
class _Usage:
    """Processor seconds at each mark in a program's log, and its largest memory."""

    at_mark: list[float]
    total: float
    memory_gb: float

    def of_iterations(self, n_iterations: int) -> list[float]:
        """Processor seconds of each iteration; the first mark is the start of the first."""
        if len(self.at_mark) <= n_iterations:
            raise SystemExit(f"{len(self.at_mark)} marks in the log for {n_iterations} iterations")
        return np.diff(self.at_mark[: n_iterations + 1]).tolist()


@dataclass(frozen=True)
class Run:
    """What one program took for some iterations."""

    program: str
    seconds: list[float]
    usage: _Usage
    stages: list[str]
    information_nat: list[float]
    median_error_deg: float


def _watched(command: list[str], log: Path, threads: int, mark: str, extra: dict[str, str]) -> _Usage:
    """Run a command, and note its processor time whenever another line that matches ``mark`` is in its log."""
    # Waiting threads sleep, so that processor time is work on a machine that is not quiet as well.
    settings = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1"}
    at_mark: list[float] = []
    largest, ended = 0, 0
    with log.open("w") as handle:
        process = subprocess.Popen(
            command, stdout=handle, stderr=subprocess.STDOUT, env={**os.environ, **settings, **extra}
        )
        place = Path(f"/proc/{process.pid}")
        while not ended:
            time.sleep(0.02)
            with contextlib.suppress(OSError, AttributeError):
                ticks = (place / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
                seconds = sum(int(tick) for tick in ticks) / os.sysconf("SC_CLK_TCK")
                # The largest memory that the kernel hands back at the end counts this program's too, before the exec.
                largest = max(largest, int(_HIGH_WATER.search((place / "status").read_text()).group(1)))  # type: ignore[union-attr]
                found = len(re.findall(mark, log.read_text(), re.MULTILINE))
                at_mark += [seconds] * (found - len(at_mark))
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
    if status:
        raise SystemExit(f"{command[0]} failed:\n{log.read_text()[-3000:]}")
    total = usage.ru_utime + usage.ru_stime
    at_mark += [total] * (len(re.findall(mark, log.read_text(), re.MULTILINE)) - len(at_mark))
    return _Usage(at_mark, total, largest / 1e6)


def _error_deg(orientations: Path, folder: Path) -> float:
    """Median error of the frames' orientations after the best alignment, in degrees."""
    with open_photon_file(folder / "frames.h5") as reader:
        truth = reader.table.quaternion
    found = read_orientation_file(orientations).best_quaternion
    if truth is None or found is None:
        raise SystemExit("orientations are missing")
    return align_rotations(found, truth).median_deg


def _dragonfly(program: Path, folder: Path, options: argparse.Namespace, beta: float | None) -> Run:
    place = folder / f"dragonfly_{beta}"
    place.mkdir(exist_ok=True)
    (place / "config.ini").write_text(
        "[emc]\n"
        "in_photons_file = ../photons.emc\nin_detector_file = ../detector.h5\n"
        f"num_div = {options.level}\noutput_folder = output/\nlog_file = EMC.log\nneed_scaling = 0\nfixed_seed = 1\n"
        + ("" if beta is None else f"beta = {beta}\n")
    )
    command = [str(program), "-c", str(place / "config.ini"), "-t", str(options.threads), str(options.iterations)]
    libraries = {"LD_LIBRARY_PATH": options.libraries or ""}
    usage = _watched(command, place / "out.log", options.threads, _DRAGONFLY_MARK, libraries)
    lines = (place / "EMC.log").read_text().split("Iter\t", 1)[1].splitlines()[1:]
    columns = np.array([line.split() for line in lines], dtype=float)
    found = [(name, float(value)) for name, value in _DRAGONFLY_STAGE.findall((place / "out.log").read_text())]
    per_iteration = len(found) // options.iterations
    stages = [
        ", ".join(f"{name} {value:.1f}" for name, value in found[start : start + per_iteration] if value >= 0.05)
        for start in range(0, len(found), per_iteration)
    ]
    last = place / "output" / f"output_{options.iterations:03d}.h5"
    words = ["--output", last, "--crystal", folder / "box.yaml", "--volume", place / "volume.h5"]
    words += ["--orientations", place / "orientations.h5", "--metrics", place / "metrics.json", "--quiet"]
    _stage("import-dragonfly", *words)
    error = _error_deg(place / "orientations.h5", folder)
    return Run("Dragonfly", columns[:, 1].tolist(), usage, stages, columns[:, 3].tolist(), error)


def _ours(folder: Path, options: argparse.Namespace, beta: float | None) -> Run:
    place = folder / f"ours_{beta}"
    place.mkdir(exist_ok=True)
    section = {
        "orientations": {"sampled": "rotation_group", "level": options.level},
        "grid": {"voxels_per_cell": 1},
        "max_iterations": options.iterations,
        "tolerance": 0.0,
        "beta_start": "automatic" if beta is None else beta,
        "beta_factor": 1.2,
        "beta_every": options.iterations + 1,
        "likelihood_table": options.table,
    }
    command = [sys.executable, "-m", "fewphoton", "reconstruct", "--frames", folder / "frames.h5"]
    command += ["--crystal", folder / "box.yaml", "--volume", place / "volume.h5"]
    command += ["--orientations", place / "orientations.h5", "--iterations", place / "iterations.csv"]
    command += ["--metrics", place / "metrics.json", "--config-json", json.dumps(section)]
    command += ["--threads", str(options.threads)]
    usage = _watched([str(word) for word in command], place / "out.log", options.threads, _OUR_MARK, {})
    with (place / "iterations.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    seconds = [float(row["seconds_total"]) for row in rows]
    stages = [
        f"expand, likelihood, update {float(row['seconds_expand_maximize']):.1f}, "
        f"compress {float(row['seconds_compress']):.1f}"
        for row in rows
    ]
    error = _error_deg(place / "orientations.h5", folder)
    information = [float(row["mutual_information_nat"]) for row in rows]
    return Run(f"ours, {options.table}", seconds, usage, stages, information, error)


def _stage(name: str, *words: object) -> None:
    if fewphoton([name, *(str(word) for word in words)]):
        raise SystemExit(f"{name} failed")


def _prepare(folder: Path, options: argparse.Namespace) -> None:
    section = {
        "structure": str(options.structure),
        "n_frames": options.frames,
        "photons_per_frame": options.photons,
        "detector": {"pixels": options.pixels, "pixel_size_m": 0.1 / options.pixels},
        "box_angstrom": options.box,
    }
    words = ["--frames", folder / "frames.h5", "--geometry", folder / "geometry.yaml", "--crystal", folder / "box.yaml"]
    words += ["--truth", folder / "truth.h5", "--metrics", folder / "metrics.json", "--quiet"]
    _stage("simulate-particles", *words, "--threads", options.threads, "--config-json", json.dumps(section))
    words = ["--frames", folder / "frames.h5", "--crystal", folder / "box.yaml", "--quiet"]
    _stage("export-emc", *words, "--emc", folder / "photons.emc", "--detector", folder / "detector.h5")


def _compiled(folder: Path, options: argparse.Namespace) -> None:
    """Reconstruct a few frames once, so that no timed iteration waits for a compiler."""
    few = folder / "few"
    few.mkdir()
    changes = {"frames": 50, "level": 1, "iterations": 2, "box": None, "pixels": 16}
    small = argparse.Namespace(**vars(options) | changes)
    _prepare(few, small)
    _ours(few, small, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.emc.dragonfly", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--structure", type=Path, required=True, help="PDB or mmCIF file of the particle")
    parser.add_argument("--dragonfly", type=Path, help="program dragonfly.emc; left out: ours alone")
    parser.add_argument("--libraries", help="LD_LIBRARY_PATH for Dragonfly, where its MPI is in no usual place")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--photons", type=float, default=48.0, help="mean photons of a frame")
    parser.add_argument("--pixels", type=int, default=128, help="pixels along an edge of the detector")
    parser.add_argument("--box", type=float, default=690.0, help="edge of the box, angstrom (690: a voxel a pixel)")
    parser.add_argument("--level", type=int, default=4, help="subdivision of the 600-cell (4: 3240 rotations)")
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", choices=("float32", "int16"), default="float32", help="our table of logarithms")
    parser.add_argument("--annealed", action="store_true", help="also at the exponent both derive from the photons")
    parser.add_argument("--folder", type=Path, help="keep the files here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        _prepare(folder, options)
        _compiled(folder, options)
        photons = read_metrics(folder / "metrics.json")["photons_per_frame_mean"]
        n_voxels = read_volume_file(folder / "truth.h5").volume.n
        print(
            f"{options.structure.name}: {options.frames} frames of {photons:.1f} photons, {options.pixels}² pixels, "
            f"{n_voxels}³ voxels, level {options.level}, {options.threads} threads\n"
        )
        print("| " + " | ".join(HEADINGS) + " |\n| --- | --- | --: | --: | --: | --- | --: |", flush=True)
        for beta in (1.0, None) if options.annealed else (1.0,):
            runs = [_ours(folder, options, beta)]
            if options.dragonfly:
                runs.insert(0, _dragonfly(options.dragonfly.absolute(), folder, options, beta))
            _report(runs, "from the photons" if beta is None else f"{beta:g}", options.iterations)
        names = [
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ]
        print(
            f"\n{len(names)} × {names[0]}, Python {platform.python_version()}; load at the end {os.getloadavg()[0]:.1f}"
        )


def _report(runs: list[Run], exponent: str, n_iterations: int) -> None:
    work = [run.usage.of_iterations(n_iterations) for run in runs]
    for run, processor in zip(runs, work, strict=True):
        rows = zip(processor, run.seconds, run.stages, run.information_nat, strict=True)
        for number, (busy, seconds, stages, information) in enumerate(rows, start=1):
            print(
                f"| {run.program} | {exponent} | {number} | {busy:.2f} | {seconds:.2f} | {stages} | {information:.3f} |"
            )
    for run, processor in zip(runs, work, strict=True):
        print(
            f"| {run.program} | {exponent} | all | {sum(processor):.2f} | {sum(run.seconds):.2f} | whole process "
            f"{run.usage.total:.1f} s of processor, {run.usage.memory_gb:.2f} GB; median error "
            f"{run.median_error_deg:.1f}° | |",
            flush=True,
        )
    if len(runs) == 2:
        busy = ", ".join(f"{theirs / ours:.1f}" for theirs, ours in zip(*work, strict=True))
        wall = ", ".join(f"{theirs / ours:.1f}" for theirs, ours in zip(runs[0].seconds, runs[1].seconds, strict=True))
        print(f"| **ratio** | {exponent} | each | {busy} | {wall} | | |", flush=True)


if __name__ == "__main__":
    main()
