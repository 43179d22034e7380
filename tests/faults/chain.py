"""A chain of stages as commands, small enough to be run again and again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewphoton.io.metrics import read_metrics, read_table
from tests.conftest import ROOT
from tests.small_training import SMALL
from tests.workflow.test_workflow import small_run

KILLS = int(os.environ.get("FEWPHOTON_KILLS", "1"))
_SIMULATION: dict[str, Any] = small_run()["datasets"]["tiles"]["simulate"] | {"n_batches": 6}


@dataclass(frozen=True)
class Command:
    """One stage: its inputs, outputs and checkpoint by flag, names of files in one folder, and its parameters."""

    stage: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    config: dict[str, Any]
    checkpoint: str | None = None

    def words(self, folder: Path) -> list[str]:
        """Return the command line that works in a folder."""
        words = [sys.executable, "-m", "fewphoton", self.stage, "--quiet", "--threads", "1"]
        for flag, name in {**self.inputs, **self.outputs}.items():
            words += [f"--{flag}", str(folder / name)]
        if self.checkpoint is not None:
            words += ["--checkpoint", str(folder / self.checkpoint)]
        return [*words, "--config-json", json.dumps(self.config)]

    def run(self, folder: Path) -> None:
        """Run it to its end."""
        done = subprocess.run(self.words(folder), capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr

    def written(self, folder: Path) -> dict[str, bytes | list[dict[str, object]]]:
        """Return what it wrote so far, by file; of metrics and logs what does not tell time."""
        return {name: _timeless(folder / name) for name in self.outputs.values() if (folder / name).exists()}


def _timeless(path: Path) -> bytes | list[dict[str, object]]:
    rows: list[dict[str, Any]] = [read_metrics(path)] if path.suffix == ".json" and "found" not in path.stem else []
    if path.suffix == ".csv":
        rows = [dict(row) for row in read_table(path)]
    if path.suffix == ".stream":
        # CrystFEL's programs want whole paths of the peaks there.
        return path.read_bytes().replace(str(path.parent).encode(), b"")
    if not rows:
        return path.read_bytes()
    return [{name: value for name, value in row.items() if "second" not in name} for row in rows]


_FRAMES = {"frames": "frames.h5", "metrics": "count.json"}
CHAIN = (
    Command(
        "simulate-rotation",
        {},
        {"raw": "raw.h5", "geometry": "geometry.yaml", "crystal": "crystal.yaml", "truth": "truth.h5"},
        _SIMULATION,
    ),
    Command(
        "count-photons",
        {"raw": "raw.h5", "geometry": "geometry.yaml"},
        _FRAMES,
        {"fit_frames": 200, "calibration": "fit"},
    ),
    Command("collapse", {"frames": "frames.h5"}, {"collapsed": "sums.h5", "metrics": "sums.json"}, {"n_frames": 4}),
    Command(
        "thin",
        {"frames": "sums.h5"},
        {"thinned": "thin.h5", "metrics": "thin.json"},
        {"photons_per_frame": 60, "seed": 1},
    ),
    Command(
        "add-background",
        {"frames": "thin.h5"},
        {"with-background": "background.h5", "metrics": "background.json"},
        {"percent": 50, "seed": 2},
    ),
    Command(
        "reconstruct",
        {"frames": "background.h5", "crystal": "crystal.yaml"},
        {
            "volume": "volume.h5",
            "orientations": "orientations.h5",
            "iterations": "iterations.csv",
            "metrics": "emc.json",
        },
        small_run()["stages"]["reconstruct"] | {"tasks": 1, "max_iterations": 6, "tolerance": 0, "checkpoint_every": 2},
        "emc_checkpoint.h5",
    ),
    Command(
        "simulate-shot",
        {},
        {"shot": "shot.h5", "truth": "atoms.h5"},
        {"random": {"n_atoms": 5}, "white_level": 1e-4, "wavelength_angstrom": 0.8, "n_detectors": 300},
    ),
    Command(
        "recover-molecule",
        {"shot": "shot.h5"},
        {"recovered": "found.json", "molecule": "found.xyz", "model": "found.pdb"},
        {"fewphoton": {"replicas": 5, "detectors": 80, "polish_every": 2, "max_sweeps": 8}},
        "search_checkpoint.h5",
    ),
)
_PARTICLE = {
    "structure": str(ROOT / "config" / "structures" / "gly_gly_ala.xyz"),
    "detector": {"pixels": 14, "pixel_size_m": 1e-2, "distance_m": 0.2, "beam_stop_radius_m": 5e-3},
    "photons_per_frame": 100.0,
    "n_frames": 80,
}
_BOX = {"frames": "particles.h5", "crystal": "box.yaml"}
_FURTHER = (
    Command(
        "sparsify",
        {"raw": "raw.h5", "geometry": "geometry.yaml"},
        {"sparse": "sparse.h5", "metrics": "sparse.json"},
        {},
    ),
    Command(
        "find-peaks",
        {"raw": "raw.h5", "geometry": "geometry.yaml"},
        {"peaks": "peaks.cxi", "metrics": "peaks.json", "peak-list": "peaks.stream"},
        {},
    ),
    Command(
        "simulate-particles",
        {},
        {"frames": "particles.h5", "geometry": "square.yaml", "crystal": "box.yaml", "truth": "particle.h5"},
        _PARTICLE,
    ),
    Command(
        "match-patterns",
        _BOX,
        {"volume": "matched.h5", "poses": "poses.h5", "iterations": "matching.csv", "metrics": "matching.json"},
        {"level": 2, "iterations": 3, "held_out_fraction": 0.1, "seed": 4},
        "match_checkpoint.h5",
    ),
    Command(
        "refine-poses",
        _BOX | {"start-poses": "poses.h5"},
        {"volume": "refined.h5", "poses": "refined_poses.h5", "rounds": "rounds.csv", "metrics": "rounds.json"},
        {"rounds": 2, "rematch_rounds": 1, "rematch_level": 3, "held_out_fraction": 0.1},
        "rounds_checkpoint.h5",
    ),
    Command(
        "train-xrai",
        _BOX,
        {"poses": "learnt_poses.h5", "volume": "learnt.h5", "trace": "trace.csv", "metrics": "training.json"},
        SMALL,
        "training.pt",
    ),
    Command(
        "phase",
        {"volume": "particle.h5"},
        {
            "density": "density.h5",
            "map": "density.ccp4",
            "transfer": "transfer.csv",
            "starts": "starts.csv",
            "metrics": "phase.json",
        },
        {
            "steps": [{"method": "raar", "iterations": 60}, {"method": "error_reduction", "iterations": 20}],
            "n_starts": 3,
        },
        "phasing_checkpoint.h5",
    ),
)
LONG_CHAIN = CHAIN + _FURTHER
"""With the stages that take seconds to start or have nothing to lose; the long form of the campaign kills them too."""
STAGES = CHAIN if KILLS == 1 else LONG_CHAIN
