import numpy as np
import pytest

from fewphoton.data import IntensityVolume
from fewphoton.emc.minibatch import averaged, choose_frames


def test_draws_have_the_wanted_size_repeat_by_seed_and_differ_by_iteration():
    first = choose_frames(100, 0.2, 3, 1)
    assert first.sum() == 20
    np.testing.assert_array_equal(choose_frames(100, 0.2, 3, 1), first)
    assert not np.array_equal(choose_frames(100, 0.2, 3, 2), first)
    assert not np.array_equal(choose_frames(100, 0.2, 4, 1), first)
    assert choose_frames(3, 0.01, 0, 1).sum() == 1


def test_the_running_average_weighs_by_exposure():
    def volume(value, weight):
        return IntensityVolume(np.full((2, 2, 2), value), np.full((2, 2, 2), weight), 2)

    first, sums = averaged(None, volume(4.0, 1.0), 1, 0.6)
    assert first.values[0, 0, 0] == 4.0
    second, sums = averaged(sums, volume(1.0, 3.0), 4, 0.5)
    # Weight of the new one: 4^-0.5 = 1/2; (0.5 * 4 * 1 + 0.5 * 1 * 3) / (0.5 * 1 + 0.5 * 3)
    assert second.values[0, 0, 0] == pytest.approx(3.5 / 2)
    assert second.weight[0, 0, 0] == pytest.approx(2.0)
    assert sums[0][0, 0, 0] == pytest.approx(3.5)


def test_unmeasured_voxels_keep_what_earlier_frames_said():
    seen = IntensityVolume(np.full((2, 2, 2), 4.0), np.ones((2, 2, 2)), 2)
    unseen = IntensityVolume(np.zeros((2, 2, 2)), np.zeros((2, 2, 2)), 2)
    _, sums = averaged(None, seen, 1, 0.6)
    np.testing.assert_allclose(averaged(sums, unseen, 2, 0.6)[0].values, 4.0)
    np.testing.assert_array_equal(averaged(None, unseen, 1, 0.6)[0].values, 0.0)
