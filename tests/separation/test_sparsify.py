import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.config.separation import SparsifyConfig
from fewphoton.data import Beam
from fewphoton.errors import DataError
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from fewphoton.separation.sparsify import Sparsifier, bad_read_value, gap_value
from tests.conftest import flat_detector

DETECTOR, BEAM = flat_detector(60, 50), Beam(0.9)
BINS = azimuthal_bins(DETECTOR, BEAM, 20)


def frame_of(dtype, seed=0, mean=4, n_spots=30):
    rng = np.random.default_rng(seed)
    frame = rng.poisson(mean, DETECTOR.n_pixels)
    spots = rng.choice(DETECTOR.n_pixels, n_spots, replace=False)
    frame[spots] += 60
    return frame.astype(dtype), np.sort(spots)


def sparsify(frame, bins=BINS, dark=None, **config):
    return Sparsifier(bins, SparsifyConfig(n_bins=bins.n_bins, **config), frame.dtype, dark).sparsify(frame)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i2", "i4", "i8", "f4", "f8"])
def test_spots_are_kept_with_their_raw_values(dtype):
    frame, spots = frame_of(dtype)
    found = sparsify(frame, cutoff_pick=8.0)
    np.testing.assert_array_equal(found.pixel, spots)
    assert found.pixel.dtype == np.uint32
    assert found.intensity.dtype == frame.dtype
    np.testing.assert_array_equal(found.intensity, frame[spots])


def test_the_pick_is_the_papers_formula():
    frame, _ = frame_of("u2", seed=1)
    for cutoff in (0.0, 0.2, 1.0, 3.0):
        found = sparsify(frame, cutoff_pick=cutoff, noise=1.0)
        curves = found.background
        mean, std = (np.interp(BINS.radius, BINS.centres, curve) for curve in (curves.mean, curves.std))
        limit = np.maximum(1.0, cutoff * np.hypot(std, 1.0))
        np.testing.assert_array_equal(found.pixel, np.flatnonzero(frame - mean > limit))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    low=st.floats(0, 3),
    more=st.floats(0, 3),
    model=st.sampled_from(["poisson", "azimuthal", "poisson_tail"]),
)
def test_a_higher_cutoff_keeps_a_part_of_the_same_pixels(seed, low, more, model):
    frame, _ = frame_of("u2", seed)
    many, few = (sparsify(frame, cutoff_pick=cutoff, error_model=model).pixel for cutoff in (low, low + more))
    assert np.isin(few, many).all()
    assert (np.diff(many.astype(np.int64)) > 0).all()


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i4", "i8", "f4", "f8"])
def test_bad_reads_are_kept_as_gaps(dtype):
    frame, _ = frame_of(dtype, n_spots=5)
    bad = [7, 100, 2999]
    frame[bad] = np.nan if dtype[0] == "f" else np.iinfo(dtype).max
    found = sparsify(frame)
    assert np.isin(bad, found.pixel).all()
    assert (np.diff(found.pixel.astype(np.int64)) > 0).all()
    held = found.intensity[np.isin(found.pixel, bad)]
    np.testing.assert_array_equal(held, np.full(3, gap_value(frame.dtype)))
    np.testing.assert_array_equal(found.background.invalid, bad)


def test_masked_pixels_are_neither_kept_nor_gaps():
    masked = DETECTOR.masked.copy()
    masked[[5, 6]] = True
    frame, _ = frame_of("u2")
    frame[[5, 6]] = [65535, 60000]
    found = sparsify(frame, azimuthal_bins(DETECTOR.with_mask(masked), BEAM, 20))
    assert not np.isin([5, 6], found.pixel).any()


def test_gap_values():
    assert [gap_value(np.dtype(name)) for name in ("u1", "u2", "u4", "i2", "i4")] == [255, 65535, 2**32 - 1, -1, -1]
    assert np.isnan(gap_value(np.dtype("f4")))
    assert gap_value(np.dtype("i2"), -5.0) == -32768  # -1 is a value like others where negative ones are valid
    assert gap_value(np.dtype("u2"), -5.0) == 65535


@pytest.mark.parametrize("subtracted", [False, True])
def test_minus_one_is_no_gap_where_values_may_be_negative(subtracted):
    frame = np.random.default_rng(0).normal(-40, 3, DETECTOR.n_pixels).round().astype(np.int32)
    frame[[50, 60]] = [-1, 2**31 - 1]
    dark = None
    if subtracted:
        dark = np.full(DETECTOR.n_pixels, 100, dtype=np.float32)
        frame[frame < 1000] += 100
    worker = Sparsifier(
        BINS, SparsifyConfig(n_bins=20, error_model="azimuthal", cutoff_pick=6.0, minimum_valid=-1000), "i4", dark
    )
    found = worker.sparsify(frame)
    assert found.pixel.tolist() == [50, 60]
    assert found.intensity.tolist() == [-1, -(2**31)]
    assert bad_read_value(worker.finder.config, worker.finder.dtype, less_dark=subtracted) == -(2**31)


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
def test_the_dark_is_off_the_kept_values(dtype):
    frame, spots = frame_of(dtype)
    dark = np.random.default_rng(5).uniform(0, 4, DETECTOR.n_pixels).astype(np.float32)
    found = sparsify(frame, dark=dark, cutoff_pick=7.0)
    expected = frame[spots] - dark[spots]
    np.testing.assert_array_equal(found.pixel, spots)
    np.testing.assert_array_equal(found.intensity, expected if dtype == "f4" else np.rint(expected).astype(dtype))


def test_a_dark_above_the_signal_does_not_wrap_around():
    frame = np.full(DETECTOR.n_pixels, 2, dtype=np.uint16)
    frame[10] = 40
    dark = np.full(DETECTOR.n_pixels, 100, dtype=np.float32)
    found = sparsify(frame, dark=dark, error_model="azimuthal", noise=0.1)
    assert found.pixel.tolist() == [10]
    assert found.intensity.tolist() == [0]


def test_normalization_judges_but_does_not_change_the_kept_values():
    norm = normalization(DETECTOR, BEAM, solid_angle=True, polarization=True)
    bins = azimuthal_bins(DETECTOR, BEAM, 20, norm=norm)
    flat = (10 * norm).round(3).astype(np.float32)
    flat[77] = 30
    found = sparsify(flat, bins, error_model="azimuthal", noise=0.5, solid_angle=True, polarization=True)
    assert found.pixel.tolist() == [77]
    assert found.intensity.tolist() == [30]
    np.testing.assert_allclose(found.background.mean, 10, rtol=1e-3)
    plain = sparsify(flat, error_model="poisson", noise=0.0)
    assert plain.background.mean[0] > plain.background.mean[-1] + 1


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
def test_frames_of_only_bad_reads_and_blank_frames(dtype):
    bad = np.full(DETECTOR.n_pixels, np.nan if dtype == "f4" else np.iinfo(dtype).max).astype(dtype)
    found = sparsify(bad)
    assert not found.background.known
    assert len(found.pixel) == DETECTOR.n_pixels
    np.testing.assert_array_equal(found.intensity, np.full(DETECTOR.n_pixels, gap_value(bad.dtype)).astype(dtype))
    blank = sparsify(np.zeros(DETECTOR.n_pixels, dtype=dtype))
    assert blank.background.known
    assert len(blank.pixel) == 0


def test_a_saturated_frame_is_kept_whole_or_not_at_all():
    frame = np.full(DETECTOR.n_pixels, 5000, dtype=np.uint16)
    assert len(sparsify(frame).pixel) == 0  # it is its own background
    found = sparsify(frame, saturation=4000)
    assert not found.background.known
    assert len(found.pixel) == 0


def test_a_frame_of_another_type_is_refused():
    with pytest.raises(DataError, match="expected 3000 pixels of uint16"):
        Sparsifier(BINS, SparsifyConfig(), np.uint16).sparsify(np.zeros(3000, dtype=np.uint32))


@pytest.mark.parametrize(("cutoff", "share"), [(1.0, 0.1587), (2.0, 0.02275), (3.0, 0.00135)])
def test_the_share_of_background_kept_is_the_normal_tail(cutoff, share):
    rng = np.random.default_rng(0)
    detector = flat_detector(300, 300)
    bins = azimuthal_bins(detector, BEAM, 50)
    frame = rng.normal(1000, 30, detector.n_pixels).astype(np.float32)
    found = sparsify(frame, bins, cutoff_pick=cutoff, error_model="azimuthal", noise=0.0)
    # Clipping takes about one pixel off either end of a ring, which makes the scatter a little small.
    np.testing.assert_allclose(len(found.pixel) / frame.size, share, rtol=0.05 + 5 / np.sqrt(share * frame.size))
