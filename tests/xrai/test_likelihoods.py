import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from fewphoton.xrai.likelihoods import AmplitudeDifference, PoissonCounts

RNG = np.random.default_rng(4)
LOG = RNG.normal(0.5, 0.6, (3, 20))
RESPONSE = RNG.uniform(0.7, 1.2, 30)
WEIGHT = RNG.uniform(0.5, 2, 30)
CHOSEN = RNG.permutation(30)[:20]
COUNTS = RNG.poisson(3.0, (3, 20)).astype(float)


class Constant:
    """A volume that has the same values wherever it is asked."""

    def prepared(self):
        return torch.zeros(0)

    def log_intensities(self, points, prepared):
        return torch.tensor(LOG)

    def amplitudes(self, points, prepared):
        return torch.exp(0.5 * torch.tensor(LOG))


def found(rule):
    misfit, fluence = rule(
        Constant(), torch.zeros(0), torch.zeros(3, 20, 3), torch.tensor(COUNTS), torch.tensor(CHOSEN)
    )
    return misfit.numpy(), fluence.numpy()


def test_amplitudes_by_numpy():
    misfit, fluence = found(AmplitudeDifference(torch.tensor(RESPONSE), torch.tensor(WEIGHT), per_frame_fluence=False))
    difference = np.sqrt(COUNTS / RESPONSE[CHOSEN]) - np.exp(LOG / 2)
    np.testing.assert_allclose(misfit, (WEIGHT[CHOSEN] * difference**2).mean(axis=1))
    np.testing.assert_array_equal(fluence, 1)


@pytest.mark.parametrize("background", [0.0, 0.4])
def test_counts_by_numpy(background):
    misfit, fluence = found(PoissonCounts(torch.tensor(RESPONSE), background, per_frame_fluence=False))
    expected = np.exp(LOG) * RESPONSE[CHOSEN] + background
    np.testing.assert_allclose(misfit, (expected - COUNTS * np.log(expected)).mean(axis=1))
    np.testing.assert_array_equal(fluence, 1)


@pytest.mark.parametrize("background", [0.0, 0.4])
def test_free_fluences_are_the_most_likely_ones(background):
    misfit, fluence = found(PoissonCounts(torch.tensor(RESPONSE), background, per_frame_fluence=True))
    for row in range(3):
        shape = np.exp(LOG[row]) * RESPONSE[CHOSEN]

        def loss(factor, shape=shape, row=row):
            expected = factor * shape + background
            return (expected - COUNTS[row] * np.log(expected)).mean()

        best = minimize_scalar(loss, bounds=(1e-3, 20), method="bounded", options={"xatol": 1e-10})
        assert misfit[row] == pytest.approx(best.fun, abs=1e-5 if background == 0 else 1e-3)
        assert fluence[row] == pytest.approx(best.x, rel=1e-5 if background == 0 else 0.05)


def test_free_fluences_of_amplitudes_are_least_squares():
    rule = AmplitudeDifference(torch.tensor(RESPONSE), torch.tensor(WEIGHT), per_frame_fluence=True)
    misfit, fluence = found(rule)
    for row in range(3):
        root = np.sqrt(WEIGHT[CHOSEN])
        target = np.sqrt(COUNTS[row] / RESPONSE[CHOSEN])
        factor, square, *_ = np.linalg.lstsq((root * np.exp(LOG[row] / 2))[:, None], root * target)
        assert fluence[row] == pytest.approx(factor[0] ** 2)
        assert misfit[row] == pytest.approx(square[0] / 20)


def test_frames_without_photons_have_finite_misfits():
    rule = PoissonCounts(torch.tensor(RESPONSE), 0.0, per_frame_fluence=True)
    misfit, fluence = rule(Constant(), torch.zeros(0), torch.zeros(3, 20, 3), torch.zeros(3, 20), torch.tensor(CHOSEN))
    assert torch.isfinite(misfit).all()
    assert (fluence < 1e-9).all()
