import numpy as np
import pytest

from fewphoton.photons.raw_sample import RawSample, native, valid_range


def test_spread_reaches_both_ends_without_repeats():
    sample = RawSample.spread(lambda index: index[:, None], 1000, 7, 3, None)
    assert sample.indices[0] == 0
    assert sample.indices[-1] == 999
    assert len(sample) == 7
    assert len(RawSample.spread(lambda index: index[:, None], 4, 7, 3, None)) == 4


def test_chunks_join_to_the_chosen_frames():
    frames = np.arange(60).reshape(10, 2, 3).astype(">u2")
    sample = RawSample.spread(lambda index: frames[index], 10, 5, 2, None)
    joined = np.concatenate(list(sample.chunks()))
    np.testing.assert_array_equal(joined, frames[sample.indices].reshape(5, 6))
    assert joined.dtype.isnative


@pytest.mark.parametrize("budget", [0, 10**6])
def test_held_frames_are_the_same_and_read_once(budget):
    read = []

    def reader(index):
        read.extend(index.tolist())
        return np.asarray(index)[:, None] * np.ones((1, 4))

    sample = RawSample.spread(reader, 100, 10, 4, None).held(budget)
    n_before = len(read)
    for _ in range(2):
        np.testing.assert_array_equal(np.concatenate(list(sample.chunks()))[:, 0], sample.indices)
    assert len(read) == (n_before if budget else n_before + 20)
    np.testing.assert_array_equal(np.concatenate(list(sample.thinned(3).chunks()))[:, 0], [0, 44, 99])


def test_correction_is_applied():
    sample = RawSample(lambda index: np.ones((len(index), 2)), np.arange(3), 2, 5.0).corrected(lambda f: f * 3)
    assert sample.minimum_valid is None
    assert np.concatenate(list(sample.chunks())).tolist() == [[3, 3]] * 3


@pytest.mark.parametrize(
    ("dtype", "minimum", "smallest", "largest"),
    [
        ("uint16", None, 0, 65535),
        ("uint16", -4.0, 0, 65535),
        ("int32", -1000.5, -1000, 2**31 - 1),
        ("float32", None, np.finfo("f4").min, np.finfo("f4").max),
        ("float64", 2.5, 2.5, np.finfo("f8").max),
    ],
)
def test_valid_range(dtype, minimum, smallest, largest):
    low, high = valid_range(np.dtype(dtype), minimum)
    assert (low, high) == (smallest, largest)
    assert low.dtype == high.dtype == np.dtype(dtype)


def test_native_flattens():
    assert native(np.zeros((2, 3, 4), dtype=">i4")).shape == (2, 12)
