import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.kernels.photon_counting import BLOCK_PIXELS, find_photons, pack_photons
from fewphoton.kernels.threads import threads_in_use, use_threads


def count(frames, threshold, usable, valid, full_scale, offset, gain, threshold_photons, python=False):
    find, pack = (find_photons.py_func, pack_photons.py_func) if python else (find_photons, pack_photons)
    n_frames, n_pixels = frames.shape
    lit = np.zeros((n_frames, -(-n_pixels // BLOCK_PIXELS)), dtype=bool)
    n_over, n_invalid, n_saturated = (np.full(n_frames, -7) for _ in range(3))
    find(frames, threshold, usable, *valid, lit, n_over, n_invalid)
    hit_ptr = np.concatenate([[0], np.cumsum(n_over)])
    pixel = np.zeros(hit_ptr[-1], dtype=np.uint32)
    photons = np.zeros(hit_ptr[-1], dtype=np.uint16)
    pack(
        frames,
        threshold,
        *valid,
        full_scale,
        offset,
        gain,
        threshold_photons,
        lit,
        hit_ptr,
        pixel,
        photons,
        n_saturated,
    )
    return hit_ptr, pixel, photons, n_invalid, n_saturated


def naive(frames, threshold, usable, valid, full_scale, offset, gain, threshold_photons):
    good = (frames >= valid[0]) & (frames <= valid[1])
    hits = (frames > threshold) & good
    frame, pixel = np.nonzero(hits)
    value = frames[frame, pixel].astype(np.float64)
    signal = (value - offset[pixel].astype(np.float64)) / gain[pixel].astype(np.float64)
    photons = np.maximum(np.ceil(signal - threshold_photons), 1)
    saturated = (photons > 65535) | (value >= float(full_scale))
    hit_ptr = np.searchsorted(frame, np.arange(len(frames) + 1))
    n_invalid = (~good & usable).sum(axis=1)
    return (
        hit_ptr,
        pixel,
        np.minimum(photons, 65535).astype(np.uint16),
        n_invalid,
        np.bincount(frame[saturated], minlength=len(frames)),
    )


def example(dtype, n_pixels, seed, n_frames=11, occupancy=0.02):
    rng = np.random.default_rng(seed)
    offset = (100 + 5 * rng.standard_normal(n_pixels)).astype(np.float32)
    gain = (10 * (1 + 0.05 * rng.standard_normal(n_pixels))).astype(np.float32)
    photons = rng.poisson(occupancy, (n_frames, n_pixels))
    values = offset + gain * photons + 2 * rng.standard_normal((n_frames, n_pixels))
    usable = rng.random(n_pixels) > 0.1
    kind = np.dtype(dtype)
    level = offset.astype(np.float64) + 0.6 * gain.astype(np.float64)
    if kind.kind == "f":
        frames = values.astype(kind)
        frames[rng.random(frames.shape) < 0.01] = np.nan
        frames[0, 0] = np.inf
        threshold = np.where(usable, level, np.inf).astype(kind)
        valid, full_scale = (kind.type(-1e30), np.finfo(kind).max), kind.type(np.inf)
    else:
        frames = np.rint(values).astype(kind)
        limits = np.iinfo(kind)
        frames[rng.random(frames.shape) < 0.01] = 3
        frames[-1, rng.integers(0, n_pixels, 4)] = limits.max
        threshold = np.where(usable, np.floor(level), limits.max).astype(kind)
        valid, full_scale = (kind.type(20), kind.type(limits.max)), kind.type(limits.max)
    return frames, threshold, usable, valid, full_scale, offset, gain, 0.6


@pytest.mark.parametrize("python", [False, True])
@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32"])
def test_agrees_with_numpy(dtype, python):
    parts = example(dtype, 700, 5, n_frames=3 if python else 11)
    for found, wanted in zip(count(*parts, python=python), naive(*parts), strict=True):
        np.testing.assert_array_equal(found, wanted)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["uint16", "float32"]), st.integers(1, 400), st.integers(0, 99), st.sampled_from([0.0, 0.01, 2.0])
)
def test_agrees_with_numpy_for_any_size_and_occupancy(dtype, n_pixels, seed, occupancy):
    parts = example(dtype, n_pixels, seed, occupancy=occupancy)
    for found, wanted in zip(count(*parts), naive(*parts), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_tiles_and_blocks_meet():
    # More pixels than one tile, no multiple of a block, more frames than a group.
    parts = example("uint16", 16384 + 2 * BLOCK_PIXELS + 17, 1, n_frames=19, occupancy=1e-3)
    for found, wanted in zip(count(*parts), naive(*parts), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_same_for_any_number_of_threads():
    parts = example("uint16", 5000, 2, n_frames=40)
    before = threads_in_use()
    try:
        answers = []
        for threads in (1, 2):
            use_threads(threads)
            answers.append(count(*parts))
    finally:
        use_threads(before)
    for one, two in zip(*answers, strict=True):
        np.testing.assert_array_equal(one, two)


def test_hand_worked_counts():
    # offset 100, gain 10, threshold 0.6: photons in (n - 0.4, n + 0.6], so 106 is none, 107 one, 116 one, 117 two.
    frames = np.array([[100, 106, 107, 116, 117, 126, 127, 0]], dtype=np.uint16)
    n = frames.shape[1]
    threshold = np.full(n, 106, dtype=np.uint16)
    offset, gain = np.full(n, 100, dtype=np.float32), np.full(n, 10, dtype=np.float32)
    valid = (np.uint16(0), np.uint16(65535))
    hit_ptr, pixel, photons, n_invalid, n_saturated = count(
        frames, threshold, np.ones(n, dtype=bool), valid, np.uint16(65535), offset, gain, 0.6
    )
    assert hit_ptr.tolist() == [0, 5]
    assert pixel.tolist() == [2, 3, 4, 5, 6]
    assert photons.tolist() == [1, 1, 2, 2, 3]
    assert (n_invalid[0], n_saturated[0]) == (0, 0)


def test_a_value_above_its_threshold_is_at_least_one_photon():
    # A threshold rounded to float32 may lie below the exact level.
    ones = np.ones(1, dtype=np.float32)
    parts = (np.array([[101]], dtype=np.int32), np.array([100], dtype=np.int32), np.ones(1, dtype=bool))
    valid = (np.int32(0), np.int32(9999))
    _, _, photons, _, _ = count(*parts, valid, np.int32(9999), 100 * ones, 10 * ones, 0.6)
    assert photons.tolist() == [1]


def test_more_than_65535_photons_saturate():
    frames = np.array([[5.0, 1e9, np.inf]], dtype=np.float64)
    ones = np.ones(3, dtype=np.float32)
    valid = (np.float64(-1e300), np.finfo(np.float64).max)
    _, pixel, photons, n_invalid, n_saturated = count(
        frames, np.full(3, 0.6), np.ones(3, dtype=bool), valid, np.float64(np.inf), 0 * ones, ones, 0.6
    )
    assert pixel.tolist() == [0, 1]
    assert photons.tolist() == [5, 65535]
    assert (n_invalid[0], n_saturated[0]) == (1, 1)


def test_no_frames():
    empty = np.empty((0, 5), dtype=np.uint16)
    ones = np.ones(5, dtype=np.float32)
    hit_ptr, pixel, *_ = count(
        empty,
        np.full(5, 9, np.uint16),
        np.ones(5, dtype=bool),
        (np.uint16(0), np.uint16(65535)),
        np.uint16(65535),
        ones,
        ones,
        0.6,
    )
    assert hit_ptr.tolist() == [0]
    assert len(pixel) == 0
