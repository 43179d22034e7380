import numpy as np
import pytest

from fewphoton.config.train_xrai import ScheduleConfig
from fewphoton.errors import DataError
from fewphoton.xrai.batches import BatchOrder, chosen_pixels, held_out_split


def test_held_out_frames_are_a_tenth_at_the_most():
    train, held = held_out_split(95, 500, 3)
    assert len(held) == 9
    assert sorted([*train, *held]) == list(range(95))
    assert len(held_out_split(10_000, 500, 3)[1]) == 500
    assert not np.array_equal(held, held_out_split(95, 500, 4)[1])
    assert [len(part) for part in held_out_split(2, 500, 0)] == [1, 1]


@pytest.mark.parametrize("n", [0, 1])
def test_one_frame_is_too_few(n):
    with pytest.raises(DataError, match="at least two"):
        held_out_split(n, 500, 0)


@pytest.mark.parametrize("order", ["shuffled", "stream"])
def test_every_pass_sees_every_frame_once_and_any_step_can_be_asked_for(order):
    frames = np.arange(100, 121)
    made = BatchOrder(frames, ScheduleConfig(batch_frames=8, order=order), 5, 0)
    seen = np.concatenate([made.frames(step) for step in range(21)]).reshape(8, 21)
    for one in seen:
        np.testing.assert_array_equal(np.sort(one), frames)
    assert (order == "stream") == np.array_equal(seen[0], frames)
    again = BatchOrder(frames, ScheduleConfig(batch_frames=8, order=order), 5, 0)
    np.testing.assert_array_equal(again.frames(17), seen.reshape(-1, 8)[17])
    if order == "shuffled":
        assert not np.array_equal(seen[0], seen[1])
        assert not np.array_equal(BatchOrder(frames, ScheduleConfig(batch_frames=8), 5, 1).frames(0), made.frames(0))


def test_a_batch_larger_than_the_set_goes_round():
    made = BatchOrder(np.arange(3), ScheduleConfig(batch_frames=7), 0, 0)
    np.testing.assert_array_equal(np.bincount(made.frames(0), minlength=3) // 2, [1, 1, 1])


def test_pixels_are_drawn_once_each_from_the_inner_ones():
    chosen = chosen_pixels(50, 20, 1, 0, 7)
    assert len(np.unique(chosen)) == 20
    assert chosen.max() < 50
    np.testing.assert_array_equal(chosen, chosen_pixels(50, 20, 1, 0, 7))
    assert not np.array_equal(chosen, chosen_pixels(50, 20, 1, 0, 8))
    for wanted in (50, 60):
        np.testing.assert_array_equal(chosen_pixels(50, wanted, 1, 0, 7), np.arange(50))
