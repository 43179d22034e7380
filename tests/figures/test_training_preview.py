import numpy as np
import pytest

from fewphoton.data import IntensityVolume
from fewphoton.errors import DataError
from fewphoton.figures import training_preview

BEAM = np.array([0.0, 0.0, 1.0])
COURSE = [(0, 10, -2.0), (1, 10, -1.5), (1, 20, -1.0)]


@pytest.fixture
def volume():
    values = np.random.default_rng(0).random((11, 11, 11)) + 0.5
    weight = np.ones_like(values)
    weight[5, 5, 5] = 0
    return IntensityVolume(values, weight, 1)


def test_slices_pass_through_the_origin_and_leave_out_what_was_not_measured(volume):
    quaternion = np.array([[1.0, 0, 0, 0]])
    figure = training_preview.draw(volume, quaternion, np.array([0]), BEAM, COURSE)
    for axes, axis in zip(figure.axes[:3], (2, 1, 0), strict=True):
        shown = axes.images[0].get_array()
        assert np.ma.getmaskarray(shown)[5, 5]
        assert shown[2, 3] == volume.values.take(5, axis)[3, 2]


def test_points_are_the_beam_as_the_particle_sees_it(volume):
    # Turned by 90 degrees about x, actively: the particle's y axis comes to lie along the beam.
    half = np.sqrt(0.5)
    quaternion = np.array([[half, half, 0, 0], [1.0, 0, 0, 0], [np.nan] * 4])
    figure = training_preview.draw(volume, quaternion, np.array([2, 0, -1]), BEAM, COURSE)
    scatter = next(axes for axes in figure.axes if "longitude" in axes.get_xlabel())
    first, second = scatter.lines
    np.testing.assert_allclose([first.get_ydata()[0]], [1.0], atol=1e-12)
    np.testing.assert_allclose([second.get_xdata()[0], second.get_ydata()[0]], [90.0, 0.0], atol=1e-6)


def test_a_curve_a_start(volume):
    figure = training_preview.draw(volume, np.zeros((0, 4)), np.zeros(0, int), BEAM, COURSE)
    course = next(axes for axes in figure.axes if axes.get_xlabel() == "steps")
    assert [line.get_xdata().tolist() for line in course.lines] == [[10], [10, 20]]
    assert [line.get_ydata().tolist() for line in course.lines] == [[-2.0], [-1.5, -1.0]]


def test_a_volume_without_intensity_is_refused():
    dark = IntensityVolume(np.zeros((5, 5, 5)), np.ones((5, 5, 5)), 1)
    with pytest.raises(DataError, match="no measured voxel"):
        training_preview.draw(dark, np.zeros((0, 4)), np.zeros(0, int), BEAM, COURSE)
