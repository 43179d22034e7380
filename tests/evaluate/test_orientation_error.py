import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data import Crystal
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.evaluate.orientation_error import angle_errors_deg, equivalent_angles_deg, score_orientations

CUBIC = ((10.0,) * 3 + (90.0,) * 3, "I -4 3 d")
HEXAGONAL = ((9.0, 9.0, 12.0, 90.0, 90.0, 120.0), "P 61 2 2")


@pytest.mark.parametrize(
    ("crystal", "axis", "angles"),
    [
        (CUBIC, (0, 0, 1), [0, 90, 180, 270]),
        (CUBIC, (1, 1, 1), [0, 120, 240]),
        (CUBIC, (-1, 0, 1), [0, 180]),
        (CUBIC, (0.1, 0.2, 1), [0]),
        (HEXAGONAL, (0, 0, 2), [0, 60, 120, 180, 240, 300]),
        (HEXAGONAL, (1, 0, 0), [0, 180]),
        (((7.0, 8.0, 9.0, 80.0, 95.0, 100.0), "P -1"), (0, 0, 1), [0]),
    ],
)
@pytest.mark.parametrize("turn_deg", [0.0, 37.0])
def test_equivalents_of_known_axes(crystal, axis, angles, turn_deg):
    """The same whatever the orientation, when the axis turns with the crystal."""
    u_matrix = rotation_about_axis((0.3, -0.5, 0.8), turn_deg)
    found = equivalent_angles_deg(Crystal(*crystal, u_matrix), u_matrix @ np.array(axis, dtype=float))
    np.testing.assert_array_equal(found, angles)


@pytest.mark.parametrize("angle", [60, 180])
def test_equivalents_turn_lattice_points_onto_equivalents(angle):
    """Turning by an equivalent angle puts a point of the same Laue class at the same place in the laboratory."""
    crystal = Crystal(*HEXAGONAL, rotation_about_axis((1, 2, 3), 50.0))
    axis = crystal.u_matrix @ np.array([0, 0, 1.0])
    assert angle in equivalent_angles_deg(crystal, axis)
    hkl = np.array([[1, 2, 3], [4, -1, 2]])
    there = rotation_about_axis(axis, angle) @ crystal.ub_matrix @ hkl.T
    same_place = np.linalg.solve(crystal.ub_matrix, there).T
    np.testing.assert_allclose(same_place, np.rint(same_place), atol=1e-9)
    np.testing.assert_array_equal(crystal.to_laue_asu(np.rint(same_place).astype(int)), crystal.to_laue_asu(hkl))


def test_errors_by_hand():
    best = np.array([1.0, 359.0, 10.0, 275.0, np.nan, 5.0])
    true = np.array([359.0, 1.0, 370.0, 3.0, 1.0, np.nan])
    np.testing.assert_allclose(angle_errors_deg(best, true, np.array([0.0])), [2, -2, 0, -88, np.nan, np.nan])
    fourfold = np.array([0.0, 90, 180, 270])
    np.testing.assert_allclose(angle_errors_deg(best, true, fourfold), [2, -2, 0, 2, np.nan, np.nan])


@given(st.floats(0, 360), st.floats(-29, 29), st.integers(-3, 3), st.sampled_from([1, 2, 3, 4, 6]))
@settings(max_examples=25, deadline=None)
def test_turns_and_equivalents_do_not_matter(true, error, turns, n_fold):
    step = 360 / n_fold
    best = np.array([true + error + turns * 360 + 2 * step])
    found = angle_errors_deg(best, np.array([true]), np.arange(n_fold) * step)
    assert found[0] == pytest.approx(error, abs=1e-9)


def test_score_by_hand():
    """Five frames, one of them without photons; errors 0.5, -1, 3 and 1."""
    score = score_orientations(np.array([0.5, -1.0, np.nan, 3.0, 1.0]), 1.0, 2)
    assert score.fraction == 0.75
    assert score.fraction_all_frames == 0.6
    assert score.chance == pytest.approx(4 / 360)
    assert score.median_deg == 1.0
    assert score.rms_deg == pytest.approx(np.sqrt((0.25 + 1 + 9 + 1) / 4))
    assert score.offset_deg == 0.75


def test_a_common_offset_is_reported_not_forgiven():
    score = score_orientations(np.full(10, 5.0), 1.0, 1)
    assert score.fraction == 0.0
    assert score.offset_deg == 5.0


def test_chance_is_what_random_angles_reach():
    rng = np.random.default_rng(0)
    equivalents = np.array([0.0, 120, 240])
    error = angle_errors_deg(rng.uniform(0, 360, 200_000), rng.uniform(0, 360, 200_000), equivalents)
    score = score_orientations(error, 4.0, 3)
    assert score.fraction == pytest.approx(score.chance, abs=0.002)
    assert score_orientations(error, 100.0, 3).chance == 1.0


def test_no_known_errors():
    score = score_orientations(np.full(4, np.nan), 1.0, 1)
    assert np.isnan([score.fraction, score.fraction_all_frames, score.median_deg, score.chance]).all()


@pytest.mark.parametrize("n_equivalents", [1, 2])
def test_offset_near_half_a_period_is_not_averaged_away(n_equivalents):
    """A crystal turned by about half a symmetry period: signs alternate, the offset does not vanish."""
    period = 360.0 / n_equivalents
    error = np.array([0.5, -0.499, 0.498, -0.497, 0.5]) * period
    assert abs(score_orientations(error, 1.0, n_equivalents).offset_deg) > 0.49 * period
