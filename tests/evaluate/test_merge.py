import gemmi
import numpy as np
import pytest

from fewphoton.data import Crystal, Reflections
from fewphoton.evaluate.merge import match, merge_equivalents

LAUE = Crystal((10, 11, 12, 90, 90, 90), "P 21 21 21")


def peaks(hkl, intensity, half_1=None, half_2=None):
    bare = Reflections.bare(np.array(hkl), np.array(intensity, dtype=float))
    return Reflections(
        bare.hkl,
        bare.intensity,
        bare.sigma,
        bare.multiplicity,
        bare.half_1 if half_1 is None else np.array(half_1),
        bare.half_2 if half_2 is None else np.array(half_2),
    )


def test_by_hand():
    """Weights 1, 2, 1 and values 1, 2, 5: mean 2.5, scatter 2.25 + 0.5 + 6.25 = 9 over (3 - 1) * 4."""
    merged = merge_equivalents(
        peaks([[1, 2, 3], [-1, -2, -3], [1, -2, 3], [1, 0, 1]], [1, 2, 5, 7], [1, np.nan, 3, np.nan], [4, 4, 4, 4]),
        LAUE,
        np.array([1.0, 2.0, 1.0, 9.0]),
    )
    assert merged.hkl.tolist() == [[1, 0, 1], [1, 2, 3]]
    np.testing.assert_allclose(merged.intensity, [7, 2.5])
    np.testing.assert_allclose(merged.sigma, [np.nan, np.sqrt(9 / 8)])
    assert merged.multiplicity.tolist() == [1, 3]
    np.testing.assert_allclose(merged.half_1, [np.nan, 2.0])
    np.testing.assert_allclose(merged.half_2, [4, 4])


def test_equal_weights_give_mean_and_standard_error():
    values = np.array([3.0, 4.0, 8.0, 1.0])
    merged = merge_equivalents(peaks([[1, 2, 3], [-1, 2, 3], [1, -2, 3], [1, 2, -3]], values), LAUE)
    assert merged.intensity[0] == pytest.approx(values.mean())
    assert merged.sigma[0] == pytest.approx(values.std(ddof=1) / 2)


def test_systematic_absences_are_left_out():
    merged = merge_equivalents(peaks([[3, 0, 0], [2, 0, 0], [0, 5, 0]], [9.0, 1.0, 9.0]), LAUE)
    assert merged.hkl.tolist() == [[2, 0, 0]]


@pytest.mark.parametrize("group", ["I -4 3 d", "I a -3"])
def test_against_gemmi_merging(group):
    """The mean over equivalents of gemmi's own merge, anomalous pairs joined."""
    crystal = Crystal((12,) * 3 + (90,) * 3, group)
    hkl = crystal.lattice_points(0.4)
    hkl = hkl[crystal.space_group_allows(hkl)]
    values = np.random.default_rng(0).uniform(1, 2, len(hkl))
    merged = merge_equivalents(peaks(hkl, values), crystal)
    outside = gemmi.Intensities()
    outside.set_data(
        gemmi.UnitCell(*crystal.cell), gemmi.SpaceGroup(group), hkl.astype(np.int32), values, np.ones(len(hkl))
    )
    outside.merge_in_place(gemmi.DataType.Mean)
    theirs = {
        tuple(index): value for index, value in zip(outside.miller_array.tolist(), outside.value_array, strict=True)
    }
    assert {tuple(index) for index in merged.hkl.tolist()} == set(theirs)
    np.testing.assert_allclose(merged.intensity, [theirs[tuple(index)] for index in merged.hkl.tolist()], rtol=1e-12)


def test_constant_classes_have_no_scatter(cubic_crystal):
    hkl = cubic_crystal.lattice_points(0.3)
    hkl = hkl[cubic_crystal.space_group_allows(hkl)]
    values = cubic_crystal.q_inv_angstrom(hkl)
    merged = merge_equivalents(peaks(hkl, values), cubic_crystal, np.random.default_rng(0).random(len(hkl)) + 0.1)
    assert merged.multiplicity.sum() == len(hkl)
    np.testing.assert_allclose(merged.intensity, cubic_crystal.q_inv_angstrom(merged.hkl), rtol=1e-12)
    np.testing.assert_allclose(merged.sigma, 0.0, atol=1e-12)


def test_unknown_intensities_are_left_out():
    merged = merge_equivalents(peaks([[1, 2, 3], [-1, 2, 3], [2, 2, 2]], [np.nan, 4.0, np.nan]), LAUE)
    assert merged.hkl.tolist() == [[1, 2, 3]]
    assert merged.multiplicity.tolist() == [1]


def test_match():
    ours, theirs = peaks([[1, 0, 0], [-2, 1, 0], [0, 0, 4]], [1, 1, 1]), peaks([[0, 0, 4], [1, 0, 0]], [5.0, 6.0])
    np.testing.assert_array_equal(match(ours, theirs), [6.0, np.nan, 5.0])
    assert match(ours.take(np.zeros(3, dtype=bool)), theirs).shape == (0,)
