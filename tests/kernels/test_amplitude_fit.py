import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from fewphoton.kernels import amplitude_fit
from fewphoton.kernels.amplitude_fit import (
    HALVING,
    MARQUARDT,
    add_waves,
    fit_amplitudes,
    try_replacements,
)
from fewphoton.kernels.insertion_cost import intensity_cost


def problem(seed, n_atoms=5, n=60):
    rng = np.random.default_rng(seed)
    columns = rng.standard_normal((n_atoms, 2, n))
    truth = rng.uniform(0.5, 2, n_atoms)
    weight = rng.uniform(0.2, 2, n)
    return rng, columns, truth, weight


def intensity(columns, amplitude):
    return (np.einsum("a,apn->pn", amplitude, columns) ** 2).sum(axis=0)


def misfit(amplitude, columns, weight, measured):
    return float((weight * (intensity(columns, amplitude) - measured) ** 2).sum())


@pytest.mark.parametrize("pure", [False, True])
def test_waves_and_misfit_are_the_naive_ones(pure):
    rng, columns, amplitude, weight = problem(1)
    measured = rng.random(60)
    waves, value = (add_waves.py_func, intensity_cost.py_func) if pure else (add_waves, intensity_cost)
    wave = np.full((2, 60), np.nan)
    waves(columns, amplitude, wave)
    np.testing.assert_allclose(wave, np.einsum("a,apn->pn", amplitude, columns), rtol=1e-12, atol=1e-12)
    assert value(wave, measured, weight) == pytest.approx(misfit(amplitude, columns, weight, measured), rel=1e-12)


@pytest.mark.parametrize("rule", [HALVING, MARQUARDT])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("pure", [False, True])
def test_fits_are_those_of_scipy(rule, positive, pure, monkeypatch):
    """Intensities that no amplitudes explain, so that the minimum is a compromise; same minimum from the same side."""
    if pure:
        for name in ("add_waves", "intensity_cost", "_normal_equations", "_solve"):
            monkeypatch.setattr(amplitude_fit, name, getattr(amplitude_fit, name).py_func)
    function = fit_amplitudes.py_func if pure else fit_amplitudes
    rng, columns, truth, weight = problem(2)
    truth[3] = 0.0 if positive else truth[3]
    measured = intensity(columns, truth) + rng.normal(0, 1.0, 60)
    start = truth + rng.normal(0, 0.1, 5)
    amplitude = start.copy()
    found = function(columns, amplitude, weight, measured, positive, rule, 200, 1e-10)

    def excess(x):
        return np.sqrt(weight) * (intensity(columns, x) - measured)

    lowest = 0.0 if positive else -np.inf
    first = np.maximum(start, 1e-3) if positive else start
    expected = least_squares(excess, first, bounds=(lowest, np.inf), xtol=1e-14)
    np.testing.assert_allclose(amplitude, expected.x, atol=2e-4 if positive else 1e-6)
    assert found == pytest.approx(2 * expected.cost, rel=1e-6)
    assert found == pytest.approx(misfit(amplitude, columns, weight, measured), rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rule=st.sampled_from([HALVING, MARQUARDT]),
    positive=st.booleans(),
    n_atoms=st.integers(1, 8),
)
def test_the_misfit_never_rises(seed, rule, positive, n_atoms):
    rng, columns, _, weight = problem(seed, n_atoms)
    measured = rng.random(60) * 5
    amplitude = rng.standard_normal(n_atoms)
    before = misfit(np.maximum(amplitude, 0) if positive else amplitude, columns, weight, measured)
    after = [fit_amplitudes(columns, amplitude, weight, measured, positive, rule, 2, 1e-12) for _ in range(5)]
    values = [before, *after]
    assert (np.diff(values) <= 1e-9 * before).all()
    assert not positive or (amplitude >= 0).all()


def test_waves_that_say_the_same_do_not_blow_up():
    rng, columns, truth, weight = problem(4)
    columns[1] = columns[0]
    measured = intensity(columns, truth)
    amplitude = truth + rng.normal(0, 0.1, 5)
    assert fit_amplitudes(columns, amplitude, weight, measured, False, HALVING, 100, 1e-10) < 1e-12
    assert np.abs(amplitude).max() < 10
    assert amplitude[0] + amplitude[1] == pytest.approx(truth[0] + truth[1], abs=1e-6)


def test_no_steps_only_evaluate():
    rng, columns, truth, weight = problem(5)
    measured = rng.random(60)
    amplitude = truth.copy()
    found = fit_amplitudes(columns, amplitude, weight, measured, False, HALVING, 0, 1e-4)
    assert found == pytest.approx(misfit(truth, columns, weight, measured), rel=1e-12)
    np.testing.assert_array_equal(amplitude, truth)


@pytest.mark.parametrize("pure", [False, True])
def test_replacements_are_single_fits(pure):
    rng, columns, truth, weight = problem(6)
    measured = intensity(columns, truth) + rng.random(60)
    candidate = rng.standard_normal((7, 2, 60))
    slot = rng.integers(0, 5, 7)
    start = truth + 0.1 * rng.standard_normal((7, 5))
    fitted = start.copy()
    before = columns.copy()
    options = (weight, measured, False, HALVING, 30, 1e-8)
    function = try_replacements.py_func if pure else try_replacements
    found = function(columns, fitted, slot, candidate, *options)
    np.testing.assert_array_equal(columns, before)
    for number in range(7):
        waves = columns.copy()
        waves[slot[number]] = candidate[number]
        amplitude = start[number].copy()
        assert found[number] == fit_amplitudes(waves, amplitude, *options)
        np.testing.assert_array_equal(fitted[number], amplitude)
