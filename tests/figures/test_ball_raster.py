import numpy as np
import pytest

from fewphoton.figures import ball_raster
from fewphoton.figures.ball_raster import Window

RED, BLUE = np.array([0.8, 0.1, 0.1]), np.array([0.1, 0.1, 0.8])
SQUARE = Window((-2.0, 2.0), (-2.0, 2.0), 20.0)


def image(centres, radii, colours, **more):
    return ball_raster.render(np.array(centres, float), np.array(radii, float), np.array(colours), SQUARE, **more)


def at(picture, x, y):
    return picture[int((2 - y) * 20), int((x + 2) * 20)]


def is_red(pixel):
    return pixel[3] == 1 and pixel[0] > pixel[2]


def test_a_ball_covers_its_disc():
    picture = image([[0, 0, 0]], [1.5], [RED])
    assert picture.shape == (80, 80, 4)
    assert picture[..., 3].sum() / 20**2 == pytest.approx(np.pi * 1.5**2, rel=0.01)
    assert at(picture, 1.9, 1.9)[3] == 0


def test_the_nearer_ball_hides_the_farther_whatever_the_order():
    for order in ([0, 1], [1, 0]):
        centres, colours = np.array([[0, 0, 1.0], [0, 0, -1.0]])[order], np.array([RED, BLUE])[order]
        assert is_red(at(image(centres, [0.8, 0.8], colours), 0, 0))


def test_balls_that_intersect_meet_in_the_plane_between_them():
    picture = image([[-0.5, 0, 0], [0.5, 0, 0]], [0.9, 0.9], [RED, BLUE])
    assert is_red(at(picture, -0.15, 0))
    assert not is_red(at(picture, 0.15, 0))


def test_x_goes_right_and_y_up():
    picture = image([[1.2, 0, 0], [0, 1.2, 0]], [0.5, 0.5], [RED, BLUE])
    assert is_red(at(picture, 1.2, 0))
    assert at(picture, 0, 1.2)[2] > 0.5
    assert at(picture, 0, -1.2)[3] == 0


def test_light_comes_from_the_upper_left():
    picture = image([[0, 0, 0]], [1.5], [RED])
    assert at(picture, -0.6, 0.6)[:3].sum() > at(picture, 0.6, -0.6)[:3].sum()


def test_distance_pales():
    picture = image([[-1, 0, 0], [1, 0, -6]], [0.6, 0.6], [RED, RED])
    assert at(picture, 1, 0)[1] > at(picture, -1, 0)[1] + 0.1


def test_sticks_join_balls_half_and_half():
    ends = [[-1.5, 0, 0.3], [1.5, 0, -0.3]]
    picture = image(ends, [0.3, 0.3], [RED, BLUE], sticks=np.array([[0, 1]]), stick_radius=0.2)
    assert is_red(at(picture, -0.5, 0))
    assert at(picture, 0.5, 0)[2] > 0.3
    assert at(picture, 0.5, 0.35)[3] == 0
    column = picture[:, int((0.5 + 2) * 20), 3]
    assert column.sum() / 20 == pytest.approx(0.4, abs=0.04)


def test_nothing_is_drawn_for_no_ball_and_for_a_stick_towards_the_eye():
    assert ball_raster.render(np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3)), SQUARE)[..., 3].max() == 0
    along = image([[0, 0, 1], [0, 0, -1]], [0, 0], [RED, BLUE], sticks=np.array([[0, 1]]))
    assert along[..., 3].max() == 0
