import math

import pytest

from fewphoton.errors import DataError
from fewphoton.evaluate.published_values import find_value, is_accepted

ROWS = [
    {"dataset": "a", "n": "10", "preset": "none", "r": "0.5"},
    {"dataset": "a", "n": "10.0", "preset": "recommended", "r": ""},
    {"dataset": "b", "n": "", "preset": "none", "r": "many"},
]


@pytest.mark.parametrize("n", [10, 10.0])
def test_numbers_are_compared_as_numbers(n):
    assert find_value(ROWS, {"n": n, "preset": "none"}, "r") == 0.5


def test_words_are_compared_as_words():
    assert math.isnan(find_value(ROWS, {"preset": "recommended"}, "r"))
    with pytest.raises(DataError, match="n = 10, found 0"):
        find_value([*ROWS[1:]], {"n": "10"}, "r")


@pytest.mark.parametrize(
    ("rows", "chosen", "column", "message"),
    [
        ([], {}, "r", "has no row"),
        (ROWS, {"m": 1}, "s", "no column m, s"),
        (ROWS, {"dataset": "a"}, "r", "one row with dataset = a, found 2"),
        (ROWS, {}, "r", "one row with all rows, found 3"),
        (ROWS, {"dataset": "b"}, "r", "expected a number, found 'many'"),
    ],
)
def test_faults(rows, chosen, column, message):
    with pytest.raises(DataError, match=message):
        find_value(rows, chosen, column)


def test_rows_that_differ_in_named_columns_give_their_median():
    seeded = [{"method": "m", "seed": str(seed), "r": cell} for seed, cell in enumerate(("0.5", "9", "1"))]
    assert find_value(seeded, {"method": "m"}, "r", ["seed"]) == 1.0
    assert find_value(seeded[:2], {"method": "m"}, "r", ["seed"]) == 4.75
    assert find_value(seeded[:1], {"method": "m"}, "r", ["seed"]) == 0.5
    assert math.isnan(find_value([*seeded, {"method": "m", "seed": "3", "r": ""}], {"method": "m"}, "r", ["seed"]))
    with pytest.raises(DataError, match="one row with method = m for each seed, found 4"):
        find_value([*seeded, {"method": "m", "seed": "0", "r": "2"}], {"method": "m"}, "r", ["seed"])
    with pytest.raises(DataError, match="one row with method = n for each seed, found 0"):
        find_value(seeded, {"method": "n"}, "r", ["seed"])
    with pytest.raises(DataError, match="no column start"):
        find_value(seeded, {"method": "m"}, "r", ["start"])


def test_limits_may_be_open():
    assert is_accepted(1.0, 1.0, 1.0)
    assert is_accepted(-5.0, None, 0.0)
    assert is_accepted(5.0, 0.0, None)
    assert is_accepted(5.0, None, None)
    assert not is_accepted(5.0, None, 4.9)
    assert not is_accepted(5.0, 5.1, None)
    assert not is_accepted(math.nan, None, None)
