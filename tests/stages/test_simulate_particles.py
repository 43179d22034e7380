import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from fewphoton.config import SimulateParticlesConfig
from fewphoton.data import Orientations
from fewphoton.data.detector import q_vectors
from fewphoton.errors import ConfigError, InputFileError
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import read_metrics
from fewphoton.io.pattern_files import read_patterns
from fewphoton.io.photon_files import read_photon_file
from fewphoton.io.volumes import read_volume_file
from fewphoton.stages.contract import Context
from fewphoton.stages.simulate_particles import Inputs, Outputs, run
from tests.simulate.molecules import made_up_molecule, pdb_text
from tests.simulate.test_particle import SMALL

NAMES = ("frames.h5", "geometry.yaml", "crystal.yaml", "truth.h5", "metrics.json")


def simulate(folder, **changes):
    path = folder / "molecule.pdb"
    path.write_text(pdb_text(made_up_molecule()) + "END\n")
    config = SimulateParticlesConfig(**SMALL | {"structure": path} | changes)
    run(Inputs(), Outputs(*(folder / name for name in NAMES)), config, Context(1, None, False))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("particles")
    simulate(place)
    return place


def test_files_fit_each_other(folder):
    frames, detector, beam = read_photon_file(folder / "frames.h5")
    geometry = read_geometry(folder / "geometry.yaml", detector.frame_shape)
    crystal, _ = read_crystal(folder / "crystal.yaml")
    truth = read_volume_file(folder / "truth.h5")
    metrics = read_metrics(folder / "metrics.json")
    assert geometry.detector.digest() == detector.digest()
    assert beam.wavelength_angstrom == pytest.approx(12.39842 / 4.6)
    assert crystal.space_group == truth.crystal.space_group == "P 1"
    np.testing.assert_allclose(crystal.ub_matrix, np.eye(3) / metrics["box_angstrom"], atol=1e-12)
    assert metrics["box_angstrom"] == pytest.approx(2 * metrics["diameter_angstrom"])
    assert metrics["n_atoms"] == 14
    assert metrics["expected_photons_per_frame_of_particle"] == pytest.approx(60)
    assert metrics["photons_per_frame_mean"] == frames.totals().mean()
    assert frames.table.quaternion.shape == (40, 4)
    assert truth.volume.voxels_per_cell == 1


def test_frames_correlate_with_the_true_volume_at_their_orientations_alone(folder):
    """Slices of the written volume at the written orientations explain the written photons."""
    frames, detector, beam = read_photon_file(folder / "frames.h5")
    truth = read_volume_file(folder / "truth.h5").volume
    box = read_metrics(folder / "metrics.json")["box_angstrom"]
    usable = ~detector.masked
    q = q_vectors(detector, beam)[usable]
    counts = frames.to_dense()[:, usable].astype(float)

    def log_likelihood(rotations):
        place = np.einsum("pj,fji->fpi", q * box, rotations) + truth.n // 2
        view = map_coordinates(truth.values, place.reshape(-1, 3).T, order=3).reshape(counts.shape).clip(1e-4)
        return (counts * np.log(view) - view).sum(axis=1)

    rotations = Orientations(frames.table.quaternion, np.full(40, 1 / 40)).matrices()
    others = (np.roll(rotations, 1, axis=0), np.swapaxes(rotations, 1, 2))
    right = log_likelihood(rotations)
    for other in others:
        assert (right > log_likelihood(other)).mean() > 0.9


def test_the_same_configuration_gives_the_same_bytes(folder, tmp_path):
    simulate(tmp_path, chunk_frames=256)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_chunks_do_not_change_the_frames(folder, tmp_path):
    simulate(tmp_path, chunk_frames=7)
    first, second = (read_photon_file(place / "frames.h5")[0] for place in (folder, tmp_path))
    np.testing.assert_array_equal(first.to_dense(), second.to_dense())


def test_without_noise_the_frames_are_the_expected_photons_in_the_same_orientations(folder, tmp_path):
    simulate(tmp_path, noise="none", chunk_frames=9)
    content = read_patterns(tmp_path / "frames.h5")
    photons = read_photon_file(folder / "frames.h5")[0]
    np.testing.assert_array_equal(content.table.quaternion, photons.table.quaternion)
    expected = content.source.patterns(np.arange(40))
    counts = photons.to_dense()[:, ~content.detector.masked]
    assert abs((counts - expected).sum()) < 5 * np.sqrt(counts.sum())
    right, other = ((counts * np.log(one) - one).sum(axis=1) for one in (expected, np.roll(expected, 1, axis=0)))
    assert (right > other).mean() > 0.9
    metrics = read_metrics(tmp_path / "metrics.json")
    assert metrics["photons_per_frame_mean"] == pytest.approx(expected.sum(axis=1).mean(), rel=1e-5)


def test_mistakes_leave_no_files(tmp_path):
    with pytest.raises(InputFileError, match="no chain B"):
        simulate(tmp_path, chains=["B"])
    with pytest.raises(ConfigError, match="needs the structure"):
        simulate(tmp_path, structure=None)
    assert [path.name for path in tmp_path.iterdir()] == ["molecule.pdb"]
