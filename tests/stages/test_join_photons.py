"""Frames that several jobs counted are those that one job counts."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import read_metrics
from fewphoton.io.photon_files import read_photon_file
from fewphoton.io.raw_frames import write_raw_frames
from tests.photons.raw_runs import raw_run

CONFIG = {"threshold_photons": 0.5, "fit_frames": 200, "chunk_frames": 64}


def write_raw(folder: Path, raw: np.ndarray, made, beam, provenance) -> None:
    with write_raw_frames(
        folder / "raw.h5", made.detector.frame_shape, raw.dtype, len(raw), made.photons.table, provenance
    ) as writer:
        writer.append(raw.reshape(-1, *made.detector.frame_shape))
    write_geometry_yaml(folder / "geometry.yaml", made.detector, beam, None)


def count(folder: Path, name: str, **config: object) -> int:
    words = ["count-photons", "--quiet", "--raw", str(folder / "raw.h5"), "--geometry", str(folder / "geometry.yaml")]
    words += ["--frames", str(folder / f"{name}.h5"), "--metrics", str(folder / f"{name}.json")]
    return main([*words, "--config-json", json.dumps({**CONFIG, **config})])


def join(folder: Path, names: list[str], n_metrics: int | None = None) -> int:
    words = ["join-photons", "--quiet", "--parts", *[str(folder / f"{name}.h5") for name in names]]
    words += ["--part-metrics", *[str(folder / f"{name}.json") for name in names[:n_metrics]]]
    return main([*words, "--frames", str(folder / "joined.h5"), "--metrics", str(folder / "joined.json")])


@pytest.fixture
def folder(tmp_path, beam, provenance) -> Path:
    """A run with bad pixels and frames, one pixel that sees nothing, counted in one go and by three jobs."""
    made = raw_run(300, 20.0, hot_pixels=2, dead_pixels=2, bad=(40, 41, 123), read_noise_adu=4.0)
    write_raw(tmp_path, made.raw, made, beam, provenance)
    assert count(tmp_path, "whole", jobs=3) == 0
    for number in range(3):
        assert count(tmp_path, f"part{number}", jobs=3, job=number) == 0
    return tmp_path


PARTS = ["part0", "part1", "part2"]


def test_parts_make_the_whole_to_the_byte(folder):
    assert join(folder, PARTS) == 0
    assert (folder / "joined.h5").read_bytes() == (folder / "whole.h5").read_bytes()
    assert read_metrics(folder / "joined.json") == read_metrics(folder / "whole.json")
    frames, detector, _ = read_photon_file(folder / "joined.h5")
    assert frames.n_frames == 297
    assert read_metrics(folder / "joined.json")["masked_pixels"] == detector.masked.sum()


def test_a_pixel_that_is_silent_in_all_parts_is_masked(tmp_path, beam, provenance):
    made = raw_run(300, 400.0, read_noise_adu=4.0)
    raw = made.raw.reshape(300, -1).copy()
    offset = np.median(raw, axis=0)
    silent = int(np.flatnonzero(~made.detector.masked)[37])
    rng = np.random.default_rng(0)
    raw[:, silent] = np.rint(offset[silent] + rng.normal(0, 4.0, 300)).astype(raw.dtype)
    write_raw(tmp_path, raw, made, beam, provenance)
    assert count(tmp_path, "whole", jobs=3) == 0
    for number in range(3):
        assert count(tmp_path, f"part{number}", jobs=3, job=number) == 0
    assert join(tmp_path, PARTS) == 0
    assert read_photon_file(tmp_path / "joined.h5")[1].masked[silent]
    assert not read_photon_file(tmp_path / "part0.h5")[1].masked[silent]
    assert read_metrics(tmp_path / "joined.json") == read_metrics(tmp_path / "whole.json")


def test_more_jobs_than_frames_leave_empty_parts(tmp_path, beam, provenance):
    made = raw_run(5, 20.0, read_noise_adu=4.0)
    counts = made.photons.to_dense().astype(np.uint16)
    write_raw(tmp_path, counts, made, beam, provenance)
    for number in range(7):
        assert count(tmp_path, f"part{number}", calibration="photons", jobs=7, job=number) == 0
    assert join(tmp_path, [f"part{number}" for number in range(7)]) == 0
    np.testing.assert_array_equal(read_photon_file(tmp_path / "joined.h5")[0].to_dense(), counts)


@pytest.mark.parametrize(
    ("names", "n_metrics", "message"),
    [
        (["part0", "part2", "part1"], None, "expected job 1 of 3; found job 2 of 3"),
        (["part0", "part1"], None, "expected job 0 of 2; found job 0 of 3"),
        (["whole", "part1", "part2"], None, "expected job 0 of 3; found all frames"),
        (PARTS, 2, "2 files of metrics for 3 parts"),
    ],
)
def test_parts_that_do_not_belong_there_are_named(folder, capsys, names, n_metrics, message):
    assert join(folder, names, n_metrics) == 1
    assert message in capsys.readouterr().err
    assert not (folder / "joined.h5").exists()


def test_parts_of_other_parameters_are_refused(folder, capsys):
    assert count(folder, "part1", jobs=3, job=1, threshold_photons=0.6) == 0
    assert join(folder, PARTS) == 1
    assert "was counted from other frames or with other parameters" in capsys.readouterr().err


def test_parts_of_another_calibration_are_refused(folder, capsys):
    with h5py.File(folder / "part2.h5", "r+") as file:
        file["entry/detector/masked"][0, 0] = ~file["entry/detector/masked"][0, 0]
    assert join(folder, PARTS) == 1
    assert "has another mask than" in capsys.readouterr().err


def test_all_frames_rejected_is_an_error_of_the_whole(folder, capsys):
    for name in PARTS:
        record = read_metrics(folder / f"{name}.json")
        (folder / f"{name}.json").write_text(json.dumps(record | {"n_frames_kept": 0}))
    assert join(folder, PARTS) == 1
    assert "every frame was rejected" in capsys.readouterr().err


def test_a_job_beyond_the_last_is_refused(folder, capsys):
    assert count(folder, "part3", jobs=3, job=3) == 1
    assert "job 3 is none of 3 jobs" in capsys.readouterr().err
