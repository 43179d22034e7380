"""No frame and a single frame, with and without photons, through every stage that takes frames."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.data import Beam, Crystal, FrameTable, PhotonFrames
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.emc_binary import write_emc_binary
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.provenance import Provenance
from tests.conftest import flat_detector, random_frames
from tests.faults.chain import Command
from tests.small_training import SMALL

DETECTOR, BEAM, MADE = flat_detector(24, 20, 5e-4), Beam(0.9), Provenance("test", {}, {})
METRICS = {"metrics": "metrics.json"}
PHOTONS = {"frames": "frames.h5"}
BOX = PHOTONS | {"crystal": "box.yaml"}
RAW = {"raw": "raw.h5", "geometry": "geometry.yaml"}
GRID = {"grid": {"voxels_per_cell": 3, "n_voxels": 31}, "max_iterations": 2, "tasks": 1, "axis_margin_pixels": 1}

PHOTON_STAGES = (
    Command("collapse", PHOTONS, {"collapsed": "out.h5"} | METRICS, {"n_frames": 2}),
    Command("thin", PHOTONS, {"thinned": "out.h5"} | METRICS, {"photons_per_frame": 0.5, "seed": 1}),
    Command("add-background", PHOTONS, {"with-background": "out.h5"} | METRICS, {"percent": 10, "seed": 1}),
    Command("split", PHOTONS, {"half": "out.h5"} | METRICS, {"part": "even"}),
    Command("export-emc", PHOTONS, {"emc": "out.emc"}, {}),
    Command("import-emc", {"emc": "frames.emc", "geometry": "geometry.yaml"}, {"frames": "out.h5"} | METRICS, {}),
    Command(
        "reconstruct",
        PHOTONS | {"crystal": "crystal.yaml"},
        {"volume": "volume.h5", "orientations": "poses.h5", "iterations": "log.csv"} | METRICS,
        GRID,
    ),
    Command(
        "match-patterns",
        BOX,
        {"volume": "volume.h5", "poses": "poses.h5", "iterations": "log.csv"} | METRICS,
        {"level": 1, "iterations": 2, "held_out_fraction": 0.1},
    ),
    Command("select-patterns", PHOTONS, {"patterns": "patterns.csv", "kept": "kept.txt"} | METRICS, {}),
    Command("train-xrai", BOX, {"poses": "poses.h5", "volume": "volume.h5", "trace": "trace.csv"} | METRICS, SMALL),
)
NEED_MORE_FRAMES = ("reconstruct", "match-patterns", "train-xrai")
RAW_STAGES = (
    Command("count-photons", RAW, {"frames": "out.h5"} | METRICS, {"fit_frames": 2, "calibration": "fit"}),
    Command("sparsify", RAW, {"sparse": "sparse.h5"} | METRICS, {}),
    Command("find-peaks", RAW, {"peaks": "peaks.cxi"} | METRICS, {}),
)
SPARSE = {"sparse": "sparse.h5"}
SPARSE_COLUMNS = ("frame_ptr", "index", "intensity", "background_avg", "background_std")
SEPARATED_STAGES = (
    Command("densify", SPARSE, {"frames": "dense.h5"} | METRICS, {}),
    Command("import-sparse", SPARSE, {"frames": "frames.h5"} | METRICS, {}),
    Command(
        "veto",
        {"peaks": "peaks.cxi"},
        {"kept": "kept.txt", "curve": "curve.csv", "frames": "frames.csv"} | METRICS,
        {},
    ),
)


def ended(command: Command, folder: Path, capsys: pytest.CaptureFixture[str], words: str) -> bool:
    """Run a command; it ends well with all its outputs, or says what is wrong with its input and leaves nothing."""
    former = {path.name for path in folder.iterdir()}
    code = main(command.words(folder)[3:])
    told = capsys.readouterr().err
    if code == 0:
        assert set(command.written(folder)) == set(command.outputs.values())
    else:
        assert "Error: " in told
        assert words in told
        assert {path.name for path in folder.iterdir()} == former
    return code == 0


@pytest.fixture
def folder(tmp_path):
    write_geometry_yaml(tmp_path / "geometry.yaml", DETECTOR, BEAM)
    write_crystal(tmp_path / "crystal.yaml", Crystal((9.0, 9.0, 9.0, 90, 90, 90), "P 1"), np.array([0, 1.0, 0]))
    write_crystal(tmp_path / "box.yaml", Crystal((40.0, 40.0, 40.0, 90, 90, 90), "P 1"), np.array([0, 1.0, 0]))
    return tmp_path


def photon_files(folder: Path, frames: PhotonFrames | None) -> None:
    with write_photon_file(folder / "frames.h5", DETECTOR, BEAM, MADE) as writer:
        if frames is not None:
            writer.append(frames)
    write_emc_binary(folder / "frames.emc", lambda: [] if frames is None else [frames], DETECTOR.n_pixels)


@pytest.mark.parametrize("command", PHOTON_STAGES, ids=lambda command: command.stage)
def test_no_photon_frame_is_refused_by_name(folder, capsys, command: Command):
    photon_files(folder, None)
    assert not ended(command, folder, capsys, "frames")


@pytest.mark.parametrize("n_photons", [0, 300])
@pytest.mark.parametrize("command", PHOTON_STAGES, ids=lambda command: command.stage)
def test_a_single_photon_frame_is_taken_or_refused_by_name(folder, capsys, command: Command, n_photons):
    frames = random_frames(1, DETECTOR.n_pixels, float(n_photons))
    if n_photons == 0:
        frames = PhotonFrames.from_dense(np.zeros((1, DETECTOR.n_pixels), dtype=int), FrameTable.unknown(1))
    photon_files(folder, frames)
    well = ended(command, folder, capsys, "frame")
    assert well or command.stage in NEED_MORE_FRAMES or n_photons == 0


@pytest.mark.parametrize("level", [0, 5])
@pytest.mark.parametrize("command", RAW_STAGES, ids=lambda command: command.stage)
def test_a_single_raw_frame_is_taken_or_refused_by_name(folder, capsys, command: Command, level):
    rng = np.random.default_rng(1)
    with h5py.File(folder / "raw.h5", "w") as file:
        file["entry/data/data"] = rng.poisson(level, (1, *DETECTOR.frame_shape)).astype(np.uint16)
    ended(command, folder, capsys, "frame")


@pytest.mark.parametrize("command", RAW_STAGES, ids=lambda command: command.stage)
def test_no_raw_frame_is_refused_by_name(folder, capsys, command: Command):
    with h5py.File(folder / "raw.h5", "w") as file:
        file["entry/data/data"] = np.zeros((0, *DETECTOR.frame_shape), dtype=np.uint16)
    assert not ended(command, folder, capsys, str(folder / "raw.h5"))


@pytest.fixture
def separated(folder, capsys) -> Path:
    """Sparse frames and peaks of a single frame."""
    counts = np.random.default_rng(1).poisson(5, (1, *DETECTOR.frame_shape)).astype(np.uint16)
    with h5py.File(folder / "raw.h5", "w") as file:
        file["entry/data/data"] = counts
    for former in RAW_STAGES[1:]:
        assert ended(former, folder, capsys, "")
        (folder / "metrics.json").unlink()
    return folder


def remove_rows(group: h5py.Group) -> None:
    """Take all frames away; pointers keep the one at which nothing begins."""
    for name in [key for key in group if key == "nPeaks" or key.startswith("peak") or key in SPARSE_COLUMNS]:
        content, attributes = group[name][: int(name == "frame_ptr")], dict(group[name].attrs)
        del group[name]
        group.create_dataset(name, data=content).attrs.update(attributes)


@pytest.mark.parametrize("command", SEPARATED_STAGES, ids=lambda command: command.stage)
def test_a_single_separated_frame_is_taken(separated, capsys, command: Command):
    assert ended(command, separated, capsys, "")


@pytest.mark.parametrize("command", SEPARATED_STAGES, ids=lambda command: command.stage)
def test_no_separated_frame_is_refused_by_name(separated, capsys, command: Command):
    """Files whose frames were all taken away, as a cut in another program leaves them."""
    for name, place in (("sparse.h5", "entry_0000/sparse_frames"), ("peaks.cxi", "entry_1/result_1")):
        with h5py.File(separated / name, "r+") as file:
            remove_rows(file[place])
    assert not ended(command, separated, capsys, str(separated))
