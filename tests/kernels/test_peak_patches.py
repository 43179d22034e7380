from dataclasses import dataclass, field

import numpy as np
import pytest

from fewphoton.kernels import peak_patches
from tests.kernels import naive

SHAPE = (15, 18)
N_RINGS = 4
STEP = 4.0
FIRST = 2.0
CENTRES = FIRST + STEP * np.arange(N_RINGS)


@pytest.fixture(params=["jitted", "python"])
def kernels(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, peak_patches)
    return peak_patches


@dataclass
class Scene:
    """A frame on a background of 1 +- 2 everywhere, unless told otherwise; pixels above 10 are strong."""

    frame: np.ndarray = field(default_factory=lambda: np.ones(SHAPE, dtype=np.float32))
    panel: np.ndarray = field(default_factory=lambda: np.zeros(SHAPE, dtype=np.int32))
    masked: np.ndarray = field(default_factory=lambda: np.zeros(SHAPE, dtype=bool))
    mean: np.ndarray = field(default_factory=lambda: np.ones(N_RINGS))
    std: np.ndarray = field(default_factory=lambda: np.full(N_RINGS, 2.0))
    noise: float = 0.0
    half_width: int = 2
    connected: int = 1
    valid: tuple[float, float] = (-50.0, 1000.0)
    saturation: float = np.inf
    cutoff: float = 4.55
    tail: float = 0.0

    @property
    def radius(self):
        slow, fast = np.indices(SHAPE)
        return np.hypot(slow - 7, fast - 9).astype(np.float32)

    @property
    def good(self):
        with np.errstate(invalid="ignore"):
            return ~self.masked & (self.frame >= self.valid[0]) & (self.frame <= self.valid[1])

    @property
    def curves(self):
        return [np.interp(self.radius.astype(float), CENTRES, curve) for curve in (self.mean, self.std)]

    @property
    def strong(self):
        rule = (self.noise, self.cutoff, 0.0, self.tail, True)
        return self.good & naive.strong(
            np.where(self.good, self.frame, 0).astype(float), self.radius, CENTRES, self.mean, self.std, *rule
        )

    def peaks(self, kernels, candidates=None):
        """Run the kernel; return rows of position, sum, deviation, strong pixels and saturation."""
        strong = np.flatnonzero(self.strong if candidates is None else candidates).astype(np.uint32)
        ring = np.where(self.masked, N_RINGS, np.minimum(self.radius / STEP, N_RINGS - 1)).astype(np.uint16)
        radius = np.where(self.masked, np.nan, self.radius).astype(np.float32)
        columns = [np.empty(len(strong), dtype=np.float32) for _ in range(4)]
        columns += [np.empty(len(strong), dtype=np.int32), np.empty(len(strong), dtype=np.bool_)]
        n_peaks = kernels.find_in_patches(
            self.frame.ravel(),
            SHAPE[1],
            strong,
            ring.ravel(),
            self.panel.ravel(),
            radius.ravel(),
            FIRST,
            STEP,
            self.mean,
            self.std,
            self.noise,
            self.cutoff,
            self.tail,
            self.half_width,
            self.connected,
            float(np.ptp(self.mean)),
            *self.valid,
            self.saturation,
            *columns,
        )
        return np.column_stack([column[:n_peaks] for column in columns])

    def naive_peaks(self):
        return naive.patch_peaks(
            self.frame,
            self.strong,
            self.good,
            self.panel,
            *self.curves,
            self.noise,
            self.half_width,
            self.connected,
            self.saturation,
        )


def test_a_single_peak(kernels):
    """By hand: excess of 40 in the middle, 20 below it and 10 to its right; seven more pixels 1 above."""
    scene = Scene(noise=1.5, cutoff=3.9)
    scene.frame[6, 8], scene.frame[7, 8], scene.frame[6, 9] = 41, 21, 11
    scene.frame[4, 6:11] += 1
    scene.frame[8, 6:8] += 1
    rows = scene.peaks(kernels)
    total = 70 + 7
    slow = 6 + (20 * 1 + 5 * -2 + 2 * 2) / total
    fast = 8 + (10 * 1 + 0 + (-2 - 1)) / total
    sigma = np.sqrt(10 * (2**2 + 1.5**2))
    np.testing.assert_allclose(rows, [[slow, fast, total, sigma, 3, 0]], rtol=1e-6)


def test_nothing_strong_nothing_found(kernels):
    assert Scene().peaks(kernels).shape == (0, 6)


@pytest.mark.parametrize("where", [np.s_[6:8, 8:10], np.s_[6, 7:10], np.s_[6:9, 8], np.s_[6, 6:10], np.s_[5:10, 6:11]])
def test_a_plateau_is_one_peak(kernels, where):
    scene = Scene()
    scene.frame[where] = 50
    rows = scene.peaks(kernels)
    # Sums run over the patch about the first pixel of the plateau.
    patch = np.argwhere(scene.frame == 50)
    patch = patch[(abs(patch - patch[0]) <= 2).all(axis=1)]
    n = len(patch)
    np.testing.assert_allclose(rows, [[*patch.mean(axis=0), 49 * n, 2 * np.sqrt(n), n, 0]], rtol=1e-6)


@pytest.mark.parametrize(("apart", "half_width", "n_peaks"), [(2, 1, 2), (2, 2, 1), (3, 2, 2), (1, 1, 1)])
def test_two_peaks(kernels, apart, half_width, n_peaks):
    """Each must be the highest of its patch."""
    scene = Scene(half_width=half_width)
    scene.frame[6, 6], scene.frame[6, 6 + apart] = 40, 30
    rows = scene.peaks(kernels)
    assert len(rows) == n_peaks
    assert rows[0, 0] == 6
    if n_peaks == 2:
        np.testing.assert_array_equal(rows[:, 1], [6, 6 + apart])
        np.testing.assert_array_equal(rows[:, 2], [39, 29])


NEIGHBOURS = [(-1, -1), (-1, 1), (0, 1), (1, 0), (1, 1)]
OUTER = [(-2, -2), (0, 2), (2, -1), (2, 2)]


@pytest.mark.parametrize("kind", ["masked", "nan", "low", "high", "panel"])
@pytest.mark.parametrize("offset", [*NEIGHBOURS, *OUTER])
def test_a_pixel_that_is_missing(kernels, kind, offset):
    """Beside the maximum it may hide a higher one; further out it is left out of the sums."""
    scene = Scene()
    scene.frame[6, 8], scene.frame[6, 9] = 41, 31
    place = 6 + offset[0], 8 + offset[1]
    scene.frame[place] = 30
    if kind == "panel":
        scene.panel[place] = 1
    elif kind == "masked":
        scene.masked[place] = True
    else:
        scene.frame[place] = {"nan": np.nan, "low": -51, "high": 1001}[kind]
    rows = scene.peaks(kernels)
    # A lone pixel of another panel has no neighbours of its own, so it is no peak either.
    if offset in NEIGHBOURS:
        assert len(rows) == 0
    else:
        np.testing.assert_allclose(rows, [[6, 8 + 30 / 70, 70, np.sqrt(8), 2, 0]], rtol=1e-6)


def test_an_edge_of_panels(kernels):
    """Array neighbours across the edge are none: peaks right at it are refused, one pixel off they stand alone."""
    scene = Scene()
    scene.panel[:, 9:] = 1
    scene.frame[4, 7], scene.frame[4, 9], scene.frame[4, 10] = 40, 90, 95
    scene.frame[10, 8] = 40
    np.testing.assert_allclose(scene.peaks(kernels), [[4, 7, 39, 2, 1, 0], [4, 9 + 94 / 183, 183, np.sqrt(8), 2, 0]])


@pytest.mark.parametrize("place", [(0, 8), (14, 8), (6, 0), (6, 17), (0, 0), (14, 17)])
def test_no_peak_on_the_border(kernels, place):
    scene = Scene()
    scene.frame[place] = 50
    assert len(scene.peaks(kernels)) == 0


@pytest.mark.parametrize("place", [(1, 8), (13, 8), (6, 1), (6, 16), (1, 1), (13, 16)])
def test_a_peak_beside_the_border(kernels, place):
    """Its patch is cut, and must not reach round to the other end of rows or columns."""
    scene = Scene()
    if place[0] != 6:
        scene.frame[14 if place[0] == 1 else 0] = 60
    if place[1] != 8:
        scene.frame[:, 17 if place[1] == 1 else 0] = 60
    beside = (slice(place[0] - 1, place[0] + 2), slice(place[1] - 1, place[1] + 2))
    scene.frame[beside] = 1
    scene.frame[place] = 50
    patch = scene.frame[max(0, place[0] - 2) : place[0] + 3, max(0, place[1] - 2) : place[1] + 3]
    patch[patch == 60] = 1
    np.testing.assert_allclose(scene.peaks(kernels), [[*place, 49, 2, 1, 0]])


@pytest.mark.parametrize(("connected", "n_peaks"), [(1, 1), (3, 1), (4, 0)])
def test_connected(kernels, connected, n_peaks):
    scene = Scene(connected=connected)
    scene.frame[6, 8], scene.frame[6, 9], scene.frame[8, 6] = 41, 11, 12
    scene.frame[5, 8] = 10  # not strong
    rows = scene.peaks(kernels)
    assert len(rows) == n_peaks
    if n_peaks:
        assert rows[0, 4] == 3


def test_strong_pixels_of_another_panel_do_not_connect(kernels):
    scene = Scene(connected=2)
    scene.frame[6, 8], scene.frame[6, 10] = 41, 30
    assert len(scene.peaks(kernels)) == 1
    scene.panel[:, 10:] = 1
    assert len(scene.peaks(kernels)) == 0


def test_strong_pixels_are_counted_whatever_was_listed(kernels):
    """Where one strong pixel is enough, the list may hold possible maxima alone."""
    scene = Scene()
    scene.frame[6, 8], scene.frame[6, 9], scene.frame[8, 6] = 41, 11, 12
    expected = scene.naive_peaks()
    assert expected[0, 4] == 3
    np.testing.assert_allclose(scene.peaks(kernels, scene.frame == 41), expected, rtol=1e-6)


@pytest.mark.parametrize(("value", "n_strong"), [(14, 2), (13, 1)])
def test_on_the_limit(kernels, value, n_strong):
    """Mean 4, hypot(3, 4) = 5, cut-off 2: a pixel of 14 counts as strong."""
    scene = Scene(mean=np.full(N_RINGS, 4.0), std=np.full(N_RINGS, 3.0), noise=4.0, cutoff=2.0)
    scene.frame[:] = 4
    scene.frame[6, 8], scene.frame[7, 8] = 30, value
    assert scene.peaks(kernels)[0, 4] == n_strong


@pytest.mark.parametrize(("saturation", "flag"), [(60.0, 1), (60.5, 0), (np.inf, 0)])
def test_saturation(kernels, saturation, flag):
    scene = Scene(saturation=saturation)
    scene.frame[6, 8] = 60
    assert scene.peaks(kernels)[0, 5] == flag


def test_a_saturated_pixel_outside_the_patch(kernels):
    scene = Scene(saturation=80.0)
    scene.frame[6, 8], scene.frame[6, 11] = 60, 90
    np.testing.assert_array_equal(scene.peaks(kernels)[:, 5], [0, 1])


def test_height_is_measured_above_the_background(kernels):
    """The value is larger nearer to the beam, but stands less far above the steeper background there."""
    scene = Scene(mean=np.array([100.0, 60.0, 20.0, 0.0]), cutoff=0.0)
    scene.frame[:] = np.interp(scene.radius, CENTRES, scene.mean) - 1
    scene.frame[7, 14] += 30
    scene.frame[7, 15] += 31
    assert scene.frame[7, 14] > scene.frame[7, 15]
    rows = scene.peaks(kernels)
    expected = scene.naive_peaks()
    np.testing.assert_allclose(rows, expected, rtol=1e-5)
    np.testing.assert_allclose(rows[rows[:, 2] > 20][0, 1], 14 + 30 / 59, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize(("half_width", "connected"), [(1, 1), (1, 3), (2, 3), (3, 2)])
@pytest.mark.parametrize("tail", [0.0, 0.02])
def test_against_the_naive_twin(kernels, dtype, half_width, connected, tail):
    rng = np.random.default_rng(9)
    scene = Scene(
        noise=0.7,
        half_width=half_width,
        connected=connected,
        cutoff=2.0,
        tail=tail,
        mean=np.array([9.0, 6.0, 3.0, 2.5]),
        std=np.array([3.0, 2.5, 2.0, 1.0]),
        saturation=14.0,
        valid=(0.0, 60_000.0),
    )
    slow, fast = np.indices(SHAPE)
    mean = np.interp(scene.radius, CENTRES, scene.mean)
    for row, column in [(3, 4), (3, 8), (8, 6), (11, 12), (5, 14), (9, 15), (1, 1), (12, 3)]:
        mean += 25 * np.exp(-((slow - row) ** 2 + (fast - column - 0.3) ** 2) / 1.2)
    scene.frame = rng.poisson(mean).astype(dtype)
    scene.panel[:, 10:] = 1
    scene.panel[:7, 10:] = 2
    scene.masked[rng.random(SHAPE) < 0.02] = True
    scene.frame[8, 9] = 65_535
    if dtype is np.float32:
        scene.frame[2, 12] = np.nan
    expected = scene.naive_peaks()
    np.testing.assert_allclose(scene.peaks(kernels), expected, rtol=1e-5)
    assert len(expected) >= 2
