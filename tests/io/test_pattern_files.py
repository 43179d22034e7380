import h5py
import numpy as np
import pytest

from fewphoton.data import FrameTable
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.pattern_files import read_patterns, write_pattern_file
from fewphoton.io.photon_files import write_photon_file
from tests.conftest import random_frames


@pytest.fixture
def values():
    return np.random.default_rng(1).random((6, 120)).astype(np.float32)


@pytest.fixture
def path(tmp_path, values, detector, beam, provenance):
    place = tmp_path / "patterns.h5"
    with write_pattern_file(place, detector, beam, 6, provenance) as writer:
        writer.append(values[:4], FrameTable.unknown(4))
        writer.append(values[4:], FrameTable.unknown(2, 4))
    return place


def test_what_was_written_is_read(path, values, detector):
    content = read_patterns(path)
    assert not content.source.counts
    assert content.source.n_patterns == 6
    np.testing.assert_array_equal(content.source.patterns(np.array([5, 2])), values[[5, 2]])
    np.testing.assert_array_equal(content.table.source_index, np.arange(6))
    assert content.detector.digest() == detector.digest()


def test_photon_files_are_read_by_the_same_function(tmp_path, detector, beam, provenance):
    frames = random_frames(5, detector.n_pixels, 20.0)
    masked = np.arange(120) < 30
    with write_photon_file(tmp_path / "frames.h5", detector.with_mask(masked), beam, provenance) as writer:
        writer.append(frames)
    content = read_patterns(tmp_path / "frames.h5")
    assert content.source.counts
    np.testing.assert_array_equal(content.source.patterns(np.arange(5)), frames.to_dense()[:, 30:])


def test_too_few_or_too_many_patterns_leave_no_file(tmp_path, values, detector, beam, provenance):
    place = tmp_path / "patterns.h5"
    for n_frames, match in ((7, "6 of 7"), (5, r"from 0 on for \(5")):
        with (
            pytest.raises(DataError, match=match),
            write_pattern_file(place, detector, beam, n_frames, provenance) as writer,
        ):
            writer.append(values, FrameTable.unknown(6))
    assert list(tmp_path.iterdir()) == []


def test_broken_files_are_refused(path, tmp_path, detector, beam, provenance):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputFileError, match=r"patterns\.h5"):
        read_patterns(path)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        del file["entry/patterns/values"]
        file["entry/patterns/values"] = np.zeros((6, 119), np.float32)
    with pytest.raises(InputFileError, match="wrong shape"):
        read_patterns(path)
    with write_pattern_file(path, detector, beam, 0, provenance) as writer:
        writer.append(np.zeros((0, 120), np.float32), FrameTable.unknown(0))
    with pytest.raises(InputFileError, match="holds no frames"):
        read_patterns(path)


def test_compressed_patterns_of_another_writer_are_read_into_memory(path, values):
    with h5py.File(path, "r+") as file:
        del file["entry/patterns/values"]
        file["entry"].create_dataset("patterns/values", data=values.astype(">f8"), compression="gzip")
    np.testing.assert_array_equal(read_patterns(path).source.patterns(np.arange(6)), values)
