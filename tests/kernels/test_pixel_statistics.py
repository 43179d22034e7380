import numpy as np
import pytest

from fewphoton.kernels.pixel_statistics import add_moments_inside, add_panel_histograms, median_and_spread


@pytest.fixture
def frames():
    rng = np.random.default_rng(8)
    values = np.rint(100 + 5 * rng.standard_normal((17, 300))).astype(np.int32)
    values[rng.random(values.shape) < 0.1] = -5136
    values[:, 7] = -5136
    return values


VALID = (np.int32(-1000), np.int32(2**31 - 1))


@pytest.mark.parametrize("work", [median_and_spread, median_and_spread.py_func], ids=["jitted", "python"])
def test_median_and_spread(work, frames):
    median, spread = np.empty(300), np.empty(300)
    work(frames, *VALID, median, spread)
    for p in range(300):
        good = frames[frames[:, p] > -1000, p]
        if len(good) == 0:
            assert np.isnan(median[p])
            continue
        assert median[p] == np.median(good)
        assert spread[p] == np.median(np.abs(good - np.median(good)))


@pytest.mark.parametrize("work", [add_moments_inside, add_moments_inside.py_func], ids=["jitted", "python"])
def test_moments_add_up_over_chunks(work, frames):
    centre, half_width = np.full(300, 101.0), np.full(300, 8.0)
    number, total, squared = np.zeros(300, dtype=np.int64), np.zeros(300), np.zeros(300)
    for part in (frames[:5], frames[5:]):
        work(part, *VALID, centre, half_width, number, total, squared)
    away = np.where(np.abs(frames - 101.0) <= 8, frames - 101.0, 0)
    np.testing.assert_array_equal(number, (np.abs(frames - 101.0) <= 8).sum(axis=0))
    np.testing.assert_allclose(total, away.sum(axis=0), atol=1e-12)
    np.testing.assert_allclose(squared, (away**2).sum(axis=0), atol=1e-12)


@pytest.mark.parametrize("work", [add_panel_histograms, add_panel_histograms.py_func], ids=["jitted", "python"])
def test_histograms(work, frames):
    panel = (np.arange(300) // 100).astype(np.int32)
    usable = np.arange(300) % 9 != 0
    centre = np.linspace(99, 101, 300)
    counts = np.zeros((3, 40), dtype=np.int64)
    work(frames, centre, panel, usable, *VALID, -20.5, 1.0, counts)
    work(frames, centre, panel, usable, *VALID, -20.5, 1.0, counts)
    for number in range(3):
        mine = usable & (panel == number)
        values = (frames - centre)[:, mine][frames[:, mine] > -1000]
        wanted = np.histogram(values, np.arange(41) - 20.5)[0]
        np.testing.assert_array_equal(counts[number], 2 * wanted)
