import numpy as np
import pytest

from fewphoton.data.orientations import rotation_about_axis
from fewphoton.kernels import volume_slices
from tests.kernels import naive

N = 17


@pytest.fixture
def case():
    rng = np.random.default_rng(3)
    q = rng.uniform(-1, 1, (23, 3)) * 3.0
    transform = 1.1 * rotation_about_axis((1, 2, 3), np.arange(0.0, 360.0, 40.0))
    return rng, q, np.ascontiguousarray(transform), rng.random((N, N, N))


def run_expand(function, volume, q, transform):
    table = np.empty((len(q), len(transform)), dtype=np.float32)
    function(volume, q, transform, N // 2, table)
    return table


def run_compress(function, table, exposure, response, q, transform, slabs):
    total = np.zeros((N, N, N, 2))
    function(table, exposure, response, q, transform, N // 2, slabs, total)
    return total


@pytest.mark.parametrize("function", [volume_slices.expand, volume_slices.expand.py_func])
def test_expand_is_trilinear_interpolation(case, function):
    _, q, transform, volume = case
    np.testing.assert_allclose(
        run_expand(function, volume, q, transform), naive.expand(volume, q, transform, N // 2), rtol=1e-5
    )


@pytest.mark.parametrize("function", [volume_slices.compress, volume_slices.compress.py_func])
def test_compress_scatters_photons_and_exposure(case, function):
    rng, q, transform, _ = case
    table = rng.random((len(q), len(transform))).astype(np.float32)
    exposure, response = rng.random(len(transform)), rng.random(len(q)) + 0.5
    exposure[2] = 0.0
    expected = naive.compress(table, exposure, response, q, transform, N // 2, N)
    np.testing.assert_allclose(run_compress(function, table, exposure, response, q, transform, 3), expected, atol=1e-12)


def test_compress_is_the_adjoint_of_expand(case):
    rng, q, transform, volume = case
    table = rng.random((len(q), len(transform))).astype(np.float32)
    ones = np.ones(len(transform)), np.ones(len(q))
    seen = run_expand(volume_slices.expand, volume, q, transform).astype(float)
    spread = run_compress(volume_slices.compress, table, *ones, q, transform, 2)[..., 0]
    assert np.vdot(seen, table) == pytest.approx(np.vdot(volume, spread), rel=1e-6)


@pytest.mark.parametrize("slabs", [1, 2, 5, N])
def test_compress_does_not_depend_on_the_number_of_slabs(case, slabs):
    rng, q, transform, _ = case
    table = rng.random((len(q), len(transform))).astype(np.float32)
    ones = np.ones(len(transform)), np.ones(len(q))
    one = run_compress(volume_slices.compress, table, *ones, q, transform, 1)
    np.testing.assert_array_equal(run_compress(volume_slices.compress, table, *ones, q, transform, slabs), one)
