import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, poisson

from fewphoton.config.separation import BackgroundConfig
from fewphoton.data import AzimuthalBins, Beam
from fewphoton.errors import ConfigError, DataError
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from fewphoton.separation.background import BackgroundFinder, valid_range
from tests.conftest import flat_detector

INTEGERS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8"]
MODELS = ["poisson", "azimuthal", "hybrid", "poisson_tail"]


def rings(sizes):
    """Rings of the given numbers of pixels, in a frame of one row."""
    number = np.repeat(np.arange(len(sizes)), sizes).astype(np.uint16)
    return AzimuthalBins((1, len(number)), "r_m", np.arange(len(sizes) + 1.0), number + 0.5, number)


def find(bins, frame, dark=None, **config):
    return BackgroundFinder(bins, BackgroundConfig(**config), frame.dtype, dark).find(frame)


def clipped_by_loop(values, model, cutoff, cycles):
    """One ring by the definition: every pixel kept or not, one by one."""
    kept = np.asarray(values, dtype=float)
    for _ in range(cycles):
        if not len(kept):
            break
        mean = kept.sum() / len(kept)
        if model == "poisson_tail":
            tail = 0.5 / len(kept)
            if cutoff > 0:
                tail = min(tail, norm.sf(cutoff))
            new = kept[(poisson.cdf(kept, mean) >= tail) & (poisson.sf(kept - 1, mean) >= tail)]
        else:
            variance = np.maximum(kept, 1).mean() if model == "poisson" else kept.var()
            chauvenet = np.sqrt(2 * np.log(max(3, len(kept)) / np.sqrt(2 * np.pi)))
            new = kept[np.abs(kept - mean) <= max(cutoff, chauvenet) * np.sqrt(variance)]
        if len(new) == len(kept):
            break
        kept = new
    if not len(kept):
        return np.nan, np.nan, 0
    mean = kept.mean()
    variance = {"azimuthal": kept.var(), "poisson_tail": mean}.get(model, np.maximum(kept, 1).mean())
    return mean, np.sqrt(variance), len(kept)


def mixed(seed, n_pixels, lowest=0):
    rng = np.random.default_rng(seed)
    values = rng.poisson(rng.choice([0.05, 0.7, 4, 60]), n_pixels)
    spots = rng.random(n_pixels) < 0.03
    return np.where(spots, rng.integers(1, 120, n_pixels), values) + lowest


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    model=st.sampled_from(MODELS),
    cutoff=st.sampled_from([0.0, 2.5, 4.0]),
    cycles=st.integers(0, 6),
    dtype=st.sampled_from(INTEGERS),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
)
def test_clipping_is_the_definition(seed, model, cutoff, cycles, dtype, sizes):
    bins = rings(sizes)
    frame = np.minimum(mixed(seed, sum(sizes)), 126).astype(dtype)
    config = {"error_model": model, "cutoff_clip": cutoff, "clip_cycles": cycles, "n_bins": len(sizes)}
    found = find(bins, frame, **config)
    for number in range(len(sizes)):
        mean, std, n_kept = clipped_by_loop(frame[bins.bin_of_pixel == number], model, cutoff, cycles)
        if n_kept:
            assert found.n_kept[number] == n_kept
            np.testing.assert_allclose((found.mean[number], found.std[number]), (mean, std), rtol=1e-12)
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.std).all()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    model=st.sampled_from(MODELS),
    dtype=st.sampled_from(["u2", "u4", "i2", "i4"]),
    lowest=st.sampled_from([-30, 0, 250]),
    sampled=st.sampled_from([1, 60, 500, 30_000]),
    bad=st.floats(0, 0.5),
)
def test_the_table_of_counts_does_not_matter(seed, model, dtype, lowest, sampled, bad):
    """Histograms shaped by any frame, and sorting by ring, give the same."""
    unsigned = dtype.startswith("u")
    lowest = 0 if unsigned or model == "poisson_tail" else lowest
    bins = rings([400, 90, 250])
    frame = mixed(seed, 740, lowest).astype(dtype)
    rng = np.random.default_rng(seed)
    frame[rng.random(740) < bad * 0.2] = np.iinfo(dtype).max
    config = BackgroundConfig(error_model=model, n_bins=3, minimum_valid=-1000)
    shaped, plain = (BackgroundFinder(bins, config, dtype) for _ in range(2))
    shaped.shape_table(rng.integers(0, sampled, 740).astype(dtype))
    plain._counts = False
    one, other = shaped.find(frame), plain.find(frame)
    np.testing.assert_array_equal(one.n_kept, other.n_kept)
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(one.std, other.std, rtol=1e-9)
    np.testing.assert_array_equal(one.invalid, other.invalid)
    np.testing.assert_array_equal(one.invalid, np.flatnonzero(frame == np.iinfo(dtype).max))
    again = shaped.find(frame)
    np.testing.assert_array_equal(again.mean, one.mean)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_real_values_are_clipped_like_counts(dtype):
    bins = rings([300, 200])
    frame = mixed(3, 500).astype("i4")
    for model in ("poisson", "azimuthal", "hybrid"):
        counts, floats = (find(bins, values, error_model=model) for values in (frame, frame.astype(dtype)))
        np.testing.assert_array_equal(counts.n_kept, floats.n_kept)
        np.testing.assert_allclose(counts.mean, floats.mean, rtol=1e-12)
        np.testing.assert_allclose(counts.std, floats.std, rtol=1e-9)


def test_emptied_rings_take_the_hybrid_model():
    """Half the pixels 1, half 199: mean 100, Poisson scatter 10, so that every pixel is an outlier."""
    bins = rings([40, 40, 40])
    frame = np.tile(np.array([1, 199], dtype=np.uint16), 60)
    frame[40:80] = 3
    for model in ("poisson", "poisson_tail"):
        assert clipped_by_loop(frame[:40], model, 0, 5)[2] == 0
        found = find(bins, frame, error_model=model)
        np.testing.assert_array_equal(found.mean, [100, 3, 100])
        np.testing.assert_allclose(found.std, [10, np.sqrt(3), 10])
        np.testing.assert_array_equal(found.n_kept, [40, 40, 40])
    floats = find(bins, frame.astype(np.float32), error_model="poisson")
    np.testing.assert_array_equal(floats.mean, [100, 3, 100])
    given = find(bins, frame, error_model="variance", variance_formula="4")
    np.testing.assert_array_equal(given.mean, [100, 3, 100])
    np.testing.assert_allclose(given.std, [2, 2, 2])


@pytest.mark.parametrize("model", [*MODELS, "variance"])
def test_two_pixels_that_empty_every_model_are_bridged(model):
    bins = rings([2, 30, 2, 30])
    frame = np.concatenate([[1, 199], np.full(30, 4), [1, 199], np.full(30, 8)]).astype(np.uint16)
    formula = {"variance_formula": "I"} if model == "variance" else {}
    found = find(bins, frame, error_model=model, **formula)
    np.testing.assert_allclose(found.mean, [4, 4, 6, 8])
    np.testing.assert_array_equal(found.n_kept, [0, 30, 0, 30])
    assert np.isfinite(found.std).all()


def test_rings_without_pixels_are_bridged_linearly():
    number = np.repeat([1, 4], 50).astype(np.uint16)
    bins = AzimuthalBins((1, 100), "r_m", np.arange(7.0), number + 0.5, number)
    frame = np.where(number == 1, 10, 40).astype(np.uint16)
    found = find(bins, frame)
    np.testing.assert_allclose(found.mean, [10, 10, 20, 30, 40, 40])
    np.testing.assert_array_equal(found.n_kept, [0, 50, 0, 0, 50, 0])


def test_rings_of_one_pixel():
    bins = rings([1] * 20)
    frame = np.arange(20).astype(np.uint16)
    for model in MODELS:
        found = find(bins, frame, error_model=model)
        np.testing.assert_allclose(found.mean, frame)
        assert found.known


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i4", "i8", "f4"])
def test_a_frame_of_only_bad_reads_has_no_background(dtype):
    bins = rings([30, 20])
    bad = np.nan if dtype == "f4" else np.iinfo(dtype).max
    found = find(bins, np.full(50, bad).astype(dtype))
    assert not found.known
    np.testing.assert_array_equal(found.mean, 0)
    np.testing.assert_array_equal(found.std, 0)
    np.testing.assert_array_equal(found.invalid, np.arange(50))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_the_largest_value_of_a_type_is_a_bad_read(dtype):
    bins = rings([60, 40])
    frame = np.ones(100, dtype=dtype)
    frame[[3, 70]] = np.iinfo(dtype).max
    found = find(bins, frame)
    np.testing.assert_array_equal(found.mean, [1, 1])
    np.testing.assert_array_equal(found.n_kept, [59, 39])
    np.testing.assert_array_equal(found.invalid, [3, 70])


def test_blank_frames():
    bins = rings([60, 40])
    zero = np.zeros(100, dtype=np.uint16)
    np.testing.assert_array_equal(find(bins, zero).std, [1, 1])  # a count of 0 counts as a variance of 1
    for model in ("azimuthal", "poisson_tail"):
        found = find(bins, zero, error_model=model)
        np.testing.assert_array_equal(found.mean, [0, 0])
        np.testing.assert_array_equal(found.std, [0, 0])
        np.testing.assert_array_equal(found.n_kept, [60, 40])


def test_negative_values_are_bad_reads_unless_told_otherwise():
    bins = rings([100, 100])
    frame = np.random.default_rng(0).normal(-20, 3, 200).round().astype(np.int32)
    frame[7] = 5
    found = find(bins, frame, error_model="azimuthal")
    assert len(found.invalid) == 199
    allowed = find(bins, frame, error_model="azimuthal", minimum_valid=-100)
    assert len(allowed.invalid) == 0
    np.testing.assert_allclose(allowed.mean, -20, atol=1)
    np.testing.assert_allclose(allowed.std, 3, atol=0.6)
    low = find(bins, frame, error_model="azimuthal", minimum_valid=-20)
    np.testing.assert_array_equal(low.invalid, np.flatnonzero(frame < -20))


@pytest.mark.parametrize("corrected", [False, True])
def test_saturated_pixels_stay_out_but_are_no_bad_reads(corrected):
    bins = rings([100, 100])
    frame = np.full(200, 7, dtype=np.uint16)
    frame[[3, 150, 151]] = [500, 501, 65535]
    dark = np.zeros(200, dtype=np.float32) if corrected else None
    found = find(bins, frame, dark, saturation=500, cutoff_clip=1e6, clip_cycles=0)
    np.testing.assert_array_equal(found.mean, [7, 7])
    np.testing.assert_array_equal(found.n_kept, [99, 98])
    np.testing.assert_array_equal(found.invalid, [151])
    everything = find(bins, np.full(200, 600, dtype=np.uint16), dark, saturation=500)
    assert not everything.known
    assert len(everything.invalid) == 0


@pytest.mark.parametrize("dtype", ["u2", "i4", "i8"])
def test_fractions_as_limits(dtype):
    bins = rings([6])
    frame = np.array([0, 1, 2, 3, 4, 5], dtype=dtype)
    config = {"clip_cycles": 0, "minimum_valid": 0.5, "saturation": 4.5}
    found = find(bins, frame, **config)
    assert (found.mean[0], found.n_kept[0]) == (2.5, 4)
    np.testing.assert_array_equal(found.invalid, [0])
    lower = find(bins, frame.astype("i4") - 10, clip_cycles=0, minimum_valid=-9.5, saturation=-6)
    assert (lower.mean[0], lower.n_kept[0]) == (-8, 3)
    np.testing.assert_array_equal(lower.invalid, [0])


@pytest.mark.parametrize(
    ("dtype", "config"),
    [
        ("u2", {"saturation": 0}),
        ("i4", {"minimum_valid": 10, "saturation": 5}),
        ("f4", {"minimum_valid": 10, "saturation": 10}),
        ("u2", {"minimum_valid": 70_000}),
    ],
)
def test_limits_that_leave_nothing_are_refused(dtype, config):
    with pytest.raises(ConfigError, match="no value is left"):
        BackgroundFinder(rings([6]), BackgroundConfig(**config), dtype)


def test_limits_of_types():
    config = BackgroundConfig()
    assert valid_range(config, np.dtype("u1")) == (0, 254)
    assert valid_range(config, np.dtype("i4")) == (0, 2**31 - 2)
    for dtype in ("u8", "i8"):
        top = valid_range(config, np.dtype(dtype))[1]
        assert 2**62 < int(top) < np.iinfo(dtype).max
    assert valid_range(BackgroundConfig(minimum_valid=-1e9), np.dtype("i2"))[0] == -32767
    assert valid_range(config, np.dtype("f8"))[1] == np.finfo("f4").max


def test_values_beyond_single_precision_are_bad_reads():
    bins = rings([100])
    frame = np.ones(100)
    frame[[3, 4, 5, 6]] = [1e300, -1e300, np.inf, np.nan]
    found = find(bins, frame)
    assert (found.mean[0], found.n_kept[0]) == (1, 96)
    np.testing.assert_array_equal(found.invalid, [3, 4, 5, 6])


@pytest.mark.parametrize("mean", [0.05, 0.2, 1.0])
def test_only_the_poisson_tail_is_right_at_low_counts(mean):
    rng = np.random.default_rng(int(mean * 100))
    n_rings, size = 40, 5000
    bins = rings([size] * n_rings)
    frame = rng.poisson(mean, n_rings * size)
    spots = rng.choice(len(frame), 400, replace=False)
    spotted = frame.copy()
    spotted[spots] += rng.integers(30, 3000, 400)
    error = np.sqrt(mean / len(frame))
    for values in (frame, spotted):
        tail = find(bins, values.astype(np.uint16), error_model="poisson_tail")
        found = np.average(tail.mean, weights=tail.n_kept)
        # Chauvenet's criterion allows half a pixel a ring and side to go: less than 1e-4 of the values, here 0.3
        # standard errors of a ring.
        assert abs(found - mean) < 5 * error
        np.testing.assert_allclose(tail.std, np.sqrt(tail.mean))
    biased = find(bins, frame.astype(np.uint16), error_model="azimuthal")
    assert np.average(biased.mean, weights=biased.n_kept) < mean - 5 * error
    other = find(bins, frame.astype(np.uint16))
    if mean < 0.5:
        # A count of 0 is taken for a variance of 1: far too wide a standard deviation, which lets weak spots in.
        assert (other.std > 1.3 * np.sqrt(mean)).all()
    else:
        assert np.average(other.mean, weights=other.n_kept) < mean
        assert (other.std > 1.1 * np.sqrt(mean)).all()


def test_weak_spots_bias_the_poisson_model_but_not_the_poisson_tail():
    rng = np.random.default_rng(3)
    mean, bins = 0.05, rings([5000] * 40)
    frame = rng.poisson(mean, 200_000)
    frame[rng.choice(len(frame), 400, replace=False)] = 3
    error = np.sqrt(mean / len(frame))
    tail, other = (find(bins, frame.astype(np.uint16), error_model=model) for model in ("poisson_tail", "poisson"))
    assert abs(np.average(tail.mean, weights=tail.n_kept) - mean) < 5 * error
    assert np.average(other.mean, weights=other.n_kept) > mean + 5 * error


@pytest.mark.parametrize(("dtype", "options"), [("f4", {}), ("f8", {}), ("u2", {"dark": True}), ("u2", {"norm": True})])
def test_the_poisson_tail_needs_counts(dtype, options):
    detector, beam = flat_detector(), Beam(0.9)
    norm_of = normalization(detector, beam, solid_angle=True) if "norm" in options else None
    dark = np.zeros(detector.n_pixels, dtype=np.float32) if "dark" in options else None
    bins = azimuthal_bins(detector, beam, 4, norm=norm_of)
    with pytest.raises(ConfigError, match="poisson_tail needs counts"):
        BackgroundFinder(bins, BackgroundConfig(error_model="poisson_tail"), dtype, dark)


@pytest.mark.parametrize("dtype", ["f2", "c8", "?", "U3"])
def test_types_that_are_no_frames_are_refused(dtype):
    with pytest.raises(DataError, match="cannot be separated"):
        BackgroundFinder(rings([5]), BackgroundConfig(), dtype)


def test_frames_of_another_size_or_type_are_refused():
    finder = BackgroundFinder(rings([5]), BackgroundConfig(), np.uint16)
    with pytest.raises(DataError, match="expected 5 pixels of uint16"):
        finder.find(np.zeros(6, dtype=np.uint16))
    with pytest.raises(DataError, match="expected 5 pixels of uint16"):
        finder.find(np.zeros(5, dtype=np.int32))


def test_a_formula_without_a_finite_variance_is_refused_and_gaps_do_not_count():
    bins = rings([50, 50])
    frame = np.full(100, 9, dtype=np.int32)
    frame[3] = -1
    config = {"error_model": "variance", "variance_formula": "sqrt(I)"}
    np.testing.assert_allclose(find(bins, frame, **config).std, np.sqrt(3), rtol=1e-6)
    for formula in ("1/(I - 9)", "0*I/0"):
        with pytest.raises(DataError, match="no finite variance"):
            find(bins, frame, **config | {"variance_formula": formula})
    negative = find(bins, frame, **config | {"variance_formula": "-5"})
    np.testing.assert_array_equal(negative.std, 0)


def test_correction_is_equation_1():
    detector, beam = flat_detector(), Beam(0.9)
    flat = np.random.default_rng(0).uniform(0.5, 2, detector.n_pixels)
    norm_of = normalization(detector, beam, flat=flat)
    bins = azimuthal_bins(detector, beam, 4, norm=norm_of)
    dark = np.random.default_rng(1).uniform(0, 3, detector.n_pixels).astype(np.float32)
    frame = np.arange(detector.n_pixels).astype(np.uint16)
    frame[5] = 65535
    finder = BackgroundFinder(bins, BackgroundConfig(n_bins=4), np.uint16, dark)
    expected = (frame - dark.astype(float)) / norm_of
    expected[5] = np.nan
    np.testing.assert_allclose(finder.correct(frame), expected, rtol=1e-6)
    one, other = finder.find(frame), finder.find(frame, finder.correct(frame))
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.invalid, [5])


@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_a_finder_carries_nothing_from_frame_to_frame(dtype):
    bins = rings([200, 100])
    frames = [mixed(seed, 300).astype(dtype) for seed in range(6)]
    finder = BackgroundFinder(bins, BackgroundConfig(), dtype)
    for frame in [*frames, *frames[::-1]]:
        one, other = finder.find(frame), BackgroundFinder(bins, BackgroundConfig(), dtype).find(frame)
        for name in ("mean", "std", "n_kept", "invalid"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
