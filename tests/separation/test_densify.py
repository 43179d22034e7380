import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom, poisson

from fewphoton.config.separation import SparsifyConfig
from fewphoton.data import Beam
from fewphoton.errors import DataError
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization
from fewphoton.separation.densify import Densifier, PickRule
from fewphoton.separation.sparsify import Sparsifier, gap_value
from tests.conftest import flat_detector

BEAM = Beam(0.9)
DETECTOR = flat_detector(60, 50)
BINS = azimuthal_bins(DETECTOR, BEAM, 20)
LARGE = flat_detector(500, 400, pixel_m=2e-4)
LARGE_BINS = azimuthal_bins(LARGE, BEAM, 40)
NO_PIXEL = np.zeros(0, dtype=np.uint32)
RULE = PickRule("poisson", 3.0, 1.0)
OPEN = PickRule("poisson", 1e3, 1.0)
"""A cut-off out of reach: the whole distribution is background."""


def densify(bins, mean, std, dtype="u2", rule=RULE, noise=True, seed=0, pixel=NO_PIXEL, intensity=()):
    curves = (np.full(bins.n_bins, float(curve)) if np.isscalar(curve) else curve for curve in (mean, std))
    worker = Densifier(bins, rule, dtype, noise=noise)
    return worker.densify(pixel, np.array(intensity, dtype=dtype), *curves, seed)


def assert_moments(values, mean, variance, fourth=None):
    """Mean and variance of a sample lie within five standard errors of what they should be."""
    n = values.size
    fourth = 3 * variance**2 + variance if fourth is None else fourth
    assert abs(values.mean(dtype=float) - mean) < 5 * np.sqrt(variance / n)
    assert abs(values.var(dtype=float) - variance) < 5 * np.sqrt((fourth - variance**2) / n)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i4", "f4", "f8"])
def test_without_noise_the_mean_is_interpolated_and_rounded(dtype):
    curve = np.linspace(40.2, 3.3, 20)
    found = densify(BINS, curve, 1.0, dtype, noise=False, pixel=np.array([3, 9], dtype=np.uint32), intensity=[77, 5])
    expected = np.interp(BINS.radius, BINS.centres, curve)
    expected[[3, 9]] = [77, 5]
    assert found.dtype == dtype
    if dtype.startswith("f"):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    else:
        assert np.abs(found.astype(float) - expected).max() <= 0.5 + 1e-5


@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("dtype", ["u2", "u4", "i4", "f4"])
def test_masked_pixels_are_gaps(noise, dtype):
    masked = DETECTOR.masked.copy()
    masked[[0, 17, 2999]] = True
    found = densify(azimuthal_bins(DETECTOR.with_mask(masked), BEAM, 20), 3.0, 1.8, dtype, noise=noise)
    gap = gap_value(np.dtype(dtype))
    np.testing.assert_array_equal(found[masked], np.full(3, gap).astype(dtype))
    assert np.isfinite(found[~masked].astype(float)).all()
    if dtype != "f4":
        assert not (found[~masked] == gap).any()


def test_the_gap_value_may_be_given():
    masked = DETECTOR.masked.copy()
    masked[3] = True
    bins = azimuthal_bins(DETECTOR.with_mask(masked), BEAM, 20)
    worker = Densifier(bins, RULE, "i4", noise=False, gap=-(2**31))
    assert worker.densify(NO_PIXEL, np.zeros(0, "i4"), np.ones(20), np.ones(20), 0)[3] == -(2**31)


@pytest.mark.parametrize("mean", [0.02, 0.1, 0.5, 1.0, 5.0, 100.0, 5000.0])
@pytest.mark.parametrize("dtype", ["u2", "i4"])
def test_counts_have_mean_and_variance_of_poissons(mean, dtype):
    """Whatever the (too wide) standard deviation of the Poisson model says at low counts."""
    found = densify(LARGE_BINS, mean, np.sqrt(max(mean, 1.0)), dtype, OPEN)
    assert_moments(found, mean, mean)


def test_the_whole_distribution_is_poissons():
    found = densify(LARGE_BINS, 2.3, 1.6, rule=OPEN)
    observed = np.bincount(found, minlength=20)[:20]
    expected = poisson.pmf(np.arange(20), 2.3) * found.size
    assert (np.abs(observed - expected) < 5 * np.sqrt(expected) + 1).all()


@pytest.mark.parametrize("model", ["poisson", "hybrid", "poisson_tail", "azimuthal", "variance"])
@pytest.mark.parametrize("cutoff", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("mean", [0.1, 3.0, 900.0])
def test_nothing_drawn_would_have_been_picked(model, cutoff, mean):
    curve = mean * np.linspace(1.3, 0.7, 40)
    std = np.sqrt(curve) if model == "poisson_tail" else np.sqrt(np.maximum(curve, 1))
    for dtype in ("u2", "f4"):
        if dtype == "f4" and model == "poisson_tail":
            continue
        frame = densify(LARGE_BINS, curve, std, dtype, PickRule(model, cutoff, 1.0))
        centre, width = (np.interp(LARGE_BINS.radius, LARGE_BINS.centres, values) for values in (curve, std))
        if model == "poisson_tail":
            from scipy.stats import norm

            assert (poisson.sf(frame - 1.0, centre) > norm.sf(cutoff) * (1 - 1e-9)).all()
        else:
            assert (frame <= centre + np.maximum(1.0, cutoff * np.hypot(width, 1.0)) + 1e-3).all()
        assert mean < 1 or len(np.unique(frame)) > 1


@pytest.mark.parametrize("model", ["poisson", "poisson_tail", "azimuthal"])
@pytest.mark.parametrize("kind", ["u2", "f4", "normalized"])
def test_at_a_steep_edge_neither(model, kind):
    """From a shadow to bright: the limit in the shadow lies far below the mean beside it."""
    norm = None
    if kind == "normalized":
        norm = np.random.default_rng(0).uniform(0.95, 1.05, LARGE.n_pixels).astype(np.float32)
    if model == "poisson_tail" and kind != "u2":
        return
    bins = azimuthal_bins(LARGE, BEAM, 40, norm=norm)
    curve = np.where(np.arange(40) < 10, 0.2, 60.0)
    std = np.sqrt(curve if model != "poisson" else np.maximum(curve, 1))
    frame = densify(bins, curve, std, "f4" if kind == "f4" else "u2", PickRule(model, 2.0, 1.0)).astype(float)
    if norm is not None:
        frame = frame / norm
    centre, width = (np.interp(bins.radius, bins.centres, values) for values in (curve, std))
    if model == "poisson_tail":
        assert (poisson.sf(frame - 1.0, centre) > 0.02275).all()
    else:
        assert (frame <= centre + np.maximum(1.0, 2 * np.hypot(width, 1.0)) + 1e-3).all()
    # Away from the edge the mean is that of the cut distribution, on both sides.
    for inside, low, high in ((bins.bin_of_pixel < 9, 0.1, 0.4), (bins.bin_of_pixel > 10, 58.5, 60.2)):
        assert low < frame[inside].mean() < high
    # The ring beside the edge is no darker than those beyond, though its neighbour's limit lies below its mean.
    beside = (
        frame[bins.radius > bins.centres[10]][:].mean(),
        frame[(bins.radius > bins.centres[10]) & (bins.bin_of_pixel == 10)],
    )
    assert abs(beside[1].mean() - beside[0]) < 1.5


def test_what_is_drawn_below_the_limit_is_the_cut_distribution():
    """Truncated Poisson: mean and variance of counts below mean + 2 sqrt(variance + 1)."""
    mean = 4.0
    counts = np.arange(0, int(np.ceil(mean + 2 * np.hypot(2.0, 1.0))))
    share = poisson.pmf(counts, mean)
    share /= share.sum()
    expected = (share * counts).sum()
    variance = (share * (counts - expected) ** 2).sum()
    found = densify(LARGE_BINS, mean, 2.0, rule=PickRule("poisson", 2.0, 1.0))
    assert found.max() == counts[-1]
    assert_moments(found, expected, variance, (share * (counts - expected) ** 4).sum())


def test_wide_scatter_of_few_counts_is_negative_binomial():
    mean, std = 2.0, 2.5
    found = densify(LARGE_BINS, mean, std, rule=PickRule("azimuthal", 1e3, 1.0))
    size = mean**2 / (std**2 - mean)
    expected = nbinom.pmf(np.arange(40), size, mean / std**2) * found.size
    observed = np.bincount(found, minlength=40)[:40]
    assert (np.abs(observed - expected) < 5 * np.sqrt(expected) + 2).all()


@pytest.mark.parametrize(("mean", "std"), [(1000.0, 5.0), (1000.0, 200.0), (30.0, 3.0)])
def test_scatter_unlike_counts_keeps_its_width(mean, std):
    found = densify(LARGE_BINS, mean, std, "i4", PickRule("azimuthal", 1e3, 1.0))
    assert_moments(found, mean, std**2 + 1 / 12)


@pytest.mark.parametrize("mean", [-50.0, 0.0, 7.5])
def test_integrating_detectors_have_negative_values(mean):
    for dtype in ("i4", "f4"):
        found = densify(LARGE_BINS, mean, 4.0, dtype, PickRule("azimuthal", 1e3, 1.0))
        assert_moments(found, mean, 16.0 + (1 / 12 if dtype == "i4" else 0))


def test_real_values_are_normal_and_below_the_limit():
    found = densify(LARGE_BINS, 5.0, 2.0, "f4", PickRule("azimuthal", 1e3, 1.0))
    assert_moments(found, 5.0, 4.0)
    cut = densify(LARGE_BINS, 5.0, 2.0, "f4", PickRule("azimuthal", 1.0, 0.0))
    assert cut.max() <= 7.0
    # Mean of a normal distribution cut one standard deviation above its mean.
    np.testing.assert_allclose(cut.mean(dtype=float), 5 - 2 * 0.24197 / 0.84134, atol=0.02)


@pytest.mark.parametrize("dtype", ["u2", "f4"])
@pytest.mark.parametrize("mean", [0.3, 40.0])
def test_normalization_scales_background_and_noise(dtype, mean):
    norm = normalization(LARGE, BEAM, solid_angle=True)
    bins = azimuthal_bins(LARGE, BEAM, 40, norm=norm)
    found = densify(bins, mean, np.sqrt(mean), dtype, OPEN)
    error = np.sqrt(mean / found.size)
    assert abs((found / norm).mean(dtype=float) - mean) < 6 * error
    still = densify(bins, mean, 1.0, dtype, noise=False)
    assert np.abs(still - mean * norm).max() <= (0.5001 if dtype == "u2" else 1e-4)


def test_noise_is_fixed_by_its_seed_and_differs_between_seeds():
    one, same, other = (densify(LARGE_BINS, 3.0, 1.7, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.5
    # Neither do the streams of two seeds run after each other.
    assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(one.size)
    for lag in (1, 2, 400):
        assert abs(np.corrcoef(one[:-lag], one[lag:])[0, 1]) < 5 / np.sqrt(one.size)


def test_a_worker_carries_nothing_from_frame_to_frame():
    worker = Densifier(BINS, RULE, "u2", noise=True)
    curves = [(np.full(20, mean), np.full(20, np.sqrt(mean))) for mean in (3.0, 900.0, 0.1)]
    empty = np.zeros(0, dtype=np.uint16)
    first = [worker.densify(NO_PIXEL, empty, *pair, 1).copy() for pair in curves]
    for pair, frame in zip(curves[::-1], first[::-1], strict=True):
        np.testing.assert_array_equal(worker.densify(NO_PIXEL, empty, *pair, 1), frame)


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
@pytest.mark.parametrize("model", ["poisson", "azimuthal"])
@pytest.mark.parametrize("mean", [0.0, 1.0, 2.5])
def test_a_cutoff_of_nothing_still_gives_frames(dtype, model, mean):
    found = densify(BINS, mean, np.sqrt(mean), dtype, PickRule(model, 0.0, 0.0))
    assert np.isfinite(found.astype(float)).all()
    assert found.astype(float).max() < mean + 20


def test_a_blank_frame_comes_back_blank():
    assert (densify(BINS, 0.0, 1.0) == 0).all()
    assert (densify(BINS, 0.0, 0.0, rule=PickRule("azimuthal", 3.0, 1.0)) == 0).all()


def test_a_background_too_bright_for_its_tables_is_refused():
    bins = azimuthal_bins(LARGE, BEAM, 800)
    with pytest.raises(DataError, match="too bright"):
        densify(bins, 3e9, 5e4, "u4")
    assert densify(bins, 3e9, 5e4, "u4", noise=False)[0] == 3_000_000_000


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 9999),
    dtype=st.sampled_from(["u2", "i4", "f4"]),
    model=st.sampled_from(["poisson", "azimuthal", "hybrid"]),
    cutoff=st.sampled_from([1.0, 2.0, 4.0]),
    level=st.floats(0.05, 300),
)
def test_sparsify_then_densify_keeps_spots_and_never_invents_them(seed, dtype, model, cutoff, level):
    rng = np.random.default_rng(seed)
    truth = level * (0.3 + np.exp(-((BINS.radius / 0.02) ** 2)))
    frame = rng.poisson(truth)
    spots = rng.choice(frame.size, 20, replace=False)
    frame[spots] += rng.integers(1, 4000, 20)
    frame = frame.astype(dtype)
    config = SparsifyConfig(n_bins=20, error_model=model, cutoff_pick=cutoff)
    sparse = Sparsifier(BINS, config, dtype).sparsify(frame)
    rule = PickRule(model, cutoff, 1.0)
    curves = [curve.astype(np.float32) for curve in (sparse.background.mean, sparse.background.std)]
    dense = Densifier(BINS, rule, dtype, noise=True).densify(sparse.pixel, sparse.intensity, *curves, seed)
    np.testing.assert_array_equal(dense[sparse.pixel], frame[sparse.pixel])
    mean, std = (np.interp(BINS.radius, BINS.centres, curve) for curve in curves)
    limit = mean + np.maximum(1.0, cutoff * np.hypot(std, 1.0))
    others = np.setdiff1d(np.arange(frame.size), sparse.pixel)
    assert (dense[others] <= limit[others] + 1e-4 * np.maximum(limit[others], 1)).all()
