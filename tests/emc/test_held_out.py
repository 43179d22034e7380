import numpy as np
import pytest

from fewphoton.config.reconstruct import HeldOutConfig
from fewphoton.emc.communicator import Serial
from fewphoton.emc.held_out import held_out_frames, log_likelihood_per_photon, without_gain
from fewphoton.emc.iteration import iterate
from fewphoton.errors import ConvergenceError


def test_the_same_frames_stay_out_and_never_all_or_none():
    marks = held_out_frames(200, 0.1, 7)
    assert marks.sum() == 20
    np.testing.assert_array_equal(held_out_frames(200, 0.1, 7), marks)
    assert not np.array_equal(held_out_frames(200, 0.1, 8), marks)
    for fraction in (0.001, 1.0):
        with pytest.raises(ConvergenceError, match=r"held_out\.fraction"):
            held_out_frames(10, fraction, 0)


def test_it_is_the_likelihood_that_an_iteration_reports(problem):
    volume = 0.02 + 0.05 * np.random.default_rng(8).random((problem.rows.n_voxels,) * 3)
    _, record = iterate(problem, volume, 1, 1.0, 1e-6, "uniform", Serial())
    assert log_likelihood_per_photon(problem, volume, 1e-6, Serial()) == pytest.approx(record.log_likelihood_per_photon)


def test_parts_add_up_to_the_likelihood_of_all_frames(problem):
    volume = 0.02 + 0.05 * np.random.default_rng(8).random((problem.rows.n_voxels,) * 3)
    marks = held_out_frames(problem.n_frames, 0.25, 1)
    total = 0.0
    for part in (problem.with_frames(marks), problem.with_frames(~marks)):
        total += log_likelihood_per_photon(part, volume, 1e-6, Serial()) * part.likelihood_photons
    whole = log_likelihood_per_photon(problem, volume, 1e-6, Serial()) * problem.likelihood_photons
    assert total == pytest.approx(whole, rel=1e-6)


def test_patience_counts_looks_without_a_new_best():
    config = HeldOutConfig(patience=2, minimum_gain=0.01)
    assert not without_gain([], config)
    assert not without_gain([-3.0, -2.0, -2.1], config)
    assert without_gain([-3.0, -2.0, -2.1, -1.995], config)
    assert not without_gain([-3.0, -2.0, -2.1, -1.9], config)
