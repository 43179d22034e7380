import numpy as np
import pytest
from matplotlib.patches import Circle

from fewphoton.data import Molecule
from fewphoton.errors import DataError
from fewphoton.figures import ball_drawing
from fewphoton.figures.ball_drawing import BallPanel
from tests.evaluate.molecules import random_molecule, whole

WATER = whole("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
FACE_ON = np.eye(3)


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr(ball_drawing, "_PIXELS_PER_MM", 2.5)


def image(axes):
    return np.asarray(axes.images[0].get_array())


def test_one_panel_a_molecule_at_one_scale():
    panels = [BallPanel("truth", WATER), BallPanel("ours", WATER, "ε = 0.01")]
    figure = ball_drawing.draw(panels)
    first, second = (axes for axes in figure.axes if axes.images)
    assert [axes.get_title() for axes in (first, second)] == ["truth", "ours"]
    assert first.images[0].get_extent() == second.images[0].get_extent()
    assert "ε = 0.01" in [text.get_text() for text in second.texts]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["oxygen", "hydrogen"]
    # Directions and the scale stand in the first panel only.
    assert {"z (beam)", "1 Å"} <= {text.get_text() for text in first.texts}
    assert "z (beam)" not in {text.get_text() for text in second.texts}


@pytest.mark.parametrize(("n_panels", "n_axes"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 6)])
def test_places_of_panels(n_panels, n_axes):
    figure = ball_drawing.draw([BallPanel("m", whole("C", [[0, 0, 0]]))] * n_panels)
    assert len(figure.axes) == n_axes
    assert sum(bool(axes.images) for axes in figure.axes) == n_panels


def rings(axes):
    return [patch for patch in axes.patches if isinstance(patch, Circle)]


def test_misplaced_atoms_are_ringed_with_a_line_to_their_place():
    wrong = np.array([False, True, False])
    places = np.full((3, 3), np.nan)
    places[1] = [0.96, 0.5, 0.7]
    figure = ball_drawing.draw([BallPanel("x", WATER, "", places, wrong)], view=FACE_ON)
    axes = figure.axes[0]
    (ring,) = rings(axes)
    middle = WATER.position_angstrom.mean(axis=0)
    np.testing.assert_allclose(ring.center, WATER.position_angstrom[1, :2] - middle[:2])
    line = axes.lines[0]
    np.testing.assert_allclose(line.get_xydata(), np.stack([ring.center, places[1, :2] - middle[:2]]))
    assert any("misplaced" in text.get_text() for text in figure.legends[0].get_texts())


def test_lines_are_left_out_where_most_atoms_are_wrong():
    panel = BallPanel("x", WATER, "", np.zeros((3, 3)), np.ones(3, bool))
    axes = ball_drawing.draw([panel]).axes[0]
    assert len(rings(axes)) == 3
    assert not [line for line in axes.lines if line.get_marker() == "x"]


def test_a_grid_full_of_wrong_atoms_is_not_marked():
    full = whole("C" * 64, 1.5 * np.argwhere(np.ones((4, 4, 4))))
    assert not rings(ball_drawing.draw([BallPanel("x", full, is_wrong=np.ones(64, bool))]).axes[0])


def test_bonds_join_near_atoms_but_no_two_hydrogens():
    joined = ball_drawing._bonds(WATER)
    assert joined.tolist() == [[0, 1], [0, 2]]
    far = whole("CC", [[0, 0, 0], [0, 0, 1.54]])
    assert ball_drawing._bonds(far).tolist() == [[0, 1]]
    assert len(ball_drawing._bonds(whole("CC", [[0, 0, 0], [0, 0, 2.5]]))) == 0


def test_weak_atoms_are_small():
    panels = [BallPanel("whole", whole("C", [[0, 0, 0]]))]
    weak = Molecule(("C",), np.zeros((1, 3)), np.array([0.125]), np.zeros(1))
    figure = ball_drawing.draw([*panels, BallPanel("weak", weak)])
    covered = [float(image(axes)[..., 3].sum()) for axes in figure.axes if axes.images]
    assert covered[1] == pytest.approx(covered[0] / 4, rel=0.05)


def test_the_widest_view_shows_the_long_axis_across_and_the_short_one_in_depth():
    rng = np.random.default_rng(0)
    places = rng.normal(size=(200, 3)) * [1.0, 6.0, 0.3]
    view = ball_drawing.widest_view(places)
    np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(view) == pytest.approx(1)
    spread = (places @ view.T).std(axis=0)
    assert spread[0] > 3 * spread[1]
    assert view[0, 1] > 0.8
    for few in (np.zeros((1, 3)), places[:2]):
        np.testing.assert_allclose(np.linalg.det(ball_drawing.widest_view(few)), 1)


def test_view_from_angles():
    """From azimuth -90 degrees and elevation 0 the eye is on -y: x to the right, the beam up."""
    np.testing.assert_allclose(ball_drawing.view_from_angles(-90, 0), [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    above = ball_drawing.view_from_angles(-90, 90)
    np.testing.assert_allclose(above, np.eye(3), atol=1e-12)
    along_x = ball_drawing.view_from_angles(0, 0)
    np.testing.assert_allclose(along_x[2], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(along_x[1], [0, 0, 1], atol=1e-12)


def test_faults():
    with pytest.raises(DataError, match="nothing to draw"):
        ball_drawing.draw([])
    with pytest.raises(DataError, match="nothing to draw"):
        ball_drawing.draw([BallPanel("none", Molecule(("C",), np.zeros((1, 3)), np.zeros(1), np.zeros(1)))])
    with pytest.raises(DataError, match="nothing to draw"):
        ball_drawing.draw([BallPanel("w", WATER)], ball_scale=0)
    with pytest.raises(DataError, match="'w': expected marks"):
        ball_drawing.draw([BallPanel("w", WATER, is_wrong=np.ones(2, bool))])
    with pytest.raises(DataError, match="'w': expected true positions"):
        ball_drawing.draw([BallPanel("w", random_molecule(4, 0), true_position_angstrom=np.ones((3, 3)))])
