import h5py
import numpy as np
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.calibration_files import read_gain_stages, read_pixel_calibration, write_calibration_file

PIXEL = ("offset_adu", "adu_per_photon", "read_noise_adu")


@pytest.fixture
def path(tmp_path, provenance):
    columns = {name: np.arange(6, dtype=np.float32) + number for number, name in enumerate(PIXEL)}
    columns |= {name: np.arange(18, dtype=np.float32).reshape(3, 6) for name in ("pedestal_adu", "gain_adu_per_kev")}
    write_calibration_file(tmp_path / "calibration.h5", columns, provenance)
    return tmp_path / "calibration.h5"


def test_round_trip(path):
    for number, values in enumerate(read_pixel_calibration(path, 6)):
        assert values.dtype == np.float32
        np.testing.assert_array_equal(values, np.arange(6) + number)
    pedestal, gain = read_gain_stages(path, 6)
    np.testing.assert_array_equal(pedestal, np.arange(18).reshape(3, 6))
    np.testing.assert_array_equal(gain, pedestal)


def test_frames_of_two_dimensions_are_flattened(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        for name in PIXEL:
            file[name] = np.arange(6).reshape(2, 3)
        file["pedestal_adu"] = file["gain_adu_per_kev"] = np.ones((3, 2, 3))
    assert read_pixel_calibration(tmp_path / "other.h5", 6)[0].shape == (6,)
    assert read_gain_stages(tmp_path / "other.h5", 6)[0].shape == (3, 6)


def test_another_detector_is_refused(path):
    with pytest.raises(InputFileError, match=r"calibration\.h5 \[offset_adu\].*7 pixels.*\(6,\)"):
        read_pixel_calibration(path, 7)
    with pytest.raises(InputFileError, match="7 pixels for each of 3 gain stages"):
        read_gain_stages(path, 7)


def test_two_stages_are_not_three(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["pedestal_adu"] = file["gain_adu_per_kev"] = np.ones((6, 3))
    with pytest.raises(InputFileError, match="gain stages"):
        read_gain_stages(tmp_path / "other.h5", 6)


def test_missing_or_textual_datasets_are_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["offset_adu"] = np.ones(6)
        file["adu_per_photon"] = "ten"
    with pytest.raises(InputFileError, match="adu_per_photon"):
        read_pixel_calibration(tmp_path / "other.h5", 6)


def test_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputFileError, match=r"calibration\.h5"):
        read_pixel_calibration(path, 6)


def test_same_input_gives_same_bytes(tmp_path, path, provenance):
    write_calibration_file(tmp_path / "again.h5", {"offset_adu": np.ones(3)}, provenance)
    first = (tmp_path / "again.h5").read_bytes()
    write_calibration_file(tmp_path / "again.h5", {"offset_adu": np.ones(3)}, provenance)
    assert (tmp_path / "again.h5").read_bytes() == first
