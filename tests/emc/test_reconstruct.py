import numpy as np
import pytest

from fewphoton.config import ReconstructConfig
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.emc.communicator import Serial
from fewphoton.emc.problem import Problem
from fewphoton.emc.reconstruct import beta_at, default_orientations, reconstruct
from fewphoton.errors import ConvergenceError, DataError
from tests.emc.conftest import CONFIG


class MemoryStore:
    """Checkpoints in memory; optionally dies after some saves, as a killed job does."""

    def __init__(self, dies_after=None):
        self.state, self.saves, self.dies_after = None, 0, dies_after

    def load(self):
        return self.state

    def save(self, state):
        self.state, self.saves = state, self.saves + 1
        if self.saves == self.dies_after:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def result(problem, experiment, orientations):
    return reconstruct(problem, experiment.crystal, orientations, CONFIG, Serial())


def test_orientations_are_found_from_a_random_start(result, photons):
    error = (result.orientations.best_angle_deg - photons.table.omega_deg + 180) % 360 - 180
    assert np.mean(np.abs(error) <= result.orientations.step_deg) > 0.9


def test_volume_resembles_the_truth_at_lattice_points(result, experiment):
    truth = experiment.true_volume(result.volume.n, result.volume.voxels_per_cell)
    hkl = experiment.crystal.lattice_points(0.45)
    place = tuple(np.rint(result.volume.voxel_of(hkl)).astype(int).T)
    seen = result.volume.weight[place] > 0
    assert seen.sum() > 50
    assert np.corrcoef(result.volume.values[place][seen], truth.values[place][seen])[0, 1] > 0.85


def test_halves_add_up_to_the_whole(result):
    first, second = result.halves
    both = (first.weight > 0) & (second.weight > 0)
    assert np.corrcoef(first.values[both], second.values[both])[0, 1] > 0.5


def test_interrupted_run_resumes_to_the_same_bytes(problem, experiment, orientations, result):
    config = CONFIG.model_copy(update={"checkpoint_every": 5})
    store = MemoryStore(dies_after=2)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(problem, experiment.crystal, orientations, config, Serial(), store)
    assert len(store.state.records) == 10
    resumed = reconstruct(problem, experiment.crystal, orientations, config, Serial(), store)
    assert resumed.volume.values.tobytes() == result.volume.values.tobytes()
    assert resumed.orientations.best_orientation.tobytes() == result.orientations.best_orientation.tobytes()


def test_frames_without_photons_have_no_effect(experiment, photons, rows, orientations, result):
    dark = PhotonFrames.from_dense(np.zeros((7, photons.n_pixels), dtype=np.uint32), FrameTable.unknown(7))
    problem = Problem.build([photons, dark], rows, experiment.crystal, orientations, 128, Serial())
    with_dark = reconstruct(problem, experiment.crystal, orientations, CONFIG, Serial())
    # The offsets of the logarithms know the number of frames, so equality is to rounding.
    np.testing.assert_allclose(with_dark.volume.values, result.volume.values, atol=1e-4 * result.volume.values.max())
    assert np.isnan(with_dark.orientations.best_angle_deg[-7:]).all()
    assert (with_dark.orientations.best_orientation[-7:] == -1).all()


def test_stops_when_the_change_is_small(problem, experiment, orientations):
    config = CONFIG.model_copy(update={"tolerance": 0.5})
    found = reconstruct(problem, experiment.crystal, orientations, config, Serial())
    assert found.converged
    assert len(found.records) < CONFIG.max_iterations


def test_foreign_checkpoint_is_refused(problem, experiment, orientations):
    store = MemoryStore()
    reconstruct(problem, experiment.crystal, orientations, CONFIG, Serial(), store)
    store.state = type(store.state)(store.state.volume[1:, 1:, 1:], ())
    with pytest.raises(ConvergenceError, match="checkpoint"):
        reconstruct(problem, experiment.crystal, orientations, CONFIG, Serial(), store)


def test_annealing_schedule():
    config = ReconstructConfig(beta_start=0.1, beta_factor=2, beta_every=3)
    assert [beta_at(config, n) for n in (1, 3, 4, 7, 10, 13)] == [0.1, 0.1, 0.2, 0.4, 0.8, 1.0]
    assert beta_at(ReconstructConfig(), 1) == 1.0


def test_default_angles_are_those_of_the_paper():
    assert default_orientations(366) == 1150


def test_no_photons_and_wrong_detector_are_errors(experiment, rows, orientations):
    crystal = experiment.crystal
    dark = PhotonFrames.from_dense(np.zeros((3, len(rows.row_of_pixel)), dtype=np.uint32))
    with pytest.raises(ConvergenceError, match="none of the 3 frames"):
        Problem.build([dark], rows, crystal, orientations, 10, Serial())
    with pytest.raises(DataError, match="pixels"):
        Problem.build([PhotonFrames.from_dense(np.ones((1, 4), int))], rows, crystal, orientations, 10, Serial())
