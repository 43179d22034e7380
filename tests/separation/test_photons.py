import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.config.separation import ImportSparseConfig
from fewphoton.data import Beam, FrameTable, SparseFrames
from fewphoton.errors import DataError
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from fewphoton.separation.photons import separated_photons
from tests.conftest import flat_detector

DETECTOR, BEAM = flat_detector(), Beam(0.9)


def frames(pixels, values, bins, dtype="i4", mean=None):
    lengths = [len(one) for one in pixels]
    mean = np.zeros((len(pixels), bins.n_bins)) if mean is None else mean
    return SparseFrames(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate([np.array(one, dtype=np.uint32) for one in pixels]),
        np.concatenate([np.array(one, dtype=dtype) for one in values]),
        mean,
        np.zeros_like(mean),
    )


def photons(sparse, bins, **config):
    return separated_photons(sparse, bins, FrameTable.unknown(sparse.n_frames), ImportSparseConfig(**config))


def test_counts_worked_by_hand():
    bins = azimuthal_bins(DETECTOR, BEAM, 3)
    sparse = frames([[0, 5, 7], [], [3]], [[12, 4, 5], [], [16]], bins, mean=np.full((3, 3), 1.0))
    found = photons(sparse, bins, adu_per_photon=5.0)
    dense = found.to_dense()
    assert found.n_frames == 3
    # (12 - 1) / 5 = 2.2; (4 - 1) / 5 = 0.6 -> 1; (5 - 1) / 5 = 0.8 -> 1; (16 - 1) / 5 = 3
    assert dense[0][[0, 5, 7]].tolist() == [2, 1, 1]
    assert dense[1].sum() == 0
    assert dense[2][3] == 3
    assert dense.sum() == 7
    raw = photons(sparse, bins, adu_per_photon=5.0, subtract_background=False)
    assert raw.to_dense()[0][[0, 5, 7]].tolist() == [2, 1, 1]
    assert raw.to_dense()[2][3] == 3


def test_the_background_is_interpolated_between_ring_centres_and_weighted():
    norm = normalization(DETECTOR, BEAM, flat=np.random.default_rng(0).uniform(0.5, 2, DETECTOR.n_pixels))
    bins = azimuthal_bins(DETECTOR, BEAM, 5, norm=norm)
    curve = np.array([50.0, 30.0, 20.0, 10.0, 5.0])
    everything = np.arange(bins.frame_shape[0] * bins.frame_shape[1])
    sparse = frames([everything], [np.full(everything.size, 100)], bins, mean=curve[None])
    expected = 100 - np.interp(bins.radius, bins.centres, curve) * norm
    np.testing.assert_array_equal(photons(sparse, bins).to_dense()[0], np.rint(expected))


@pytest.mark.parametrize(
    ("dtype", "gap"), [("u2", 65535), ("i4", -1), ("f4", np.nan), ("f4", np.inf), ("u4", 2**32 - 1)]
)
def test_bad_reads_are_no_photons(dtype, gap):
    bins = azimuthal_bins(DETECTOR, BEAM, 3)
    found = photons(frames([[0, 1, 2]], [[3, gap, 4]], bins, dtype), bins)
    assert found.to_dense()[0, :3].tolist() == [3, 0, 4]


def test_the_gap_value_of_the_file_counts():
    bins = azimuthal_bins(DETECTOR, BEAM, 3)
    sparse = frames([[0, 1, 2]], [[3, -(2**31), -1]], bins, mean=np.full((1, 3), -9.0))
    found = separated_photons(sparse, bins, FrameTable.unknown(1), ImportSparseConfig(), gap=-(2**31))
    assert found.to_dense()[0, :3].tolist() == [12, 0, 8]


def test_pixels_without_a_ring_are_left_out():
    masked = DETECTOR.masked.copy()
    masked[1] = True
    bins = azimuthal_bins(DETECTOR.with_mask(masked), BEAM, 3)
    assert photons(frames([[0, 1]], [[3, 9]], bins), bins).to_dense()[0, :2].tolist() == [3, 0]


def test_too_many_photons_are_refused():
    bins = azimuthal_bins(DETECTOR, BEAM, 3)
    with pytest.raises(DataError):
        photons(frames([[0]], [[1e12]], bins, "f8"), bins)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), n_bins=st.integers(1, 12), gain=st.floats(0.3, 20))
def test_against_a_loop(seed, n_bins, gain):
    rng = np.random.default_rng(seed)
    bins = azimuthal_bins(DETECTOR, BEAM, n_bins)
    pixels = [np.sort(rng.choice(DETECTOR.n_pixels, rng.integers(0, 20), replace=False)) for _ in range(3)]
    values = [rng.integers(0, 200, len(one)) for one in pixels]
    mean = rng.uniform(0, 20, (3, n_bins)).astype(np.float32)
    found = photons(frames(pixels, values, bins, mean=mean), bins, adu_per_photon=gain).to_dense()
    expected = np.zeros_like(found, dtype=float)
    for frame in range(3):
        for pixel, value in zip(pixels[frame], values[frame], strict=True):
            background = np.interp(bins.radius[pixel], bins.centres, mean[frame])
            expected[frame, pixel] = max((value - background) / gain, 0)
    assert np.abs(found - expected).max() <= 0.5 + 1e-5
