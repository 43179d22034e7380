"""Tables as Parquet: what PyArrow reads back, and what is said where it is missing."""

from __future__ import annotations

import math
import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from fewphoton.errors import MissingLibraryError, OutputFileError
from fewphoton.io.parquet_table import write_parquet


def test_types_are_kept_and_gaps_are_null(tmp_path):
    rows = [
        {"point": "base", "n_frames": np.int64(3), "r_factor": 0.25, "solved": True, "photons": 20, "seed": 1},
        {"point": "ä", "n_frames": 4, "r_factor": math.nan, "solved": False, "photons": 0.5, "seed": "none", "more": 2},
    ]
    write_parquet(tmp_path / "t.parquet", rows)
    table = pyarrow.parquet.read_table(tmp_path / "t.parquet")
    assert [str(field.type) for field in table.schema] == [
        "string",
        "int64",
        "double",
        "bool",
        "double",
        "string",
        "int64",
    ]
    assert table.to_pylist() == [
        {"point": "base", "n_frames": 3, "r_factor": 0.25, "solved": True, "photons": 20.0, "seed": "1", "more": None},
        {"point": "ä", "n_frames": 4, "r_factor": None, "solved": False, "photons": 0.5, "seed": "none", "more": 2},
    ]


def test_a_missing_library_is_named_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingLibraryError, match=r"pip install -e '\.\[parquet\]'"):
        write_parquet(tmp_path / "t.parquet", [{"a": 1}])
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_no_folder_is_a_typed_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFileError, match="cannot be written"):
        write_parquet(tmp_path / "file" / "t.parquet", [{"a": 1}])
