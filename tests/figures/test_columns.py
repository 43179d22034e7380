import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures.columns import is_numeric, numbers, texts

ROWS = [{"a": "1", "b": "x", "c": "True"}, {"a": "", "b": "", "c": "False"}, {"a": "-2.5e3", "b": "y", "c": ""}]


def test_cells_become_numbers():
    np.testing.assert_array_equal(numbers(ROWS, "a"), [1, np.nan, -2500])
    np.testing.assert_array_equal(numbers(ROWS, "c"), [1, 0, np.nan])
    assert texts(ROWS, "b") == ["x", "", "y"]


def test_words_are_told_from_numbers():
    assert is_numeric(ROWS, "a")
    assert not is_numeric(ROWS, "b")
    with pytest.raises(DataError, match="'b' holds what is no number"):
        numbers(ROWS, "b")


def test_missing_column_and_empty_table_are_named():
    with pytest.raises(DataError, match=r"no column 'z'; it has a, b, c"):
        numbers(ROWS, "z")
    with pytest.raises(DataError, match="no column"):
        is_numeric(ROWS, "z")
    with pytest.raises(DataError, match="no rows"):
        texts([], "a")
