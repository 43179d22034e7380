import gemmi
import numpy as np
import pytest

import fewphoton
from fewphoton.data import Reflections
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.reflections import read_mtz, read_reflection_list, write_mtz


@pytest.fixture
def reflections():
    return Reflections(
        np.array([[1, 1, 0], [2, 1, 1], [3, 1, 0]]),
        np.array([120.5, 3.25, -0.5]),
        np.array([2.0, np.nan, 0.25]),
        np.array([12, 1, 24]),
        np.array([119.0, 3.0, np.nan]),
        np.array([122.0, 3.5, -0.25]),
    )


@pytest.fixture
def path(tmp_path, reflections, cubic_crystal):
    write_mtz(tmp_path / "merged.mtz", reflections, cubic_crystal, 0.71, "test")
    return tmp_path / "merged.mtz"


def test_round_trip(path, reflections, cubic_crystal):
    found, crystal = read_mtz(path)
    for name in ("hkl", "intensity", "sigma", "multiplicity", "half_1", "half_2"):
        np.testing.assert_array_equal(getattr(found, name), getattr(reflections, name), err_msg=name)
    assert crystal.cell == pytest.approx(cubic_crystal.cell)
    assert crystal.space_group == cubic_crystal.space_group


def test_as_gemmi_sees_it(path):
    mtz = gemmi.read_mtz_file(str(path))
    kinds = {column.label: column.type for column in mtz.columns}
    assert kinds == dict(zip(["H", "K", "L", "IMEAN", "SIGIMEAN", "N", "I_HALF1", "I_HALF2"], "HHHJQIJJ", strict=True))
    assert mtz.spacegroup.hm == "I -4 3 d"
    assert mtz.cell.a == pytest.approx(21.47)
    assert mtz.dataset(1).wavelength == pytest.approx(0.71)
    assert any("fewphoton" in line and fewphoton.__version__ in line for line in mtz.history)
    assert np.isnan(mtz.column_with_label("SIGIMEAN")[1])


def test_unmeasured_rows_are_left_out(tmp_path, reflections, cubic_crystal):
    bare = Reflections.bare(reflections.hkl, np.array([1.0, np.nan, 2.0]))
    write_mtz(tmp_path / "some.mtz", bare, cubic_crystal, 1.0, "test")
    assert read_mtz(tmp_path / "some.mtz")[0].hkl.tolist() == [[1, 1, 0], [3, 1, 0]]
    with pytest.raises(DataError, match="at least one"):
        write_mtz(tmp_path / "none.mtz", Reflections.bare(bare.hkl, np.full(3, np.nan)), cubic_crystal, 1.0, "test")
    assert not (tmp_path / "none.mtz").exists()


def test_same_input_gives_same_bytes(path, tmp_path, reflections, cubic_crystal):
    write_mtz(tmp_path / "again.mtz", reflections, cubic_crystal, 0.71, "test")
    assert (tmp_path / "again.mtz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"MTZ nonsense", None])
def test_foreign_and_missing_files_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "x.mtz").write_bytes(content)
    with pytest.raises(InputFileError, match=r"x\.mtz"):
        read_mtz(tmp_path / "x.mtz")


def test_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputFileError, match="MTZ"):
        read_mtz(path)


def test_a_space_group_that_is_no_text_is_refused(path):
    content = path.read_bytes()
    assert b"'I -4 3 d'" in content
    path.write_bytes(content.replace(b"'I -4 3 d'", b"'\xff -4 3 d'"))
    with pytest.raises(InputFileError, match="cannot be read as MTZ"):
        read_mtz(path)


def test_missing_column_is_named(tmp_path, path):
    mtz = gemmi.read_mtz_file(str(path))
    mtz.remove_column(mtz.column_labels().index("SIGIMEAN"))
    mtz.write_to_file(str(tmp_path / "less.mtz"))
    with pytest.raises(InputFileError, match="SIGIMEAN"):
        read_mtz(tmp_path / "less.mtz")


def test_lists_of_reflections_are_read(tmp_path):
    path = tmp_path / "merged.hkl"
    path.write_text(
        "   0   0   2     264.566     9.106   6\n\n  -1   3  -4  -2.5 1.25\n   0   0   0   0.0   0.0\n9 9 9 1 1\n"
    )
    found = read_reflection_list(path)
    np.testing.assert_array_equal(found.hkl, [[0, 0, 2], [-1, 3, -4]])
    np.testing.assert_array_equal(found.intensity, [264.566, -2.5])
    np.testing.assert_array_equal(found.sigma, [9.106, 1.25])


@pytest.mark.parametrize("text", ["", "1 2 3 4\n", "1 2 3.5 4 5\n", "h k l I s\n"])
def test_other_text_is_no_list_of_reflections(tmp_path, text):
    (tmp_path / "x.hkl").write_text(text)
    with pytest.raises(InputFileError, match=r"x\.hkl"):
        read_reflection_list(tmp_path / "x.hkl")


def test_labels_that_are_no_text_are_refused(path):
    path.write_bytes(path.read_bytes().replace(b"COLUMN IMEAN", b"COLUMN \xffMEAN"))
    with pytest.raises(InputFileError, match=r"merged\.mtz: cannot be read as MTZ"):
        read_mtz(path)
