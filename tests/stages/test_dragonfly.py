"""export-emc with its detector file, and import-dragonfly, through the command line."""

import h5py
import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.data import Crystal
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.emc_binary import EmcBinaryReader
from fewphoton.io.metrics import read_metrics
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.volumes import read_volume_file
from tests.io.test_dragonfly_output import N, write_output

AXIS = np.array([0.0, 1.0, 0.0])


@pytest.fixture
def folder(tmp_path, frames, detector, beam, provenance):
    with write_photon_file(tmp_path / "frames.h5", detector, beam, provenance) as writer:
        writer.append(frames)
    write_crystal(tmp_path / "box.yaml", Crystal((150.0, 150.0, 150.0, 90, 90, 90), "P 1"), AXIS)
    write_crystal(tmp_path / "crystal.yaml", Crystal((79.0, 79.0, 38.0, 90, 90, 90), "P 43 21 2"), AXIS)
    return tmp_path


def run(folder, stage, *settings, **paths):
    words = [stage, "--quiet"]
    for role, name in paths.items():
        words += [f"--{role}", str(folder / name)]
    return main([*words, *(word for setting in settings for word in ("--set", setting))])


def test_photons_and_detector_belong_together(folder, frames, detector, beam):
    code = run(folder, "export-emc", frames="frames.h5", crystal="box.yaml", emc="p.emc", detector="d.h5")
    assert code == 0
    reader = EmcBinaryReader(folder / "p.emc")
    assert (reader.n_frames, reader.n_pixels) == (frames.n_frames, detector.n_pixels)
    with h5py.File(folder / "d.h5") as file:
        assert len(file["qx"]) == len(file["mask"]) == detector.n_pixels
        assert file["ewald_rad"][()] == pytest.approx(150 / beam.wavelength_angstrom)


def test_finer_voxels_scale_the_detector(folder, beam):
    code = run(
        folder, "export-emc", "voxels_per_cell=3", frames="frames.h5", crystal="box.yaml", emc="p.h5", detector="d.h5"
    )
    assert code == 0
    with h5py.File(folder / "d.h5") as file:
        assert file["ewald_rad"][()] == pytest.approx(450 / beam.wavelength_angstrom)


def test_a_detector_needs_a_crystal_with_cubic_voxels(folder, capsys):
    assert run(folder, "export-emc", frames="frames.h5", emc="p.emc", detector="d.h5") == 1
    assert "the crystal description is needed" in capsys.readouterr().err
    assert run(folder, "export-emc", frames="frames.h5", crystal="crystal.yaml", emc="p.emc", detector="d.h5") == 1
    assert "voxels that are cubes" in capsys.readouterr().err
    assert not (folder / "d.h5").exists()
    assert not (folder / "p.emc").exists()
    assert run(folder, "export-emc", frames="frames.h5", emc="p.emc") == 0


def imported(folder, *settings, crystal="box.yaml"):
    return run(
        folder,
        "import-dragonfly",
        *settings,
        output="o.h5",
        crystal=crystal,
        volume="v.h5",
        orientations="r.h5",
        metrics="m.json",
    )


def test_output_becomes_volume_and_orientations(folder):
    content = write_output(folder / "o.h5", probabilities=True)
    assert imported(folder) == 0
    file = read_volume_file(folder / "v.h5")
    np.testing.assert_array_equal(file.volume.values, content["intens"][0])
    np.testing.assert_array_equal(file.volume.weight, content["inter_weight"][0])
    assert (file.volume.n, file.volume.voxels_per_cell) == (N, 1)
    assert file.crystal.cell[0] == 150
    found = read_orientation_file(folder / "r.h5")
    assert found.best_orientation.tolist() == [4, 0, -1, 2, 3, 1]
    np.testing.assert_allclose(found.best_quaternion[[0, 5]], content["quaternions"][[4, 1], :4], rtol=1e-12)
    assert np.isnan(found.best_quaternion[2]).all()
    np.testing.assert_allclose(found.best_probability, [1, 0.5, np.nan, 0.5, 0.9, 0.25])
    assert read_metrics(folder / "m.json")["n_frames_placed"] == 5


def test_a_mode_has_its_own_volume_and_frames(folder):
    numbers = np.array([9, 5, -1, 2, 4, 0], dtype=np.int32)
    content = write_output(folder / "o.h5", n_modes=2, orientations=numbers)
    assert imported(folder, "mode=1") == 0
    np.testing.assert_array_equal(read_volume_file(folder / "v.h5").volume.values, content["intens"][1])
    found = read_orientation_file(folder / "r.h5")
    assert found.best_orientation.tolist() == [4, 0, -1, -1, -1, -1]
    assert np.isnan(found.best_probability).all()


def test_wrong_modes_and_crystals_are_refused(folder, capsys):
    write_output(folder / "o.h5")
    assert imported(folder, "mode=1") == 1
    assert "holds no volume 1; found 1 volumes" in capsys.readouterr().err
    assert imported(folder, crystal="crystal.yaml") == 1
    assert "voxels that are cubes" in capsys.readouterr().err
    assert not (folder / "v.h5").exists()
