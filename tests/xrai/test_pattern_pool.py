import numpy as np
import pytest

from fewphoton.xrai.pattern_pool import PatternPool
from tests.xrai.known_poses import CPU, particles


@pytest.mark.parametrize("limit_gb", [0.0, 1.0])
def test_patterns_are_columns_whether_held_or_read_anew(limit_gb):
    found = particles(30, 50.0, "poisson")
    pool = PatternPool(found.source, CPU, limit_gb)
    chosen = np.array([4, 29, 0, 4])
    columns = pool(chosen)
    assert columns.is_contiguous()
    np.testing.assert_array_equal(columns.numpy().T, found.source.patterns(chosen))
    np.testing.assert_array_equal(pool.total, found.source.patterns(np.arange(30)).sum(axis=1))
