"""simulate-rotation, describe-crystal, fetch and assemble through the command line."""

import hashlib
import json

import h5py
import numpy as np
import pytest
import yaml

from fewphoton.cli import main
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.photon_files import read_photon_file
from fewphoton.io.raw_frames import open_raw_frames
from fewphoton.io.volumes import read_volume_file
from tests.conftest import ROOT

SIMULATION = {
    "structure": str(ROOT / "config" / "structures" / "dimolybdenum_i43d.cif"),
    "detector": {"tiles": [1, 2], "tile_pixels": 16, "pixel_size_m": 1.2e-3, "gap_pixels": 1},
    "n_batches": 3,
    "frames_per_batch": 20,
    "rotation_per_frame_deg": 0.5,
    "n_turns": 1,
    "photons_per_frame": 30,
    "truth_voxels_per_cell": 3,
    "truth_n_voxels": 25,
    "chunk_frames": 16,
}


def simulate(folder, config, *outputs):
    words = ["simulate-rotation", "--geometry", str(folder / "g.yaml"), "--crystal", str(folder / "c.yaml"), "--quiet"]
    for name in outputs:
        words += [f"--{name}", str(folder / f"{name}.h5")]
    return main([*words, "--config-json", json.dumps(config), "--threads", "1"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("simulated")
    assert simulate(place, SIMULATION, "raw", "frames", "truth") == 0
    return place


def test_everything_about_the_experiment_is_written(folder):
    photons, detector, beam = read_photon_file(folder / "frames.h5")
    assert photons.n_frames == 60
    assert photons.totals().mean() == pytest.approx(30, rel=0.2)
    geometry = read_geometry(folder / "g.yaml", detector.frame_shape)
    assert geometry.detector.digest() == detector.digest()
    assert beam.wavelength_angstrom == 0.71073
    with open_raw_frames([str(folder / "raw.h5")]) as raw:
        assert (raw.n_frames, raw.dtype) == (60, np.uint16)
        np.testing.assert_allclose(raw.table.omega_deg, photons.table.omega_deg)
        np.testing.assert_array_equal(raw.table.batch, np.repeat([0, 1, 2], 20))
    assert read_volume_file(folder / "truth.h5").volume.n == 25
    crystal, axis = read_crystal(folder / "c.yaml")
    assert crystal.space_group == "I -4 3 d"
    assert axis.tolist() == [0, 1, 0]
    with h5py.File(folder / "frames.h5") as file:
        assert json.loads(file["provenance/notes"].asstr()[()]) == ["simulated"]


def test_the_same_configuration_gives_the_same_bytes(folder, tmp_path):
    assert simulate(tmp_path, SIMULATION, "raw", "frames", "truth") == 0
    for name in ("raw.h5", "frames.h5", "truth.h5", "g.yaml", "c.yaml"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_raw_frames_need_a_readout(tmp_path, capsys):
    assert simulate(tmp_path, {**SIMULATION, "readout": None}, "raw") == 1
    assert "no readout" in capsys.readouterr().err
    assert not (tmp_path / "raw.h5").exists()


def test_known_angles_are_assembled(folder):
    words = ["assemble", "--frames", str(folder / "frames.h5"), "--crystal", str(folder / "c.yaml"), "--quiet"]
    words += ["--volume", str(folder / "assembled.h5"), "--config-json", '{"grid": {"voxels_per_cell": 3}}']
    assert main(words) == 0
    found = read_volume_file(folder / "assembled.h5")
    assert found.halves is not None
    assert found.volume.values.max() > 0
    assert found.volume.n % 2 == 1


def test_describe_crystal_checks_what_it_writes(tmp_path, capsys):
    section = {"cell": [5, 6, 7, 90, 90, 90], "space_group": "P 21 21 21"}
    words = ["describe-crystal", "--crystal", str(tmp_path / "c.yaml"), "--config-json"]
    assert main([*words, json.dumps(section)]) == 0
    assert yaml.safe_load((tmp_path / "c.yaml").read_text())["space_group"] == "P 21 21 21"
    assert main([*words, json.dumps({**section, "space_group": "F d -3 m"})]) == 1
    assert "contradicts the cubic" in capsys.readouterr().err


def test_fetch_takes_the_local_copy_and_checks_it(tmp_path, capsys):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.dat").write_bytes(b"real")
    digest = hashlib.sha256(b"real").hexdigest()
    section = {"name": "a.dat", "folder": "set", "data_dir": str(tmp_path), "sha256": {"a.dat": digest}}
    words = ["fetch", "--file", str(tmp_path / "out.dat"), "--config-json"]
    assert main([*words, json.dumps(section)]) == 0
    assert (tmp_path / "out.dat").read_bytes() == b"real"
    assert main([*words, json.dumps({**section, "sha256": {"a.dat": "0" * 64}})]) == 1
    assert "another content" in capsys.readouterr().err
