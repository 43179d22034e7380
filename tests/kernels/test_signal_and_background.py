import numba
import numpy as np
import pytest

from fewphoton.kernels import signal_and_background as kernels
from fewphoton.kernels import sparse_rows
from tests.kernels import naive

N_FRAMES, N_COLUMNS, N_PIXELS = 9, 192, 40


@pytest.fixture(params=["jitted", "python"])
def mode(request, monkeypatch):
    """Run a test with the compiled kernels and with the Python they were compiled from."""
    if request.param == "python":
        naive.in_python(monkeypatch, kernels)
        naive.in_python(monkeypatch, sparse_rows)


@pytest.fixture
def photons():
    rng = np.random.default_rng(3)
    indptr = np.concatenate([[0], np.cumsum(rng.poisson(11, N_FRAMES))]).astype(np.int64)
    indptr[4:] -= indptr[4] - indptr[3]  # a frame without photons
    index = rng.integers(0, N_PIXELS, indptr[-1]).astype(np.int32)
    return indptr, index, rng.choice([1, 1, 1, 1, 1, 2, 5], indptr[-1]).astype(np.float32)


@pytest.fixture
def model():
    """Signal, pedestal, fluence, background; one pixel and one frame have no background."""
    rng = np.random.default_rng(4)
    signal = np.exp(rng.normal(0, 2, (N_PIXELS, N_COLUMNS))).astype(np.float32)
    pedestal, fluence, background = (rng.random(n).astype(np.float32) + 0.1 for n in (N_PIXELS, N_FRAMES, N_FRAMES))
    pedestal[3], background[5] = 0.0, 0.0
    return signal, pedestal, fluence, background


@pytest.fixture
def probability():
    values = np.random.default_rng(5).random((N_FRAMES, N_COLUMNS)).astype(np.float32)
    values[2, :128] = 0.0
    return values / values.sum(axis=1, keepdims=True)


def hits(indptr):
    return [(d, hit) for d in range(len(indptr) - 1) for hit in range(indptr[d], indptr[d + 1])]


def share_of_signal(model, d, t):
    signal, pedestal, fluence, background = (part.astype(float) for part in model)
    return fluence[d] * signal[t] / (fluence[d] * signal[t] + background[d] * pedestal[t])


def ratio(model):
    return model[3] / model[2]


@pytest.mark.usefixtures("mode")
def test_rows_are_raised_and_scaled():
    table = np.array([[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]], dtype=np.float32)
    kernels.floor_and_scale_rows(table, 1.5, np.log([1.0, 2.0]))
    np.testing.assert_allclose(table, [[1.5, 1.5, 2.0], [2.0, 2.5, 3.0]], rtol=1e-6)


@pytest.mark.usefixtures("mode")
def test_log_sums_are_the_log_likelihood(photons, model):
    signal, pedestal, fluence, background = (part.astype(float) for part in model)
    found = np.full((N_FRAMES, N_COLUMNS), 2.0, dtype=np.float32)
    kernels.add_log_sums(*photons, *model, found)
    expected = np.full((N_FRAMES, N_COLUMNS), 2.0)
    indptr, index, count = photons
    for d, hit in hits(indptr):
        t = index[hit]
        expected[d] += count[hit] * np.log(fluence[d] * signal[t] + background[d] * pedestal[t])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("mode")
@pytest.mark.parametrize(("value", "bound"), [(1e-15, kernels.LOWEST), (1e12, kernels.HIGHEST)])
def test_what_leaves_the_bounds_counts_as_these(value, bound):
    signal = np.full((4, 8), value, dtype=np.float32)
    photons = (
        np.array([0, 4, 5]),
        np.array([0, 1, 2, 3, 0], dtype=np.int32),
        np.array([1, 1, 1, 1, 3], dtype=np.float32),
    )
    found = np.zeros((2, 8), dtype=np.float32)
    kernels.add_log_sums(
        *photons, signal, np.zeros(4, np.float32), np.ones(2, np.float32), np.ones(2, np.float32), found
    )
    np.testing.assert_allclose(found, np.outer([4, 3], np.full(8, np.log(bound))), rtol=1e-6)


@pytest.mark.usefixtures("mode")
def test_photons_are_shared_in_the_ratio_of_expected_counts(photons, model, probability):
    indptr, index, count = photons
    by_pixel = np.argsort(index, kind="stable")
    frame = np.repeat(np.arange(N_FRAMES), np.diff(indptr)).astype(np.int32)[by_pixel]
    pixel_ptr = np.searchsorted(index[by_pixel], np.arange(N_PIXELS + 1)).astype(np.int64)
    views = np.ones((N_PIXELS, N_COLUMNS), dtype=np.float32)
    kernels.add_signal_photons(pixel_ptr, frame, count[by_pixel], probability, model[0], model[1], ratio(model), views)
    background = np.empty(N_FRAMES)
    kernels.background_photons(*photons, probability, model[0], model[1], ratio(model), background)
    expected, lost = np.ones((N_PIXELS, N_COLUMNS)), np.zeros(N_FRAMES)
    for d, hit in hits(indptr):
        t = index[hit]
        share = share_of_signal(model, d, t)
        expected[t] += count[hit] * probability[d] * share
        lost[d] += count[hit] * (probability[d] * (1 - share)).sum()
    np.testing.assert_allclose(views, expected, rtol=2e-5)
    np.testing.assert_allclose(background, lost, rtol=2e-5)
    assert background[3] == background[5] == 0.0
    # No photon is counted twice or lost.
    assert (views - 1).sum() + background.sum() == pytest.approx(count.sum(), rel=1e-5)


@pytest.mark.usefixtures("mode")
def test_extreme_ratios_leave_finite_shares():
    probability = np.full((2, 8), 0.125, dtype=np.float32)
    signal, pedestal = np.full((1, 8), 1e-9, dtype=np.float32), np.ones(1, dtype=np.float32)
    by_pixel = np.array([0, 2]), np.array([0, 1], dtype=np.int32), np.ones(2, dtype=np.float32)
    by_frame = np.array([0, 1, 2]), np.zeros(2, dtype=np.int32), np.ones(2, dtype=np.float32)
    views, found = np.zeros((1, 8), dtype=np.float32), np.empty(2)
    extreme = np.array([1e28, 0.0], dtype=np.float32)
    kernels.add_signal_photons(*by_pixel, probability, signal, pedestal, extreme, views)
    kernels.background_photons(*by_frame, probability, signal, pedestal, extreme, found)
    np.testing.assert_allclose(views, 0.125, rtol=1e-6)
    np.testing.assert_allclose(found, [1.0, 0.0], rtol=1e-6)


@pytest.mark.usefixtures("mode")
def test_weighted_row_sums_leave_out_what_fills_up(probability):
    weight = np.linspace(0, 3, N_COLUMNS - 10)
    found = np.empty(N_FRAMES)
    kernels.weighted_row_sums(probability, weight, found)
    np.testing.assert_allclose(found, probability[:, :-10].astype(float) @ weight, rtol=1e-12)


def test_threads_change_no_bit(photons, model, probability):
    before = numba.get_num_threads()
    found = []
    for threads in {1, before}:
        numba.set_num_threads(threads)
        likelihood, lost = np.zeros((N_FRAMES, N_COLUMNS), dtype=np.float32), np.empty(N_FRAMES)
        kernels.add_log_sums(*photons, *model, likelihood)
        kernels.background_photons(*photons, probability, model[0], model[1], ratio(model), lost)
        found.append((likelihood, lost))
    numba.set_num_threads(before)
    for one, other in zip(found[0], found[-1], strict=True):
        np.testing.assert_array_equal(one, other)
