import numpy as np
import pytest

from fewphoton.kernels.aligned_table import LINE_BYTES, aligned_table, padded_columns


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8])
@pytest.mark.parametrize("n_columns", [1, 64, 65, 1150])
def test_every_row_begins_on_a_line(dtype, n_columns):
    table = aligned_table(3, padded_columns(n_columns), dtype, zeroed=True)
    assert table.shape[1] >= n_columns
    assert table.dtype == dtype
    assert [row.ctypes.data % LINE_BYTES for row in table] == [0, 0, 0]
    assert table.flags.c_contiguous
    assert not table.any()


def test_whole_lines_are_left_alone():
    assert [padded_columns(n) for n in (1, 64, 65, 1150, 1152)] == [64, 64, 128, 1152, 1152]
