"""Metrics, tables, geometry YAML, crystal descriptions, checkpoints, provenance and fetched files."""

import hashlib
import http.server
import threading
from functools import partial

import h5py
import numpy as np
import pytest
import yaml

from fewphoton.data import Crystal
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.crystal_description import read_crystal, write_crystal
from fewphoton.io.fetch import fetch, local_folder
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import read_metrics, read_table, write_metrics, write_table
from fewphoton.io.provenance import Provenance, file_digest, read_provenance


def test_metrics_and_tables(tmp_path):
    write_metrics(tmp_path / "m.json", {"a": np.float64(1.5), "b": np.nan, "c": "word", "d": np.bool_(True)})
    assert read_metrics(tmp_path / "m.json") == {"a": 1.5, "b": None, "c": "word", "d": True}
    write_table(tmp_path / "t.csv", [{"a": 1, "b": None}, {"c": 0.25}])
    assert read_table(tmp_path / "t.csv") == [{"a": "1", "b": "", "c": ""}, {"a": "", "b": "", "c": "0.25"}]
    with pytest.raises(DataError, match="metric x"):
        write_metrics(tmp_path / "m.json", {"x": [1, 2]})
    (tmp_path / "bad.json").write_text("[1]")
    with pytest.raises(InputFileError, match="JSON object"):
        read_metrics(tmp_path / "bad.json")
    with pytest.raises(InputFileError, match="as a table"):
        read_table(tmp_path / "none.csv")


def test_geometry_yaml_keeps_everything(tmp_path, detector, beam):
    masked = np.zeros(detector.n_pixels, dtype=bool)
    masked[[0, 1, 2, 50, 119]] = True
    write_geometry_yaml(tmp_path / "g.yaml", detector.with_mask(masked), beam, np.array([0, 1.0, 0]))
    back = read_geometry(tmp_path / "g.yaml", detector.frame_shape)
    assert back.detector.digest() == detector.digest()
    np.testing.assert_array_equal(back.detector.masked, masked)
    np.testing.assert_array_equal(back.rotation_axis, [0, 1, 0])
    with pytest.raises(InputFileError, match=r"frames of \(3, 3\) pixels; found \(12, 10\)"):
        read_geometry(tmp_path / "g.yaml", (3, 3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"extra": 1}, "is no geometry"),
        ({"masked_runs": [[5, 500]]}, "outside"),
        ({"panels": []}, "at least one"),
        ({"panels": [{"name": "x"}]}, "description"),
        ({"rotation_axis": [1, 2]}, "reshape"),
    ],
)
def test_geometry_yaml_faults(tmp_path, detector, beam, change, message):
    write_geometry_yaml(tmp_path / "g.yaml", detector, beam)
    content = yaml.safe_load((tmp_path / "g.yaml").read_text())
    (tmp_path / "g.yaml").write_text(yaml.safe_dump({**content, **change}))
    with pytest.raises(InputFileError, match=message):
        read_geometry(tmp_path / "g.yaml")


def test_unknown_kinds_of_geometry(tmp_path):
    (tmp_path / "g.txt").write_text("")
    with pytest.raises(InputFileError, match="no known kind"):
        read_geometry(tmp_path / "g.txt")
    with pytest.raises(InputFileError, match="no such file"):
        read_geometry(tmp_path / "none.yaml")


def test_crystal_descriptions(tmp_path):
    crystal = Crystal((5, 6, 7, 90, 90, 90), "P 21 21 21", rotation_about_axis((1, 2, 3), 50))
    write_crystal(tmp_path / "c.yaml", crystal, np.array([0, 0, 1.0]))
    back, axis = read_crystal(tmp_path / "c.yaml")
    np.testing.assert_allclose(back.ub_matrix, crystal.ub_matrix, atol=1e-12)
    assert axis.tolist() == [0, 0, 1]
    content = yaml.safe_load((tmp_path / "c.yaml").read_text())
    for change, message in (
        ({"cells": 1}, "did you mean 'cell'"),
        ({"space_group": "I -4 3 d"}, "contradicts"),
        ({"rotation_axis": [0, 0, 0]}, "zero vector"),
    ):
        (tmp_path / "bad.yaml").write_text(yaml.safe_dump({**content, **change}))
        with pytest.raises(InputFileError, match=message):
            read_crystal(tmp_path / "bad.yaml")


def test_provenance_round_trip_and_digests(tmp_path):
    (tmp_path / "in.txt").write_bytes(b"abc")
    assert file_digest(tmp_path / "in.txt") == f"sha256:{hashlib.sha256(b'abc').hexdigest()}"
    record = Provenance.of("stage", {"k": [1]}, {"role": tmp_path / "in.txt"}, ("note",))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        record.write(file, "kind")
    with h5py.File(tmp_path / "x.h5") as file:
        back = read_provenance(file)
    assert back["config"] == {"k": [1]}
    assert list(back["inputs"]) == ["role:in.txt"]
    assert back["notes"] == ["note"]
    with pytest.raises(InputFileError, match="cannot be read"):
        file_digest(tmp_path / "none")


@pytest.fixture
def address(tmp_path):
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "a b.dat").write_bytes(b"content")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "public")
    handler.log_message = lambda *words: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_fetching_checks_the_digest(tmp_path, address, capfd):
    digest = hashlib.sha256(b"content").hexdigest()
    target = tmp_path / "got" / "a.dat"
    fetch("a b.dat", target, None, address, digest)
    assert target.read_bytes() == b"content"
    fetch("a b.dat", tmp_path / "copy", tmp_path / "public", address, digest)
    with pytest.raises(InputFileError, match="another content"):
        fetch("a b.dat", tmp_path / "bad", None, address, "0" * 64)
    assert not (tmp_path / "bad").exists()
    with pytest.raises(InputFileError, match="cannot be fetched"):
        fetch("none.dat", tmp_path / "bad", None, address, None)
    with pytest.raises(InputFileError, match="no http"):
        fetch("x", tmp_path / "bad", None, "file:///etc", None)
    with pytest.raises(InputFileError, match="no local copy and no address"):
        fetch("x", tmp_path / "bad", None, None, None)
    with pytest.raises(InputFileError, match="no such file"):
        fetch("x", tmp_path / "bad", tmp_path / "public", None, None)


def test_local_copies_are_found(tmp_path, monkeypatch):
    (tmp_path / "set").mkdir()
    monkeypatch.delenv("FEWPHOTON_DATA", raising=False)
    assert local_folder(None, "set") is None
    assert local_folder(tmp_path, "set") == tmp_path / "set"
    monkeypatch.setenv("FEWPHOTON_DATA", str(tmp_path))
    assert local_folder(None, "set") == tmp_path / "set"
    with pytest.raises(InputFileError, match="Correct data_dir"):
        local_folder(tmp_path / "elsewhere", "set")
