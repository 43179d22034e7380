import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data.orientations import rotation_about_axis
from fewphoton.kernels import volume_slices
from tests.kernels import naive

N = 17


@pytest.fixture
def case():
    rng = np.random.default_rng(3)
    q = rng.uniform(-1, 1, (71, 3)) * 3.0
    transform = 1.1 * rotation_about_axis((1, 2, 3), np.arange(0.0, 360.0, 4.0))
    return rng, q, np.ascontiguousarray(transform), rng.random((N, N, N)).astype(np.float32)


@pytest.fixture(params=["jitted", "python"])
def mode(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, volume_slices)


def run_expand(volume, q, transform):
    table = np.empty((len(q), len(transform)), dtype=np.float32)
    volume_slices.expand(volume, q, transform, N // 2, table)
    return table


def run_compress(table, row_factor, column_factor, q, transform, slabs):
    total = np.zeros((N, N, N))
    volume_slices.compress(table, row_factor, column_factor, q, transform, N // 2, slabs, total)
    return total


@pytest.mark.usefixtures("mode")
def test_expand_is_trilinear_interpolation(case):
    _, q, transform, volume = case
    expected = naive.expand(volume.astype(float), q, transform, N // 2)
    np.testing.assert_allclose(run_expand(volume, q, transform), expected, rtol=1e-5)


@pytest.mark.parametrize("slabs", [1, 3])
@pytest.mark.usefixtures("mode")
def test_compress_scatters_photons_and_weights(case, slabs):
    rng, q, transform, _ = case
    q, transform = q[:40], transform[::9]
    table = rng.random((len(q), len(transform) + 2)).astype(np.float32)  # two columns that fill up
    exposure, response = rng.random(len(transform)), rng.random(len(q)) + 0.5
    exposure[2] = 0.0
    expected = naive.compress(table[:, :-2], exposure, response, q, transform, N // 2, N)
    seen = (exposure > 0).astype(float)
    photons = run_compress(table, np.ones(len(q)), seen, q, transform, slabs)
    np.testing.assert_allclose(photons, expected[..., 0], atol=1e-6)
    weights = run_compress(None, response, exposure, q, transform, slabs)
    np.testing.assert_allclose(weights, expected[..., 1], atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 90), st.integers(1, 6))
def test_compress_is_the_adjoint_of_expand(seed, n_pixels, n_views, slabs):
    rng = np.random.default_rng(seed)
    q = rng.uniform(-1, 1, (n_pixels, 3)) * 3.0
    transform = 1.1 * rotation_about_axis(rng.normal(size=3), rng.uniform(0, 360, n_views))
    volume = rng.normal(size=(N, N, N)).astype(np.float32)
    table = rng.normal(size=(n_pixels, n_views)).astype(np.float32)
    seen = run_expand(volume, q, transform).astype(float)
    spread = run_compress(table, np.ones(n_pixels), np.ones(n_views), q, transform, slabs)
    # The one difference is that expand interpolates in float32: voxels of both signs may cancel in a sample, so its
    # error goes by the voxels and not by the sample.
    size = np.abs(volume).max() * np.linalg.norm(table.astype(float)) * np.sqrt(table.size)
    assert abs(np.vdot(seen, table) - np.vdot(volume.astype(float), spread)) < 3e-7 * size


@pytest.mark.parametrize("slabs", [2, 5, N, N + 4])
def test_compress_does_not_depend_on_the_number_of_slabs(case, slabs):
    rng, q, transform, _ = case
    table = rng.random((len(q), len(transform))).astype(np.float32)
    ones = np.ones(len(q)), np.ones(len(transform))
    one = run_compress(table, *ones, q, transform, 1)
    np.testing.assert_array_equal(run_compress(table, *ones, q, transform, slabs), one)


def test_threads_change_no_bit(case):
    rng, q, transform, volume = case
    table = rng.random((len(q), len(transform))).astype(np.float32)
    ones = np.ones(len(q)), np.ones(len(transform))
    before = numba.get_num_threads()
    found = []
    for threads in {1, before}:
        numba.set_num_threads(threads)
        found.append((run_expand(volume, q, transform), run_compress(table, *ones, q, transform, threads)))
    numba.set_num_threads(before)
    np.testing.assert_array_equal(found[0][0], found[-1][0])
    np.testing.assert_array_equal(found[0][1], found[-1][1])


def test_weights_of_all_views_sum_to_their_number(case):
    _, q, transform, _ = case
    weights = run_compress(None, np.full(len(q), 2.0), np.ones(len(transform)), q, transform, 2)
    assert weights.sum() == pytest.approx(2.0 * len(q) * len(transform))


def test_samples_on_the_grid_go_to_one_voxel():
    q = np.array([[1.0, -2.0, 3.0]])
    total = run_compress(np.array([[5.0]], dtype=np.float32), np.ones(1), np.ones(1), q, np.eye(3)[None], 2)
    assert total[N // 2 + 1, N // 2 - 2, N // 2 + 3] == 5.0
    assert total.sum() == 5.0
