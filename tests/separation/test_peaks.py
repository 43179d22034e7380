import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.config.separation import FindPeaksConfig, SparsifyConfig
from fewphoton.data import Beam
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from fewphoton.separation.background import Background
from fewphoton.separation.peaks import FramePeaks, PeakFinder, peak_table
from fewphoton.separation.sparsify import Sparsifier
from tests.conftest import flat_detector

BEAM = Beam(0.9)
SHAPE = (60, 50)
DETECTOR = flat_detector(*SHAPE)
BINS = azimuthal_bins(DETECTOR, BEAM, 20)
COLUMNS = ("slow_px", "fast_px", "intensity", "sigma", "n_pixels", "saturated")


def finder(dtype="u2", bins=BINS, detector=DETECTOR, dark=None, **config):
    return PeakFinder(bins, detector.panel_numbers(), FindPeaksConfig(n_bins=bins.n_bins, **config), dtype, dark)


def spots(seed=0, level=3.0, n_spots=12, dtype="u2", photons=400):
    """Poisson background with Gaussian spots on a grid with random offsets; return the frame and the spots' centres."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(SHAPE)
    mean = np.full(SHAPE, level)
    cells = rng.permutation([(r, c) for r in range(8, 55, 11) for c in range(8, 45, 11)])[:n_spots]
    centres = cells + rng.uniform(-0.5, 0.5, cells.shape)
    for slow, fast in centres:
        distance2 = (rows - slow) ** 2 + (columns - fast) ** 2
        mean += photons * np.exp(-distance2 / (2 * 0.7**2)) / (2 * np.pi * 0.7**2)
    return rng.poisson(mean).ravel().astype(dtype), centres[np.lexsort(centres.T[::-1])]


def positions(peaks):
    return np.column_stack([peaks.slow_px, peaks.fast_px])


def matched(peaks, centres, within=0.5):
    distance = np.linalg.norm(positions(peaks)[:, None] - centres[None], axis=2)
    return (distance.min(axis=0) < within).all() and (distance.min(axis=1) < within).all()


def test_a_peak_worked_by_hand():
    frame = np.full(SHAPE, 4, dtype=np.uint16)
    frame[20, 30], frame[20, 31], frame[21, 30], frame[19, 30] = 104, 54, 24, 5
    background = Background(np.full(20, 4.0), np.full(20, 2.0), np.ones(20))
    peaks = finder(noise=0.0, cutoff_peak=3.0, connected=3, saturation=100).find_above(frame.ravel(), background)
    assert len(peaks) == 1
    total = 100 + 50 + 20 + 1
    assert peaks.intensity[0] == total
    np.testing.assert_allclose(peaks.slow_px, 20 + (20 - 1) / total, rtol=1e-6)
    np.testing.assert_allclose(peaks.fast_px, 30 + 50 / total, rtol=1e-6)
    np.testing.assert_allclose(peaks.sigma, np.sqrt(4 * 4.0))
    assert peaks.n_pixels.tolist() == [3]
    assert peaks.saturated.tolist() == [True]
    assert len(finder(noise=0.0, connected=4).find_above(frame.ravel(), background)) == 0


@pytest.mark.parametrize("dtype", ["u2", "u4", "i4", "f4"])
def test_spots_are_found_where_they_are(dtype):
    frame, centres = spots(dtype=dtype)
    peaks, background = finder(dtype, cutoff_peak=4.0).find(frame)
    assert background.known
    assert matched(peaks, centres)
    # Photons of a 5 x 5 patch, less than all 400 by what falls outside, more by noise above the background.
    assert np.abs(peaks.intensity - 400).max() < 110
    if dtype == "i4":
        return
    np.testing.assert_allclose(positions(peaks), positions(finder("i4", cutoff_peak=4.0).find(frame.astype("i4"))[0]))


def test_centroids_have_no_bias():
    offsets = []
    for seed in range(25):
        frame, centres = spots(seed, level=0.5, photons=3000)
        peaks, _ = finder(cutoff_peak=8.0).find(frame)
        nearest = np.linalg.norm(positions(peaks)[:, None] - centres[None], axis=2).argmin(axis=1)
        offsets.append(positions(peaks) - centres[nearest])
    offsets = np.concatenate(offsets)
    assert len(offsets) == 25 * 12
    assert np.abs(offsets.mean(axis=0)).max() < 5 * offsets.std() / np.sqrt(len(offsets))
    assert offsets.std() < 0.05


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 9999),
    level=st.floats(0.1, 30),
    model=st.sampled_from(["poisson", "azimuthal", "poisson_tail"]),
    dtype=st.sampled_from(["u2", "i4"]),
)
def test_sparse_frames_give_the_same_peaks_as_raw_ones(seed, level, model, dtype):
    frame, _ = spots(seed, level, dtype=dtype)
    frame[seed % frame.size] = np.iinfo(dtype).max  # a bad read
    config = {"n_bins": 20, "error_model": model}
    sparse = Sparsifier(BINS, SparsifyConfig(cutoff_pick=2.0, **config), dtype).sparsify(frame)
    worker = finder(dtype, error_model=model, cutoff_peak=4.0)
    raw, _ = worker.find(frame)
    found = worker.find_in_sparse(sparse.pixel, sparse.intensity, sparse.background)
    assert len(found) == len(raw)
    np.testing.assert_array_equal(found.n_pixels, raw.n_pixels)
    # Pixels between the background and the pick's limit are in the sums of raw frames alone.
    assert np.abs(positions(found) - positions(raw)).max(initial=0) < 0.5
    assert (found.intensity <= raw.intensity * (1 + 1e-6)).all()
    again = worker.find_in_sparse(sparse.pixel, sparse.intensity, sparse.background)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


@pytest.mark.parametrize("level", [-200.0, -20.0, 0.0])
def test_sparse_frames_on_negative_backgrounds(level):
    """What was not kept stands nowhere above the background."""
    rng = np.random.default_rng(0)
    frame, centres = spots(0, 0.5)
    frame = (frame + level + rng.normal(0, 2, frame.size)).round().astype(np.int32)
    sparse = Sparsifier(
        BINS, SparsifyConfig(n_bins=20, error_model="azimuthal", cutoff_pick=2.0, minimum_valid=-1000), "i4"
    ).sparsify(frame)
    worker = finder("f4", error_model="azimuthal", cutoff_peak=4.0)
    found = worker.find_in_sparse(sparse.pixel, sparse.intensity, sparse.background, gap=-(2**31))
    raw, _ = finder("i4", error_model="azimuthal", cutoff_peak=4.0, minimum_valid=-1000).find(frame)
    assert matched(raw, centres)
    np.testing.assert_allclose(positions(found), positions(raw), atol=0.5)
    above = worker.find_in_sparse(np.zeros(0, np.uint32), np.zeros(0, np.int32), sparse.background)
    assert len(above) == 0
    other, _ = spots(1, 3.0)
    kept = Sparsifier(BINS, SparsifyConfig(n_bins=20, cutoff_pick=2.0), "u2").sparsify(other)
    one = worker.find_in_sparse(kept.pixel, kept.intensity, kept.background)
    fresh = finder("f4", error_model="azimuthal", cutoff_peak=4.0)
    np.testing.assert_array_equal(
        one.intensity, fresh.find_in_sparse(kept.pixel, kept.intensity, kept.background).intensity
    )


def test_next_to_a_masked_pixel_or_bad_read_there_is_no_peak():
    frame = np.full(SHAPE, 4, dtype=np.uint16)
    frame[20:22, 30:32] = 200
    frame[20, 30] = 300
    assert len(finder().find(frame.ravel())[0]) == 1
    masked = DETECTOR.masked.reshape(SHAPE).copy()
    masked[19, 29] = True
    bins = azimuthal_bins(DETECTOR.with_mask(masked.ravel()), BEAM, 20)
    assert len(finder(bins=bins).find(frame.ravel())[0]) == 0
    frame[19, 30] = 65535
    assert len(finder().find(frame.ravel())[0]) == 0


@pytest.mark.parametrize("place", [(0, 20), (59, 20), (20, 0), (20, 49), (0, 0), (59, 49)])
def test_at_the_border_there_is_no_peak(place):
    frame = np.full(SHAPE, 4, dtype=np.uint16)
    rows, columns = np.indices(SHAPE)
    frame[(np.abs(rows - place[0]) <= 1) & (np.abs(columns - place[1]) <= 1)] = 200
    frame[place] = 300
    assert len(finder().find(frame.ravel())[0]) == 0


def test_of_equal_maxima_one_is_a_peak():
    frame = np.full(SHAPE, 4, dtype=np.uint16)
    frame[20, 30:33] = 200
    peaks, _ = finder().find(frame.ravel())
    assert positions(peaks).tolist() == [[20, 31]]


def test_a_plain_noise_frame_has_no_peaks():
    frame = np.random.default_rng(0).poisson(3, 3000).astype(np.uint16)
    assert len(finder(cutoff_peak=5.0).find(frame)[0]) == 0


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
def test_frames_without_anything_valid_have_no_peaks(dtype):
    bad = np.full(3000, np.nan if dtype == "f4" else np.iinfo(dtype).max).astype(dtype)
    peaks, background = finder(dtype).find(bad)
    assert len(peaks) == 0
    assert not background.known
    assert len(finder(dtype).find(np.zeros(3000, dtype=dtype))[0]) == 0


def test_a_normalized_frame_has_corrected_intensities():
    norm = np.full(3000, 0.5, dtype=np.float32)
    bins = azimuthal_bins(DETECTOR, BEAM, 20, norm=normalization(DETECTOR, BEAM, flat=norm))
    frame, centres = spots(3, 2.0)
    plain, _ = finder(cutoff_peak=6.0).find(frame)
    halved, _ = finder(bins=bins, cutoff_peak=6.0).find(frame)
    assert matched(halved, centres)
    np.testing.assert_allclose(halved.intensity, 2 * plain.intensity, rtol=0.02)
    np.testing.assert_allclose(positions(halved), positions(plain), atol=0.02)
    sparse = Sparsifier(bins, SparsifyConfig(n_bins=20, cutoff_pick=2.0), "u2").sparsify(frame)
    again = finder("f4", bins, cutoff_peak=6.0).find_in_sparse(sparse.pixel, sparse.intensity, sparse.background)
    np.testing.assert_allclose(positions(again), positions(halved), atol=0.3)
    np.testing.assert_allclose(again.intensity, halved.intensity, rtol=0.15)


def test_the_table_joins_frames_in_order():
    one, other = (finder(cutoff_peak=5.0).find(spots(seed)[0])[0] for seed in (0, 1))
    nothing = finder().find(np.zeros(3000, dtype=np.uint16))[0]
    table = peak_table([one, nothing, other], first_frame=7)
    assert table.frame.tolist() == [7] * len(one) + [9] * len(other)
    np.testing.assert_array_equal(table.intensity, np.concatenate([one.intensity, other.intensity]))
    assert len(peak_table([])) == 0
    assert isinstance(nothing, FramePeaks)


def test_saturation_is_that_of_the_raw_values():
    """A spot of 900 counts on a flat field of 10 is corrected to 90: it is saturated all the same."""
    detector = flat_detector(40, 40)
    beam = Beam(1.0)
    norm = np.full(1600, 10.0, dtype=np.float32)
    bins = azimuthal_bins(detector, beam, 5, norm=norm)
    frame = np.random.default_rng(0).poisson(30.0, (40, 40)).astype(np.uint16)
    frame[10, 12], frame[30, 22] = 900, 400
    config = FindPeaksConfig(connected=1, n_bins=5, saturation=900, noise=0.1)
    peaks, _ = PeakFinder(bins, detector.panel_numbers(), config, np.uint16).find(frame.ravel())
    found = {
        (round(float(s)), round(float(f))): bool(h)
        for s, f, h in zip(peaks.slow_px, peaks.fast_px, peaks.saturated, strict=True)
    }
    assert found[10, 12]
    assert not found[30, 22]
