"""Real frames of single particles on a pnCCD: photon counts in gzip, and analog frames with masks."""

import gzip
import io

import h5py
import numpy as np
import pytest

from fewphoton.config import CountPhotonsConfig
from fewphoton.data import Beam
from fewphoton.errors import InputFileError
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import read_metrics
from fewphoton.io.photon_files import read_photon_file
from fewphoton.stages.contract import Context
from fewphoton.stages.count_photons import Inputs, Outputs, run
from tests.conftest import flat_detector


def count(folder, shape, raw, masks, **config):
    write_geometry_yaml(folder / "geometry.yaml", flat_detector(*shape, 75e-6, 0.5), Beam(8.0))
    outputs = Outputs(folder / "frames.h5", folder / "metrics.json")
    inputs = Inputs((str(raw),), folder / "geometry.yaml", None, tuple(map(str, masks)))
    run(inputs, outputs, CountPhotonsConfig(**config), Context(1, progress=False))
    return (*read_photon_file(outputs.frames)[:2], read_metrics(outputs.metrics))


@pytest.mark.real_data
def test_counts_in_gzip_with_their_mask(data_dir, tmp_path):
    file = data_dir / "spi_pnccd" / "test_pattern.h5.gz"
    raw = f"{file}::/patterns"
    frames, detector, metrics = count(tmp_path, (128, 128), raw, [f"{file}::/mask"], calibration="photons")
    assert frames.n_frames == 50
    assert metrics["masked_pixels"] == detector.masked.sum() == 304
    assert metrics["photons_total"] == 1_280_489
    with h5py.File(io.BytesIO(gzip.decompress(file.read_bytes()))) as direct:
        usable = direct["mask"][()].ravel() == 0
        counts = direct["patterns"][()].reshape(50, -1)
    np.testing.assert_array_equal(frames.to_dense()[:, usable], counts[:, usable])


@pytest.mark.real_data
def test_analog_frames_become_photons(data_dir, tmp_path):
    folder = data_dir / "spi_pnccd"
    masks = [folder / "mask.npy", folder / "artifacts.npy"]
    frames, detector, metrics = count(
        tmp_path, (260, 257), folder / "test_adu.npy", masks, fit_per="panel", common_mode=False, max_shift_sigma=10
    )
    given = np.maximum(np.load(masks[0]), np.load(masks[1])).ravel() != 0
    raw = np.load(folder / "test_adu.npy").reshape(10, -1)
    assert detector.masked[given].all()
    # The last column was never read out, and no mask names it.
    assert detector.masked[(raw == 0).all(axis=0)].all()
    assert metrics["gain_adu_per_photon_median"] == pytest.approx(8.1, abs=0.3)
    assert metrics["dead_pixels"] == 255
    assert metrics["bad_reads"] == 2  # infinities at one pixel
    assert not np.isin(123 + 257 * 121, frames.take(np.array([3, 4])).pixel)
    # Two photons make twice the ADU of one.
    dense, usable = frames.to_dense(), ~detector.masked
    for photons in (1, 2, 3):
        signal = raw[:, usable][dense[:, usable] == photons]
        assert np.median(signal) == pytest.approx(8.1 * photons, rel=0.08)


def test_a_mask_of_another_size_is_refused(tmp_path):
    np.save(tmp_path / "raw.npy", np.ones((3, 6, 5), dtype=np.int32))
    np.save(tmp_path / "mask.npy", np.zeros((5, 6)))
    with pytest.raises(InputFileError, match=r"mask\.npy.*does not fit the frames"):
        count(tmp_path, (6, 5), tmp_path / "raw.npy", [tmp_path / "mask.npy"], calibration="photons")


def test_masks_join_and_nan_is_masked(tmp_path):
    np.save(tmp_path / "raw.npy", np.ones((3, 6, 5), dtype=np.int32))
    one, two = np.zeros((6, 5)), np.zeros((6, 5))
    one[0, 0], two[0, 0], two[5, 4] = 1, 1, np.nan
    np.save(tmp_path / "a.npy", one)
    np.save(tmp_path / "b.npy", two)
    masks = [tmp_path / "a.npy", tmp_path / "b.npy"]
    frames, detector, _ = count(tmp_path, (6, 5), tmp_path / "raw.npy", masks, calibration="photons")
    assert np.flatnonzero(detector.masked).tolist() == [0, 29]
    assert frames.totals().tolist() == [28, 28, 28]


def test_floats_that_never_change_are_dead(tmp_path):
    rng = np.random.default_rng(3)
    raw = rng.normal(0, 1, (12, 40, 40)) + 20 * rng.poisson(0.05, (12, 40, 40))
    raw[:, 7, :] = 0
    raw[:, 9, 9] = np.inf
    np.save(tmp_path / "raw.npy", raw.astype(np.float32))
    frames, detector, metrics = count(tmp_path, (40, 40), tmp_path / "raw.npy", [], fit_per="panel")
    assert detector.masked.reshape(40, 40)[7].all()
    assert detector.masked.reshape(40, 40)[9, 9]
    assert metrics["dead_pixels"] == 41
    assert metrics["gain_adu_per_photon_median"] == pytest.approx(20, abs=0.3)
    assert frames.totals().mean() == pytest.approx(0.05 * 1559, rel=0.1)
