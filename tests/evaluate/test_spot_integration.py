import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.evaluate.spot_geometry import PredictedSpots
from fewphoton.evaluate.spot_integration import Apertures, SpotIntegrator, intensities
from fewphoton.kernels.spot_sums import N_SUMS

RADII = Apertures(3.0, 4.0, 7.0)
SHAPE = (60, 80)


def spots_at(places, image=None, lorentz=1.0, hkl=None):
    places = np.asarray(places, dtype=float).reshape(-1, 2)
    n = len(places)
    one = np.ones(n)
    return PredictedSpots(
        np.ones((n, 3), dtype=np.int32) if hkl is None else np.asarray(hkl),
        0.5 * one if image is None else np.asarray(image, dtype=float),
        places[:, 0],
        places[:, 1],
        np.zeros(n, dtype=np.int32),
        one,
        one,
        lorentz * one,
        one,
        one,
        0 * one,
    )


def integrator(spots, half_width=0.5, complete=None, usable=None):
    return SpotIntegrator(
        spots,
        np.full(len(spots), half_width),
        np.ones(len(spots), dtype=bool) if complete is None else np.asarray(complete),
        np.ones(SHAPE, dtype=bool) if usable is None else usable,
        RADII,
    )


def gaussian_frame(place, photons, background, sigma=0.8):
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    spot = np.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    return background + photons * spot


def test_a_spot_over_frames_is_summed_above_its_background():
    """Three frames of 100, 300 and 100 photons on 2 photons a pixel; a fourth frame is not the spot's."""
    place = (20.3, 31.8)
    work = integrator(spots_at([place], [1.5], lorentz=2.0), 1.2)
    for number, photons in enumerate([100.0, 300.0, 100.0, 5000.0]):
        work.add_frame(number, gaussian_frame(place, photons, 2.0).astype(np.float64), 0.0, 1e9)
    found = work.finish()
    assert found.intensity[0] * 2 == pytest.approx(500, rel=5e-3)
    assert found.background_per_pixel[0] == pytest.approx(2.0, rel=1e-4)
    np.testing.assert_allclose(found.centroid_px, 0, atol=0.01)
    assert np.linalg.norm(found.brightest_px) < 0.6


def test_centroid_tells_how_far_the_prediction_is_off():
    work = integrator(spots_at([(20.0, 30.0)]))
    work.add_frame(0, gaussian_frame((20.6, 29.5), 1e4, 1.0), 0.0, 1e9)
    np.testing.assert_allclose(work.finish().centroid_px[0], [0.6, -0.5], atol=0.02)


def test_scatter_is_as_wide_as_sigma():
    """Poisson frames: (I - truth) / sigma has unit spread and no bias."""
    places = [(y, x) for y in range(10, 55, 15) for x in range(10, 75, 15)]
    mean = gaussian_frame((0, 0), 0, 0.3)
    for place in places:
        mean = mean + gaussian_frame(place, 40.0, 0.0)
    rng = np.random.default_rng(0)
    pulls = []
    for _ in range(60):
        work = integrator(spots_at(places))
        work.add_frame(0, rng.poisson(mean).astype(np.int32), 0, 10**6)
        found = work.finish()
        pulls.append((found.intensity - 40) / found.sigma)
    pulls = np.concatenate(pulls)
    assert np.mean(pulls) == pytest.approx(0, abs=0.15)
    assert np.std(pulls) == pytest.approx(1, abs=0.1)


def test_sigma_by_hand():
    """20 counts on 5 pixels, 16 on 8: I = 20 - 5/8 16 = 10, variance 20 + (5/8)² 16 = 26.25; none at all: 1 + 25/64."""
    sums = np.zeros((3, N_SUMS))
    sums[:, [0, 3]] = 5, 8
    sums[0, [1, 4]] = 20, 16
    sums[2, 2] = 1
    found = intensities(spots_at([(0, 0)] * 3, lorentz=2.0), sums)
    np.testing.assert_allclose(found.intensity, [5, 0, np.nan])
    np.testing.assert_allclose(found.sigma, [np.sqrt(26.25) / 2, np.sqrt(1 + 25 / 64) / 2, np.nan])
    np.testing.assert_allclose(found.i_over_sigma, [10 / np.sqrt(26.25), 0, np.nan])


def test_counts_that_are_no_photons():
    """The same photons read as 7 counts each have 7 times the intensity and 7 times the sigma."""
    frame = np.random.default_rng(0).poisson(gaussian_frame((20, 30), 80.0, 0.5))
    one, seven = integrator(spots_at([(20, 30)])), integrator(spots_at([(20, 30)]))
    one.add_frame(0, frame, 0, 10**6)
    seven.add_frame(0, 7 * frame, 0, 10**6)
    photons, counts = one.finish(), seven.finish(7.0)
    np.testing.assert_allclose(counts.intensity, 7 * photons.intensity)
    np.testing.assert_allclose(counts.sigma, 7 * photons.sigma)


def test_which_spots_are_integrated():
    usable = np.ones(SHAPE, dtype=bool)
    usable[30, 40] = False
    places = [(20, 20), (20, 25), (30, 42), (30, 46), (50, 60), (2, 60), (40, 10)]
    work = integrator(spots_at(places), complete=[True] * 6 + [False], usable=usable)
    # two overlap, one touches a masked pixel, one the edge, one is not complete
    assert work.chosen.tolist() == [4]
    assert (work.n_complete, work.n_overlapping, work.n_on_mask) == (6, 4, 1)


def test_neighbours_do_not_lift_the_background():
    near = [(30.0, 30.0), (30.0, 37.0)]
    frame = gaussian_frame(near[0], 100.0, 1.0) + gaussian_frame(near[1], 3e3, 0.0)
    together = integrator(spots_at(near))
    together.add_frame(0, frame, 0.0, 1e9)
    apart = integrator(spots_at(near[:1]))
    apart.add_frame(0, frame, 0.0, 1e9)
    assert together.finish().intensity[0] == pytest.approx(100, rel=0.1)
    assert apart.finish().intensity[0] < -100


def test_invalid_pixels_spoil_a_spot_but_not_the_list():
    work = integrator(spots_at([(20, 20), (40, 40)]))
    frame = np.ones(SHAPE, dtype=np.int32)
    frame[20, 21] = -1
    frame[46, 40] = -1  # in the ring
    work.add_frame(0, frame, 0, 100)
    found = work.finish()
    assert len(found) == 2
    assert np.isnan(found.intensity[0])
    assert found.intensity[1] == pytest.approx(0, abs=1e-9)


def test_frames_that_never_came_are_an_error():
    work = integrator(spots_at([(20, 20)], [1.0]), 1.0)
    work.add_frame(0, np.ones(SHAPE, dtype=np.int32), 0, 100)
    with pytest.raises(DataError, match="1 of 1 spots lack frames"):
        work.finish()
    with pytest.raises(DataError, match="expected shape"):
        work.add_frame(1, np.ones((3, 4), dtype=np.int32), 0, 100)
