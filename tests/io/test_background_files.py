import h5py
import numpy as np
import pytest

from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.errors import InputFileError
from fewphoton.io.background_files import read_background_shape, write_background_curve, write_background_map
from tests.emc.varied import varied_experiment


@pytest.fixture(scope="module")
def setup():
    experiment = varied_experiment()
    return experiment.detector, experiment.beam


@pytest.fixture
def values(setup):
    shape = setup[0].frame_shape
    return np.random.default_rng(1).random(shape)


def test_a_map_is_read_as_it_is_but_for_masked_pixels(tmp_path, setup, values, provenance):
    detector, beam = setup
    values[detector.masked.reshape(values.shape)] = np.nan
    write_background_map(tmp_path / "map.h5", values, provenance)
    found = read_background_shape(tmp_path / "map.h5", detector, beam)
    assert detector.masked.any()
    np.testing.assert_array_equal(found, np.where(detector.masked, 0.0, values.reshape(-1)))


def test_a_curve_is_seen_through_solid_angle_and_polarization(tmp_path, setup, provenance):
    detector, beam = setup
    write_background_curve(tmp_path / "curve.h5", np.array([0.0, 2.0]), np.array([4.0, 0.0]), provenance)
    found = read_background_shape(tmp_path / "curve.h5", detector, beam)
    response = detector.solid_angles_sr() * polarization_factors(detector, beam)
    usable = ~detector.masked
    expected = (4.0 - 2.0 * np.linalg.norm(q_vectors(detector, beam), axis=1)) * response / response[usable].mean()
    np.testing.assert_allclose(found[usable], expected[usable])
    assert (found[~usable] == 0).all()


def test_wrong_files_are_named(tmp_path, setup, values, provenance):
    detector, beam = setup
    path = tmp_path / "background.h5"
    with pytest.raises(InputFileError, match="no such file"):
        read_background_shape(path, detector, beam)
    write_background_map(path, values[1:], provenance)
    with pytest.raises(InputFileError, match="wrong shape"):
        read_background_shape(path, detector, beam)
    usable = np.flatnonzero(~detector.masked)[5]
    values.reshape(-1)[usable] = -1.0
    write_background_map(path, values, provenance)
    with pytest.raises(InputFileError, match=f"first at pixel {usable}"):
        read_background_shape(path, detector, beam)
    write_background_curve(path, np.array([1.0, 0.5]), np.ones(2), provenance)
    with pytest.raises(InputFileError, match="rise strictly"):
        read_background_shape(path, detector, beam)
    with h5py.File(path, "a") as file:
        del file["background"]
    with pytest.raises(InputFileError, match="photons_per_pixel or photons_per_response"):
        read_background_shape(path, detector, beam)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputFileError, match=r"background\.h5"):
        read_background_shape(path, detector, beam)
