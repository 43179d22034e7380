from dataclasses import replace

import h5py
import hdf5plugin  # noqa: F401 - registers the compression, as any reader must
import numpy as np
import pytest
from scipy import sparse

from fewphoton.data import PhotonFrames
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.photon_files import open_photon_file, read_photon_file, write_photon_file
from tests.conftest import random_frames


@pytest.fixture
def path(tmp_path, frames, detector, beam, provenance):
    target = tmp_path / "frames.h5"
    with write_photon_file(target, detector, beam, provenance) as writer:
        writer.append(frames.take(slice(0, 10)))
        writer.append(frames.take(slice(10, 25)))
    return target


def test_round_trip(path, frames, detector, beam):
    back, found_detector, found_beam = read_photon_file(path)
    np.testing.assert_array_equal(back.to_dense(), frames.to_dense())
    np.testing.assert_array_equal(back.table.omega_start_deg, frames.table.omega_start_deg)
    assert found_detector.digest() == detector.digest()
    assert found_beam.wavelength_angstrom == beam.wavelength_angstrom


@pytest.mark.parametrize("max_hits", [1, 17, 10**6])
def test_chunks_join_to_the_whole(path, frames, max_hits):
    with open_photon_file(path) as reader:
        joined = PhotonFrames.concatenate(list(reader.chunks(max_hits=max_hits, max_frames=7)))
    np.testing.assert_array_equal(joined.to_dense(), frames.to_dense())


def test_same_input_gives_same_bytes(tmp_path, path, frames, detector, beam, provenance):
    again = tmp_path / "again" / "frames.h5"
    with write_photon_file(again, detector, beam, provenance) as writer:
        writer.append(frames.take(slice(0, 10)))
        writer.append(frames.take(slice(10, 25)))
    assert again.read_bytes() == path.read_bytes()


def test_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(InputFileError, match=r"frames\.h5"):
        read_photon_file(path)


def test_failed_write_leaves_nothing(tmp_path, detector, beam, provenance):
    target = tmp_path / "frames.h5"
    with pytest.raises(DataError, match="pixels"), write_photon_file(target, detector, beam, provenance) as writer:
        writer.append(random_frames(3, 7, 1.0))
    assert list(tmp_path.iterdir()) == []


def test_plain_h5py_reads_frames_and_default_plot(path, frames):
    """What another program sees: CSR arrays, and the sum of all frames along the chain of NeXus defaults."""
    with h5py.File(path) as file:
        group = file[file.attrs["default"]]
        plot = group[group.attrs["default"]]
        np.testing.assert_array_equal(plot[plot.attrs["signal"]][()].ravel(), frames.to_dense().sum(axis=0))
        indptr, pixel, count = (group[f"photons/{name}"][()] for name in ("indptr", "pixel", "count"))
    matrix = sparse.csr_array((count, pixel, indptr), shape=(frames.n_frames, frames.n_pixels))
    np.testing.assert_array_equal(matrix.toarray(), frames.to_dense())


def with_orientations(frames):
    quaternion = np.random.default_rng(3).standard_normal((frames.n_frames, 4))
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    quaternion[4] = np.nan
    return replace(frames, table=replace(frames.table, quaternion=quaternion))


def test_known_orientations_are_kept(tmp_path, frames, detector, beam, provenance):
    known = with_orientations(frames)
    with write_photon_file(tmp_path / "known.h5", detector, beam, provenance) as writer:
        writer.append(known.take(slice(0, 10)))
        writer.append(known.take(slice(10, 25)))
    with open_photon_file(tmp_path / "known.h5") as reader:
        np.testing.assert_array_equal(reader.table.quaternion, known.table.quaternion)
        np.testing.assert_array_equal(reader.read(3, 6).table.quaternion, known.table.quaternion[3:6])


def test_files_without_orientations_hold_no_such_column(path):
    with h5py.File(path) as file:
        assert "quaternion" not in file["entry/frames"]
    assert read_photon_file(path)[0].table.quaternion is None


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.zeros((25, 3)), r"\(25, 4\)"), (np.ones((25, 4)), "unit length"), (np.zeros((25, 4), int), "wrong type")],
)
def test_wrong_orientations_are_named(path, values, message):
    with h5py.File(path, "r+") as file:
        file["entry/frames/quaternion"] = values
    with pytest.raises(InputFileError, match=rf"frames\.h5 .*frames.*{message}"):
        read_photon_file(path)
