"""collapse, thin, add-background, split and collect-metrics through the command line."""

import json
import re

import h5py
import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.io.metrics import read_metrics, read_table, write_metrics
from fewphoton.io.photon_files import read_photon_file, write_photon_file
from fewphoton.io.provenance import read_provenance


@pytest.fixture
def source(tmp_path, frames, detector, beam, provenance):
    path = tmp_path / "frames.h5"
    with write_photon_file(path, detector, beam, provenance) as writer:
        writer.append(frames)
    return path


def run(stage, output, source, tmp_path, *settings):
    target, metrics = tmp_path / f"{stage}.h5", tmp_path / f"{stage}.json"
    words = [stage, "--frames", str(source), f"--{output}", str(target), "--metrics", str(metrics), "--quiet"]
    code = main([*words, *(word for setting in settings for word in ("--set", setting))])
    return code, target, metrics


def test_collapse(source, frames, tmp_path):
    code, target, metrics = run("collapse", "collapsed", source, tmp_path, "n_frames=5", "pixel_binning=2")
    assert code == 0
    found, detector, _ = read_photon_file(target)
    assert detector.frame_shape == (6, 5)
    assert found.to_dense().sum() == frames.to_dense().sum()
    assert read_metrics(metrics)["n_frames"] == 5


def test_thin_says_so(source, frames, tmp_path):
    code, target, metrics = run("thin", "thinned", source, tmp_path, "photons_per_frame=2", "seed=5")
    assert code == 0
    assert read_metrics(metrics)["kept_fraction"] == pytest.approx(2 * 25 / frames.to_dense().sum())
    with h5py.File(target) as file:
        assert "binomially thinned" in read_provenance(file)["notes"][0]


def test_thin_beyond_the_data_is_refused_and_leaves_nothing(source, tmp_path, capsys):
    code, target, _ = run("thin", "thinned", source, tmp_path, "photons_per_frame=2000")
    assert code == 1
    assert "cannot thin to 2000" in capsys.readouterr().err
    assert not target.exists()


def test_add_background_adds_the_percentage(source, frames, tmp_path):
    code, target, metrics = run("add-background", "with-background", source, tmp_path, "percent=400")
    assert code == 0
    record = read_metrics(metrics)
    assert record["background_photons_per_frame_mean"] == pytest.approx(4 * frames.totals().mean())
    assert record["photons_total"] == read_photon_file(target)[0].totals().sum()


def test_halves_share_no_exposure(source, frames, tmp_path):
    parts = []
    for part in ("even", "odd"):
        code, target, _ = run("split", "half", source, tmp_path, f"part={part}")
        assert code == 0
        parts.append(read_photon_file(target)[0])
    assert set(parts[0].table.source_index % 2) == {0}
    assert set(parts[1].table.source_index % 2) == {1}
    assert sum(part.totals().sum() for part in parts) == frames.totals().sum()


def test_zero_photon_frames_are_kept_and_counted(tmp_path, detector, beam, provenance):
    dark = PhotonFrames.from_dense(np.zeros((4, detector.n_pixels), dtype=int), FrameTable.unknown(4))
    with write_photon_file(tmp_path / "dark.h5", detector, beam, provenance) as writer:
        writer.append(dark)
    code, target, metrics = run("collapse", "collapsed", tmp_path / "dark.h5", tmp_path, "n_frames=2")
    assert code == 0
    assert read_metrics(metrics)["n_zero_photon_frames"] == 2
    assert read_photon_file(target)[0].n_frames == 2


def test_an_empty_photon_file_is_refused(tmp_path, detector, beam, provenance, capsys):
    with write_photon_file(tmp_path / "empty.h5", detector, beam, provenance):
        pass
    for stage, output, setting in (
        ("collapse", "collapsed", "n_frames=2"),
        ("thin", "thinned", "photons_per_frame=1"),
        ("add-background", "with-background", "percent=5"),
        ("split", "half", "part=odd"),
    ):
        code, _, _ = run(stage, output, tmp_path / "empty.h5", tmp_path, setting)
        assert code == 1
        assert "holds no frames" in capsys.readouterr().err


def test_collect_metrics_joins_rows(tmp_path):
    for name, record in (("a", {"r": 0.1}), ("b", {"r": None, "extra": 3}), ("c", {"it": 7}), ("d", {"it": 8})):
        write_metrics(tmp_path / f"{name}.json", record)
    words = ["collect-metrics", "--metrics", str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    words += ["--more-metrics", str(tmp_path / "c.json"), str(tmp_path / "d.json"), "--table", str(tmp_path / "t.csv")]
    assert main([*words, "--config-json", '{"columns": [{"n": 10}, {"n": 100}]}']) == 0
    assert read_table(tmp_path / "t.csv") == [
        {"n": "10", "r": "0.1", "it": "7", "extra": ""},
        {"n": "100", "r": "", "it": "8", "extra": "3"},
    ]


def test_collect_metrics_wants_a_row_a_file(tmp_path, capsys):
    write_metrics(tmp_path / "a.json", {"r": 1})
    words = [
        "collect-metrics",
        "--table",
        str(tmp_path / "t.csv"),
        "--config-json",
        '{"columns": [{"n": 1}, {"n": 2}]}',
    ]
    assert main([*words, "--metrics", str(tmp_path / "a.json")]) == 1
    assert "1 files of metrics for 2 rows" in capsys.readouterr().err
    assert main([*words, "--metrics", *[str(tmp_path / "a.json")] * 2, "--results", str(tmp_path / "a.json")]) == 1
    assert "1 files of results for 2 rows" in capsys.readouterr().err


def collected(tmp_path, source, columns, **config):
    """Return the table of rows that all come from one result file."""
    write_metrics(tmp_path / "a.json", {"r": 1})
    words = ["collect-metrics", "--metrics", *[str(tmp_path / "a.json")] * len(columns), "--results"]
    words += [str(source)] * len(columns) + ["--table", str(tmp_path / "t.csv")]
    assert main([*words, "--config-json", json.dumps({"columns": columns, **config})]) == 0
    return [row["provenance_sha256"] for row in read_table(tmp_path / "t.csv")]


def test_rows_tell_where_they_come_from(source, tmp_path):
    points = [{"n": 10}, {"n": 20}]
    first = collected(tmp_path, source, points)
    assert first == collected(tmp_path, source, points)
    assert len(set(first)) == 2
    assert {len(digest) for digest in first} == {64}
    # A further point leaves the others as they were; parameters that no file tells change their own row alone.
    assert collected(tmp_path, source, [{"n": 5}, *points])[1:] == first
    changed = collected(tmp_path, source, points, parameters={"n": {"20": {"voxel": 2.0}}, "m": {"20": {}}})
    assert changed[0] == first[0]
    assert changed[1] != first[1]


@pytest.mark.parametrize("key", ["commit", "config", "inputs", "version"])
def test_other_code_inputs_or_parameters_are_another_provenance(source, tmp_path, key):
    first = collected(tmp_path, source, [{"n": 1}])
    with h5py.File(source, "r+") as file:
        text = file[f"provenance/{key}"].asstr()[()]
        del file[f"provenance/{key}"]
        file[f"provenance/{key}"] = json.dumps({"another": 1}) if text.startswith("{") else "another"
    assert collected(tmp_path, source, [{"n": 1}]) != first


def test_provenance_of_json_results(source, tmp_path):
    with h5py.File(source) as file:
        record = read_provenance(file)
    (tmp_path / "found.json").write_text(json.dumps({"provenance": record}))
    assert collected(tmp_path, tmp_path / "found.json", [{"n": 1}]) == collected(tmp_path, source, [{"n": 1}])


@pytest.mark.parametrize("content", [None, "[1]", "{", '{"provenance": 3}', "\udcff"])
def test_results_without_provenance_are_refused(tmp_path, capsys, content):
    write_metrics(tmp_path / "a.json", {"r": 1})
    if content is not None:
        (tmp_path / "found.json").write_bytes(content.encode(errors="surrogateescape"))
    words = ["collect-metrics", "--metrics", str(tmp_path / "a.json"), "--table", str(tmp_path / "t.csv")]
    assert main([*words, "--results", str(tmp_path / "found.json"), "--config-json", '{"columns": [{"n": 1}]}']) == 1
    assert "found.json" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


def test_collect_metrics_takes_chosen_ones(tmp_path):
    for name, record in (("a", {"r": 1}), ("b", {"seconds": 5, "n": 9}), ("c", {"seconds": 7})):
        write_metrics(tmp_path / f"{name}.json", record)
    path = {name: str(tmp_path / f"{name}.json") for name in "abc"}
    choices = {name: {"seconds": f"{name}_seconds"} for name in "bc"}
    config = {"columns": [{"m": "x"}, {"m": "y"}], "choices": choices, "chosen": [["b", "c"], []]}
    words = ["collect-metrics", "--metrics", path["a"], path["a"], "--table", str(tmp_path / "t.csv")]
    assert main([*words, "--chosen-metrics", path["b"], path["c"], "--config-json", json.dumps(config)]) == 0
    assert read_table(tmp_path / "t.csv") == [
        {"m": "x", "r": "1", "b_seconds": "5", "c_seconds": "7"},
        {"m": "y", "r": "1", "b_seconds": "", "c_seconds": ""},
    ]


@pytest.mark.parametrize(
    ("options", "config", "message"),
    [
        (["--chosen-metrics", "a.json"], {}, "1 files of chosen metrics where the rows choose from 0"),
        ([], {"choices": {"a": {}}, "chosen": [["a"]]}, "0 files of chosen metrics where the rows choose from 1"),
        ([], {"choices": {"a": {}}, "chosen": [["a"], []]}, "chosen: 2 for 1 rows"),
        ([], {"chosen": [["a"]]}, "choices tells nothing of a"),
    ],
)
def test_collect_metrics_counts_its_files(tmp_path, capsys, options, config, message):
    write_metrics(tmp_path / "a.json", {"r": 1})
    words = ["collect-metrics", "--metrics", str(tmp_path / "a.json"), *options, "--table", str(tmp_path / "t.csv")]
    assert main([*words, "--config-json", json.dumps({"columns": [{"n": 1}], **config})]) == 1
    assert re.search(message, capsys.readouterr().err)
