import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from fewphoton.ankylography.refine_positions import refine_positions
from tests.ankylography.scatterers import OCCUPANCY, POSITION, small_model

N = len(POSITION)


def measurement(seed=0, noise=0.02, occupancy=None):
    model, kind = small_model()
    rng = np.random.default_rng(seed)
    exact = model.intensity(POSITION, kind, occupancy)
    measured = exact + rng.normal(0, noise * exact.mean(), len(exact))
    return model, kind, measured, rng.uniform(0.5, 2, len(exact)) / exact.mean() ** 2


def centred(position):
    return position - position.mean(axis=0)


@pytest.mark.parametrize("amplitudes", [False, True])
def test_the_minimum_is_that_of_scipy(amplitudes):
    model, kind, measured, weight = measurement(occupancy=OCCUPANCY)
    rng = np.random.default_rng(1)
    start = POSITION + rng.normal(0, 0.05, POSITION.shape)
    first = np.ones(N) if amplitudes else OCCUPANCY
    fit = refine_positions(
        model, kind, start, measured, weight, occupancy=first, amplitudes=amplitudes, max_steps=200, tolerance=1e-14
    )

    def residuals(x):
        share = x[3 * N :] if amplitudes else OCCUPANCY
        return np.sqrt(weight) * (model.intensity(x[: 3 * N].reshape(N, 3), kind, share) - measured)

    begin = np.concatenate([start.ravel(), first]) if amplitudes else start.ravel()
    expected = least_squares(residuals, begin, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert fit.cost == pytest.approx(2 * expected.cost, rel=1e-9)
    reached = expected.x[: 3 * N].reshape(N, 3)
    np.testing.assert_allclose(centred(fit.position_angstrom), centred(reached), atol=1e-5)
    np.testing.assert_allclose(fit.occupancy, expected.x[3 * N :] if amplitudes else OCCUPANCY, atol=1e-5)
    assert fit.cost == pytest.approx(
        np.sum(residuals(np.concatenate([fit.position_angstrom.ravel(), fit.occupancy])) ** 2)
    )


def test_a_minimum_stays_where_it_is():
    model, kind, measured, weight = measurement()
    first = refine_positions(model, kind, POSITION, measured, weight, max_steps=200, tolerance=1e-14)
    again = refine_positions(model, kind, first.position_angstrom, measured, weight)
    np.testing.assert_allclose(again.position_angstrom, first.position_angstrom, atol=1e-6)
    slope = model.jacobian(first.position_angstrom, kind)
    excess = model.intensity(first.position_angstrom, kind) - measured
    assert np.abs(slope.T @ (weight * excess)).max() < 1e-5 * np.sqrt((weight[:, None] * slope**2).sum(axis=0).max())


def test_the_truth_without_noise_is_at_rest():
    model, kind, measured, weight = measurement(noise=0)
    fit = refine_positions(model, kind, POSITION, measured, weight)
    np.testing.assert_array_equal(fit.position_angstrom, POSITION)
    assert fit.cost < 1e-25
    assert fit.n_steps <= 50
    moved = refine_positions(model, kind, POSITION + np.random.default_rng(2).normal(0, 0.05, (N, 3)), measured, weight)
    np.testing.assert_allclose(centred(moved.position_angstrom), centred(POSITION), atol=1e-4)


def test_common_translations_change_nothing():
    """They are no direction downhill: the molecule neither drifts nor cares where it starts."""
    model, kind, measured, weight = measurement()
    start = POSITION + np.random.default_rng(3).normal(0, 0.05, (N, 3))
    shift = np.array([0.7, -1.3, 2.1])
    here = refine_positions(model, kind, start, measured, weight, tolerance=1e-12)
    there = refine_positions(model, kind, start + shift, measured, weight, tolerance=1e-12)
    np.testing.assert_allclose(there.position_angstrom - shift, here.position_angstrom, atol=1e-6)
    assert np.abs(here.position_angstrom.mean(axis=0) - start.mean(axis=0)).max() < 0.05


def test_the_start_is_left_as_it_was():
    model, kind, measured, weight = measurement()
    start, share = POSITION + 0.05, np.full(N, 0.9)
    refine_positions(model, kind, start, measured, weight, occupancy=share, amplitudes=True)
    np.testing.assert_array_equal(start, POSITION + 0.05)
    np.testing.assert_array_equal(share, np.full(N, 0.9))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.floats(0.01, 1.5), steps=st.integers(1, 6), amplitudes=st.booleans())
def test_the_cost_never_rises_and_steps_are_short(seed, spread, steps, amplitudes):
    model, kind, measured, weight = measurement()
    start = POSITION + np.random.default_rng(seed).normal(0, spread, (N, 3))
    before = float((weight * (model.intensity(start, kind) - measured) ** 2).sum())
    fit = refine_positions(model, kind, start, measured, weight, amplitudes=amplitudes, max_steps=steps)
    assert fit.cost <= before * (1 + 1e-12)
    assert fit.n_steps <= steps
    assert np.abs(fit.position_angstrom - start).max() <= 0.3 * steps * (1 + 1e-9)
    found = model.intensity(fit.position_angstrom, kind, fit.occupancy)
    assert fit.cost == pytest.approx(float((weight * (found - measured) ** 2).sum()), rel=1e-9)


def test_detectors_without_weight_say_nothing():
    model, kind, measured, weight = measurement()
    weight[::4] = 0
    wrong = measured.copy()
    wrong[::4] += 1e6
    one, other = (refine_positions(model, kind, POSITION, values, weight) for values in (measured, wrong))
    np.testing.assert_array_equal(one.position_angstrom, other.position_angstrom)
