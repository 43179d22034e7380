from dataclasses import replace

import numpy as np
import pytest

from fewphoton.data import AzimuthalBins
from fewphoton.errors import DataError

NAN = np.nan


def bins(**changes):
    """Two by three pixels in two rings of width 1, one pixel in none."""
    values = {
        "frame_shape": (2, 3),
        "unit": "r_m",
        "edges": np.array([1.0, 2.0, 3.0]),
        "radius": np.array([1.5, 2.5, NAN, 1.2, 2.0, 2.9], dtype=np.float32),
        "bin_of_pixel": np.array([0, 1, 2, 0, 1, 1], dtype=np.uint16),
        "normalization": None,
    }
    return AzimuthalBins(**values | changes)


def test_rings_worked_by_hand():
    found = bins()
    assert found.n_bins == 2
    np.testing.assert_array_equal(found.centres, [1.5, 2.5])
    assert found.step == 1.0
    np.testing.assert_array_equal(found.usable, [True, True, False, True, True, True])
    np.testing.assert_array_equal(found.ring_ptr, [0, 2, 5])
    np.testing.assert_array_equal(found.place, [0, 2, 5, 1, 3, 4])
    for name in ("edges", "radius", "bin_of_pixel"):
        assert not getattr(found, name).flags.writeable


def test_sorting_by_place_groups_the_rings():
    rng = np.random.default_rng(0)
    number = rng.integers(0, 41, 1000).astype(np.uint16)
    radius = np.where(number < 40, number + 0.5, NAN).astype(np.float32)
    found = AzimuthalBins((20, 50), "q_inv_angstrom", np.arange(41.0), radius, number)
    in_order = np.empty(found.ring_ptr[-1] + 1)
    in_order[found.place] = number
    for ring in range(40):
        part = in_order[found.ring_ptr[ring] : found.ring_ptr[ring + 1]]
        assert len(part) == (number == ring).sum()
        assert (part == ring).all()
    assert (found.place[number == 40] == found.ring_ptr[-1]).all()


def test_digest_tells_all_differences():
    weights = np.ones(6, dtype=np.float32)
    others = [
        bins(),
        bins(unit="q_inv_angstrom"),
        bins(edges=np.array([1.0, 2.0, 3.1])),
        bins(frame_shape=(3, 2)),
        bins(normalization=weights),
        bins(normalization=weights * 2),
        replace(bins(), radius=np.array([1.5, 2.5, NAN, 1.3, 2.0, 2.9])),
        replace(bins(), bin_of_pixel=np.array([0, 1, 2, 0, 0, 1])),
    ]
    assert len({found.digest() for found in others}) == len(others)
    assert bins().digest() == bins().digest()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"edges": np.array([1.0])}, "increasing edges"),
        ({"edges": np.array([1.0, 1.0, 2.0])}, "increasing edges"),
        ({"edges": np.array([3.0, 2.0, 1.0])}, "increasing edges"),
        ({"edges": np.array([1.0, NAN, 2.0])}, "increasing edges"),
        ({"edges": np.linspace(0, 1, 2**16)}, "increasing edges"),
        ({"frame_shape": (2, 2)}, "expected shape"),
        ({"radius": np.full(6, 1.5)}, "exactly the pixels with a radius"),
        ({"bin_of_pixel": np.array([0, 1, 2, 0, 1, 3])}, "exactly the pixels with a radius"),
        ({"bin_of_pixel": np.array([0, 1, 2, 0, 1, -1])}, "do not fit"),
        ({"bin_of_pixel": np.array([0, 1, 2.0, 0, 1, 1])}, "integers"),
        ({"normalization": np.zeros(6)}, "finite and positive"),
        ({"normalization": np.array([1, NAN, 1, 1, 1, 1])}, "finite and positive"),
        ({"normalization": np.ones(5)}, "expected shape"),
    ],
)
def test_wrong_rings_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        bins(**changes)


def test_masked_pixels_may_have_any_normalization():
    weights = np.array([1, 2, NAN, 1, 1, 1], dtype=np.float32)
    assert bins(normalization=weights).normalization is not None
