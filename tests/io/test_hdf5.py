import contextlib
import gzip
import resource

import h5py
import numpy as np
import pytest

from fewphoton.errors import FewphotonError, InputFileError, OutputFileError
from fewphoton.io.hdf5 import (
    attribute,
    created,
    dataset,
    is_kind,
    number_attribute,
    opened,
    require_kind,
    store,
    text,
    text_attribute,
    whole_attribute,
)
from fewphoton.io.raw_frames import open_raw_frames


@pytest.fixture
def path(tmp_path):
    with created(tmp_path / "x.h5") as file:
        file.attrs["fewphoton_kind"] = "test"
        store(file, "big", np.zeros((300, 300)), units="m")
        store(file, "small", np.arange(3))
        file["broken"] = h5py.ExternalLink("nowhere.h5", "/x")
    return tmp_path / "x.h5"


def test_large_datasets_are_compressed_and_described(path):
    with opened(path) as file:
        assert dataset(file, "big", kind="f", shape=(None, 300)).attrs["units"] == "m"
        assert path.stat().st_size < 100_000
        assert attribute(file["big"], "units") == "m"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("none", {}, r"\[none\]: dataset is missing.*big"),
        ("broken", {}, "link is broken"),
        ("small", {"kind": "f"}, "expected floats; found int64"),
        ("small", {"shape": (4,)}, r"expected \(4,\); found \(3,\)"),
        ("small", {"shape": (None, None)}, "wrong shape"),
        ("/", {}, "is a group"),
    ],
)
def test_every_way_to_be_wrong_is_named(path, name, options, message):
    with opened(path) as file, pytest.raises(InputFileError, match=message):
        dataset(file, name, **options)


def test_kind_and_attributes_are_required(path):
    with opened(path) as file:
        with pytest.raises(InputFileError, match="expected other; found test"):
            require_kind(file, "other")
        with pytest.raises(InputFileError, match="'offset' is missing"):
            attribute(file["small"], "offset")


def test_files_that_are_none(tmp_path):
    for name, content in (("empty.h5", b""), ("text.h5", b"hello")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputFileError, match="cannot be opened as HDF5"), opened(tmp_path / name):
            pass
    with pytest.raises(InputFileError, match="no such file"), opened(tmp_path / "none.h5"):
        pass
    with pytest.raises(InputFileError, match="is a folder"), opened(tmp_path):
        pass


@pytest.mark.parametrize("limit", [1_000, 50_000, 700_000, 900_000])
def test_a_disk_that_fills_anywhere_is_a_typed_error_and_leaves_the_former(tmp_path, limit):
    path = tmp_path / "x.h5"
    with created(path) as file:
        file["former"] = 1
    former = path.read_bytes()
    rng = np.random.default_rng(0)

    def write() -> None:
        with created(path) as file:
            for number in range(10):
                store(file, f"group/{number}", rng.random(10_000))
                assert file[f"group/{number}"].shape == (10_000,)

    _, hard = soft_and_hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        # 800 kB of random numbers do not fit below any but the last limit, not even compressed.
        with (
            pytest.raises(OutputFileError, match=r"x\.h5: cannot be written: File too large")
            if limit < 800_000
            else (contextlib.nullcontext())
        ):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft_and_hard)
    assert [item.name for item in tmp_path.iterdir()] == ["x.h5"]
    assert (path.read_bytes() == former) == (limit < 800_000)


def test_an_error_of_the_block_is_passed_on(tmp_path):
    def failing() -> None:
        with created(tmp_path / "x.h5") as file:
            file["a"] = 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_gzip_is_read_and_its_faults_name_it(path, tmp_path):
    packed = tmp_path / "y.h5.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    with opened(packed) as file:
        assert dataset(file, "small")[()].tolist() == [0, 1, 2]
    with opened(packed) as file, pytest.raises(InputFileError, match="dataset is missing"):
        dataset(file, "none")
    with pytest.raises(InputFileError) as caught, opened(packed) as file:
        dataset(file, "none")
    assert caught.value.path == packed
    assert caught.value.where == "none"
    assert str(caught.value).startswith(f"{packed} [none]: dataset is missing")


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"no HDF5"), gzip.compress(bytes(9999))[:-30]])
def test_a_broken_file_in_gzip_is_a_typed_error(content, tmp_path):
    packed = tmp_path / "z.h5.gz"
    packed.write_bytes(content)
    with (
        pytest.raises(InputFileError, match=r"z\.h5\.gz: (cannot be unpacked|cannot be opened as HDF5)"),
        opened(packed),
    ):
        pass


def test_corrupt_metadata_are_typed_errors_and_other_mistakes_are_not_hidden(tmp_path):
    path = tmp_path / "raw.h5"
    with h5py.File(path, "w") as file:
        file.attrs["default"] = "entry"
        group = file.create_group("entry/data")
        group.create_dataset("data", data=np.zeros((3, 4, 5), dtype=np.uint16), chunks=(1, 4, 5))
    whole = path.read_bytes()
    rng = np.random.default_rng(2)
    told = []
    for _ in range(60):
        broken = bytearray(whole)
        for place in rng.integers(96, len(whole), 30):
            broken[place] = int(rng.integers(256))
        path.write_bytes(bytes(broken))
        try:
            with open_raw_frames([str(path)]) as frames:
                frames.read(np.array([0]))
        except FewphotonError as error:
            told.append(str(error))
    assert any("breaks while it is read" in text for text in told)
    path.write_bytes(whole)
    with pytest.raises(KeyError, match="mine"), opened(path):
        raise KeyError("mine")


@pytest.mark.parametrize("value", [np.arange(3.0), np.array([]), h5py.Empty("f"), np.bytes_(b"\xff"), 5])
def test_a_kind_that_is_no_word_is_another_kind(tmp_path, value):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["fewphoton_kind"] = value
    assert not is_kind(tmp_path / "x.h5", "test")
    with opened(tmp_path / "x.h5") as file, pytest.raises(InputFileError, match=r"x\.h5 .*expected test"):
        require_kind(file, "test")


def test_attributes_of_another_type_are_refused(path):
    values = {"word": "m", "half": 0.5, "three": 3, "nan": np.nan, "row": np.arange(2.0), "none": h5py.Empty("f")}
    with h5py.File(path, "r+") as file:
        file["small"].attrs.update(values, bytes=np.bytes_(b"\xff\xfe"), complex=1j)
    with opened(path) as file:
        item = file["small"]
        assert (text_attribute(item, "word"), number_attribute(item, "half")) == ("m", 0.5)
        assert whole_attribute(item, "three") == 3
        assert np.isnan(number_attribute(item, "nan"))
        for function, names in (
            (text_attribute, ("half", "row", "none", "bytes")),
            (number_attribute, ("word", "row", "none", "bytes", "complex")),
            (whole_attribute, ("half", "nan", "word")),
        ):
            for name in names:
                with pytest.raises(InputFileError, match=rf"x\.h5 \[/small\]: attribute '{name}' is no"):
                    function(item, name)


def test_text_is_one_piece_of_text(path):
    with h5py.File(path, "r+") as file:
        file["word"], file["words"] = "a word", ["a", "b"]
        file["references"] = h5py.h5r.create(file.id, b"/small", h5py.h5r.OBJECT)
    with opened(path) as file:
        assert text(file, "word") == "a word"
        for name in ("words", "small", "references"):
            with pytest.raises(InputFileError, match=rf"x\.h5 \[{name}\]"):
                text(file, name)


def test_a_dataset_without_values_is_refused(path):
    with h5py.File(path, "r+") as file:
        file["empty"] = h5py.Empty("f4")
    with opened(path) as file, pytest.raises(InputFileError, match=r"x\.h5 \[empty\]: holds nothing"):
        dataset(file, "empty", kind="f")


def test_more_than_fits_into_memory_is_a_typed_error_of_the_file_alone(path):
    with h5py.File(path, "r+") as file:
        file.create_dataset("endless", (2**50,), dtype="f8", chunks=(1024,))
    with pytest.raises(InputFileError, match=r"x\.h5: holds more than fits into memory"), opened(path) as file:
        dataset(file, "endless", kind="f", shape=(None,))[()]
    with pytest.raises(MemoryError), opened(path):
        np.zeros(2**50)


@pytest.mark.parametrize("shape", [(60000,), (50, 40, 30)])
def test_corrupt_chunks_never_reach_the_filter(tmp_path, shape):
    """HDF5's filter trusts the lengths in a chunk: it reads on past the end, which may end the process."""
    values = np.random.default_rng(0).integers(0, 50, shape)
    with created(tmp_path / "x.h5") as file:
        store(file, "values", values)
    with opened(tmp_path / "x.h5") as file:
        item = dataset(file, "values", kind="i", shape=shape)
        np.testing.assert_array_equal(item[()], values)
        np.testing.assert_array_equal(item[7:23], values[7:23])
        np.testing.assert_array_equal(item[3], values[3])
    with h5py.File(tmp_path / "x.h5", "r") as file:
        chunk = file["values"].id.get_chunk_info(file["values"].id.get_num_chunks() - 1)
    content = bytearray((tmp_path / "x.h5").read_bytes())
    content[chunk.byte_offset + 12 : chunk.byte_offset + 16] = b"\x7f\xff\xff\xff"
    (tmp_path / "x.h5").write_bytes(content)
    for where in ((), slice(None), slice(shape[0] - 2, None), shape[0] - 1, -1, (-1, ...)):
        with opened(tmp_path / "x.h5") as file, pytest.raises(InputFileError, match=r"x\.h5 \[/values\]: a chunk of"):
            dataset(file, "values")[where]
    with opened(tmp_path / "x.h5") as file:
        for where in (slice(0, 2), 0, -shape[0], (1, ...)):
            np.testing.assert_array_equal(dataset(file, "values")[where], values[where])
