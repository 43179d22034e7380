import gemmi
import numpy as np
import pytest

from fewphoton.data import Crystal, Reflections
from fewphoton.errors import DataError, GeometryError
from fewphoton.evaluate.predict_spots import PredictedSpots
from fewphoton.evaluate.spot_quality import (
    Apertures,
    SpotIntegrator,
    equal_volume_edges,
    frame_scales,
    intensities,
    merge_observations,
    quality,
    with_space_group,
)
from fewphoton.kernels.spot_sums import N_SUMS

CRYSTAL = Crystal((10, 11, 12, 90, 90, 90), "P 21 21 21")
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


def observations(seed=0, n_each=6, noise=0.1):
    rng = np.random.default_rng(seed)
    hkl = CRYSTAL.lattice_points(0.5)
    hkl = hkl[CRYSTAL.space_group_allows(hkl)]
    unique, back = np.unique(CRYSTAL.to_laue_asu(hkl), axis=0, return_inverse=True)
    truth = rng.exponential(100, len(unique))[back.ravel()]
    sigma = noise * truth + 1
    return hkl, truth, truth + sigma * rng.normal(size=len(hkl)), sigma


def test_r_factors_by_hand():
    """10 and 14 about 12, 5 alone (left out): R_obs = 4 / 24, R_meas = √2 4 / 24."""
    hkl = np.array([[1, 2, 3], [-1, -2, 3], [2, 2, 2]])
    values, sigma = np.array([10.0, 14.0, 5.0]), np.array([3.0, 4.0, 1.0])
    merged = merge_observations(hkl, values, sigma, CRYSTAL, np.random.default_rng(0))
    np.testing.assert_allclose(merged.intensity, [12, 5])
    np.testing.assert_allclose(merged.sigma, [2.5, 1.0])
    whole, shells = quality(hkl, values, sigma, merged, CRYSTAL, equal_volume_edges(0.5, 3))
    assert whole.r_obs == pytest.approx(4 / 24)
    assert whole.r_meas == pytest.approx(np.sqrt(2) * 4 / 24)
    assert whole.i_over_sigma == pytest.approx((12 / 2.5 + 5) / 2)
    assert whole.i_over_sigma_observed == pytest.approx((10 / 3 + 14 / 4 + 5) / 3)
    assert (whole.n_observed, whole.n_unique) == (3, 2)
    assert sum(shell.n_observed for shell in shells) == 3
    assert np.isnan(whole.cc_half)


def test_against_gemmi_merging_statistics():
    hkl, _, values, sigma = observations()
    merged = merge_observations(hkl, values, sigma, CRYSTAL, np.random.default_rng(0))
    whole, _ = quality(hkl, values, sigma, merged, CRYSTAL, equal_volume_edges(0.5, 5))
    outside = gemmi.Intensities()
    outside.set_data(gemmi.UnitCell(*CRYSTAL.cell), gemmi.SpaceGroup(CRYSTAL.space_group), hkl, values, sigma)
    outside.type = gemmi.DataType.Unmerged
    outside.prepare_for_merging(gemmi.DataType.Mean)
    stats = outside.calculate_merging_stats(None, use_weights="U")
    theirs = stats[0] if isinstance(stats, (list, tuple)) else stats
    assert whole.r_obs == pytest.approx(theirs.r_merge(), rel=1e-6)
    assert whole.r_meas == pytest.approx(theirs.r_meas(), rel=1e-6)
    assert whole.cc_half == pytest.approx(theirs.cc_half(), abs=0.02)
    assert whole.completeness == 1.0


def test_r_meas_does_not_depend_on_multiplicity():
    """Four observations give a larger R_obs than two; R_meas stays (Diederichs & Karplus 1997)."""
    r_obs, r_meas = [], []
    for n_each in (2, 8):
        rng = np.random.default_rng(3)
        hkl = np.repeat(np.unique(CRYSTAL.to_laue_asu(observations()[0]), axis=0), n_each, axis=0)
        values = 100 + 10 * rng.normal(size=len(hkl))
        merged = merge_observations(hkl, values, np.full(len(hkl), 10.0), CRYSTAL, rng)
        whole, _ = quality(hkl, values, np.full(len(hkl), 10.0), merged, CRYSTAL, equal_volume_edges(0.5, 1))
        r_obs.append(whole.r_obs)
        r_meas.append(whole.r_meas)
    assert r_obs[1] > 1.2 * r_obs[0]
    assert r_meas[1] == pytest.approx(r_meas[0], rel=0.1)


def test_reference_and_shells():
    hkl, truth, values, sigma = observations()
    merged = merge_observations(hkl, values, sigma, CRYSTAL, np.random.default_rng(0))
    known = Reflections.bare(hkl[::2], 3 * truth[::2])
    whole, shells = quality(hkl, values, sigma, merged, CRYSTAL, equal_volume_edges(0.5, 4), known)
    assert whole.cc_reference > 0.99
    assert 0 < whole.n_reference <= whole.n_unique
    assert sum(shell.n_possible for shell in shells) == whole.n_possible
    assert [shell.d_min_angstrom for shell in shells[:-1]] == [shell.d_max_angstrom for shell in shells[1:]]
    shuffled = Reflections.bare(hkl, np.random.default_rng(1).permutation(truth))
    wrong, _ = quality(hkl, values, sigma, merged, CRYSTAL, equal_volume_edges(0.5, 4), shuffled)
    assert abs(wrong.cc_reference) < 0.3


def test_scales_of_frames_are_found():
    hkl, truth, _, _ = observations()
    rng = np.random.default_rng(4)
    frame = rng.integers(0, 12, len(hkl))
    frame[frame == 5] = 6  # a frame without spots
    scale = rng.uniform(0.3, 3, 12)
    values = truth * scale[frame] + 0.02 * rng.normal(size=len(hkl))
    values[::17] = np.nan
    found = frame_scales(hkl, values, frame, CRYSTAL, 30)
    expected = scale / scale[np.unique(frame)].mean()
    np.testing.assert_allclose(found, expected[frame], rtol=0.01)
    np.testing.assert_array_equal(frame_scales(hkl, values, frame, CRYSTAL, 0), 1.0)
    assert frame_scales(hkl[:0], values[:0], frame[:0], CRYSTAL, 3).shape == (0,)


def test_halves_are_halves():
    hkl, _, values, sigma = observations(noise=0.5)
    merged = merge_observations(hkl, values, sigma, CRYSTAL, np.random.default_rng(0))
    again = merge_observations(hkl, values, sigma, CRYSTAL, np.random.default_rng(0))
    np.testing.assert_array_equal(merged.half_1, again.half_1)
    even = merged.multiplicity % 2 == 0
    np.testing.assert_allclose((merged.half_1 + merged.half_2)[even] / 2, merged.intensity[even])
    other = merge_observations(hkl, values, sigma, CRYSTAL, np.random.default_rng(1))
    assert not np.allclose(other.half_1, merged.half_1, equal_nan=True)


def test_unknown_and_absent_reflections_are_left_out():
    hkl = np.array([[1, 2, 3], [3, 0, 0], [1, 1, 1]])  # 3 0 0 is absent
    merged = merge_observations(
        hkl, np.array([1.0, 9.0, np.nan]), np.array([1.0, 1.0, 1.0]), CRYSTAL, np.random.default_rng(0)
    )
    assert merged.hkl.tolist() == [[1, 2, 3]]
    nothing = merge_observations(np.empty((0, 3)), np.empty(0), np.empty(0), CRYSTAL, np.random.default_rng(0))
    whole, _ = quality(np.empty((0, 3), dtype=np.int32), np.empty(0), np.empty(0), nothing, CRYSTAL, np.array([0, 0.5]))
    assert whole.n_observed == 0
    assert whole.completeness == 0
    assert np.isnan(whole.r_obs)


def test_shells_have_equal_volume():
    edges = equal_volume_edges(0.7, 5)
    np.testing.assert_allclose(np.diff(edges**3), 0.7**3 / 5, rtol=1e-6)
    assert edges[-1] > 0.7


def test_space_group_idealises_the_cell():
    crystal = Crystal((5.47, 5.49, 12.2, 89.9, 90.1, 90.0), "P 1")
    ideal = with_space_group(crystal, "P 41 21 2")
    assert ideal.cell[0] == pytest.approx(ideal.cell[1])
    assert ideal.cell[0] == pytest.approx(5.48, abs=1e-3)
    assert ideal.cell[3:] == pytest.approx((90, 90, 90))
    hexagonal = with_space_group(Crystal((5.47, 5.49, 12.2, 90.0, 90.0, 119.9), "P 1"), "P 61")
    assert hexagonal.cell[5] == pytest.approx(120)
    with pytest.raises(GeometryError, match="does not have the symmetry"):
        with_space_group(crystal, "P 2 3")
    with pytest.raises(GeometryError, match="unknown space group"):
        with_space_group(crystal, "P 77")
