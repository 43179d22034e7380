import numpy as np
import pytest

from fewphoton.data import SparseFrames
from fewphoton.errors import DataError


def frames(**changes):
    values = {
        "indptr": np.array([0, 2, 2, 3]),
        "pixel": np.array([1, 5, 0]),
        "intensity": np.array([7, 9, 11], dtype=np.uint16),
        "background_mean": np.ones((3, 4)),
        "background_std": np.zeros((3, 4)),
    }
    return SparseFrames(**values | changes)


def test_three_frames_one_of_them_empty():
    found = frames()
    assert found.n_frames == 3
    assert found.pixel.dtype == np.uint32
    assert found.intensity.dtype == np.uint16
    assert found.background_mean.dtype == found.background_std.dtype == np.float32
    assert not found.pixel.flags.writeable


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "i8", "f4", "f8"])
def test_intensities_keep_the_type_of_the_frames(dtype):
    assert frames(intensity=np.array([7, 9, 11], dtype=dtype)).intensity.dtype == dtype


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"indptr": np.array([0, 2, 1, 3])}, "must rise"),
        ({"indptr": np.array([1, 2, 2, 3])}, "must rise"),
        ({"indptr": np.array([0, 2, 2, 4])}, "must rise"),
        ({"indptr": np.zeros(0, dtype=np.int64)}, "expected shape"),
        ({"indptr": np.array([0.0, 2, 2, 3])}, "integers"),
        ({"pixel": np.array([1, 5, -1])}, "do not fit"),
        ({"pixel": np.array([1, 5, 2**32])}, "do not fit"),
        ({"intensity": np.array([7, 9])}, "expected shape"),
        ({"intensity": np.array(["a", "b", "c"])}, "real numbers"),
        ({"background_mean": np.ones((2, 4))}, "expected shape"),
        ({"background_std": np.ones((3, 5))}, "expected shape"),
    ],
)
def test_wrong_frames_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        frames(**changes)
