"""What ranks hand to each other in an iteration: the account in docs/emc_scaling.md."""

import numpy as np
import pytest

from fewphoton.emc.communicator import Serial
from fewphoton.emc.iteration import iterate
from fewphoton.emc.problem import Problem


class Counting(Serial):
    """One of two ranks, as far as it can be told alone; counts the bytes that it hands in."""

    size = 2

    def __init__(self) -> None:
        self.n_bytes: list[int] = []

    def sum(self, values):
        self.n_bytes.append(values.nbytes)

    def maximum(self, values):
        self.n_bytes.append(values.nbytes)


@pytest.fixture(scope="module")
def mine(experiment, photons, rows, orientations) -> Problem:
    return Problem.build([photons], rows, experiment.crystal, orientations, 128, Serial())


def test_an_iteration_hands_in_what_the_model_says(mine):
    volume = 0.02 + 0.05 * np.random.default_rng(8).random((mine.rows.n_voxels,) * 3)
    voxels = 8 * mine.rows.n_voxels**3
    for weights, n_volumes in (("uniform", 2), ("uniform", 1), ("exposure", 2)):
        world = Counting()
        iterate(mine, volume, 1, 1.0, 1e-6, weights, world)
        assert sum(world.n_bytes) == 32 * mine.n_frames + n_volumes * voxels + (16 if weights == "uniform" else 8)
        n_small = 2 if weights == "uniform" else 1
        assert len(world.n_bytes) == n_small + 2 * len(mine.batches) + n_volumes


class Late(Serial):
    """Two ranks, of which the other works three times as long and so keeps this one waiting."""

    def gather(self, values):
        return [values, 3 * values]


def test_balance_is_the_slowest_over_the_mean(mine):
    volume = np.full((mine.rows.n_voxels,) * 3, 0.05)
    _, record = iterate(mine, volume, 1, 1.0, 1e-6, "uniform", Late())
    assert record.slowest_to_mean_rank == pytest.approx(1.5)
    assert record.seconds_exchange == 0.0
    assert 0 < record.seconds_update < record.seconds_expand_maximize < record.seconds_total
