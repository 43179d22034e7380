import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fewphoton.data.point_group import PointGroup, quaternion_product
from fewphoton.errors import DataError
from fewphoton.evaluate.rotation_error import RotationErrors, align_rotations, rotation_errors_deg

IDENTITY = np.array([1.0, 0, 0, 0])


def random_quaternions(n, seed=0):
    return Rotation.random(n, np.random.default_rng(seed)).as_quat(scalar_first=True)


def small_turns(n, angle_deg, seed):
    """Turns about random axes by normally distributed angles."""
    rng = np.random.default_rng(seed)
    axis = rng.normal(size=(n, 3))
    axis *= np.deg2rad(angle_deg) * rng.normal(size=(n, 1)) / np.linalg.norm(axis, axis=1)[:, None]
    return Rotation.from_rotvec(axis).as_quat(scalar_first=True)


def disguised(true, group, turn, seed=0):
    """Same orientations under another sample orientation, each by a random equivalent, signs at random."""
    rng = np.random.default_rng(seed)
    operation = group.quaternion[rng.integers(0, len(group), len(true))]
    sign = rng.choice([-1.0, 1.0], (len(true), 1))
    return sign * quaternion_product(quaternion_product(true, operation), turn)


def test_errors_by_hand():
    """A quarter turn about z; a fourfold axis along z forgives it, one along x does not."""
    quarter = np.array([[np.sqrt(0.5), 0, 0, np.sqrt(0.5)]])
    third = np.array([[0.5, 0.5, 0.5, 0.5]])
    found, true = np.concatenate([quarter, third, quarter]), np.concatenate([IDENTITY[None]] * 2 + [-quarter])
    np.testing.assert_allclose(rotation_errors_deg(found, true), [90, 120, 0], atol=1e-6)
    fourfold = PointGroup.named("C4")
    np.testing.assert_allclose(rotation_errors_deg(found, true, fourfold), [0, 90, 0], atol=1e-6)
    about_x = fourfold.turned(np.array([np.sqrt(0.5), 0, np.sqrt(0.5), 0]))
    np.testing.assert_allclose(rotation_errors_deg(found, true, about_x)[0], 90, atol=1e-6)
    np.testing.assert_allclose(rotation_errors_deg(found, true, PointGroup.named("T"))[1], 0, atol=1e-6)


def test_errors_against_scipy():
    found, true = random_quaternions(300), random_quaternions(300, 1)
    turn = Rotation.from_quat(found, scalar_first=True).inv() * Rotation.from_quat(true, scalar_first=True)
    np.testing.assert_allclose(rotation_errors_deg(found, true), np.rad2deg(turn.magnitude()), rtol=1e-10)


@given(st.sampled_from(["C1", "C2", "D4", "O", "I"]), st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_what_cannot_be_known_is_forgiven(symbol, seed):
    group = PointGroup.named(symbol)
    true = random_quaternions(60, seed)
    found = disguised(true, group, random_quaternions(1, seed + 1)[0], seed)
    aligned = align_rotations(found, true, group)
    assert aligned.error_deg.max() < 1e-5
    np.testing.assert_allclose(
        rotation_errors_deg(quaternion_product(found, aligned.alignment), true, group), aligned.error_deg, atol=1e-6
    )


def test_a_laboratory_rotation_is_not_forgiven():
    """The sample's frame is free, the laboratory's is not: turning all frames by 30 degrees there stays an error."""
    true = random_quaternions(400)
    turn = Rotation.from_rotvec([0, 0, np.deg2rad(30)]).as_quat(scalar_first=True)
    aligned = align_rotations(quaternion_product(turn, true), true)
    assert aligned.median_deg > 15
    assert aligned.error_deg.max() <= 60


@pytest.mark.parametrize("symbol", ["C1", "D2", "O"])
def test_noise_is_measured_not_fitted(symbol):
    """Errors of 3 degrees standard deviation: their mean is 3 sqrt(2 / pi), and the true alignment is found."""
    group = PointGroup.named(symbol)
    true = random_quaternions(3000)
    turn = random_quaternions(1, 8)[0]
    noisy = quaternion_product(small_turns(3000, 3.0, 2), true)
    aligned = align_rotations(disguised(noisy, group, turn), true, group)
    assert aligned.mean_deg == pytest.approx(3 * np.sqrt(2 / np.pi), rel=0.05)
    assert aligned.median_deg == pytest.approx(3 * 0.6745, rel=0.07)
    left_over = quaternion_product(turn, aligned.alignment)
    assert group.angles_deg(left_over[None], IDENTITY[None])[0] < 0.2
    assert aligned.fraction_within(3.0) == pytest.approx(0.683, abs=0.03)


def test_the_alignment_is_no_single_frames_answer():
    """Every frame is off by 5 degrees, so each alone would align by a rotation 5 degrees wrong."""
    true = random_quaternions(500, 3)
    turn = Rotation.from_quat(small_turns(500, 1.0, 4), scalar_first=True).as_rotvec()
    turn *= np.deg2rad(5) / np.linalg.norm(turn, axis=1)[:, None]
    noise = Rotation.from_rotvec(turn).as_quat(scalar_first=True)
    aligned = align_rotations(quaternion_product(true, noise), true)
    assert np.rad2deg(Rotation.from_quat(aligned.alignment, scalar_first=True).magnitude()) < 0.6
    # A tenth of them, all misplaced by the same 40 degrees, would pull a mean of squares by 4 degrees.
    noise[::10] = Rotation.from_rotvec([0, 0, np.deg2rad(40)]).as_quat(scalar_first=True)
    aligned = align_rotations(quaternion_product(true, noise), true)
    assert np.rad2deg(Rotation.from_quat(aligned.alignment, scalar_first=True).magnitude()) < 1.5


@pytest.mark.parametrize("symbol", ["D2", "I"])
def test_frames_placed_at_random_do_not_pull(symbol):
    """Seven frames in ten have random orientations, the first ones among them."""
    group = PointGroup.named(symbol)
    true = random_quaternions(2000, 5)
    found = disguised(true, group, random_quaternions(1, 6)[0])
    found[:1400] = random_quaternions(1400, 7)
    aligned = align_rotations(found, true, group)
    assert aligned.error_deg[1400:].max() < 0.5
    assert aligned.fraction_within(0.5) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("seed", [4, 33, 37])
def test_the_start_is_chosen_among_many_frames(seed):
    """Nine frames in ten are at random; from the first one's answer alone these three end in a wrong alignment."""
    true = random_quaternions(1000, seed)
    found = quaternion_product(true, random_quaternions(1, seed + 100))
    found[:900] = random_quaternions(900, seed + 200)
    assert align_rotations(found, true).error_deg[900:].max() < 0.5


def test_unknown_frames_stay_unknown():
    true = random_quaternions(6)
    found = true.copy()
    found[1] = np.nan
    true[4, 2] = np.nan
    np.testing.assert_array_equal(np.isnan(rotation_errors_deg(found, true)), [0, 1, 0, 0, 1, 0])
    aligned = align_rotations(found, true)
    np.testing.assert_array_equal(np.isnan(aligned.error_deg), [0, 1, 0, 0, 1, 0])
    assert aligned.mean_deg < 1e-6
    assert aligned.fraction_within(1.0) == 1.0


@pytest.mark.parametrize("n", [0, 3])
def test_nothing_known(n):
    aligned = align_rotations(np.full((n, 4), np.nan), np.full((n, 4), np.nan))
    assert len(aligned.error_deg) == n
    assert np.isnan([aligned.mean_deg, aligned.median_deg, aligned.fraction_within(1)]).all()
    np.testing.assert_array_equal(aligned.alignment, IDENTITY)


def test_one_frame_is_always_aligned():
    assert align_rotations(random_quaternions(1), random_quaternions(1, 1)).mean_deg < 1e-6


def test_random_orientations_stay_at_chance():
    """Half of random rotations turn by more than 132.3 degrees (w - sin w = pi / 2); aligning 3000 gains little."""
    aligned = align_rotations(random_quaternions(3000), random_quaternions(3000, 1))
    assert 125 < aligned.median_deg < 132.3


def test_wrong_sets_are_refused():
    with pytest.raises(DataError, match="shape"):
        align_rotations(random_quaternions(3), random_quaternions(4))
    with pytest.raises(DataError, match="unit"):
        rotation_errors_deg(2 * random_quaternions(3), random_quaternions(3))
    with pytest.raises(DataError, match="shape"):
        rotation_errors_deg(np.zeros((3, 3)), np.zeros((3, 3)))


def test_the_same_input_gives_the_same_bytes():
    found, true = random_quaternions(500), random_quaternions(500, 1)
    first, second = align_rotations(found, true), align_rotations(found, true)
    assert first.error_deg.tobytes() == second.error_deg.tobytes()


def test_mean_and_root_mean_square_of_known_frames():
    errors = RotationErrors(np.array([3.0, np.nan, 4.0]), np.array([1.0, 0, 0, 0]))
    assert errors.rms_deg == pytest.approx(np.sqrt(12.5))
    assert errors.mean_deg == pytest.approx(3.5)
    assert np.isnan(RotationErrors(np.array([np.nan]), errors.alignment).rms_deg)
