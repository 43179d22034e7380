"""Fluence and background of frames over whole reconstructions."""

import numpy as np
import pytest

from fewphoton.config import ReconstructConfig
from fewphoton.emc.communicator import Serial
from fewphoton.emc.held_out import held_out_frames
from fewphoton.emc.minibatch import choose_frames
from fewphoton.emc.reconstruct import reconstruct
from tests.emc.conftest import CONFIG
from tests.emc.test_reconstruct import MemoryStore
from tests.emc.varied import varied_experiment, varied_photons, varied_problem

BOTH = {"fluence": "per_frame", "background": "per_frame"}


class History(MemoryStore):
    """Keeps every state that is saved."""

    def __init__(self):
        super().__init__()
        self.states = []

    def save(self, state):
        super().save(state)
        self.states.append(state)


def run(store=None, **options):
    base = CONFIG.model_dump(mode="json", exclude_defaults=True) | {"checkpoint_every": 1, "max_iterations": 6}
    config = ReconstructConfig.model_validate(base | options)
    problem, orientations = varied_problem()
    return reconstruct(problem, varied_experiment().crystal, orientations, config, Serial(), store)


def oriented(found):
    error = (found.orientations.best_angle_deg - varied_photons().table.omega_deg + 180) % 360 - 180
    return np.mean(np.abs(error) <= found.orientations.step_deg)


@pytest.fixture(scope="module")
def plain():
    return run(max_iterations=12)


@pytest.fixture(scope="module")
def both():
    return run(**BOTH, max_iterations=12)


def test_fluence_and_background_are_found_and_help(plain, both):
    table = varied_photons().table
    assert np.corrcoef(both.orientations.fluence, table.true_fluence)[0, 1] > 0.8
    assert np.corrcoef(both.orientations.background_photons, table.true_background)[0, 1] > 0.5
    assert both.orientations.fluence.mean() == pytest.approx(1.0)
    assert oriented(both) > oriented(plain)
    assert both.records[-1].log_likelihood_per_photon > plain.records[-1].log_likelihood_per_photon + 0.01
    assert both.records[-1].fluence_spread == pytest.approx(table.true_fluence.std(), rel=0.35)
    assert plain.orientations.fluence is None
    assert (plain.records[-1].fluence_spread, plain.records[-1].background_fraction) == (0.0, 0.0)


ALL = {
    **BOTH,
    "acceleration": "squarem",
    "minibatch": {"iterations": 1, "fraction": 0.5},
    "held_out": {"fraction": 0.1, "every": 2, "patience": 9},
    "march": ({"iterations": 2, "orientation_stride": 2, "q_fraction": 0.5},),
}


@pytest.mark.parametrize("options", [BOTH, ALL], ids=["plain", "all"])
def test_an_interrupted_run_resumes_to_the_same_bytes(options):
    whole = run(**options)
    store = MemoryStore(dies_after=5)
    with pytest.raises(KeyboardInterrupt):
        run(store, **options)
    resumed = run(store, **options)
    assert resumed.volume.values.tobytes() == whole.volume.values.tobytes()
    for column in ("fluence", "background_photons", "best_orientation"):
        assert getattr(resumed.orientations, column).tobytes() == getattr(whole.orientations, column).tobytes()


def test_frames_that_are_not_drawn_keep_their_parameters():
    history = History()
    run(history, **BOTH, minibatch={"iterations": 4, "fraction": 0.25}, max_iterations=4)
    first, second = (state.memory for state in history.states[1:3])
    drawn = choose_frames(400, 0.25, CONFIG.seed, 3)
    for name in ("fluence", "background_photons"):
        np.testing.assert_array_equal(second[name][~drawn], first[name][~drawn])
        assert (second[name][drawn] != first[name][drawn]).any()
    assert second["fluence"].mean() == pytest.approx(1.0)


def test_held_out_frames_are_estimated_from_themselves():
    history = History()
    found = run(history, **BOTH, held_out={"fraction": 0.25, "every": 4, "patience": 9}, max_iterations=8)
    marks = held_out_frames(400, 0.25, CONFIG.seed)
    before, after = history.states[2].memory["fluence"], history.states[3].memory["fluence"]
    np.testing.assert_array_equal(history.states[1].memory["fluence"][marks], before[marks])
    assert (before[marks] != after[marks]).any()
    truth = varied_photons().table.true_fluence
    assert np.corrcoef(found.orientations.fluence[marks], truth[marks])[0, 1] > 0.7
    looks = [record.held_out_log_likelihood_per_photon for record in found.records]
    assert np.isfinite(looks).tolist() == [False, False, False, True] * 2
    # With one fluence for all they fit worse.
    same = run(held_out={"fraction": 0.25, "every": 4, "patience": 9}, max_iterations=8)
    assert looks[-1] > same.records[-1].held_out_log_likelihood_per_photon


def test_parameters_of_an_iteration_that_is_taken_back_are_taken_back(monkeypatch):
    def flattened(first, second, third, scale, limit):
        return np.full_like(third, third.mean()), 2.0

    plain, guarded = History(), History()
    run(plain, **BOTH, max_iterations=4)
    monkeypatch.setattr("fewphoton.emc.reconstruct.extrapolate", flattened)
    found = run(guarded, **BOTH, max_iterations=6, acceleration="squarem")
    assert [record.rejected for record in found.records] == [0, 0, 1, 0, 0, 1]
    for name in ("fluence", "background_photons"):
        assert guarded.states[-1].memory[name].tobytes() == plain.states[-1].memory[name].tobytes()


def test_nothing_is_remembered_where_frames_are_alike():
    store = MemoryStore()
    run(store, max_iterations=2)
    assert store.state.memory == {}
