import itertools

import numpy as np
import pytest

from fewphoton.kernels import equivalent_voxels
from fewphoton.kernels.threads import use_threads
from tests.kernels import naive


@pytest.fixture(params=["jitted", "python"], autouse=True)
def mode(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, equivalent_voxels)


def group_of(*generators):
    """Close a set of integer matrices under multiplication."""
    found = {np.eye(3, dtype=np.int64).tobytes(): np.eye(3, dtype=np.int64)}
    while True:
        products = [a @ np.array(b) for a, b in itertools.product(list(found.values()), generators)]
        new = {product.tobytes(): product for product in products if product.tobytes() not in found}
        if not new:
            return np.stack(list(found.values()))
        found |= new


INVERSION = -np.eye(3, dtype=np.int64)
GROUPS = {
    "-1": (INVERSION,),
    "4/m": (INVERSION, [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "-3": (INVERSION, [[0, -1, 0], [1, -1, 0], [0, 0, 1]]),
    "m-3m": (INVERSION, [[0, 0, 1], [1, 0, 0], [0, 1, 0]], [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
}
SIZES = {"-1": 2, "4/m": 8, "-3": 6, "m-3m": 48}


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("n", [5, 6])
def test_means_over_orbits(name, n):
    group = group_of(*GROUPS[name])
    assert len(group) == SIZES[name]
    rng = np.random.default_rng(3)
    values, weight = rng.random((2, n, n, n))
    weight[rng.random((n, n, n)) < 0.4] = 0.0
    values[weight == 0] = np.nan  # what was not measured must not be looked at
    expected, expected_weight = values.copy(), weight.copy()
    half, centre = (n - 1) // 2, n // 2
    for hkl in itertools.product(range(-half, half + 1), repeat=3):
        orbit = [tuple(g @ hkl + centre) for g in group if np.abs(g @ hkl).max() <= half]
        masses = np.array([weight[place] for place in orbit])
        seen = [values[place] if weight[place] > 0 else 0.0 for place in orbit]
        here = tuple(np.array(hkl) + centre)
        expected[here] = (masses @ seen) / masses.sum() if masses.sum() > 0 else 0.0
        expected_weight[here] = masses.sum() / len(group)
    equivalent_voxels.average_equivalents(values, weight, group)
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    np.testing.assert_allclose(weight, expected_weight, rtol=1e-12)


def test_threads_change_nothing():
    group = group_of(*GROUPS["m-3m"])
    given = np.random.default_rng(5).random((2, 9, 9, 9))
    results = []
    for threads in (1, 2):
        use_threads(threads)
        values, weight = given.copy()
        equivalent_voxels.average_equivalents(values, weight, group)
        results.append((values, weight))
    np.testing.assert_array_equal(results[0], results[1])
