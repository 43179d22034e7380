import numpy as np
import pytest
from scipy.ndimage import map_coordinates, spline_filter
from scipy.spatial.transform import Rotation

from fewphoton.kernels.cubic_slices import cubic_patterns


@pytest.mark.parametrize("compiled", [True, False])
def test_patterns_are_scipys_splines(compiled):
    rng = np.random.default_rng(2)
    n, n_pixels = 21, 40 if compiled else 6
    coefficients = spline_filter(rng.uniform(0.2, 1.0, (n, n, n)), 3, mode="mirror").astype(np.float32)
    q = rng.uniform(-0.9, 0.9, (n_pixels, 3))
    transform = 4.0 * Rotation.random(3, rng=rng).as_matrix()
    pattern = np.empty((3, n_pixels), dtype=np.float32)
    kernel = cubic_patterns if compiled else cubic_patterns.py_func
    kernel(coefficients, q, transform, 10.0, pattern)
    place = np.einsum("fij,pj->ifp", transform, q).reshape(3, -1) + 10.0
    expected = map_coordinates(coefficients.astype(float), place, order=3, mode="mirror", prefilter=False)
    np.testing.assert_allclose(pattern.ravel(), np.maximum(expected, 0), atol=2e-6)


def test_values_below_zero_become_zero():
    coefficients = np.full((9, 9, 9), -1.0, dtype=np.float32)
    pattern = np.ones((1, 4), dtype=np.float32)
    cubic_patterns(coefficients, np.zeros((4, 3)), np.eye(3)[None], 4.0, pattern)
    np.testing.assert_array_equal(pattern, 0)
