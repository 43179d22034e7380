import numpy as np
import pytest

from fewphoton.kernels import volume_change
from tests.kernels import naive


@pytest.fixture(params=["jitted", "python"], autouse=True)
def mode(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, volume_change)


@pytest.fixture
def volumes():
    rng = np.random.default_rng(0)
    values, former, weight = rng.random((3, 6, 6, 6))
    weight[weight < 0.4] = 0.0
    former[0, 0, 0], weight[0, 0, 0] = np.nan, 0.0
    return values, former, weight


def test_mean_is_zero_where_nothing_was_measured(volumes):
    total, _, weight = volumes
    expected = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    volume_change.divide_by_weight(total, weight)
    np.testing.assert_array_equal(total, expected)


def test_squared_change_counts_measured_voxels(volumes):
    values, former, weight = volumes
    planes = np.empty((6, 2))
    volume_change.squared_change(values, former, weight, planes)
    seen = weight > 0
    moved = np.where(seen, values - np.where(seen, former, 0), 0)
    np.testing.assert_allclose(planes[:, 0], (moved**2).sum(axis=(1, 2)))
    np.testing.assert_allclose(planes[:, 1], (np.where(seen, former, 0) ** 2).sum(axis=(1, 2)))
