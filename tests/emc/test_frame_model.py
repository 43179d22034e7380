"""Fluence and background of frames against the formulas of expectation-maximization, written out with dense arrays."""

import numpy as np
import pytest
from scipy import special

from fewphoton.config import ReconstructConfig
from fewphoton.emc import iteration
from fewphoton.emc.communicator import Serial
from fewphoton.emc.frame_model import FrameFit, FrameModel, FrameParameters
from fewphoton.emc.iteration import expected_table, iterate, posteriors
from fewphoton.emc.views import Views
from fewphoton.errors import ConfigError, DataError
from fewphoton.kernels.aligned_table import aligned_table
from tests.emc.varied import varied_photons, varied_problem
from tests.kernels import naive

FLOOR = 1e-6
N_DENSE = 40
KINDS = {
    "fluence": {"fluence": "per_frame"},
    "background": {"background": "per_frame"},
    "both": {"fluence": "per_frame", "background": "per_frame"},
}


def built(problem, kind, shape=None):
    return FrameModel.build(problem, ReconstructConfig(**KINDS[kind]), shape)


@pytest.fixture(scope="module")
def problem():
    return varied_problem()[0]


@pytest.fixture(scope="module")
def volume(problem):
    return 0.02 + 0.05 * np.random.default_rng(8).random((problem.rows.n_voxels,) * 3)


@pytest.fixture(scope="module")
def shape(problem):
    values = 0.5 + np.random.default_rng(9).random(len(problem.rows.row_of_pixel))
    values[problem.rows.row_of_pixel < 0] = np.nan  # nobody looks there
    return values


def some_parameters(problem, kind):
    rng = np.random.default_rng(3)
    fluence = np.ones(problem.n_frames) if kind == "background" else rng.gamma(4, 0.25, problem.n_frames)
    background = np.zeros(problem.n_frames) if kind == "fluence" else rng.gamma(4, 10.0, problem.n_frames)
    return FrameParameters(fluence, background)


def dense(problem, volume, parameters, shape):
    """Of the first frames: counts, signal and background by frame, pixel and orientation; probabilities, evidence."""
    rows = problem.rows
    used = rows.likelihood
    counts = varied_photons().take(slice(0, N_DENSE)).to_dense()[:, rows.row_of_pixel >= 0].astype(float)
    intensity = naive.expand(volume, rows.q_inv_angstrom, problem.transforms, rows.origin) * rows.response[:, None]
    share = shape[rows.row_of_pixel >= 0]
    share = share / share[used].sum()
    signal = parameters.fluence[:, None, None] * intensity
    background = (parameters.background_photons[:, None] * share)[:, :, None]
    total = signal + background
    log_likelihood = (counts[:, used, None] * np.log(total[:, used])).sum(axis=1) - total[:, used].sum(axis=1)
    probability = special.softmax(log_likelihood, axis=1)
    evidence = special.logsumexp(log_likelihood, axis=1) - np.log(log_likelihood.shape[1])
    return counts, intensity, signal / total, probability, evidence


@pytest.mark.parametrize("kind", KINDS)
def test_one_iteration_is_expectation_maximization(problem, volume, shape, kind):
    few = problem.with_frames(np.arange(problem.n_frames) < N_DENSE)
    parameters = some_parameters(problem, kind).take(np.arange(N_DENSE))
    frames = FrameFit(built(problem, kind, None if kind == "fluence" else shape), few, parameters)
    views = Views.empty(few)
    found, evidence = [], []
    for batch, posterior in posteriors(few, volume, 1.0, FLOOR, Serial(), frames=frames):
        views.add(batch, posterior.probability, frames)
        found.append(posterior.probability[:, : few.n_local])
        evidence.append(posterior.log_evidence)
    counts, intensity, of_signal, probability, log_evidence = dense(problem, volume, parameters, shape)
    np.testing.assert_allclose(np.concatenate(found), probability, atol=1e-4)
    constant = (counts * (problem.row_offset + np.log(problem.rows.response)))[:, problem.rows.likelihood].sum(axis=1)
    np.testing.assert_allclose(np.concatenate(evidence) + constant, log_evidence, rtol=1e-6, atol=2e-3)
    used = problem.rows.likelihood
    signal_photons = np.einsum("dt,dtr,dr->d", counts[:, used], of_signal[:, used], probability)
    all_photons = counts[:, used].sum(axis=1)
    expected = probability @ intensity[used].sum(axis=0)
    if kind != "background":
        np.testing.assert_allclose(frames.updated.fluence, signal_photons / expected, rtol=1e-3)
    if kind != "fluence":
        np.testing.assert_allclose(frames.updated.background_photons, all_photons - signal_photons, rtol=1e-3)
    np.testing.assert_allclose(
        views.photons[:, : few.n_local],
        np.einsum("dt,dtr,dr->tr", counts, of_signal, probability),
        rtol=2e-3,
        atol=1e-3,
    )
    np.testing.assert_allclose(views.exposure, frames.updated.fluence @ probability, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_likelihood_never_falls_where_views_are_free(kind, monkeypatch):
    """Views that every pixel and orientation has to itself; all pixels enter the likelihood."""
    problem, _ = varied_problem(0.0)
    assert problem.rows.likelihood.all()
    model = built(problem, kind)
    parameters = model.start(problem)
    table = aligned_table(problem.rows.n_rows, Views.empty(problem).photons.shape[1], np.float32)
    table[:] = 0.05 * np.random.default_rng(1).random(table.shape)
    response = problem.rows.response[:, None]

    def free(_problem, _volume):
        taken = aligned_table(*table.shape, np.float32)
        taken[:] = table
        return taken, (table * response).sum(axis=0, dtype=np.float64)[: problem.n_local]

    monkeypatch.setattr(iteration, "expected_table", free)
    likelihoods = []
    for _ in range(20):
        frames, views, total = FrameFit(model, problem, parameters), Views.empty(problem), 0.0
        for batch, posterior in posteriors(problem, np.zeros((1, 1, 1)), 1.0, 1e-12, Serial(), frames=frames):
            views.add(batch, posterior.probability, frames)
            total += float(posterior.log_evidence.sum())
        likelihoods.append(total)
        views.exposure /= frames.keep_mean_fluence()
        parameters = frames.updated
        seen = views.exposure > 1e-6
        columns = np.flatnonzero(seen)
        table[:, columns] = views.photons[:, columns] / response / views.exposure[columns]
    steps = np.diff(likelihoods)
    assert steps[0] > 1000
    # Sums of some thousand photons' logarithms in float32.
    assert steps.min() > -0.05
    if kind != "background":
        assert parameters.fluence.mean() == pytest.approx(1.0)


def test_equal_fluences_change_no_bit(problem, volume):
    model = built(problem, "fluence")
    ones = FrameParameters(np.ones(problem.n_frames), np.zeros(problem.n_frames))
    plain = [posterior for _, posterior in posteriors(problem, volume, 1.0, FLOOR, Serial())]
    frames = FrameFit(model, problem, ones)
    for found, (_, posterior) in zip(
        plain, posteriors(problem, volume, 1.0, FLOOR, Serial(), frames=frames), strict=True
    ):
        np.testing.assert_array_equal(posterior.probability, found.probability)
        np.testing.assert_array_equal(posterior.log_evidence, found.log_evidence)


def test_a_background_of_nothing_is_none(problem, volume):
    model = built(problem, "background")
    nothing = FrameParameters(np.ones(problem.n_frames), np.zeros(problem.n_frames))
    frames = FrameFit(model, problem, nothing)
    updated, record = iterate(problem, volume, 1, 1.0, FLOOR, "uniform", Serial(), frames=frames)
    plain, former = iterate(problem, volume, 1, 1.0, FLOOR, "uniform", Serial())
    assert record.log_likelihood_per_photon == pytest.approx(former.log_likelihood_per_photon, abs=1e-5)
    np.testing.assert_allclose(updated.values, plain.values, rtol=1e-3, atol=1e-4 * plain.values.max())
    np.testing.assert_array_equal(frames.updated.background_photons, 0.0)
    assert record.background_fraction == 0.0


def test_records_tell_spread_and_background(problem, volume):
    model = built(problem, "both")
    frames = FrameFit(model, problem, model.start(problem))
    _, record = iterate(problem, volume, 1, 1.0, FLOOR, "uniform", Serial(), frames=frames)
    assert record.fluence_spread == pytest.approx(frames.updated.fluence.std() / frames.updated.fluence.mean())
    assert record.background_fraction == pytest.approx(
        frames.updated.background_photons.sum() / problem.likelihood_photons
    )
    assert 0 < record.background_fraction < 1


def test_the_mean_fluence_of_those_that_take_part_is_kept(problem, volume):
    few = problem.with_frames(np.arange(problem.n_frames) % 4 == 0)
    present = some_parameters(problem, "fluence").take(np.arange(0, problem.n_frames, 4))
    frames = FrameFit(built(problem, "fluence"), few, present)
    for scale in (1.0, 3.0):
        exposure = Views.empty(few)
        fit = FrameFit(built(problem, "fluence"), few, present)
        for batch, posterior in posteriors(few, scale * volume, 1.0, FLOOR, Serial(), frames=fit):
            exposure.add(batch, posterior.probability, fit)
        factor = fit.keep_mean_fluence()
        assert fit.updated.fluence.mean() == pytest.approx(present.fluence.mean())
        assert factor > 0
    assert frames.updated.fluence.tolist() == present.fluence.tolist()


def test_a_volume_of_the_wrong_scale_comes_back_to_that_of_the_data(problem, volume):
    """Fluences alone would answer, and keeping their mean must hand the scale to the volume."""
    photons = problem.likelihood_photons / problem.n_informative_frames
    scaled = volume * photons / expected_table(problem, volume)[1].mean()
    model = built(problem, "fluence")
    frames = FrameFit(model, problem, model.start(problem))
    updated, _ = iterate(problem, 3.0 * scaled, 1, 1.0, FLOOR, "exposure", Serial(), frames=frames)
    assert frames.updated.fluence.mean() == pytest.approx(1.0)
    assert expected_table(problem, updated.values)[1].mean() == pytest.approx(photons, rel=0.2)


def test_frames_without_photons_keep_what_they_have(problem, volume):
    dark = problem.with_rows(
        np.ones(problem.rows.n_rows, bool),
        np.arange(problem.rows.n_rows) < 40,
        problem.rows.n_voxels,
        *_geometry(),
        Serial(),
    )
    without = np.concatenate([batch.likelihood_photons for batch in dark.batches]) == 0
    assert 0 < without.sum() < dark.n_frames
    frames = FrameFit(built(problem, "both"), dark, some_parameters(problem, "both"))
    iterate(dark, volume, 1, 1.0, FLOOR, "uniform", Serial(), frames=frames)
    factor = frames.updated.fluence[without] / frames.present.fluence[without]
    np.testing.assert_array_equal(factor, 1.0)
    np.testing.assert_array_equal(
        frames.updated.background_photons[without], frames.present.background_photons[without]
    )
    assert not np.array_equal(frames.updated.fluence, frames.present.fluence)


def _geometry():
    from tests.emc.varied import varied_experiment

    return varied_experiment().crystal, varied_problem()[1]


def test_the_start_follows_the_photons(problem):
    model = built(problem, "both")
    photons = np.concatenate([batch.likelihood_photons for batch in problem.batches])
    start = model.start(problem)
    np.testing.assert_allclose(start.fluence, photons / photons[photons > 0].mean())
    np.testing.assert_allclose(start.background_photons, 0.25 * photons)
    np.testing.assert_array_equal(built(problem, "background").start(problem).fluence, 1.0)
    np.testing.assert_array_equal(built(problem, "fluence").start(problem).background_photons, 0.0)


def test_shares_are_those_of_the_full_detector_in_any_part_of_it(problem, shape):
    model = built(problem, "background", shape)
    rows = problem.rows
    assert model.share(rows)[rows.likelihood].sum() == pytest.approx(1.0)
    kept = np.linalg.norm(rows.q_inv_angstrom, axis=1) < 0.4
    part = problem.with_rows(kept, np.ones(rows.n_rows, bool), rows.n_voxels, *_geometry(), Serial())
    np.testing.assert_array_equal(model.share(part.rows), model.share(rows)[kept])


def test_wrong_shapes_and_settings_are_refused(problem):
    n_pixels = len(problem.rows.row_of_pixel)
    assert FrameModel.build(problem, ReconstructConfig(), None) is None
    with pytest.raises(ConfigError, match="per_frame"):
        FrameModel.build(problem, ReconstructConfig(fluence="per_frame"), np.ones(n_pixels))
    for shape, words in (
        (np.ones(7), "7 pixels"),
        (np.full(n_pixels, -1.0), "negative"),
        (np.full(n_pixels, np.nan), "finite"),
        (np.zeros(n_pixels), "zero"),
    ):
        with pytest.raises(DataError, match=words):
            built(problem, "background", shape)
    with pytest.raises(ValueError, match="likelihood_table must be float32"):
        ReconstructConfig(background="per_frame", likelihood_table="int16")
