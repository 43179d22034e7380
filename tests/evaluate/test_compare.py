import numpy as np
import pytest

from fewphoton.data import Crystal, Reflections
from fewphoton.evaluate.agreement import r_factor
from fewphoton.evaluate.compare import compare
from fewphoton.evaluate.shells import shell_edges

CRYSTAL = Crystal((21.47,) * 3 + (90,) * 3, "I -4 3 d")


@pytest.fixture(scope="module")
def asymmetric_unit():
    hkl = np.unique(CRYSTAL.to_laue_asu(CRYSTAL.lattice_points(0.7)), axis=0)
    hkl = hkl[CRYSTAL.space_group_allows(hkl)]
    return hkl, CRYSTAL.q_inv_angstrom(hkl)


def held_against(hkl, q, ours, theirs, shuffles=5, seed=0, fraction=0.5):
    rng = np.random.default_rng(seed)
    return compare(Reflections.bare(hkl, ours), q, theirs, shell_edges(q, 4), fraction, shuffles, rng)


def test_equal_up_to_scale(asymmetric_unit):
    hkl, q = asymmetric_unit
    ours = np.random.default_rng(0).exponential(size=len(q))
    found = held_against(hkl, q, ours, 9 * ours)
    np.testing.assert_allclose([found.r_all, found.r_low_q, *found.r_by_shell], 0, atol=1e-12)
    np.testing.assert_allclose([found.cc, *found.cc_by_shell], 1)
    np.testing.assert_allclose(found.scaled, ours)
    assert 0.4 < found.r_chance < 0.7
    assert found.r_chance_std > 0


def test_missing_reflections_are_left_out(asymmetric_unit):
    hkl, q = asymmetric_unit
    rng = np.random.default_rng(0)
    ours, theirs = rng.exponential(size=len(q)), rng.exponential(size=len(q))
    theirs[q > 0.6] = np.nan
    found = held_against(hkl, q, ours, theirs)
    known = np.isfinite(theirs)
    low = known & (q <= 0.5 * q[known].max())
    scale = np.sqrt(np.nanmean(found.scaled / theirs))
    assert found.r_all == pytest.approx(r_factor(theirs[known], ours[known]))
    assert found.r_low_q == pytest.approx(r_factor(theirs[low], ours[low], 1 / scale))
    np.testing.assert_array_equal(np.isfinite(found.scaled), known)


def test_wrong_structures_are_at_the_level_of_chance(asymmetric_unit):
    """Two unrelated structures share the fall-off with q. It must not make them look better than chance."""
    hkl, q = asymmetric_unit
    rng = np.random.default_rng(0)
    fall_off = np.exp(-30 * q**2 / 2)
    results = [
        held_against(hkl, q, rng.exponential(size=len(q)) * fall_off, rng.exponential(size=len(q)) * fall_off, seed=n)
        for n in range(60)
    ]
    error = np.mean([found.r_low_q - found.r_chance for found in results])
    assert abs(error) < 0.025
    assert abs(np.mean([found.cc - found.cc_chance for found in results])) < 0.05
    # Without the ranges of q the level would be far off, so the test above can fail.
    assert np.mean([found.cc_chance for found in results]) > 0.25


def test_same_seed_same_result(asymmetric_unit):
    hkl, q = asymmetric_unit
    values = np.random.default_rng(0).exponential(size=(2, len(q)))
    first, second, other = (held_against(hkl, q, *values, seed=seed) for seed in (1, 1, 2))
    assert first.r_chance == second.r_chance != other.r_chance
