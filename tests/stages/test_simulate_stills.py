import json
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from fewphoton.config.simulate_stills import SimulateStillsConfig
from fewphoton.errors import ConfigError, InputFileError
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import read_metrics
from fewphoton.io.raw_frames import open_raw_frames
from fewphoton.io.reflections import read_mtz
from fewphoton.io.still_truth import read_still_truth
from fewphoton.stages.contract import Context
from fewphoton.stages.simulate_stills import Inputs, Outputs, run
from tests.conftest import ROOT, flat_detector

CONFIG = {
    "structure": str(ROOT / "config" / "structures" / "dimolybdenum_i43d.cif"),
    "n_frames": 9,
    "hit_fraction": 0.5,
    "photons_per_crystal": 500,
    "excitation_width_inv_angstrom": 5e-3,
    "dead_pixels": 5,
    "solvent_contrast": 0,
    "chunk_frames": 4,
}
DETECTOR = {
    "detector": {"modules": [2, 1], "module_pixels": [30, 40], "gap_pixels": [4, 0], "pixel_size_m": 2e-3},
    "wavelength_angstrom": 0.9,
}


def outputs(folder):
    return Outputs(
        folder / "raw.h5", folder / "g.yaml", folder / "truth.h5", folder / "reference.mtz", folder / "metrics.json"
    )


def simulate(folder, geometry=None, **changes):
    config = (
        SimulateStillsConfig(**CONFIG, **changes) if geometry else SimulateStillsConfig(**CONFIG | DETECTOR | changes)
    )
    run(Inputs(geometry), outputs(folder), config, Context(1, None, False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("stills")
    simulate(place)
    return place


def test_frames_and_truth_fit_each_other(folder):
    truth = read_still_truth(folder / "truth.h5")
    geometry = read_geometry(folder / "g.yaml", (64, 40))
    masked = geometry.detector.masked.reshape(64, 40)
    assert geometry.beam.wavelength_angstrom == truth.wavelength_angstrom == 0.9
    assert geometry.beam.polarization_fraction == 0.99
    with open_raw_frames([str(folder / "raw.h5")]) as raw:
        assert (raw.n_frames, raw.dtype) == (9, np.uint16)
    with h5py.File(folder / "raw.h5") as file:
        counts = file["entry/data/data"][()]
        assert json.loads(file["provenance/notes"].asstr()[()]) == ["simulated"]
        assert "dimolybdenum_i43d.cif" in file["provenance/inputs"].asstr()[()]
    assert (counts[:, masked] == 65535).all()
    np.testing.assert_array_equal(np.isnan(truth.background_mean), masked)
    spots_of = np.diff(truth.spots.indptr)
    assert 0 < truth.shots.is_hit.sum() < 9
    assert (spots_of[~truth.shots.is_hit] == 0).all()
    assert (spots_of[truth.shots.is_hit] > 0).all()
    expected = truth.shots.background_scale * np.nansum(truth.background_mean)
    expected += np.bincount(truth.spots.frame_numbers(), truth.spots.photons, minlength=9)
    pull = (counts[:, ~masked].sum(axis=1) - expected) / np.sqrt(expected)
    assert np.abs(pull).max() < 4.5


def test_reference_and_metrics_tell_the_same(folder):
    truth = read_still_truth(folder / "truth.h5")
    reference, crystal = read_mtz(folder / "reference.mtz")
    assert (crystal.space_group, truth.crystal.space_group) == ("I -4 3 d",) * 2
    known = dict(zip(map(tuple, truth.reference.hkl.tolist()), truth.reference.intensity, strict=True))
    assert len(known) == len(reference) > 20
    np.testing.assert_allclose(reference.intensity, [known[tuple(hkl)] for hkl in reference.hkl.tolist()], rtol=1e-6)
    record = read_metrics(folder / "metrics.json")
    assert record["n_hits"] == truth.shots.is_hit.sum()
    assert record["n_spots"] == len(truth.spots)
    assert record["mean_background_photons_per_pixel"] == pytest.approx(1, rel=3e-3)
    total = truth.spots.photons.sum(dtype=float)
    assert record["mean_bragg_photons_per_hit"] == pytest.approx(total / record["n_hits"])


def test_the_same_configuration_gives_the_same_bytes(folder, tmp_path):
    simulate(tmp_path)
    for name in ("raw.h5", "truth.h5", "g.yaml", "reference.mtz", "metrics.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_chunks_do_not_change_the_frames_or_the_truth(folder, tmp_path):
    simulate(tmp_path, chunk_frames=2)
    with h5py.File(tmp_path / "raw.h5") as first, h5py.File(folder / "raw.h5") as second:
        np.testing.assert_array_equal(first["entry/data/data"][()], second["entry/data/data"][()])
    first, second = (read_still_truth(place / "truth.h5") for place in (tmp_path, folder))
    for part in ("shots", "spots"):
        for column in fields(getattr(first, part)):
            values = (getattr(getattr(truth, part), column.name) for truth in (first, second))
            np.testing.assert_array_equal(*values)


def test_a_geometry_file_takes_the_detectors_place(tmp_path, beam):
    detector = flat_detector(24, 20, 4e-3, 0.08)
    masked = np.zeros(24 * 20, bool)
    masked[100:120] = True
    write_geometry_yaml(tmp_path / "given.yaml", detector.with_mask(masked), beam)
    simulate(tmp_path, tmp_path / "given.yaml")
    geometry = read_geometry(tmp_path / "g.yaml")
    assert geometry.detector.digest() == detector.digest()
    assert geometry.detector.masked.sum() == 25
    assert geometry.detector.masked[100:120].all()
    assert read_still_truth(tmp_path / "truth.h5").background_mean.shape == (24, 20)
    with pytest.raises(ConfigError, match="both give wavelength_angstrom"):
        simulate(tmp_path, tmp_path / "given.yaml", wavelength_angstrom=1.0)


def test_all_blank_and_left_out_outputs(tmp_path):
    config = SimulateStillsConfig(**CONFIG | DETECTOR | {"hit_fraction": 0.0, "n_frames": 2})
    chosen = replace(outputs(tmp_path), reference=None)
    run(Inputs(), chosen, config, Context(1, None, False))
    assert not (tmp_path / "reference.mtz").exists()
    truth = read_still_truth(tmp_path / "truth.h5")
    assert (len(truth.shots), len(truth.spots)) == (2, 0)
    record = read_metrics(tmp_path / "metrics.json")
    assert record["mean_bragg_photons_per_hit"] is None


def test_missing_files_leave_nothing(tmp_path):
    with pytest.raises(InputFileError, match="no such file"):
        simulate(tmp_path, structure=str(tmp_path / "none.pdb"))
    with pytest.raises(InputFileError, match="no such file"):
        simulate(tmp_path, tmp_path / "none.yaml")
    assert list(tmp_path.iterdir()) == []
