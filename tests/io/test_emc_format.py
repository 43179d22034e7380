"""Dragonfly files, read back by a reader written here from the format's description alone."""

import h5py
import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.data import PhotonFrames
from fewphoton.errors import InputFileError
from fewphoton.io.emc_binary import EmcBinaryReader, write_emc_binary
from fewphoton.io.emc_hdf5 import EmcHdf5Reader, write_emc_hdf5
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.photon_files import read_photon_file, write_photon_file
from tests.conftest import random_frames

N_PIXELS = 120


@pytest.fixture
def photons() -> PhotonFrames:
    dense = random_frames(23, N_PIXELS, 90.0).to_dense()
    dense[[0, 7, 22]] = 0
    dense[5, 3] = 70_000
    return PhotonFrames.from_dense(dense)


def described_binary(path) -> np.ndarray:
    words = np.frombuffer(path.read_bytes(), dtype="<i4").tolist()
    n_frames, n_pixels, kind = words[:3]
    assert kind == 0
    rest = words[256:]
    ones, multi = rest[:n_frames], rest[n_frames : 2 * n_frames]
    rest = rest[2 * n_frames :]
    frames = np.zeros((n_frames, n_pixels), dtype=int)
    for frame, n in enumerate(ones):
        frames[frame, rest[:n]] = 1
        rest = rest[n:]
    place, count = rest[: sum(multi)], rest[sum(multi) :]
    for frame, n in enumerate(multi):
        frames[frame, place[:n]] = count[:n]
        place, count = place[n:], count[n:]
    assert not place
    assert not count
    return frames


def test_binary_export_is_read_by_the_description(tmp_path, photons):
    path = tmp_path / "photons.emc"
    write_emc_binary(path, lambda: [photons.take(slice(0, 9)), photons.take(slice(9, 23))], N_PIXELS)
    np.testing.assert_array_equal(described_binary(path), photons.to_dense())


def test_hdf5_export_is_read_by_the_description(tmp_path, photons):
    path = tmp_path / "photons.h5"
    write_emc_hdf5(path, lambda: [photons.take(slice(0, 9)), photons.take(slice(9, 23))], N_PIXELS)
    dense = photons.to_dense()
    with h5py.File(path) as file:
        assert file["num_pix"][()].tolist() == [N_PIXELS]
        for frame in range(23):
            found = np.zeros(N_PIXELS, dtype=int)
            found[file["place_ones"][frame]] = 1
            found[file["place_multi"][frame]] = file["count_multi"][frame]
            np.testing.assert_array_equal(found, dense[frame])
            assert file["ones"][frame] == len(file["place_ones"][frame])


@pytest.mark.parametrize(("write", "reader"), [(write_emc_binary, EmcBinaryReader), (write_emc_hdf5, EmcHdf5Reader)])
@pytest.mark.parametrize("max_frames", [4, 100])
def test_round_trip(tmp_path, photons, write, reader, max_frames):
    path = tmp_path / "photons.emc"
    write(path, lambda: [photons], N_PIXELS)
    source = reader(path)
    assert (source.n_frames, source.n_pixels) == (23, N_PIXELS)
    back = PhotonFrames.concatenate(list(source.chunks(max_frames)))
    np.testing.assert_array_equal(back.to_dense(), photons.to_dense())


@pytest.mark.parametrize("suffix", ["emc", "h5"])
def test_stages_round_trip(tmp_path, frames, detector, beam, provenance, suffix):
    with write_photon_file(tmp_path / "frames.h5", detector, beam, provenance) as writer:
        writer.append(frames)
    write_geometry_yaml(tmp_path / "geometry.yaml", detector, beam)
    emc, back = tmp_path / f"photons.{suffix}", tmp_path / "back.h5"
    assert main(["export-emc", "--frames", str(tmp_path / "frames.h5"), "--emc", str(emc)]) == 0
    words = ["import-emc", "--emc", str(emc), "--geometry", str(tmp_path / "geometry.yaml"), "--quiet"]
    assert main([*words, "--frames", str(back), "--metrics", str(tmp_path / "metrics.json")]) == 0
    np.testing.assert_array_equal(read_photon_file(back)[0].to_dense(), frames.to_dense())


def test_geometry_of_another_detector_is_refused(tmp_path, photons, beam, detector, capsys):
    write_emc_binary(tmp_path / "x.emc", lambda: [random_frames(2, 7, 3.0)], 7)
    write_geometry_yaml(tmp_path / "geometry.yaml", detector, beam)
    words = ["import-emc", "--emc", str(tmp_path / "x.emc"), "--geometry", str(tmp_path / "geometry.yaml")]
    assert main([*words, "--frames", str(tmp_path / "f.h5"), "--metrics", str(tmp_path / "m.json")]) == 1
    assert "120 pixels" in capsys.readouterr().err


def broken(content: np.ndarray, tmp_path):
    path = tmp_path / "broken.emc"
    path.write_bytes(content.astype("<i4").tobytes())
    return path


def test_faults_are_typed_errors(tmp_path, photons):
    good = tmp_path / "good.emc"
    write_emc_binary(good, lambda: [photons], N_PIXELS)
    words = np.frombuffer(good.read_bytes(), dtype="<i4")
    with pytest.raises(InputFileError, match="truncated"):
        EmcBinaryReader(broken(words[:-1], tmp_path))
    with pytest.raises(InputFileError, match="header"):
        EmcBinaryReader(broken(words[:100], tmp_path))
    dense = words.copy()
    dense[2] = 1
    with pytest.raises(InputFileError, match="dense"):
        EmcBinaryReader(broken(dense, tmp_path))
    outside = words.copy()
    outside[256 + 2 * 23] = N_PIXELS + 5
    with pytest.raises(InputFileError, match="frames 0 to"):
        list(EmcBinaryReader(broken(outside, tmp_path)).chunks())
    with pytest.raises(InputFileError, match="cannot be read"):
        EmcBinaryReader(tmp_path / "none.emc")
    h5py.File(tmp_path / "empty.h5", "w").close()
    with pytest.raises(InputFileError, match="num_pix"):
        EmcHdf5Reader(tmp_path / "empty.h5")
