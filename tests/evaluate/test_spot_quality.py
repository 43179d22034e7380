import gemmi
import numpy as np
import pytest

from fewphoton.data import Crystal, Reflections
from fewphoton.errors import GeometryError
from fewphoton.evaluate.spot_quality import (
    equal_volume_edges,
    frame_scales,
    merge_observations,
    quality,
    with_space_group,
)

CRYSTAL = Crystal((10, 11, 12, 90, 90, 90), "P 21 21 21")


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
