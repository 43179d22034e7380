from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewphoton.kernels.gibbs_turns import N_DRAWS, SHIFT, TURN, gibbs_turns, turn_atoms
from fewphoton.kernels.waves import WAVE_ERROR, add_wave, wave_misfit

N_ATOMS, N_DETECTORS, N_CANDIDATES = 5, 37, 12
# A bond 1-2 that turns atoms 3 and 4, a bond 2-3 that turns atom 4, a turn and a shift of the first three atoms.
BOND = np.array([[1, 2], [2, 3], [TURN, -1], [SHIFT, -1]])
MOVING = np.array([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]], dtype=bool)
OTHER = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]], dtype=bool)


def problem(seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    q = rng.uniform(-0.7, 0.7, (3, N_DETECTORS)).astype(np.float32)
    factor = rng.uniform(0.5, 6, (2, N_DETECTORS)).astype(np.float32)
    kind = np.array([0, 1, 0, 0, 1])
    place = rng.standard_normal((N_ATOMS, 3)) * 2
    target = waves(q, factor, kind, place + 0.3 * rng.standard_normal(place.shape))
    intensity = (np.abs(target) ** 2).astype(np.float32)
    weight = rng.uniform(0.01, 0.02, N_DETECTORS).astype(np.float32)
    return q, factor, kind, intensity, weight, place


def waves(q: np.ndarray, factor: np.ndarray, kind: np.ndarray, place: np.ndarray) -> np.ndarray:
    return (factor[kind] * np.exp(2j * np.pi * (place @ q))).sum(axis=0)


def misfit_of(data: tuple[np.ndarray, ...], place: np.ndarray) -> float:
    q, factor, kind, intensity, weight, _ = data
    return float((weight * (np.abs(waves(q, factor, kind, place)) ** 2 - intensity) ** 2).sum())


def naive_turn(place: np.ndarray, moving: np.ndarray, start: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    rotation = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis)).as_matrix()
    result = place.copy()
    result[moving] = (place[moving] - start) @ rotation.T + start
    return result


def naive_move(
    place: np.ndarray, moving: np.ndarray, bond: np.ndarray, direction: np.ndarray, amount: float
) -> np.ndarray:
    if bond[0] == SHIFT:
        return place + amount * moving[:, None] * direction
    if bond[0] == TURN:
        return naive_turn(place, moving, place[moving].mean(axis=0), direction, amount)
    return naive_turn(place, moving, place[bond[0]], place[bond[1]] - place[bond[0]], amount)


def naive_step(
    data: tuple[np.ndarray, ...], place: np.ndarray, temperature: float, draw: np.ndarray
) -> tuple[np.ndarray, float]:
    choices = len(BOND) + 1
    move, direction = int(draw[0] * choices), draw[7:10] / np.linalg.norm(draw[7:10])
    turns: list[tuple[int, np.ndarray, float]] = []
    if move == len(BOND):
        move = int(draw[5] * 2)
        turns = [(move, MOVING[move], 1.0), (1 - move, MOVING[1 - move], 1.0 if draw[1] < 0.5 else -1.0)]
    else:
        turns = [(move, (OTHER if draw[1] < 0.5 else MOVING)[move], 1.0)]
    fan = (np.arange(N_CANDIDATES) - N_CANDIDATES // 2) / (N_CANDIDATES // 2)
    shift = BOND[move, 0] == SHIFT
    if draw[2] < 0.5:
        amounts = 0.5 * draw[3] * fan
    else:
        amounts = 3.0 * draw[3] * fan if shift else 2 * np.pi * np.arange(N_CANDIDATES) / N_CANDIDATES
    places = []
    for amount in amounts:
        trial = place
        for number, moving, sign in turns:
            trial = naive_move(trial, moving, BOND[number], direction, sign * amount)
        places.append(trial)
    misfits = np.array([misfit_of(data, trial) for trial in places])
    chance = np.exp(-(misfits - misfits.min()) / temperature)
    chosen = int(np.searchsorted(np.cumsum(chance), draw[4] * chance.sum()))
    return places[chosen], misfits[chosen]


def test_turns_agree_with_scipy() -> None:
    rng = np.random.default_rng(1)
    place, start, axis = rng.standard_normal((6, 3)), rng.standard_normal(3), rng.standard_normal(3)
    moving = np.array([1, 0, 1, 1, 0, 1], dtype=bool)
    expected = naive_turn(place, moving, start, axis, 1.3)
    for function in (turn_atoms, turn_atoms.py_func):
        turned = place.copy()
        function(turned, moving, start, axis / np.linalg.norm(axis), 1.3)
        np.testing.assert_allclose(turned, expected, atol=1e-12)


@pytest.mark.parametrize("compiled", [True, False])
def test_waves_agree_with_numpy(compiled: bool) -> None:
    q, factor, _, intensity, weight, place = problem()
    wave, misfit = (add_wave, wave_misfit) if compiled else (add_wave.py_func, wave_misfit.py_func)
    real, imaginary = (np.full(N_DETECTORS, start, np.float32) for start in (0.5, -0.25))
    wave(q, place[0], factor[0], real, imaginary)
    expected = 0.5 - 0.25j + factor[0] * np.exp(2j * np.pi * (place[0] @ q))
    # A phase of t turns in float32 is off by t 2^-23 or so.
    error = 6 * (WAVE_ERROR + 2 * np.pi * 8 * 2.0**-23)
    np.testing.assert_allclose(real + 1j * imaginary, expected, atol=error)
    value = float((weight * (np.abs(expected) ** 2 - intensity) ** 2).sum())
    assert misfit(real, imaginary, intensity, weight) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("temperature", [1e-3, 50.0])
def test_walk_agrees_with_a_naive_one(compiled: bool, temperature: float) -> None:
    data = problem()
    rng = np.random.default_rng(5)
    n_steps = 200 if compiled else 25
    draw = np.concatenate([rng.random((n_steps, 7)), rng.standard_normal((n_steps, 3))], axis=1)
    assert draw.shape[1] == N_DRAWS
    function = gibbs_turns if compiled else gibbs_turns.py_func
    moves_seen = set((draw[:, 0] * (len(BOND) + 1)).astype(int).tolist())
    assert moves_seen == set(range(len(BOND) + 1))
    place, best, lowest = data[5].copy(), data[5].copy(), np.array([np.inf])
    q, factor, kind, intensity, weight, start = data
    expected, least = start, np.inf
    for step in range(n_steps):
        function(
            q, factor, kind, intensity, weight, BOND, MOVING, OTHER, N_CANDIDATES,
            np.array([temperature]), draw[step : step + 1], place, best, lowest,
        )  # fmt: skip
        expected, misfit = naive_step(data, expected, temperature, draw[step])
        np.testing.assert_allclose(place, expected, atol=1e-9)
        least = min(least, misfit)
        assert lowest[0] == pytest.approx(least, rel=1e-4, abs=1e-4)
        assert misfit_of(data, best) == pytest.approx(least, rel=1e-4, abs=1e-4)


def test_one_call_is_the_same_as_many() -> None:
    data = problem(2)
    rng = np.random.default_rng(6)
    draw = np.concatenate([rng.random((50, 7)), rng.standard_normal((50, 3))], axis=1)
    results = []
    for blocks in ([slice(0, 50)], [slice(0, 20), slice(20, 50)]):
        place, best, lowest = data[5].copy(), data[5].copy(), np.array([np.inf])
        for block in blocks:
            steps = np.linspace(20, 1, 50)[block]
            gibbs_turns(*data[:5], BOND, MOVING, OTHER, N_CANDIDATES, steps, draw[block], place, best, lowest)
        results.append((place, best, lowest))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
