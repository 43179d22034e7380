import numpy as np
import pytest

from fewphoton.ankylography.weighted_misfit import WeightedMisfit
from tests.ankylography.scatterers import OCCUPANCY, POSITION, central_differences, small_model


@pytest.fixture(params=[False, True], ids=["positions", "amplitudes"])
def misfit(request):
    model, kind = small_model()
    rng = np.random.default_rng(2)
    measured = model.intensity(POSITION + rng.normal(0, 0.1, (5, 3)), kind)
    return WeightedMisfit(model, kind, measured, rng.uniform(0.1, 2.0, len(measured)), request.param)


def split(misfit, p):
    return p[:15].reshape(5, 3), p[15:] if misfit.amplitudes else OCCUPANCY


def parameters(misfit):
    return np.concatenate([POSITION.ravel(), OCCUPANCY])[: 20 if misfit.amplitudes else 15]


def test_value_is_the_weighted_sum_of_squares(misfit):
    difference = misfit.model.intensity(POSITION, misfit.kind, OCCUPANCY) - misfit.measured_electron2
    assert misfit.value(POSITION, OCCUPANCY) == pytest.approx((misfit.weight * difference**2).sum())


def test_gradient_is_the_derivative_of_the_value(misfit):
    expected = central_differences(lambda p: misfit.value(*split(misfit, p)), parameters(misfit), 1e-6)
    found = misfit.gradient(POSITION, OCCUPANCY)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_hessian_is_the_derivative_of_the_gradient(misfit):
    expected = central_differences(lambda p: misfit.gradient(*split(misfit, p)), parameters(misfit))
    found = misfit.hessian(POSITION, OCCUPANCY)
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_gauss_newton_is_the_hessian_where_the_model_fits(misfit):
    """Away from the solution the two differ, and only the Gauss-Newton part stays positive."""
    exact = WeightedMisfit(
        misfit.model, misfit.kind, misfit.model.intensity(POSITION, misfit.kind), misfit.weight, misfit.amplitudes
    )
    expected = exact.hessian(POSITION)
    np.testing.assert_allclose(exact.gauss_newton(POSITION), expected, atol=1e-9 * np.abs(expected).max())
    far = POSITION[::-1]
    assert np.linalg.eigvalsh(misfit.hessian(far)).min() < 0
    assert np.linalg.eigvalsh(misfit.gauss_newton(far)).min() > -1e-9 * np.abs(expected).max()
