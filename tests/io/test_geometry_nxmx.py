import h5py
import numpy as np
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.geometry_files import read_geometry


def short_file(path, **changes):
    values = {
        "beam_center_x": (10.5, None),
        "beam_center_y": (4.0, None),
        "detector_distance": (250.0, "mm"),
        "x_pixel_size": (7.5e-5, "m"),
        "y_pixel_size": (75.0, "um"),
        **changes,
    }
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        for name, pair in values.items():
            if pair is not None:
                detector[name] = pair[0]
                if pair[1]:
                    detector[name].attrs["units"] = pair[1]
        detector["detectorSpecific/x_pixels_in_detector"] = 20
        detector["detectorSpecific/y_pixels_in_detector"] = 8
        mask = np.zeros((8, 20), dtype=np.uint32)
        mask[2, 3] = 16
        detector["detectorSpecific/pixel_mask"] = mask
        file["entry/instrument/beam/incident_wavelength"] = 0.9
        file["entry/instrument/beam/incident_wavelength"].attrs["units"] = "angstrom"
        file["entry/sample/transformations/omega"] = [0.0, 0.1]
        file["entry/sample/transformations/omega"].attrs["vector"] = [-1.0, 0, 0]
    return path


def test_short_form(tmp_path):
    geometry = read_geometry(short_file(tmp_path / "x.h5"))
    (panel,) = geometry.detector.panels
    np.testing.assert_allclose(panel.corner_m, [10.5 * 7.5e-5, 4.0 * 7.5e-5, 0.25])
    np.testing.assert_allclose(panel.fast_step_m, [-7.5e-5, 0, 0])
    assert geometry.detector.frame_shape == (8, 20)
    assert np.flatnonzero(geometry.detector.masked).tolist() == [2 * 20 + 3]
    assert geometry.beam.wavelength_angstrom == 0.9
    np.testing.assert_array_equal(geometry.rotation_axis, [-1, 0, 0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detector_distance": None}, "detector_distance"),
        ({"x_pixel_size": (75, "furlong")}, "unknown unit"),
        ({"beam_center_x": (np.nan, None)}, "holds no number"),
        ({"pixel_mask": (np.zeros((3, 3), int), None)}, "another shape"),
    ],
)
def test_short_form_faults(tmp_path, changes, message):
    with pytest.raises(InputFileError, match=message):
        read_geometry(short_file(tmp_path / "x.h5", **changes))


def vector(group, name, value, direction, units, depends_on, kind=None, **more):
    group[name] = value
    group[name].attrs.update(vector=direction, units=units, depends_on=depends_on, **more)
    if kind:
        group[name].attrs["transformation_type"] = kind


@pytest.fixture
def full_file(tmp_path):
    """A module 20 mm above the beam on an arm 100 mm long that is turned by 90 degrees about y (z goes to x)."""
    path = tmp_path / "full.nxs"
    with h5py.File(path, "w") as file:
        chain = file.create_group("entry/instrument/detector/transformations")
        vector(chain, "two_theta", 90.0, [0, 1.0, 0], "deg", ".", "rotation")
        vector(chain, "arm", 100.0, [0, 0, 1.0], "mm", "two_theta", "translation")
        arm = "/entry/instrument/detector/transformations/arm"
        module = file.create_group("entry/instrument/detector/module")
        module["data_origin"], module["data_size"] = [0, 0], [4, 6]
        vector(module, "fast_pixel_direction", 1e-3, [-1.0, 0, 0], "m", arm)
        vector(module, "slow_pixel_direction", 1e-3, [0, -1.0, 0], "m", arm)
        vector(module, "module_offset", 20.0, [0, 1.0, 0], "mm", arm, "translation")
        file["entry/sample/beam/incident_wavelength"] = 0.1
        file["entry/sample/beam/incident_wavelength"].attrs["units"] = "nm"
    return path


def test_chains_of_transformations(full_file):
    geometry = read_geometry(full_file)
    (panel,) = geometry.detector.panels
    np.testing.assert_allclose(panel.corner_m, [0.1, 0.02, 0], atol=1e-12)
    np.testing.assert_allclose(panel.slow_step_m, [0, -1e-3, 0], atol=1e-12)
    np.testing.assert_allclose(panel.fast_step_m, [0, 0, 1e-3], atol=1e-12)
    assert geometry.beam.wavelength_angstrom == pytest.approx(1.0)
    assert geometry.rotation_axis is None


def test_broken_chains_are_refused(full_file):
    with h5py.File(full_file, "a") as file:
        file["entry/instrument/detector/transformations/arm"].attrs["depends_on"] = "nowhere"
    with pytest.raises(InputFileError, match="leads nowhere"):
        read_geometry(full_file)
    with h5py.File(full_file, "a") as file:
        file["entry/instrument/detector/transformations/arm"].attrs["depends_on"] = "arm"
    with pytest.raises(InputFileError, match="no end"):
        read_geometry(full_file)


def test_a_step_of_no_kind_is_refused(full_file):
    with h5py.File(full_file, "a") as file:
        file["entry/instrument/detector/transformations/arm"].attrs["transformation_type"] = np.zeros(0)
    with pytest.raises(InputFileError, match="'transformation_type' is no text"):
        read_geometry(full_file)


def test_modules_without_two_axes_are_refused(full_file):
    with h5py.File(full_file, "a") as file:
        del file["entry/instrument/detector/module/data_origin"]
        file["entry/instrument/detector/module/data_origin"] = np.zeros(0, dtype=int)
    with pytest.raises(InputFileError, match=r"data_origin\]: tells no two axes"):
        read_geometry(full_file)


def test_a_file_without_detector_is_refused(tmp_path):
    h5py.File(tmp_path / "x.h5", "w").close()
    with pytest.raises(InputFileError, match="instrument/detector"):
        read_geometry(tmp_path / "x.h5")
