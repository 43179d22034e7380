"""Rigid moves of hydrogens with their atom: who goes along, proper rotations, and the stationary distribution."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.transform import Rotation

from fewphoton.kernels import group_moves
from fewphoton.kernels.insertion_cost import fill_waves, sum_waves
from tests.kernels import naive

FOLLOWS = np.array([[False, True], [False, False]])  # kind 1 goes with kind 0


@pytest.fixture(params=["jitted", "python"], autouse=True)
def mode(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, group_moves)
    return request.param


def test_followers_are_light_atoms_within_reach():
    position = np.array([[0.0, 0, 0], [1.0, 0, 0], [0, 1.31, 0], [0, 0, 1.2], [1.5, 0, 0]])
    kind = np.array([0, 1, 1, 0, 1])
    member = np.empty(5, np.bool_)
    assert group_moves.find_followers(position, kind, 0, FOLLOWS, 1.3, member) == 1
    np.testing.assert_array_equal(member, [False, True, False, False, False])
    assert group_moves.find_followers(position, kind, 1, FOLLOWS, 9.0, member) == 0
    assert not member.any()


def test_turns_are_rotations_of_every_angle_about_every_axis():
    rng = np.random.default_rng(0)
    matrices = np.array([group_moves.turn_matrix(rng.random(3)) for _ in range(600)])
    np.testing.assert_allclose(
        matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (600, 3, 3)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0)
    vector = Rotation.from_matrix(matrices).as_rotvec()
    angle = np.linalg.norm(vector, axis=1)
    assert stats.kstest(angle / np.pi, "uniform").pvalue > 1e-3
    assert stats.kstest((vector[:, 2] / angle + 1) / 2, "uniform").pvalue > 1e-3


def test_a_quarter_turn_by_hand():
    """The axis is +z for a first number of 1; three quarters of the range of angles are +90 degrees."""
    matrix = group_moves.turn_matrix(np.array([1.0, 0.3, 0.75]))
    np.testing.assert_allclose(matrix @ [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], atol=1e-12)


def test_moved_atoms_stay_in_the_box_and_apart():
    position = np.array([[0.0, 0, 0], [0.9, 0, 0], [0, 1.0, 0]])
    kind, half_box = np.array([0, 1, 1]), np.full(3, 1.0)
    closest = np.array([[1.0, 0.8], [0.8, 1.0]])
    for moved, limits, expected in (
        ([False, True, False], half_box, True),
        ([False, True, False], np.array([0.89, 1, 1]), False),
        ([False, False, True], np.array([0.89, 1, 1]), True),
        ([False, False, False], np.zeros(3), True),
    ):
        assert group_moves.is_allowed(position, kind, np.array(moved), limits, closest) == expected
    # Too near to an atom that stays; atoms that move together keep their distance and are not asked.
    assert not group_moves.is_allowed(position, kind, np.array([False, True, False]), half_box, np.full((2, 2), 0.95))
    assert group_moves.is_allowed(position, kind, np.ones(3, np.bool_), half_box, np.full((2, 2), 5.0))


def state(seed, n=12):
    rng = np.random.default_rng(seed)
    q = rng.normal(scale=0.15, size=(n, 3))
    position = np.array([[0.0, 0, 0], [0.8, 0, 0], [0, 0.8, 0], [2.4, 0.1, 0], [2.4, 0.9, 0]])
    kind = np.array([0, 1, 1, 0, 1])
    factor = np.stack([np.full(n, 6.0), np.full(n, 2.0)]).astype(np.float32)
    wave, amplitude = np.empty((5, 2, n), np.float32), np.empty((2, n), np.float32)
    fill_waves(q, position, wave)
    sum_waves(wave, kind, factor, amplitude)
    measured = (np.abs(naive_amplitude(q, position, kind, factor)) ** 2 * rng.uniform(0.8, 1.2, n)).astype(np.float32)
    return q, position, kind, wave, amplitude, factor, measured, np.full(n, 1e-3, np.float32)


def naive_amplitude(q, position, kind, factor):
    return (factor[kind] * np.exp(2j * np.pi * position @ q.T)).sum(axis=0)


def moved(seed, n_tries, temperature=1.0, uniform=None, half_box=3.5):
    parts = state(seed)
    before = parts[1].copy()
    draw = np.random.default_rng(seed + 50).random((n_tries, 6)) if uniform is None else uniform
    box, closest = np.full(3, half_box), np.full((2, 2), 0.4)
    cost = group_moves.move_groups(draw, temperature, *parts, box, closest, FOLLOWS, 1.0, 0.2)
    return parts, before, cost


@pytest.mark.parametrize("seed", range(3))
def test_groups_stay_rigid_and_the_state_stays_whole(seed):
    (q, position, kind, _wave, amplitude, factor, measured, weight), before, cost = moved(seed, 40)
    assert np.abs(position - before).max() > 0.05
    for middle, members in ((0, (1, 2)), (3, (4,))):
        for member in members:
            assert np.linalg.norm(position[member] - position[middle]) == pytest.approx(0.8)
    assert np.linalg.norm(position[1] - position[2]) == pytest.approx(0.8 * np.sqrt(2))
    expected = naive_amplitude(q, position, kind, factor)
    np.testing.assert_allclose(amplitude[0] + 1j * amplitude[1], expected, atol=2e-4)
    twin = (weight * (np.abs(expected) ** 2 - measured) ** 2).sum()
    assert cost == pytest.approx(twin, rel=1e-4)


@pytest.mark.parametrize(("turn_or_shift", "seed"), [(0.0, 0), (0.9, 0)])
def test_uphill_moves_are_taken_as_often_as_metropolis_takes_them(turn_or_shift, seed):
    def with_decision(decision, temperature):
        uniform = np.array([[0.0, turn_or_shift, 0.9, 0.2, 0.75, decision]])
        (_, position, *_), before, cost = moved(seed, 1, uniform=uniform, temperature=temperature)
        return not np.array_equal(position, before), cost

    stayed, start = with_decision(0.999999, 1e-6)
    went, uphill = with_decision(0.0, 1e9)
    assert went
    assert not stayed
    assert uphill > start
    # One in e is taken where the temperature is what the move costs.
    assert with_decision(0.36, uphill - start) == (True, uphill)
    assert with_decision(0.375, uphill - start) == (False, start)


def test_no_group_leaves_the_box():
    """The second group reaches to 2.4 along x; half a box of 2.45 lets it go outwards by a twentieth of the shift."""
    outwards = np.array([[0.7, 0.9, 0.999, 0.5, 0.5, 0.0]])
    (_, position, *_), before, _ = moved(0, 1, uniform=outwards, temperature=1e9)
    np.testing.assert_allclose(position[3] - before[3], [0.1996, 0, 0], atol=1e-9)
    (_, position, *_), before, _ = moved(0, 1, uniform=outwards, temperature=1e9, half_box=2.45)
    np.testing.assert_array_equal(position, before)


def test_no_move_that_would_take_another_atom_along():
    """Shifted by 0.2 the middle would come within reach of a third hydrogen: the way back would differ."""
    q, position, kind, wave, amplitude, factor, measured, weight = state(1)
    position[4] = [-1.05, 0.0, 0.0]
    fill_waves(q, position, wave)
    sum_waves(wave, kind, factor, amplitude)
    before = position.copy()
    draw = np.array([[0.0, 0.9, 0.0, 0.5, 0.5, 0.0]])
    arguments = (
        q,
        position,
        kind,
        wave,
        amplitude,
        factor,
        measured,
        weight,
        np.full(3, 9.0),
        np.zeros((2, 2)),
        FOLLOWS,
    )
    group_moves.move_groups(draw, 1e9, *arguments, 1.0, 0.2)
    np.testing.assert_array_equal(position, before)
    draw[0, 2] = 0.999
    group_moves.move_groups(draw, 1e9, *arguments, 1.0, 0.2)
    np.testing.assert_allclose(position[:3] - before[:3], [[0.1996, 0, 0]] * 3, atol=1e-9)
    np.testing.assert_array_equal(position[3:], before[3:])
