import numpy as np
import pytest

from fewphoton.data import IntensityVolume
from fewphoton.errors import DataError
from fewphoton.figures import volume_slices


@pytest.fixture
def volume():
    values = np.random.default_rng(0).random((21, 21, 21)) + 0.5
    weight = np.ones_like(values)
    weight[0] = 0
    return IntensityVolume(values, weight, 5)


def planes(figure):
    return [axes for axes in figure.axes if axes.get_xlabel() in "hkl" and axes.images]


def test_planes_pass_through_the_origin(volume):
    figure = volume_slices.draw(volume)
    hk0, h0l, kl0 = (axes.images[0].get_array() for axes in planes(figure))
    np.testing.assert_array_equal(hk0.data[:, 1:], volume.values[1:, :, 10].T)
    np.testing.assert_array_equal(h0l.data[:, 1:], volume.values[1:, 10, :].T)
    np.testing.assert_array_equal(kl0.data, volume.values[10].T)
    assert [axes.get_title() for axes in planes(figure)] == ["hk0", "h0l", "0kl"]


def test_unmeasured_voxels_are_blank(volume):
    hk0, _, kl0 = (np.ma.getmaskarray(axes.images[0].get_array()) for axes in planes(volume_slices.draw(volume)))
    assert hk0[:, 0].all()
    assert not hk0[:, 1:].any()
    assert not kl0.any()


@pytest.mark.parametrize("n", [20, 21])
def test_lattice_points_fall_on_integer_ticks(n):
    values = np.full((n, n, n), 1e-3)
    shown = IntensityVolume(values, np.ones_like(values), 5)
    image = planes(volume_slices.draw(shown))[0].images[0]
    left, right, _, _ = image.get_extent()
    centre = lambda voxel: left + (voxel + 0.5) * (right - left) / n  # noqa: E731
    assert centre(n // 2) == pytest.approx(0)
    assert centre(n // 2 + 5) == pytest.approx(1)


def test_reference_has_its_own_row_above(volume):
    reference = IntensityVolume(volume.values * 100, volume.weight, 5)
    shown = planes(volume_slices.draw(volume, reference))
    assert len(shown) == 6
    assert shown[0].images[0].norm.vmax == pytest.approx(100 * shown[3].images[0].norm.vmax)


def test_zero_and_negative_intensity_are_drawn_at_the_foot_of_the_scale(volume):
    values = volume.values.copy()
    values[10, 10, :] = 0
    values[:, 10, 10] = -1
    image = planes(volume_slices.draw(IntensityVolume(values, volume.weight, 5)))[2].images[0]
    assert image.get_array().min() > 0


def test_empty_volume_is_refused(volume):
    with pytest.raises(DataError, match="reconstruction holds no positive"):
        volume_slices.draw(IntensityVolume(volume.values * 0, volume.weight, 5))
    with pytest.raises(DataError, match="reference holds no positive"):
        volume_slices.draw(volume, IntensityVolume(volume.values, volume.weight * 0, 5))
