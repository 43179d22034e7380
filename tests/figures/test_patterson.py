import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import patterson


def cube(n=53, seed=0):
    values = np.random.default_rng(seed).random((n, n, n))
    values[0, 0, 0] = 1e6
    return values


def centred(values):
    """The map with voxel [0, 0, 0] moved to n // 2 along each axis, as a fraction of that voxel."""
    half = values.shape[0] // 2
    return np.roll(values, (half, half, half), axis=(0, 1, 2)) / values[0, 0, 0]


def slices_of(figure):
    return [axes for axes in figure.axes if axes.images]


def test_every_fourth_slice_of_both_maps_with_its_number():
    ours, reference = cube(seed=1), cube(seed=2)
    figure = patterson.draw(ours, reference, 0.4, correlation=0.9876)
    shown = slices_of(figure)
    assert len(shown) == 26
    numbers = [int(axes.get_xlabel()) for axes in shown if axes.get_xlabel()]
    assert numbers == list(range(2, 53, 4))
    for above, below, number in zip(shown[0::2], shown[1::2], numbers, strict=True):
        np.testing.assert_array_equal(above.images[0].get_array(), centred(reference)[:, :, number].T)
        np.testing.assert_array_equal(below.images[0].get_array(), centred(ours)[:, :, number].T)
    assert shown[2 * numbers.index(26)].images[0].get_array()[26, 26] == 1
    assert "0.988" in figure.get_suptitle()


def test_origin_is_clipped_and_the_scale_is_shared():
    figure = patterson.draw(cube(seed=1), cube(seed=2), (0.4, 0.5, 0.6))
    norms = {(axes.images[0].norm.vmin, axes.images[0].norm.vmax) for axes in slices_of(figure)}
    ((low, high),) = norms
    assert 0 <= low < high <= 1e-6
    assert "0.4 × 0.5 × 0.6 Å" in figure.get_suptitle()


def test_maps_of_different_fluence_look_alike():
    ours = cube(12)
    shown = slices_of(patterson.draw(ours, 1000 * ours, 0.4))
    np.testing.assert_allclose(shown[0].images[0].get_array(), shown[1].images[0].get_array())


def test_map_alone_and_other_steps():
    figure = patterson.draw(cube(16), None, 0.5, every=8)
    assert [axes.get_xlabel() for axes in slices_of(figure)] == ["0", "8"]


@pytest.mark.parametrize("n", [8, 9, 20, 53])
def test_slice_of_the_origin_is_always_shown(n):
    numbers = [axes.get_xlabel() for axes in slices_of(patterson.draw(cube(n), None, 0.5)) if axes.get_xlabel()]
    assert str(n // 2) in numbers


def test_faults():
    with pytest.raises(DataError, match="equal cubes"):
        patterson.draw(cube(10), cube(12), 0.5)
    with pytest.raises(DataError, match="equal cubes"):
        patterson.draw(np.zeros((8, 8, 9)), None, 0.5)
    with pytest.raises(DataError, match="no finite value"):
        patterson.draw(np.where(np.arange(729).reshape(9, 9, 9) == 0, 1.0, np.nan), None, 0.5)
    with pytest.raises(DataError, match="positive peak"):
        patterson.draw(cube(9), np.zeros((9, 9, 9)), 0.5)
