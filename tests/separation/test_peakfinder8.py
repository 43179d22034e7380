import importlib.util
import sys
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

import fabio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fewphoton.config.peakfinder8 import Peakfinder8Config
from fewphoton.data import Beam, Detector, Panel
from fewphoton.data.detector import q_vectors
from fewphoton.errors import DataError, GeometryError
from fewphoton.separation.peakfinder8 import FAST_PIXELS_PER_RING, Peakfinder8, Peaks, radius_from_beam_px
from tests.conftest import flat_detector

COLUMNS = ("slow_px", "fast_px", "intensity", "sigma", "n_pixels", "maximum", "snr")


def finder(shape, usable=None, panel=None, radius=None, **config):
    """A finder for one panel without gaps and one ring, unless told otherwise."""
    n_pixels = shape[0] * shape[1]
    usable = np.ones(n_pixels, dtype=bool) if usable is None else usable.ravel()
    panel = np.zeros(n_pixels, dtype=np.int32) if panel is None else panel.ravel()
    radius = np.full(n_pixels, 10, dtype=np.float32) if radius is None else radius.ravel().astype(np.float32)
    return Peakfinder8(radius, usable, panel, shape, Peakfinder8Config(**config))


def radius_about(shape, slow, fast):
    rows, columns = np.indices(shape)
    return np.hypot(rows - slow, columns - fast).astype(np.float32)


def chequered(shape=(40, 50)):
    """1 and 3 in turn: mean 2, standard deviation 1."""
    return np.where(np.indices(shape).sum(axis=0) % 2, 3, 1).astype(np.int32)


def table(peaks):
    return np.column_stack([getattr(peaks, column) for column in COLUMNS])


def spots(seed, shape, n_spots, background=3.0, masked=0.02):
    """Poisson frame with Gaussian spots away from the border, scattered masked pixels, and rings about the middle."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    radius = radius_about(shape, shape[0] / 2 + 0.3, shape[1] / 2 - 0.4)
    mean = background * (0.5 + np.exp(-radius / shape[0]))
    for _ in range(n_spots):
        slow, fast = rng.uniform(8, shape[0] - 8), rng.uniform(8, shape[1] - 8)
        near = np.s_[int(slow) - 7 : int(slow) + 8, int(fast) - 7 : int(fast) + 8]
        distance2 = (rows[near] - slow) ** 2 + (columns[near] - fast) ** 2
        mean[near] += rng.uniform(5, 400) * np.exp(-distance2 / rng.uniform(1, 3))
    return rng.poisson(mean).astype(np.uint16), rng.random(shape) >= masked, radius


def test_a_peak_measured_by_hand():
    frame = chequered()
    frame[10:31, 20:41] = 2
    frame[20, 30], frame[20, 31], frame[21, 30] = 50, 40, 30
    peaks = finder(frame.shape).find(frame)
    assert len(peaks) == 1
    assert peaks.slow_px[0] == pytest.approx((90 * 20 + 30 * 21) / 120)
    assert peaks.fast_px[0] == pytest.approx((80 * 30 + 40 * 31) / 120)
    assert (peaks.n_pixels[0], peaks.intensity[0], peaks.maximum[0]) == (3, 120 - 3 * 2, 48)
    # The surroundings do not vary, so the ring, less the peak itself, says how much the background does.
    kept = np.delete(frame.ravel(), np.ravel_multi_index(([20, 20, 21], [30, 31, 30]), frame.shape))
    assert peaks.sigma[0] == pytest.approx(kept.std())
    assert peaks.snr[0] == pytest.approx(114 / kept.std())
    assert peaks.intensity_sigma[0] == pytest.approx(kept.std() * np.sqrt(3))


def test_background_comes_from_nearby():
    frame = chequered()
    frame[10:31, 20:41] += 4
    frame[20, 30:32] = 50
    peaks = finder(frame.shape).find(frame)
    assert peaks.intensity[0] == pytest.approx(100 - 2 * 6, abs=0.3)
    assert peaks.sigma[0] == pytest.approx(1, abs=0.01)


def test_peaks_are_ordered_and_repeatable():
    frame, usable, radius = spots(0, (120, 150), 40)
    find = finder(frame.shape, usable, None, radius).find
    peaks = find(frame)
    assert len(peaks) > 10
    assert (np.diff(np.rint(peaks.slow_px)) >= -4).all()
    np.testing.assert_array_equal(table(peaks), table(find(frame)))


def test_more_peaks_than_anyone_expects_are_all_returned():
    frame = np.tile(chequered((8, 8)), (100, 100))
    frame[4::8, 4::8] = frame[4::8, 5::8] = 60
    peaks = finder(frame.shape).find(frame)
    np.testing.assert_array_equal(peaks.slow_px, np.repeat(np.arange(4, 800, 8), 100))
    np.testing.assert_array_equal(peaks.fast_px, np.tile(np.arange(4.5, 800, 8), 100))


def test_masked_neighbours_neither_join_nor_count():
    frame = chequered()
    frame[20, 30:32] = 50
    expected = finder(frame.shape).find(frame)
    usable = np.ones(frame.shape, dtype=bool)
    usable[19:22, 29] = usable[21, 30] = usable[24, 31] = False
    frame[~usable] = 65535
    peaks = finder(frame.shape, usable).find(frame)
    assert peaks.n_pixels.tolist() == [2]
    assert peaks.fast_px[0] == expected.fast_px[0]
    assert peaks.intensity[0] == pytest.approx(expected.intensity[0], abs=0.2)
    assert peaks.sigma[0] == pytest.approx(1, abs=0.02)


def test_a_masked_line_parts_a_peak():
    frame = chequered()
    frame[20, 28:33] = 50
    usable = np.ones(frame.shape, dtype=bool)
    usable[:, 30] = False
    assert finder(frame.shape, usable).find(frame).fast_px.tolist() == [28.5, 31.5]


def test_panel_borders_part_peaks():
    frame = chequered()
    frame[20, 23:27] = 50
    panel = np.zeros(frame.shape, dtype=np.int32)
    panel[:, 25:] = 1
    assert finder(frame.shape, panel=panel).find(frame).fast_px.tolist() == [23.5, 25.5]
    panel[:, 25] = -1
    frame[20, 25] = 1000
    assert finder(frame.shape, panel=panel, min_pixels=1).find(frame).fast_px.tolist() == [23.5]


def test_background_stays_on_the_panel():
    frame = chequered()
    panel = np.zeros(frame.shape, dtype=np.int32)
    panel[:, 33:] = 1
    frame[:, 33:] += 5
    frame[20, 30:32] = 50
    radius = np.where(panel == 1, 20, 10)
    assert finder(frame.shape, panel=panel, radius=radius).find(frame).intensity[0] == pytest.approx(96, abs=0.3)


@pytest.mark.parametrize("edge", [np.s_[0, 5:9], np.s_[39, 5:9], np.s_[5:9, 0], np.s_[5:9, 49], np.s_[5:9, 24]])
def test_border_pixels_alone_are_no_peak(edge):
    frame = chequered()
    panel = np.zeros(frame.shape, dtype=np.int32)
    panel[:, 25:] = 1
    frame[edge] = 50
    find = finder(frame.shape, panel=panel).find
    assert len(find(frame)) == 0
    frame[1:-1, 1:-1][frame[:-2, 1:-1] == 50] = 50
    frame[1:-1, 1:-1][frame[1:-1, :-2] == 50] = 50
    frame[38, 6] = frame[6, 48] = frame[6, 23] = 50
    assert len(find(frame)) >= 1


def test_a_plateau_is_one_peak():
    frame = chequered()
    frame[19:22, 30:33] = 50
    peaks = finder(frame.shape).find(frame)
    assert (peaks.slow_px.tolist(), peaks.fast_px.tolist(), peaks.n_pixels.tolist()) == ([20], [31], [9])


def test_size_limits():
    frame = chequered()
    frame[10, 10] = frame[20, 20:22] = frame[30, 30:33] = 50
    assert finder(frame.shape).find(frame).n_pixels.tolist() == [2, 3]
    assert finder(frame.shape, min_pixels=1, max_pixels=2).find(frame).n_pixels.tolist() == [1, 2]


def test_threshold_is_exceeded_not_met():
    frame = chequered()
    frame[20, 20:22] = 10
    assert len(finder(frame.shape, threshold=10).find(frame)) == 0
    assert len(finder(frame.shape, threshold=9.99).find(frame)) == 1
    # The ring's deviation with both pixels is 1.03: they are 7.7 of it above the mean.
    assert len(finder(frame.shape, threshold=0, min_snr=7.5).find(frame)) == 1
    assert len(finder(frame.shape, threshold=0, min_snr=7.9).find(frame)) == 0


def shaded(brightest):
    """Nine pixels of a group up to ``brightest``, and a 60 nearby that its own ring's wide limits let pass."""
    frame = chequered()
    frame[17:20, 29:32] = 50
    frame[18, 30] = brightest
    radius = np.full(frame.shape, 10)
    radius[[22, 35, 35], [30, 5, 45]] = 20
    frame[[22, 35, 35], [30, 5, 45]] = [60, 500, 0]
    return frame, radius


@pytest.mark.parametrize(("brightest", "n_peaks"), [(59, 0), (60, 1), (61, 1)])
def test_groups_in_the_shade_of_brighter_background_are_no_peaks(brightest, n_peaks):
    frame, radius = shaded(brightest)
    assert len(finder(frame.shape, radius=radius).find(frame)) == n_peaks


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_out_of_use(bad):
    frame = chequered().astype(np.float32)
    frame[20, 30:32] = 50
    usable = np.ones(frame.shape, dtype=bool)
    usable[[20, 19, 5, 30], [32, 31, 5, 49]] = False
    expected = finder(frame.shape, usable).find(frame)
    frame[~usable] = bad
    peaks = finder(frame.shape).find(frame)
    assert len(peaks) == 1
    np.testing.assert_allclose(table(peaks), table(expected), rtol=1e-6)


@pytest.mark.parametrize("fast", [False, True])
def test_frames_without_anything(fast):
    shape = (40, 50)
    frame = chequered(shape)
    assert len(finder(shape, np.zeros(shape, dtype=bool), fast=fast).find(frame)) == 0
    assert len(finder(shape, fast=fast).find(np.full(shape, np.nan))) == 0
    assert len(finder(shape, fast=fast, threshold=0).find(np.zeros(shape, dtype=np.uint8))) == 0
    assert table(finder(shape).find(frame)).shape == (0, 7)


def test_photons_on_nothing():
    frame = np.zeros((40, 50), dtype=np.uint16)
    frame[20, 30:32] = 12
    peaks = finder(frame.shape).find(frame)
    assert (peaks.intensity.tolist(), peaks.sigma.tolist(), peaks.snr.tolist()) == ([24], [0], [np.inf])


def test_rings_of_one_pixel_hold_no_peaks():
    frame = chequered()
    frame[20, 30:32] = 50
    assert len(finder(frame.shape, radius=np.arange(frame.size), threshold=0).find(frame)) == 0


def test_more_rings_than_16_bits_can_number():
    frame = np.tile(chequered((8, 8)), (40, 40))
    frame[20, 30:32] = 60
    radius = 1000 + np.arange(frame.size, dtype=np.float32).reshape(frame.shape)
    radius[10:31, 20:41] = 5
    assert finder(frame.shape, radius=radius).find(frame).fast_px.tolist() == [30.5]


def test_saturated_blocks_are_too_large_and_spoil_no_ring():
    frame = chequered((80, 100)).astype(np.uint16)
    # 225 of 8000 pixels lie 5.9 deviations above the mean.
    frame[10:25, 10:25] = 65535
    frame[60, 60:62] = 50
    peaks = finder(frame.shape).find(frame)
    assert (peaks.fast_px.tolist(), peaks.n_pixels.tolist()) == ([60.5], [2])
    frame[70, 70] = frame[70, 71] = 65535
    assert finder(frame.shape).find(frame).maximum[1] == pytest.approx(65533, abs=0.1)


def test_negative_backgrounds():
    frame = chequered() - 100
    frame[20, 30:32] = 30
    peaks = finder(frame.shape).find(frame)
    assert peaks.fast_px.tolist() == [30.5]
    assert peaks.intensity[0] == pytest.approx(60 + 2 * 98, abs=0.3)


@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "u4", "i8", "u8", "f2", "f4", ">f4", "f8"])
@pytest.mark.parametrize("fast", [False, True])
def test_every_number_type_gives_the_same_peaks(dtype, fast):
    frame, usable, radius = spots(3, (90, 110), 25)
    frame = np.minimum(frame, 120)
    find = finder(frame.shape, usable, None, radius, threshold=0, fast=fast).find
    expected = find(frame)
    assert len(expected) > 5
    np.testing.assert_array_equal(table(find(frame.astype(dtype))), table(expected))
    np.testing.assert_array_equal(table(find(np.asfortranarray(frame.astype(dtype)))), table(expected))


def test_frames_of_two_values():
    frame = np.zeros((40, 50), dtype=bool)
    frame[20, 30:32] = True
    assert finder(frame.shape, threshold=0.5).find(frame).intensity.tolist() == [2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint64])
def test_values_at_the_end_of_a_type(dtype):
    largest = np.finfo(dtype).max if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    frame = chequered().astype(dtype)
    frame[::2] = largest / 2 if np.dtype(dtype).kind == "f" else largest
    assert len(finder(frame.shape).find(frame)) == 0


def test_radius_limits():
    frame, usable, radius = spots(5, (150, 150), 60, masked=0)
    everywhere = finder(frame.shape, usable, None, radius).find(frame)
    inside = finder(frame.shape, usable, None, radius, min_radius_px=20, max_radius_px=50).find(frame)
    distance = np.hypot(inside.slow_px - 75.3, inside.fast_px - 74.6)
    assert 0 < len(inside) < len(everywhere)
    assert (distance.min(), distance.max()) >= (20, 20)
    assert distance.max() <= 50


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_radius_that_is_no_number_puts_pixels_out_of_use(bad):
    frame = chequered()
    frame[20, 30:32] = frame[30, 30:32] = 50
    radius = np.full(frame.shape, 10.0)
    radius[12:28, 20:40] = bad
    assert finder(frame.shape, radius=radius).find(frame).slow_px.tolist() == [30]


def test_fast_statistics_come_from_a_sample():
    small, usable, radius = spots(7, (40, 40), 0, masked=0)
    small[20, 30:32] = small[25, 7:9] = 80
    assert 50 < np.unique(np.rint(radius[:30]), return_counts=True)[1].max() <= FAST_PIXELS_PER_RING
    usable[30:] = False
    fast, full = (
        finder(small.shape, usable, None, radius, fast=fast, threshold=0).find(small) for fast in (True, False)
    )
    assert len(full) == 2
    np.testing.assert_array_equal(table(fast), table(full))
    # 1000 pixels in one ring: every tenth counts, so what lies between them cannot raise the limit.
    frame = np.zeros((20, 50), dtype=np.uint16)
    frame.ravel()[::10] = np.tile([1, 3], 50)
    frame.ravel()[1::10] = 1000
    peaks = finder(frame.shape, fast=True, min_pixels=1, threshold=0).find(frame)
    assert (peaks.maximum > 900).all()
    assert peaks.fast_px.tolist() == [1, 11, 21, 31, 41]
    assert len(finder(frame.shape, min_pixels=1, threshold=0).find(frame)) == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.0, 5.0, 10.0]), fast=st.booleans())
def test_masked_values_do_not_matter(seed, threshold, fast):
    frame, usable, radius = spots(seed, (50, 60), 8, masked=0.1)
    find = finder(frame.shape, usable, None, radius, threshold=threshold, fast=fast).find
    expected = find(frame)
    frame[~usable] = np.random.default_rng(seed).integers(0, 65536, np.count_nonzero(~usable))
    np.testing.assert_array_equal(table(find(frame)), table(expected))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.0, 5.0, 10.0]))
def test_transposed_frames_give_transposed_peaks(seed, threshold):
    frame, usable, radius = spots(seed, (50, 60), 8)
    panel = np.zeros(frame.shape, dtype=np.int32)
    panel[:, 30:] = 1
    peaks = finder(frame.shape, usable, panel, radius, threshold=threshold).find(frame)
    turned = finder(frame.T.shape, usable.T, panel.T, radius.T, threshold=threshold).find(frame.T)
    back = table(turned)[:, [1, 0, 2, 3, 4, 5, 6]]
    ours = table(peaks)
    np.testing.assert_allclose(
        back[np.lexsort(back[:, :2].T.round(3))], ours[np.lexsort(ours[:, :2].T.round(3))], rtol=1e-5
    )


def test_positions_are_true():
    rng = np.random.default_rng(8)
    rows, columns = np.indices((200, 200))
    mean = np.full((200, 200), 0.5)
    truth = np.stack(np.meshgrid(np.arange(15, 190, 20), np.arange(15, 190, 20), indexing="ij"), -1).reshape(-1, 2)
    truth = truth + rng.uniform(-0.5, 0.5, truth.shape)
    for slow, fast in truth:
        mean += 300 * np.exp(-((rows - slow) ** 2 + (columns - fast) ** 2) / 2)
    peaks = finder(mean.shape, radius=radius_about(mean.shape, 100, 100)).find(rng.poisson(mean))
    assert len(peaks) == len(truth)
    away = np.column_stack([peaks.slow_px, peaks.fast_px])[:, None] - truth
    nearest = away[np.arange(len(peaks)), np.hypot(*away.transpose(2, 0, 1)).argmin(axis=1)]
    assert np.abs(nearest).max() < 0.2
    assert np.abs(nearest.mean(axis=0)).max() < 0.03


def test_wrong_input_is_refused():
    with pytest.raises(DataError, match=r"shape \(40, 50\), found \(50, 40\)"):
        finder((40, 50)).find(np.zeros((50, 40)))
    with pytest.raises(DataError, match="real numbers, found complex"):
        finder((4, 5)).find(np.zeros((4, 5), dtype=complex))
    with pytest.raises(DataError, match=r"at least one pixel, found shape \(0, 5\)"):
        finder((0, 5))
    with pytest.raises(DataError, match="radius_px must not be negative, found -1"):
        finder((4, 5), radius=np.full((4, 5), -1))
    with pytest.raises(DataError, match=r"usable: expected shape \(20,\), found \(19,\)"):
        finder((4, 5), usable=np.ones(19, dtype=bool))
    with pytest.raises(DataError, match="peaks: fast_px"):
        Peaks(np.zeros(2), np.zeros(1), *[np.zeros(2)] * 2, np.zeros(2, dtype=int), *[np.zeros(2)] * 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": -1},
        {"min_snr": 0},
        {"min_pixels": 0},
        {"min_pixels": 9, "max_pixels": 8},
        {"local_background_radius_px": 0},
        {"min_radius_px": 5, "max_radius_px": 4},
        {"treshold": 3},
    ],
)
def test_wrong_configurations_are_refused(wrong):
    with pytest.raises(ValidationError, match="threshold|" + next(iter(wrong))):
        Peakfinder8Config(**wrong)


def test_radius_on_a_detector_across_the_beam():
    detector = flat_detector(12, 10)
    radius = radius_from_beam_px(detector, Beam(1.0))
    assert radius.dtype == np.float32
    np.testing.assert_allclose(radius.reshape(12, 10), radius_about((12, 10), 5.5, 4.5), rtol=1e-6)


def test_radius_follows_the_scattering_angle_on_any_detector():
    tilted = Panel(
        "t", 0, 0, 8, 9, np.array([0.01, 0.02, 0.05]), np.array([0, -2e-3, 5e-4]), np.array([-2e-3, 0, 1e-4])
    )
    side = Panel("s", 8, 1, 4, 5, np.array([0.04, 0, 0.03]), np.array([0, 1e-3, 0]), np.array([0, 0, -1e-2]))
    detector = Detector((12, 10), (tilted, side))
    beam = Beam(0.9, np.array([0.02, -0.01, 1.0]))
    radius = radius_from_beam_px(detector, beam)
    sine = np.linalg.norm(q_vectors(detector, beam), axis=1) * 0.9 / 2
    two_theta = 2 * np.arcsin(np.clip(sine, 0, 1))
    forward = two_theta < np.pi / 2 - 1e-9
    assert 0 < np.count_nonzero(forward) < np.count_nonzero(np.isfinite(two_theta)) < detector.n_pixels
    np.testing.assert_array_equal(np.isfinite(radius), forward)
    along = detector.pixel_centres_m()[forward] @ beam.direction
    pixel_m = (72 * np.sqrt(tilted.pixel_area_m2) + 20 * np.sqrt(side.pixel_area_m2)) / 92
    np.testing.assert_allclose(radius[forward], np.tan(two_theta[forward]) * along.mean() / pixel_m, rtol=1e-5)


def test_detectors_behind_the_sample_are_refused():
    with pytest.raises(GeometryError, match="forward"):
        radius_from_beam_px(flat_detector(distance_m=-0.05), Beam(1.0))


@pytest.fixture(scope="module")
def field_program():
    """The compiled peakfinder8 of ondamonitor, loaded alone since the package around it needs NumPy 1."""
    package = importlib.util.find_spec("om")
    if package is None or not package.submodule_search_locations:
        pytest.skip("ondamonitor is not importable (pip install --no-deps ondamonitor)")
    folders = [Path(folder) / "algorithms" for folder in package.submodule_search_locations]
    suffix = f"{sys.implementation.cache_tag}-*.so"
    files = [file for folder in folders for file in folder.glob(f"_crystallography.{suffix}")]
    if not files:
        pytest.skip(f"ondamonitor in {folders[0].parent} has no compiled peakfinder8 for this Python")
    loader = ExtensionFileLoader("_crystallography", str(files[0]))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)

    def peaks(frame, usable, radius, config, sample=None):
        pixel = np.zeros(1, dtype=np.int32) if sample is None else sample
        result = module.peakfinder_8(
            1_000_000,
            np.ascontiguousarray(frame, dtype=np.float32),
            usable.astype(np.int8),
            radius.astype(np.float32),
            0 if sample is None else len(sample),
            pixel,
            np.rint(radius.ravel()[pixel]).astype(np.int32),
            int(sample is not None),
            frame.shape[1],
            frame.shape[0],
            1,
            1,
            config.threshold,
            config.min_snr,
            config.min_pixels,
            config.max_pixels,
            config.local_background_radius_px,
        )
        fast, slow, intensity, _, n_pixels, maximum, sigma, snr = map(np.array, result)
        return np.column_stack([slow, fast, intensity, sigma, n_pixels, maximum, snr])

    return peaks


def assert_same_peaks(ours, theirs, at_least):
    """Same peaks at the same places, and the same numbers but for few.

    Theirs keeps sums in float32, so a centre half-way between two pixels may be rounded to the other one; the local
    background then comes from a disc one pixel off.
    """
    assert len(ours) == len(theirs) >= at_least
    order = [np.lexsort((rows[:, 1].round(2), rows[:, 0].round(2))) for rows in (ours, theirs)]
    ours, theirs = ours[order[0]], theirs[order[1]]
    np.testing.assert_allclose(ours[:, :2], theirs[:, :2], atol=2e-3)
    np.testing.assert_array_equal(ours[:, 4], theirs[:, 4])
    np.testing.assert_allclose(ours, theirs, rtol=0.1)
    same = np.isclose(ours, theirs, rtol=1e-3, atol=1e-3).all(axis=1)
    assert np.count_nonzero(~same) <= 1 + 0.01 * len(ours)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 10.0])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_field_program_finds_the_same_on_simulated_frames(field_program, threshold, fast, noise):
    config = Peakfinder8Config(threshold=threshold, fast=fast)
    for seed in range(3):
        frame, usable, radius = spots(seed, (300, 350), 60, background=2.0)
        values = frame + noise * np.random.default_rng(seed).normal(size=frame.shape).astype(np.float32)
        ours = finder(frame.shape, usable, None, radius, **config.model_dump())
        sample = ours._sample if fast else None
        assert_same_peaks(table(ours.find(values)), field_program(values, usable, radius, config, sample), 30)


@pytest.mark.parametrize(
    "config",
    [
        {"min_snr": 4.0, "min_pixels": 1, "max_pixels": 30},
        {"min_snr": 8.0, "local_background_radius_px": 5},
        {"min_snr": 6.0, "min_pixels": 4, "local_background_radius_px": 2},
    ],
)
def test_field_program_finds_the_same_with_other_settings(field_program, config):
    config = Peakfinder8Config(**config)
    frame, usable, radius = spots(11, (300, 350), 80, background=8.0)
    ours = finder(frame.shape, usable, None, radius, **config.model_dump()).find(frame)
    assert_same_peaks(table(ours), field_program(frame, usable, radius, config), 30)


@pytest.mark.parametrize("brightest", [59, 60, 61])
def test_field_program_sees_the_shade_alike(field_program, brightest):
    frame, radius = shaded(brightest)
    ours = table(finder(frame.shape, radius=radius).find(frame))
    theirs = field_program(frame, np.ones(frame.shape, dtype=bool), radius, Peakfinder8Config())
    np.testing.assert_allclose(theirs, ours, rtol=1e-4)


@pytest.mark.real_data
@pytest.mark.parametrize(("number", "at_least"), [(3, 1600), (15, 60)])
def test_field_program_finds_the_same_on_thaumatin(field_program, data_dir, number, at_least):
    frame = fabio.open(str(data_dir / f"thaumatin_grid_i24/thau_3_2_{number:04d}.cbf.bz2")).data
    usable, radius = frame >= 0, radius_about(frame.shape, 1306.96, 1261.61)
    config = Peakfinder8Config()
    ours = finder(frame.shape, usable, None, radius).find(frame)
    assert_same_peaks(table(ours), field_program(frame, usable, radius, config), at_least)


@pytest.mark.real_data
def test_thaumatin_frames_with_and_without_spots(data_dir):
    found = []
    for number in (9, 19):
        frame = fabio.open(str(data_dir / f"thaumatin_grid_i24/thau_3_2_{number:04d}.cbf.bz2")).data
        radius = radius_about(frame.shape, 1306.96, 1261.61)
        found.append(len(finder(frame.shape, frame >= 0, None, radius).find(frame)))
    assert found[0] > 1000
    assert found[1] < 10
