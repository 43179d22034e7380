import numpy as np
import pytest

from fewphoton.emc.communicator import Serial, shard, world
from fewphoton.errors import ParallelError


class World(Serial):
    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.mark.parametrize(("n_items", "size"), [(10, 1), (10, 3), (7, 7), (1150, 16)])
def test_shards_cover_everything_once(n_items, size):
    ranges = [shard(n_items, World(rank, size)) for rank in range(size)]
    assert [start for start, _ in ranges[1:]] == [stop for _, stop in ranges[:-1]]
    assert (ranges[0][0], ranges[-1][1]) == (0, n_items)
    assert np.ptp([stop - start for start, stop in ranges]) <= 1


def test_more_ranks_than_orientations_is_refused():
    with pytest.raises(ParallelError, match="fewer tasks"):
        shard(3, World(0, 4))


def test_serial_world_changes_nothing():
    with world(None) as communicator:
        values = np.arange(3.0)
        communicator.sum(values)
        communicator.maximum(values)
        np.testing.assert_array_equal(values, [0, 1, 2])
        assert communicator.share("x") == "x"
        assert communicator.gather(values)[0] is values
