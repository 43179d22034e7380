import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from fewphoton.config import SimulateSerialConfig
from fewphoton.data import Orientations
from fewphoton.data.detector import q_vectors
from fewphoton.errors import ConfigError
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import read_metrics
from fewphoton.io.photon_files import read_photon_file
from fewphoton.io.volumes import read_volume_file
from fewphoton.stages.contract import Context
from fewphoton.stages.simulate_serial import Inputs, Outputs, run
from tests.conftest import ROOT
from tests.simulate.test_serial_crystals import SMALL

NAMES = ("frames.h5", "geometry.yaml", "crystal.yaml", "truth.h5", "metrics.json")
STRUCTURE = ROOT / "config" / "structures" / "dimolybdenum_i43d.cif"


def simulate(folder, **changes):
    settings = SMALL | {"structure": STRUCTURE, "n_frames": 30, "wavelength_angstrom": 2.0, "truth_n_voxels": 61}
    config = SimulateSerialConfig(**settings | changes)
    run(Inputs(), Outputs(*(folder / name for name in NAMES)), config, Context(1, None, False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("serial")
    simulate(place)
    return place


def test_files_fit_each_other(folder):
    frames, detector, beam = read_photon_file(folder / "frames.h5")
    geometry = read_geometry(folder / "geometry.yaml", detector.frame_shape)
    crystal, _ = read_crystal(folder / "crystal.yaml")
    truth = read_volume_file(folder / "truth.h5")
    assert geometry.detector.digest() == detector.digest()
    assert (beam.wavelength_angstrom, beam.polarization_fraction) == (2.0, 0.99)
    assert crystal.space_group == truth.crystal.space_group == "I -4 3 d"
    np.testing.assert_allclose(crystal.u_matrix, np.eye(3), atol=1e-9)
    assert (truth.volume.n, truth.volume.voxels_per_cell) == (61, 4)
    assert frames.table.quaternion.shape == (30, 4)
    assert read_metrics(folder / "metrics.json")["photons_per_frame_mean"] == frames.totals().mean()


def test_frames_belong_to_their_orientations_in_the_true_volume(folder):
    frames, detector, beam = read_photon_file(folder / "frames.h5")
    truth = read_volume_file(folder / "truth.h5")
    q = q_vectors(detector, beam)[~detector.masked]
    counts = frames.to_dense()[:, ~detector.masked].astype(float)
    to_hkl = np.linalg.inv(truth.crystal.ub_matrix)

    def log_likelihood(rotations):
        hkl = np.einsum("ij,fkj,pk->fpi", to_hkl, rotations, q)
        place = truth.volume.voxel_of(hkl).reshape(-1, 3).T
        view = map_coordinates(truth.volume.values, place, order=1, mode="nearest").reshape(counts.shape)
        view = view + 0.15 * 200 / len(q)
        return (counts * np.log(view) - view).sum(axis=1)

    rotations = Orientations(frames.table.quaternion, np.full(30, 1 / 30)).matrices()
    right = log_likelihood(rotations)
    for other in (np.roll(rotations, 1, axis=0), np.swapaxes(rotations, 1, 2)):
        assert (right > log_likelihood(other)).mean() > 0.9


def test_the_same_configuration_gives_the_same_photons_in_any_chunks(folder, tmp_path):
    simulate(tmp_path)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name
    simulate(tmp_path, chunk_frames=11)
    first, second = (read_photon_file(place / "frames.h5")[0] for place in (folder, tmp_path))
    np.testing.assert_array_equal(first.to_dense(), second.to_dense())


def test_without_a_structure_nothing_is_written(tmp_path):
    with pytest.raises(ConfigError, match="needs the structure"):
        simulate(tmp_path, structure=None)
    assert list(tmp_path.iterdir()) == []
