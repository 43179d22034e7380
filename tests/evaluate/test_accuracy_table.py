import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.evaluate.accuracy_table import accuracy_cells


def score(n, photons, method, value):
    return {"n_frames": n, "photons": photons, "method": method, "error": value}


def test_medians_and_ranges_by_cell():
    scores = [score(500, 10, "b", value) for value in (3.0, 1.0, 2.0)]
    scores += [score(50, 10, "b", 5.0), score(50, 100, "a", 4.0), score(50, 100, "a", "6.0")]
    cells = accuracy_cells(scores, "error", "n_frames", "method", "photons")
    assert [(cell.row, cell.group, cell.column) for cell in cells] == [
        (row, group, column) for row in ("50", "500") for group in ("10", "100") for column in ("b", "a")
    ]
    found = {(cell.row, cell.group, cell.column): cell for cell in cells}
    assert found["500", "10", "b"].text(1) == "2.0 (1.0 to 3.0)"
    assert found["50", "10", "b"].text(2) == "5.00"
    assert found["50", "100", "a"].median == 5.0
    assert found["500", "100", "a"].text(1) == "–"
    assert found["500", "100", "a"].n_runs == 0


def test_failures_count_as_worse_than_any():
    scores = [score(1, 1, "a", value) for value in (2.0, "", None, 1.0, np.nan)]
    (cell,) = accuracy_cells(scores, "error", "n_frames", "method")
    assert (cell.n_runs, cell.n_scored) == (5, 2)
    assert cell.median == np.inf
    assert cell.text(1) == "none (1.0 to none)"
    scores = [score(1, 1, "a", value) for value in (np.nan, 1.0, np.nan)]
    (lost,) = accuracy_cells(scores, "error", "n_frames", "method")
    assert (lost.lowest, lost.median, lost.highest) == (1.0, np.inf, np.inf)


def test_missing_columns_are_named():
    with pytest.raises(DataError, match="no column 'photon'; they have error, method, n_frames, photons"):
        accuracy_cells([score(1, 1, "a", 1.0)], "error", "n_frames", "method", "photon")
    with pytest.raises(DataError, match="no scores"):
        accuracy_cells([], "error", "n_frames", "method")
