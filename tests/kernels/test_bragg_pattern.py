import numpy as np
import pytest

from fewphoton.data import Crystal
from fewphoton.kernels import bragg_pattern as kernels
from tests.kernels import naive

WIDTHS = np.array([4e-3, 3e-3, 6e-3])


@pytest.fixture
def case():
    rng = np.random.default_rng(6)
    crystal = Crystal((11.0, 13.0, 17.0, 80.0, 95.0, 100.0), "P 1")
    strength = rng.random((5, 5, 5))
    strength[2, 2, 2] = 0.0
    strength[0, 1, 4] = 0.0
    hkl = rng.integers(-3, 4, (200, 3)) + rng.normal(0, 0.05, (200, 3))
    return crystal, strength, hkl


@pytest.mark.parametrize("function", [kernels.bragg_intensity, kernels.bragg_intensity.py_func])
def test_intensity_is_an_anisotropic_gaussian(case, function):
    crystal, strength, hkl = case
    found = np.empty(len(hkl))
    function(hkl, crystal.b_matrix, strength, WIDTHS, found)
    expected = naive.bragg(hkl, crystal.b_matrix, strength, WIDTHS)
    assert (expected > 0).sum() > 20
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("function", [kernels.bragg_patterns, kernels.bragg_patterns.py_func])
def test_patterns_turn_q_into_hkl(case, function):
    crystal, strength, hkl = case
    q = hkl @ crystal.b_matrix.T
    transform = np.linalg.inv(crystal.b_matrix)[None]
    response = np.linspace(0.5, 1.5, len(q))
    pattern = np.empty((1, len(q)), dtype=np.float32)
    function(q, transform, crystal.b_matrix, strength, WIDTHS, response, pattern)
    expected = response * naive.bragg(hkl, crystal.b_matrix, strength, WIDTHS)
    np.testing.assert_allclose(pattern[0], expected, rtol=1e-4, atol=1e-10 * expected.max())


@pytest.mark.parametrize("function", [kernels.draw_pixels, kernels.draw_pixels.py_func])
def test_draws_follow_the_pattern(function):
    pattern = np.array([[0.0, 1.0, 0.0, 3.0, 0.0], [2.0, 0.0, 0.0, 0.0, 2.0]], dtype=np.float32)
    uniform = np.concatenate([np.linspace(0, 0.999999, 4000), np.linspace(0, 0.999999, 1000)])
    pixel = np.full(5000, -1)
    function(pattern, np.array([0, 4000, 5000]), uniform, pixel)
    np.testing.assert_array_equal(np.bincount(pixel[:4000], minlength=5), [0, 1000, 0, 3000, 0])
    np.testing.assert_array_equal(np.bincount(pixel[4000:], minlength=5), [500, 0, 0, 0, 500])
