"""One iteration against the formulas of Ayyer et al. (2015), written out with dense arrays."""

from dataclasses import replace

import numpy as np
import pytest

from fewphoton.data import IntensityVolume
from fewphoton.emc.communicator import Serial
from fewphoton.emc.iteration import expected_table, iterate, merge, posteriors
from fewphoton.emc.iteration_record import relative_change
from fewphoton.emc.views import Views
from fewphoton.errors import ConfigError, ConvergenceError
from fewphoton.kernels.threads import threads_in_use, use_threads
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
    probability = np.concatenate(found)
    np.testing.assert_allclose(probability[:, : problem.n_local], dense[2], atol=2e-5)
    np.testing.assert_array_equal(probability[:, problem.n_local :], 0.0)


def test_views_are_equation_2(problem, volume, dense):
    views = Views.empty(problem)
    for batch, posterior in posteriors(problem, volume, 1.0, FLOOR, Serial()):
        views.add(batch, posterior.probability)
    counts, _, probability, _ = dense
    np.testing.assert_allclose(views.exposure, probability.sum(axis=0), rtol=1e-4)
    np.testing.assert_allclose(views.photons[:, : problem.n_local], counts.T @ probability, rtol=1e-4, atol=1e-5)
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
    photons = np.ones_like(Views.empty(problem).photons)
    exposure = np.full(problem.n_local, 1e-9)
    exposure[3] = 2.0
    merged = merge(problem, Views(photons, exposure), "uniform", Serial())
    ratio = 0.5 / problem.rows.response
    assert merged.values[merged.weight > 0].max() <= ratio.max() + 1e-9
    assert merged.values.min() >= 0


class Apart(Serial):
    """A world of one that takes the steps of many."""

    size = 2


@pytest.mark.parametrize("table_type", ["float32", "int16"])
def test_steps_of_many_ranks_give_what_one_pass_gives(problem, volume, table_type):
    joined, separate = (
        list(posteriors(problem, volume, 0.5, FLOOR, world, table_type)) for world in (Serial(), Apart())
    )
    for (_, one), (_, other) in zip(joined, separate, strict=True):
        np.testing.assert_allclose(other.probability, one.probability, rtol=1e-5, atol=1e-12)
        for name in ("log_evidence", "entropy_nat", "information_nat"):
            np.testing.assert_allclose(getattr(other, name), getattr(one, name), rtol=1e-6, atol=1e-6)


def all_posteriors(problem, volume, table_type):
    parts = [posterior for _, posterior in posteriors(problem, volume, 1.0, FLOOR, Serial(), table_type)]
    return np.concatenate([part.probability for part in parts]), np.concatenate([part.log_evidence for part in parts])


@pytest.mark.parametrize("table_type", ["int16", "uint8"])
def test_rounded_tables_bound_the_error_of_probabilities(problem, volume, photons, table_type):
    # Each photon is off by half a step at most, so a log ratio of probabilities is off by a step times the photons.
    exact, evidence = all_posteriors(problem, volume, "float32")
    rounded, rounded_evidence = all_posteriors(problem, volume, table_type)
    table, _ = expected_table(problem, volume)
    logarithm = np.log(table[:, : problem.n_local].astype(float))
    limits = np.iinfo(table_type)
    step = (logarithm.max(axis=1) - logarithm.min(axis=1)).max() / (int(limits.max) - int(limits.min))
    n_photons = np.concatenate([batch.likelihood_photons for batch in problem.batches])
    bound = n_photons * step + 1e-4
    seen = exact[:, : problem.n_local] > 1e-6
    ratio = np.log(np.where(seen, rounded[:, : problem.n_local], 1.0) / np.where(seen, exact[:, : problem.n_local], 1))
    assert (np.abs(ratio).max(axis=1) <= bound).all()
    assert np.abs(rounded_evidence - evidence).max() <= bound.max()
    # Roundings are independent, so what is met is far below that bound.
    assert np.abs(rounded - exact).max() < {"int16": 2e-4, "uint8": 5e-2}[table_type]


def test_unknown_table_type_is_an_error(problem, volume):
    with pytest.raises(ConfigError, match="float16"):
        next(posteriors(problem, volume, 1.0, FLOOR, Serial(), "float16"))


def test_weights_of_geometry_are_computed_once_and_only_where_every_view_was_seen(problem):
    photons = Views.empty(problem).photons + np.float32(1.0)
    exposure = np.ones(problem.n_local)
    first, second = (merge(problem, Views(photons, exposure), "uniform", Serial()) for _ in range(2))
    assert np.shares_memory(first.weight, second.weight)
    np.testing.assert_allclose(merge(problem, Views(photons, exposure), "exposure", Serial()).weight, first.weight)
    exposure[:20] = 0.0
    fewer = merge(problem, Views(photons, exposure), "uniform", Serial())
    assert fewer.weight.sum() < first.weight.sum()
    half = replace(problem, transforms=problem.transforms[::2], log_prior=problem.log_prior[::2])
    views = Views(Views.empty(half).photons, np.ones(half.n_local))
    assert merge(half, views, "uniform", Serial()).weight.sum() == pytest.approx(first.weight.sum() / 2, rel=1e-3)
    again = merge(problem, Views(photons, np.ones(problem.n_local)), "uniform", Serial())
    np.testing.assert_array_equal(again.weight, first.weight)


def test_change_is_relative_to_the_former_volume_on_measured_voxels(problem, volume):
    weight = np.ones_like(volume)
    weight[:4] = 0.0
    updated = IntensityVolume(np.where(weight > 0, 1.5 * volume, 0.0), weight, 4)
    assert relative_change(updated, volume) == pytest.approx(0.5)
    assert relative_change(updated, np.zeros_like(volume)) == np.inf


def test_an_empty_volume_is_told_apart_from_bad_numbers(problem, volume):
    with pytest.raises(ConvergenceError, match="not finite"):
        next(posteriors(problem, np.full_like(volume, np.nan), 1.0, FLOOR, Serial()))


@pytest.mark.parametrize("view_weights", ["uniform", "exposure"])
def test_threads_change_no_bit(problem, volume, view_weights):
    before = threads_in_use()
    found = []
    for threads in (1, before):
        use_threads(threads)
        found.append(iterate(problem, volume, 1, 1.0, FLOOR, view_weights, Serial())[0])
    use_threads(before)
    np.testing.assert_array_equal(found[0].values, found[1].values)
    np.testing.assert_array_equal(found[0].weight, found[1].weight)


def test_likelihood_rises_over_iterations(problem, volume):
    values = []
    for number in range(1, 6):
        updated, record = iterate(problem, volume, number, 1.0, FLOOR, CONFIG.view_weights, Serial())
        volume = updated.values
        values.append(record.log_likelihood_per_photon)
    assert values == sorted(values)
