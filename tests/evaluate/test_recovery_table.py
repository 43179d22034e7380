import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.evaluate.proportions import wilson_interval
from fewphoton.evaluate.recovery_table import aggregate, column_numbers, success_by_time

ROWS = [
    {"method": "ours", "noise": 1e-3, "n_atoms": 20, "error": 0.02, "solved": True, "seconds": 4.0},
    {"method": "ours", "noise": 1e-3, "n_atoms": 20, "error": 0.30, "solved": False, "seconds": 60.0},
    {"method": "ours", "noise": 1e-3, "n_atoms": 9, "error": 0.01, "solved": True, "seconds": 1.0},
    {"method": "gespar", "noise": 1e-3, "n_atoms": 20, "error": 0.60, "solved": False, "seconds": None},
    {"method": "gespar", "noise": 1e-3, "n_atoms": 20},
]


def test_cells_in_order_with_their_middle_and_rate():
    table = aggregate(ROWS, ("method", "n_atoms"), ("error", "seconds"))
    assert [(line["method"], line["n_atoms"], line["n_runs"]) for line in table] == [
        ("gespar", 20, 2),
        ("ours", 9, 1),
        ("ours", 20, 2),
    ]
    gespar, _, ours = table
    assert ours["error_median"] == pytest.approx(0.16)
    assert (ours["error_quartile_low"], ours["error_quartile_high"]) == pytest.approx((0.09, 0.23))
    assert (ours["success_rate"], ours["success_rate_low"], ours["success_rate_high"]) == wilson_interval(1, 2)
    # The run that brought nothing back counts as failed, but has no error.
    assert (gespar["n_solved"], gespar["error_median"], gespar["error_n"]) == (0, 0.6, 1)
    assert np.isnan(gespar["seconds_median"])


def test_tables_read_back_from_csv_are_alike():
    columns = ("method", "noise", "n_atoms", "error", "solved", "seconds")
    texts = [{name: "" if row.get(name) is None else str(row[name]) for name in columns} for row in ROWS]
    texts[0]["noise"] = "1e-3"
    assert aggregate(texts, ("method", "noise", "n_atoms"))[1:] == aggregate(ROWS, ("method", "noise", "n_atoms"))[1:]


def test_usual_merits_are_those_that_are_there():
    line = aggregate(ROWS, ("noise",))[0]
    assert "error_median" in line
    assert "rms_over_bound_median" not in line


def test_share_solved_within_a_time():
    seconds, solved = np.array([5.0, 1.0, 2.0, np.nan]), np.array([True, True, False, False])
    share, low, high = success_by_time(seconds, solved, np.array([0.5, 1.0, 4.0, 5.0]))
    np.testing.assert_allclose(share, [0, 0.25, 0.25, 0.5])
    assert (low <= share).all()
    assert (share <= high).all()


def test_faults():
    with pytest.raises(DataError, match="no recoveries"):
        aggregate([], ("method",))
    with pytest.raises(DataError, match="no column wavelength"):
        aggregate(ROWS, ("wavelength",))
    with pytest.raises(DataError, match="'error', row 1"):
        column_numbers([{"error": 1}, {"error": "much"}], "error")
