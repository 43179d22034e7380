import numpy as np
import pytest
from pydantic import ValidationError

from fewphoton.config import ReconstructConfig
from fewphoton.config.reconstruct import PRESETS
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.emc.communicator import Serial
from fewphoton.emc.held_out import held_out_frames
from fewphoton.emc.orientation_sample import default_orientations
from fewphoton.emc.problem import Problem
from fewphoton.emc.reconstruct import reconstruct
from fewphoton.errors import ConvergenceError, DataError
from fewphoton.photons.thin import thin
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


OPTIONS = {
    "annealed": {"beta_start": "automatic", "beta_factor": 2.0, "beta_every": 1},
    "march": {"march": ({"iterations": 4, "orientation_stride": 2, "q_fraction": 0.5},)},
    "squarem": {"acceleration": "squarem"},
    "squarem on logarithms": {"acceleration": "squarem", "acceleration_scale": "log"},
    "minibatch": {"minibatch": {"iterations": 5, "fraction": 0.5}},
    "laue": {"symmetry": "laue"},
    "held out": {"held_out": {"fraction": 0.1, "every": 3, "patience": 9}},
    "recommended": {"preset": "recommended"},
    "windows": {"windows": {"full_sweep_every": 4}},
    "windows and fluence": {"windows": {"full_sweep_every": 4}, "fluence": "per_frame"},
    "all": {
        "march": (
            {"iterations": 3, "orientation_stride": 4, "q_fraction": 0.4},
            {"iterations": 2, "orientation_stride": 2, "q_fraction": 0.7},
        ),
        "minibatch": {"iterations": 4, "fraction": 0.5},
        "acceleration": "squarem",
        "symmetry": "laue",
        "held_out": {"fraction": 0.1, "every": 2, "patience": 9},
        "windows": {"missed_mass": 0.9},
    },
}


def with_options(**options):
    return ReconstructConfig.model_validate({**CONFIG.model_dump(mode="json", exclude_defaults=True), **options})


@pytest.mark.parametrize("name", OPTIONS)
def test_options_find_the_orientations_and_resume_anywhere(problem, experiment, orientations, photons, name):
    config = with_options(**OPTIONS[name], checkpoint_every=1)
    whole = reconstruct(problem, experiment.crystal, orientations, config, Serial())
    error = (whole.orientations.best_angle_deg - photons.table.omega_deg + 180) % 360 - 180
    assert np.mean(np.abs(error) <= whole.orientations.step_deg) > 0.9
    for dies_after in (2, 4, 8, 10) if name == "all" else (5,):
        if dies_after >= len(whole.records):
            continue
        store = MemoryStore(dies_after)
        with pytest.raises(KeyboardInterrupt):
            reconstruct(problem, experiment.crystal, orientations, config, Serial(), store)
        assert len(store.state.records) == dies_after
        resumed = reconstruct(problem, experiment.crystal, orientations, config, Serial(), store)
        assert resumed.volume.values.tobytes() == whole.volume.values.tobytes()
        assert [record.change for record in resumed.records] == [record.change for record in whole.records]


def test_windows_change_the_course_and_not_the_result(problem, experiment, orientations):
    options = {"tolerance": 2e-3, "max_iterations": 60}
    dense, windowed = (
        reconstruct(problem, experiment.crystal, orientations, with_options(**options, windows=plan), Serial())
        for plan in (None, {"full_sweep_every": 5, "margin_blocks": 0})
    )
    assert dense.converged
    assert windowed.converged
    size = np.sqrt((dense.volume.values**2).mean())
    assert np.sqrt(((windowed.volume.values - dense.volume.values) ** 2).mean()) < 5e-3 * size
    assert np.mean(dense.orientations.best_orientation == windowed.orientations.best_orientation) > 0.99
    marks = [record.windowed for record in windowed.records]
    assert marks[:2] == [0, 0]
    assert sum(marks) > len(marks) / 2
    # A run never ends on windows, and no more than four iterations in a row use them.
    assert marks[-1] == 0
    assert "11111" not in "".join(map(str, marks))
    assert all(
        record.window_fraction < 0.5 and record.kept_fraction < 0.5 for record in windowed.records if record.windowed
    )
    assert all(record.dropped_mass <= 1e-6 for record in windowed.records)
    assert all(np.isfinite(record.missed_mass) == (not record.windowed) for record in windowed.records[1:])


def test_windows_do_not_change_the_fluences(problem, experiment, orientations):
    fluence = []
    for plan in (None, {"margin_blocks": 0}):
        store = MemoryStore()
        config = with_options(fluence="per_frame", windows=plan, max_iterations=6)
        reconstruct(problem, experiment.crystal, orientations, config, Serial(), store)
        assert (store.state.records[-1].windowed == 1) == (plan is not None)
        fluence.append(store.state.memory["fluence"])
    np.testing.assert_allclose(fluence[1], fluence[0], atol=1e-4)


def test_windows_and_background_are_refused():
    with pytest.raises(ValidationError, match="windows cannot be used with background"):
        ReconstructConfig(windows={}, background="per_frame")


def test_windows_stay_with_frames_and_orientations_of_a_stage(problem, experiment, orientations):
    config = with_options(
        march=({"iterations": 4, "orientation_stride": 2, "q_fraction": 0.5},),
        minibatch={"iterations": 1, "fraction": 0.5},
        windows={"missed_mass": 0.99, "margin_blocks": 0},
        max_iterations=9,
    )
    found = reconstruct(problem, experiment.crystal, orientations, config, Serial())
    # Minibatch, two full sweeps, windows; then the same in the next stage, which has no minibatch.
    assert [record.windowed for record in found.records] == [0, 0, 0, 1, 0, 0, 1, 1, 1]
    assert np.isnan([record.missed_mass for record in found.records]).tolist() == (
        [True, True, False, True, True, False, True, True, True]
    )


def test_options_are_off_by_default(result):
    plain = ReconstructConfig()
    assert plain.windows is None
    assert (plain.march, plain.minibatch, plain.acceleration, plain.symmetry, plain.held_out, plain.preset) == (
        (),
        None,
        "none",
        "none",
        None,
        "none",
    )
    assert {(record.stage, record.orientations, record.frames, record.beta) for record in result.records} == {
        (0, 160, 400, 1.0)
    }
    assert not any(record.extrapolation or record.rejected for record in result.records)


def test_explicit_keys_win_over_the_preset():
    filled = ReconstructConfig(preset="recommended")
    assert all(
        getattr(filled, key) == getattr(ReconstructConfig(**{key: value}), key)
        for key, value in PRESETS["recommended"].items()
    )
    assert filled != ReconstructConfig()
    assert ReconstructConfig(preset="recommended", acceleration="none", symmetry="none").symmetry == "none"
    # A dumped configuration is complete, and reading it back must not fill anything.
    kept = ReconstructConfig(preset="recommended", acceleration="none")
    assert ReconstructConfig.model_validate(kept.model_dump(mode="json")) == kept


def test_the_march_uses_what_it_says(problem, experiment, orientations):
    config = with_options(march=({"iterations": 3, "orientation_stride": 2, "q_fraction": 0.5},), max_iterations=5)
    found = reconstruct(problem, experiment.crystal, orientations, config, Serial())
    assert [(record.stage, record.orientations) for record in found.records] == [(0, 80)] * 3 + [(1, 160)] * 2
    assert found.volume.values.shape == (problem.rows.n_voxels,) * 3


def test_a_march_that_leaves_nothing_is_refused():
    with pytest.raises(ValidationError, match="leave none of max_iterations"):
        ReconstructConfig(march=[{"iterations": 200}], max_iterations=200)


def test_squarem_needs_fewer_iterations_to_the_same_likelihood(experiment, photons, rows, orientations):
    few = PhotonFrames.concatenate(list(thin([photons], 0.5, 3)))
    problem = Problem.build([few], rows, experiment.crystal, orientations, 400, Serial())

    def run(**options):
        config = with_options(max_iterations=120, tolerance=1e-3, **options)
        return reconstruct(problem, experiment.crystal, orientations, config, Serial())

    plain, fast = run(), run(acceleration="squarem")
    assert plain.converged
    assert fast.converged
    assert len(fast.records) < 0.8 * len(plain.records)
    assert fast.records[-1].log_likelihood_per_photon > plain.records[-1].log_likelihood_per_photon - 1e-3
    assert any(record.extrapolation > 1 and not record.rejected for record in fast.records)


def test_bad_extrapolations_are_taken_back(problem, experiment, orientations, monkeypatch):
    def flattened(first, second, third, scale, limit):
        return np.full_like(third, third.mean()), 2.0

    plain = reconstruct(problem, experiment.crystal, orientations, with_options(max_iterations=4), Serial())
    monkeypatch.setattr("fewphoton.emc.reconstruct.extrapolate", flattened)
    config = with_options(max_iterations=6, acceleration="squarem")
    guarded = reconstruct(problem, experiment.crystal, orientations, config, Serial())
    assert [record.rejected for record in guarded.records] == [0, 0, 1, 0, 0, 1]
    assert guarded.volume.values.tobytes() == plain.volume.values.tobytes()


@pytest.mark.parametrize("iterations", [1, 2])
def test_no_run_ends_on_an_unproven_extrapolation(problem, experiment, orientations, iterations):
    found = [
        reconstruct(
            problem,
            experiment.crystal,
            orientations,
            with_options(max_iterations=iterations, acceleration=acceleration),
            Serial(),
        ).volume.values.tobytes()
        for acceleration in ("none", "squarem")
    ]
    assert found[0] == found[1]


def test_minibatches_differ_and_end(problem, experiment, orientations):
    store = MemoryStore()
    config = with_options(minibatch={"iterations": 3, "fraction": 0.25}, max_iterations=5)
    found = reconstruct(problem, experiment.crystal, orientations, config, Serial(), store)
    assert [record.frames for record in found.records] == [100] * 3 + [400] * 2
    assert store.state.memory == {}


def test_held_out_frames_have_no_part_in_the_volume(experiment, photons, rows, orientations):
    config = with_options(held_out={"fraction": 0.25, "every": 4, "patience": 9}, max_iterations=8)
    marks = held_out_frames(photons.n_frames, 0.25, config.seed)
    # The kept-out frames become copies of one frame; only their own likelihood may notice.
    order = np.where(marks, np.flatnonzero(marks)[0], np.arange(photons.n_frames))
    volumes, looks = [], []
    for frames in (photons, photons.take(order)):
        problem = Problem.build([frames], rows, experiment.crystal, orientations, 128, Serial())
        found = reconstruct(problem, experiment.crystal, orientations, config, Serial())
        volumes.append(found.volume.values)
        looks.append([record.held_out_log_likelihood_per_photon for record in found.records])
        assert [record.frames for record in found.records] == [300] * 8
    np.testing.assert_allclose(volumes[1], volumes[0], atol=1e-3 * volumes[0].max())
    assert np.isfinite(looks[0]).tolist() == [False, False, False, True] * 2
    assert abs(looks[0][-1] - looks[1][-1]) > 1e-3


def test_held_out_likelihood_stops_the_run(problem, experiment, orientations):
    config = with_options(held_out={"fraction": 0.1, "every": 1, "patience": 2, "minimum_gain": 0.5}, max_iterations=30)
    found = reconstruct(problem, experiment.crystal, orientations, config, Serial())
    assert found.stopped_by == "held_out"
    assert not found.converged
    assert len(found.records) < 30


def test_symmetry_helps_where_photons_are_few(experiment, photons, rows, orientations):
    few = photons.take(slice(0, 400, 4))
    problem = Problem.build([few], rows, experiment.crystal, orientations, 128, Serial())
    truth = experiment.true_volume(rows.n_voxels, rows.voxels_per_cell)
    correlation = {}
    for symmetry in ("none", "laue"):
        store = MemoryStore()
        config = with_options(symmetry=symmetry)
        found = reconstruct(problem, experiment.crystal, orientations, config, Serial(), store)
        hkl = experiment.crystal.lattice_points(0.45)
        place = tuple(np.rint(found.volume.voxel_of(hkl)).astype(int).T)
        seen = found.volume.weight[place] > 0
        correlation[symmetry] = np.corrcoef(store.state.volume[place][seen], truth.values[place][seen])[0, 1]
    assert correlation["laue"] > correlation["none"] + 0.05
    mirrored = store.state.volume[::-1, ::-1, ::-1]
    np.testing.assert_allclose(store.state.volume, mirrored, atol=1e-12)
    assert not np.allclose(found.volume.values, found.volume.values[::-1, ::-1, ::-1], atol=1e-6)


def test_default_angles_are_those_of_the_paper():
    assert default_orientations(366) == 1150


def test_no_photons_and_wrong_detector_are_errors(experiment, rows, orientations):
    crystal = experiment.crystal
    dark = PhotonFrames.from_dense(np.zeros((3, len(rows.row_of_pixel)), dtype=np.uint32))
    with pytest.raises(ConvergenceError, match="none of the 3 frames"):
        Problem.build([dark], rows, crystal, orientations, 10, Serial())
    with pytest.raises(DataError, match="pixels"):
        Problem.build([PhotonFrames.from_dense(np.ones((1, 4), int))], rows, crystal, orientations, 10, Serial())
