import numpy as np
import pytest
from scipy import ndimage

from fewphoton.kernels import peakfinder8 as kernels

SHAPE = (26, 34)
N_RINGS = 7


def both(kernel):
    return pytest.mark.parametrize("function", [kernel, kernel.py_func], ids=["jitted", "python"])


@pytest.fixture
def scene():
    """A frame of two panels and a gap, with spots, masked pixels, and wide rings."""
    rng = np.random.default_rng(5)
    slow, fast = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mean = np.full(SHAPE, 2.0)
    for row, column in [(5, 6), (5, 9), (12, 17), (20, 14), (0, 30), (13, 33), (21, 27), (24, 2)]:
        mean += 60 * np.exp(-((slow - row) ** 2 + (fast - column - 0.3) ** 2) / 1.2)
    values = rng.poisson(mean).astype(np.float32)
    panel = np.where(fast < 16, 0, np.where(fast < 18, -1, 1)).astype(np.int32)
    ring = (np.hypot(slow - 13, fast - 17) / 4).astype(np.uint16)
    ring[(panel < 0) | (rng.random(SHAPE) < 0.04)] = N_RINGS
    ring[ring > N_RINGS] = N_RINGS
    upper = np.append(rng.uniform(6, 12, N_RINGS), np.inf)
    return values, ring, panel, upper


def labelled_groups(hot, panel):
    """Lists of flat pixel numbers: connected regions of each panel, in no special order."""
    groups = []
    for number in np.unique(panel[panel >= 0]):
        labels, n = ndimage.label(hot & (panel == number), structure=np.ones((3, 3)))
        groups += [np.flatnonzero(labels == k + 1) for k in range(n)]
    return groups


def inner_pixels(panel):
    """Pixels whose eight neighbours lie in the frame and in their panel."""
    padded = np.pad(panel, 1, constant_values=-2)
    inner = np.ones(panel.shape, dtype=bool)
    for row, column in np.ndindex(3, 3):
        inner &= padded[row : row + panel.shape[0], column : column + panel.shape[1]] == panel
    return inner


def naive_background(values, ring, panel, upper, slow, fast, on_panel, radius):
    rows, columns = np.indices(values.shape)
    down, right = rows - slow, columns - fast
    disc = (down**2 + right**2 <= radius**2) & (down < radius) & (right < radius)
    chosen = disc & (panel == on_panel) & (ring < len(upper) - 1) & (values < upper[ring])
    return values[chosen].astype(float)


@both(kernels.arrange_by_ring)
def test_values_go_to_their_slots(function):
    values = np.array([10, 11, 12, 13], dtype=np.uint16)
    arranged = np.zeros(3, dtype=np.uint16)
    function(values, np.array([2, -1, 0, 1], dtype=np.int32), arranged)
    assert arranged.tolist() == [12, 13, 10]


@both(kernels.gather_pixels)
def test_chosen_pixels_are_copied(function):
    arranged = np.zeros(3, dtype=np.float32)
    function(np.array([1.5, 2.5, 3.5], dtype=np.float32), np.array([2, 0, 2], dtype=np.int32), arranged)
    assert arranged.tolist() == [3.5, 1.5, 3.5]


@both(kernels.clipped_moments)
def test_moments_leave_out_limits_and_what_is_no_number(function):
    values = np.array([1, 2, 3, 4, 9, np.nan, np.inf, -np.inf])
    assert function(values, 1.0, 9.0) == (3, 9.0, 29.0)
    assert function(values, -np.inf, np.inf) == (5, 19.0, 111.0)
    assert function(np.zeros(0, dtype=np.uint8), -1.0, 1.0) == (0, 0.0, 0.0)


def naive_clip(values, threshold, min_snr, n_iterations):
    lower, upper, mean, deviation = -np.inf, np.inf, 0.0, 0.0
    for _ in range(n_iterations):
        kept = values[(values > lower) & (values < upper)].astype(float)
        if kept.size == 0:
            break
        mean, deviation = kept.mean(), kept.std()
        lower, upper = mean - min_snr * deviation, max(mean + min_snr * deviation, threshold)
    return mean, deviation, upper


@both(kernels.clip_rings)
@pytest.mark.parametrize("n_iterations", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_rings_are_clipped(function, dtype, n_iterations):
    rng = np.random.default_rng(2)
    rings = [rng.poisson(5, 300), np.append(rng.poisson(5, 99), 200), rng.poisson(0.02, 400), [], [7], [3] * 12]
    if dtype is np.float32:
        rings += [np.append(rng.normal(-40, 3, 80), [np.nan, np.inf, -np.inf]), [np.nan, np.inf]]
    start = np.cumsum([0, *map(len, rings)])
    found = np.full((3, len(rings) + 1), 77.0)
    function(np.concatenate(rings).astype(dtype), start, 6.0, 3.0, n_iterations, *found)
    expected = [naive_clip(np.array(ring, dtype=dtype), 6.0, 3.0, n_iterations) for ring in rings] + [(0, 0, np.inf)]
    # Float32 values whose mean is not exact leave a variance of rounding error where nothing varies.
    np.testing.assert_allclose(found.T, expected, rtol=1e-9, atol=1e-6)


@both(kernels.clip_rings)
def test_one_outlier_is_clipped_by_hand(function):
    # 16 values of 1 and 3, mean 2, deviation 1; with one 38 the first upper limit is 4.118 + 3 * 8.529 = 29.7.
    values = np.array([1, 3] * 8 + [38])
    mean, deviation, upper = np.zeros((3, 2))
    function(values, np.array([0, 17]), 0.0, 3.0, 5, mean, deviation, upper)
    assert (mean[0], deviation[0], upper[0]) == (2.0, 1.0, 5.0)


@both(kernels.clip_rings)
def test_sums_beyond_float64_give_no_peaks(function):
    upper = np.zeros(2)
    with np.errstate(all="ignore"):
        function(
            np.array([1e300, -1e300, 1e308, 1e308]), np.array([0, 4]), 0.0, 3.0, 5, np.zeros(2), np.zeros(2), upper
        )
    assert upper.tolist() == [np.inf, np.inf]


@both(kernels.find_hot_pixels)
@pytest.mark.parametrize("n_pixels", [0, 1, 63, 64, 65, 200])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_hot_pixels_are_listed(function, dtype, n_pixels):
    rng = np.random.default_rng(n_pixels)
    values = rng.poisson(4, n_pixels).astype(dtype)
    ring = rng.integers(0, 4, n_pixels).astype(np.uint16)
    largest = np.finfo(dtype).max if dtype is np.float32 else np.iinfo(dtype).max
    if dtype is np.float32:
        values[::7] = np.nan
        values[3::7] = np.inf
    limit = np.array([5, 9, 6, largest], dtype=dtype)
    hot = np.empty(n_pixels, dtype=np.int32)
    n_hot = function(values, ring, limit, dtype(5), dtype(largest), hot)
    expected = [p for p in range(n_pixels) if np.isfinite(values[p]) and values[p] > limit[ring[p]]]
    assert hot[:n_hot].tolist() == expected


@both(kernels.inside_panel)
def test_pixels_inside_their_panel(function, scene):
    panel = scene[2].copy()
    panel[9:12, 4:8] = 3
    found = [function(p, *SHAPE, panel.ravel()) for p in range(panel.size)]
    np.testing.assert_array_equal(np.reshape(found, SHAPE), inner_pixels(panel))


@both(kernels.fill_group)
def test_groups_are_connected_regions(function, scene):
    values, ring, panel, upper = scene
    hot = values > upper[ring]
    state, group = hot.ravel().astype(np.uint8), np.empty(hot.size, dtype=np.int32)
    groups = labelled_groups(hot, panel)
    assert max(map(len, groups)) > 8
    for expected in groups:
        n = function(expected[len(expected) // 2], *SHAPE, panel.ravel(), state, group)
        assert sorted(group[:n]) == expected.tolist()
    assert (state != 1).all()


@both(kernels.local_background)
@pytest.mark.parametrize(("slow", "fast"), [(5, 6), (0, 0), (12, 15), (25, 33), (13, 20), (1, 32)])
@pytest.mark.parametrize("radius", [2, 4, 6])
def test_background_of_a_place(function, scene, slow, fast, radius):
    values, ring, panel, upper = scene
    values = values.copy()
    on_panel = panel[slow, fast]
    n, mean, deviation, largest = function(
        values.ravel(), SHAPE[1], ring.ravel(), panel.ravel(), upper, slow, fast, on_panel, radius
    )
    chosen = naive_background(values, ring, panel, upper, slow, fast, on_panel, radius)
    assert n == chosen.size > 0
    np.testing.assert_allclose([mean, deviation, largest], [chosen.mean(), chosen.std(), chosen.max()], rtol=1e-12)


@both(kernels.local_background)
def test_no_background(function):
    nothing = function(
        np.zeros(9), 3, np.ones(9, np.uint16), np.zeros(9, np.int32), np.array([5.0, np.inf]), 1, 1, 0, 2
    )
    assert nothing == (0, 0.0, 0.0, -np.inf)


def naive_peaks(values, ring, panel, mean, deviation, upper, min_snr, min_pixels, max_pixels, radius):
    """Return groups measured with arrays, ordered by their first inner pixel."""
    inner = inner_pixels(panel).ravel()
    flat, flat_ring = values.ravel().astype(float), ring.ravel()
    rows = []
    for group in labelled_groups((values > upper[ring]) & np.isfinite(values), panel):
        if not inner[group].any() or not min_pixels <= len(group) <= max_pixels:
            continue
        place = np.array(np.unravel_index(group, values.shape))
        weight = flat[group] - mean[flat_ring[group]]
        centre = np.rint(place @ weight / weight.sum()).astype(int)
        around = naive_background(values, ring, panel, upper, *centre, panel.ravel()[group[0]], radius)
        brightest = group[flat[group].argmax()]
        level = around.mean() if around.size else mean[flat_ring[brightest]]
        sigma = around.std() if around.size else 0.0
        sigma = sigma or deviation[flat_ring[brightest]]
        intensity = (flat[group] - level).sum()
        if (around.size and around.max() > flat[brightest]) or intensity < min_snr * sigma:
            continue
        centroid = place @ flat[group] / flat[group].sum()
        row = (*centroid, intensity, len(group), flat[brightest] - level, sigma)
        rows.append((group[inner[group]].min(), row))
    return np.array([row for _, row in sorted(rows)]).reshape(-1, 6)


@both(kernels.measure_peaks)
@pytest.mark.parametrize("min_snr", [3.0, 40.0])
@pytest.mark.parametrize(("min_pixels", "max_pixels"), [(1, 200), (2, 8)])
def test_peaks_are_measured(function, scene, min_snr, min_pixels, max_pixels):
    values, ring, panel, upper = scene
    mean, deviation = np.full(N_RINGS + 1, 2.0), np.full(N_RINGS + 1, 1.4)
    hot = np.flatnonzero(values > upper[ring]).astype(np.int32)
    measured = np.full((len(hot) // min_pixels, 6), 77.0)
    limits = (min_snr, min_pixels, max_pixels)
    n = function(
        values.ravel(), SHAPE[1], ring.ravel(), panel.ravel(), mean, deviation, upper, hot, *limits, 4, measured
    )
    expected = naive_peaks(values, ring, panel, mean, deviation, upper, *limits, 4)
    assert n == len(expected) > 0
    np.testing.assert_allclose(measured[:n], expected, rtol=1e-10)
    assert (measured[n:] == 77).all()
