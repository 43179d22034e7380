import numpy as np
import pytest

from fewphoton.config import AddBackgroundConfig
from fewphoton.data import PhotonFrames
from fewphoton.data.detector import q_vectors
from fewphoton.errors import DataError
from fewphoton.photons.background import add_background, background_shape


def test_uniform_background_spares_masked_pixels(detector, beam):
    masked = np.zeros(detector.n_pixels, dtype=bool)
    masked[:30] = True
    shape = background_shape(AddBackgroundConfig(percent=10), detector.with_mask(masked), beam)
    assert shape[:30].sum() == 0
    np.testing.assert_allclose(shape[30:], 1 / 90)


def test_radial_background_is_a_gaussian_in_q(detector, beam):
    config = AddBackgroundConfig(percent=10, shape="radial", radial_width_inv_angstrom=0.1)
    shape = background_shape(config, detector, beam)
    q = np.linalg.norm(q_vectors(detector, beam), axis=1)
    np.testing.assert_allclose(np.log(shape / shape.max()), -0.5 * (q**2 - q.min() ** 2) / 0.01, atol=1e-9)


def test_added_photons_are_poisson_and_signal_stays(frames, detector, beam):
    shape = background_shape(AddBackgroundConfig(percent=1), detector, beam)
    many = PhotonFrames.concatenate([frames] * 40)
    found = PhotonFrames.concatenate(list(add_background([many], shape, 20.0, seed=1))).validate()
    added = found.to_dense().astype(int) - many.to_dense()
    assert added.min() >= 0
    totals = added.sum(axis=1)
    assert totals.mean() == pytest.approx(20.0, abs=5 * np.sqrt(20 / 1000))
    assert totals.var() == pytest.approx(20.0, rel=0.2)
    np.testing.assert_allclose(added.mean(axis=0), 20 / 120, atol=5 * np.sqrt(20 / 120 / 1000))


def test_no_background_changes_nothing(frames, detector, beam):
    shape = background_shape(AddBackgroundConfig(percent=0), detector, beam)
    found = PhotonFrames.concatenate(list(add_background([frames], shape, 0.0, seed=1)))
    np.testing.assert_array_equal(found.to_dense(), frames.to_dense())


def test_all_masked_is_refused(detector, beam):
    blind = detector.with_mask(np.ones(detector.n_pixels, dtype=bool))
    with pytest.raises(DataError, match="masked"):
        background_shape(AddBackgroundConfig(percent=10), blind, beam)
