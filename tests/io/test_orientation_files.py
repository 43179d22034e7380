from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from fewphoton.data import FrameOrientations
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.orientation_files import read_orientation_file, write_orientation_file


@pytest.fixture
def orientations():
    return FrameOrientations(
        best_angle_deg=np.array([0.0, np.nan, 240.0]),
        best_orientation=np.array([0, -1, 2]),
        best_probability=np.array([0.9, 0.0, 0.5], dtype=np.float32),
        entropy_nat=np.array([0.1, np.log(3), 0.7], dtype=np.float32),
        log_likelihood=np.array([-5.0, 0.0, -7.0]),
        angle_deg=np.array([0.0, 120.0, 240.0]),
    )


@pytest.fixture
def path(tmp_path, orientations, provenance):
    write_orientation_file(tmp_path / "orientations.h5", orientations, provenance)
    return tmp_path / "orientations.h5"


def test_orientations_of_the_rotation_group_come_back(tmp_path, provenance):
    quaternion = np.array([[1.0, 0, 0, 0], [np.nan] * 4, [0, 0.6, 0, 0.8]])
    nothing = np.full(3, np.nan)
    wanted = FrameOrientations(
        nothing, np.array([4, -1, 9]), np.ones(3), np.ones(3), np.ones(3), None, quaternion, spacing_deg=9.5
    )
    write_orientation_file(tmp_path / "o.h5", wanted, provenance)
    found = read_orientation_file(tmp_path / "o.h5")
    assert found.angle_deg is None
    assert found.step_deg == found.spacing_deg == 9.5
    np.testing.assert_array_equal(found.best_quaternion, quaternion)
    np.testing.assert_array_equal(found.best_orientation, [4, -1, 9])


def test_round_trip(path, orientations):
    found = read_orientation_file(path)
    for column in fields(found):
        np.testing.assert_array_equal(getattr(found, column.name), getattr(orientations, column.name))
        if getattr(found, column.name) is not None:
            assert getattr(found, column.name).dtype == getattr(orientations, column.name).dtype
    assert found.fluence is None
    assert found.background_photons is None


def test_fluence_and_background_round_trip(tmp_path, orientations, provenance):
    given = replace(orientations, fluence=np.array([0.5, 0.0, 1.5]), background_photons=np.array([3.0, 0.0, 9.0]))
    write_orientation_file(tmp_path / "more.h5", given, provenance)
    found = read_orientation_file(tmp_path / "more.h5")
    np.testing.assert_array_equal(found.fluence, given.fluence)
    np.testing.assert_array_equal(found.background_photons, given.background_photons)
    with pytest.raises(DataError, match="fluence"):
        replace(orientations, fluence=np.ones(2))


def test_no_frames_round_trip(tmp_path, provenance):
    nothing = np.zeros(0)
    empty = FrameOrientations(nothing, nothing.astype(int), nothing, nothing, nothing, np.array([0.0]))
    write_orientation_file(tmp_path / "empty.h5", empty, provenance)
    assert len(read_orientation_file(tmp_path / "empty.h5")) == 0


def test_same_input_gives_same_bytes(path, tmp_path, orientations, provenance):
    write_orientation_file(tmp_path / "again.h5", orientations, provenance)
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def test_damage_is_named(path):
    with h5py.File(path, "a") as file:
        file["frames/best_orientation"][2] = 3
    with pytest.raises(InputFileError, match="-1 to 2"):
        read_orientation_file(path)
    with h5py.File(path, "a") as file:
        del file["frames/entropy_nat"]
    with pytest.raises(InputFileError, match="entropy_nat"):
        read_orientation_file(path)


def test_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputFileError, match=r"orientations\.h5"):
        read_orientation_file(path)
