"""One iteration against the formulas of Ayyer et al. (2015), written out with dense arrays."""

import numpy as np
import pytest

from fewphoton.emc.communicator import Serial
from fewphoton.emc.iteration import Views, expected_table, iterate, merge, posteriors
from tests.emc.conftest import CONFIG
from tests.kernels import naive

FLOOR = 1e-6


@pytest.fixture(scope="module")
def volume(problem):
    rng = np.random.default_rng(8)
    shape = (problem.rows.n_voxels,) * 3
    return 0.02 + 0.05 * rng.random(shape)


@pytest.fixture(scope="module")
def dense(problem, photons, volume):
    """Counts, expected counts and probabilities of equation 1, all in float64."""
    rows = problem.rows
    counts = photons.to_dense()[:, rows.row_of_pixel >= 0].astype(float)
    intensity = naive.expand(volume, rows.q_inv_angstrom, problem.transforms, rows.origin)
    expected = intensity * rows.response[:, None]
    used = rows.likelihood
    log_likelihood = counts[:, used] @ np.log(expected[used]) - expected[used].sum(axis=0)
    probability = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    return counts, expected, probability / probability.sum(axis=1, keepdims=True), log_likelihood


def test_probabilities_are_equation_1(problem, volume, dense):
    found = [posterior.probability for _, posterior in posteriors(problem, volume, 1.0, FLOOR, Serial())]
    np.testing.assert_allclose(np.concatenate(found), dense[2], atol=2e-3)


def test_views_are_equation_2(problem, volume, dense):
    views = Views.empty(problem)
    for batch, posterior in posteriors(problem, volume, 1.0, FLOOR, Serial()):
        views.add(batch, posterior.probability)
    counts, _, probability, _ = dense
    np.testing.assert_allclose(views.exposure, probability.sum(axis=0), rtol=5e-3, atol=5e-3)
    np.testing.assert_allclose(views.photons, counts.T @ probability, rtol=2e-2, atol=2e-2)
    assert views.photons.sum() == pytest.approx(counts.sum(), rel=1e-5)


def test_log_likelihood_is_the_dense_one(problem, volume, dense):
    _, record = iterate(problem, volume, 1, 1.0, FLOOR, "uniform", Serial())
    counts, _, _, log_likelihood = dense
    top = log_likelihood.max(axis=1)
    evidence = top + np.log(np.exp(log_likelihood - top[:, None]).mean(axis=1))
    per_photon = evidence.sum() / counts[:, problem.rows.likelihood].sum()
    assert record.log_likelihood_per_photon == pytest.approx(per_photon, abs=1e-4)


def test_merging_the_expected_views_of_a_flat_volume_gives_it_back(problem):
    flat = np.full((problem.rows.n_voxels,) * 3, 0.3)
    table, _ = expected_table(problem, flat)
    views = Views((table * problem.rows.response[:, None]).astype(np.float32), np.ones(problem.n_local))
    for weights in ("uniform", "exposure"):
        merged = merge(problem, views, weights, Serial())
        np.testing.assert_allclose(merged.values[merged.weight > 0], 0.3, rtol=1e-5)


def test_views_without_exposure_do_not_count(problem):
    photons = np.ones((problem.rows.n_rows, problem.n_local), dtype=np.float32)
    exposure = np.full(problem.n_local, 1e-9)
    exposure[3] = 2.0
    merged = merge(problem, Views(photons, exposure), "uniform", Serial())
    ratio = 0.5 / problem.rows.response
    assert merged.values[merged.weight > 0].max() <= ratio.max() + 1e-9
    assert merged.values.min() >= 0


def test_likelihood_rises_over_iterations(problem, volume):
    values = []
    for number in range(1, 6):
        updated, record = iterate(problem, volume, number, 1.0, FLOOR, CONFIG.view_weights, Serial())
        volume = updated.values
        values.append(record.log_likelihood_per_photon)
    assert values == sorted(values)
