"""Runs of reconstruct on a small crystal, as people start them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from fewphoton.cli import main
from fewphoton.data import PhotonFrames
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.simulate.rotation_experiment import RotationExperiment, exposures
from tests.emc.conftest import SIMULATION, structure


def write_inputs(place: Path) -> Path:
    """Write 400 frames of 60 photons and their crystal."""
    experiment = RotationExperiment.build(SIMULATION, structure())
    photons = PhotonFrames.concatenate([frames for frames, _ in exposures(experiment, SIMULATION)])
    write_crystal(place / "crystal.yaml", experiment.crystal, experiment.rotation_axis)
    with write_photon_file(
        place / "frames.h5", experiment.detector, experiment.beam, Provenance("test", {}, {})
    ) as writer:
        writer.append(photons)
    return place


def arguments(
    folder: Path, name: str, *extra: str, iterations: int = 12, options: dict[str, Any] | None = None
) -> list[str]:
    out = folder / name
    config = {
        "grid": {"voxels_per_cell": 4},
        "n_orientations": 160,
        "axis_margin_pixels": 2,
        "start_width_voxels": 1,
        "q_max_inv_angstrom": 0.55,
        "max_iterations": iterations,
        "tolerance": 0,
        "checkpoint_every": 3,
        "trace_radius_voxels": 1,
        **(options or {}),
    }
    files = ["--frames", str(folder / "frames.h5"), "--crystal", str(folder / "crystal.yaml")]
    for flag, file in (
        ("volume", "volume.h5"),
        ("orientations", "orientations.h5"),
        ("iterations", "iterations.csv"),
        ("metrics", "metrics.json"),
        ("checkpoint", "checkpoint.h5"),
        ("trace", "trace.h5"),
    ):
        files += [f"--{flag}", str(out / file)]
    return ["reconstruct", *files, "--config-json", json.dumps(config), "--threads", "1", *extra]


EVERYTHING: dict[str, Any] = {
    "march": [{"iterations": 3, "orientation_stride": 2, "q_fraction": 0.6}],
    "minibatch": {"iterations": 2, "fraction": 0.5},
    "acceleration": "squarem",
    "symmetry": "laue",
    "held_out": {"fraction": 0.1, "every": 4, "patience": 9},
    "windows": {"full_sweep_every": 3, "margin_blocks": 0, "missed_mass": 0.1},
}


def launcher() -> str:
    found = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, "mpiexec is missing: install the extra bundled-mpi"
    return found


def killed_after(folder: Path, name: str, number: int, options: dict[str, Any]) -> Path:
    """A run that ended with the checkpoint of iteration ``number``, as a killed job leaves it."""
    import h5py

    from fewphoton.emc import reconstruct as loop

    class Killed(Exception):
        pass

    def dying(state: Any, *rest: Any) -> Any:
        if len(state.records) == number:
            raise Killed
        return advance(state, *rest)

    advance = loop._advance
    words = arguments(folder, name, "--quiet", options=options | {"checkpoint_every": number})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_advance", dying)
        with pytest.raises(Killed):
            main(words)
    with h5py.File(folder / name / "checkpoint.h5") as file:
        assert len(file["records/iteration"]) == number
    return folder / name
