import gemmi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data import Crystal, Reflections
from fewphoton.errors import DataError
from fewphoton.evaluate.agreement import correlation
from fewphoton.evaluate.merge import merge_equivalents
from fewphoton.evaluate.patterson import (
    away_from_origin,
    centring_translations,
    expand_to_laue_group,
    patterson_map,
)

CRYSTALS = [
    Crystal((7, 8, 9, 80, 95, 100), "P -1"),
    Crystal((9, 10, 11, 90, 105, 90), "C 1 2/c 1"),
    Crystal((9, 9, 12, 90, 90, 120), "P 61 2 2"),
    Crystal((10,) * 3 + (90,) * 3, "I -4 3 d"),
]


def merged_reflections(crystal, q_max=0.3, seed=0):
    hkl = crystal.lattice_points(q_max)
    merged = merge_equivalents(Reflections.bare(hkl, np.ones(len(hkl))), crystal)
    return Reflections.bare(merged.hkl, np.random.default_rng(seed).exponential(size=len(merged)))


@pytest.mark.parametrize("crystal", CRYSTALS, ids=lambda crystal: crystal.space_group)
def test_expansion_is_the_whole_class(crystal):
    """Every allowed point in the sphere comes back once, with the intensity of its class by gemmi."""
    merged = merged_reflections(crystal)
    hkl, intensity = expand_to_laue_group(merged, crystal)
    allowed = crystal.lattice_points(0.3)
    allowed = allowed[crystal.space_group_allows(allowed)]
    assert sorted(map(tuple, hkl.tolist())) == sorted(map(tuple, allowed.tolist()))
    table = {tuple(index): value for index, value in zip(merged.hkl.tolist(), merged.intensity, strict=True)}
    unit, operations = gemmi.ReciprocalAsu(gemmi.SpaceGroup(crystal.space_group)), gemmi.SpaceGroup(crystal.space_group)
    expected = [table[tuple(unit.to_asu(index, operations.operations())[0])] for index in hkl.tolist()]
    np.testing.assert_array_equal(intensity, expected)


@pytest.mark.parametrize("n", [12, 13])
@pytest.mark.parametrize("crystal", CRYSTALS, ids=lambda crystal: crystal.space_group)
def test_against_a_direct_sum_of_cosines(crystal, n):
    merged = merged_reflections(crystal)
    hkl, intensity = expand_to_laue_group(merged, crystal)
    found = patterson_map(merged, crystal, n)
    volume = gemmi.UnitCell(*crystal.cell).volume
    for voxel in ([0, 0, 0], [1, 2, 3], [n - 1, 0, 5], [6, 6, 6]):
        expected = (intensity * np.cos(2 * np.pi * hkl @ np.array(voxel) / n)).sum() / volume
        assert found[tuple(voxel)] == pytest.approx(expected, abs=1e-9)


@given(st.sampled_from(CRYSTALS), st.integers(0, 99), st.integers(8, 15))
@settings(max_examples=25, deadline=None)
def test_centrosymmetric_with_its_peak_at_the_origin_and_no_mean(crystal, seed, n):
    found = patterson_map(merged_reflections(crystal, 0.25, seed), crystal, n)
    inverted = np.roll(found[::-1, ::-1, ::-1], (1, 1, 1), axis=(0, 1, 2))
    np.testing.assert_allclose(found, inverted, atol=1e-10)
    assert found.max() == pytest.approx(found[0, 0, 0])
    assert found.mean() == pytest.approx(0.0, abs=1e-10)


def test_vectors_between_atoms_are_found():
    """Two point atoms a vector apart: peaks of half the origin's height at plus and minus that vector."""
    crystal = Crystal((10, 10, 10, 90, 90, 90), "P 1")
    hkl = crystal.lattice_points(1.0)
    amplitude = 1 + np.exp(2j * np.pi * hkl @ np.array([0.2, 0.3, 0.4]))
    found = patterson_map(Reflections.bare(hkl, np.abs(amplitude) ** 2), crystal, 30)
    found = found / found[0, 0, 0]
    assert found[6, 9, 12] == pytest.approx(0.5, abs=0.02)
    assert found[-6, -9, -12] == pytest.approx(0.5, abs=0.02)
    assert found[9, 6, 12] < 0.1


def test_rows_without_intensity_are_left_out():
    crystal = CRYSTALS[0]
    merged = merged_reflections(crystal)
    holes = merged.intensity.copy()
    holes[::2] = np.nan
    found = patterson_map(Reflections.bare(merged.hkl, holes), crystal, 12)
    np.testing.assert_allclose(found, patterson_map(merged.take(np.isfinite(holes)), crystal, 12))


def test_coarse_grid_is_refused():
    with pytest.raises(DataError, match="patterson_voxels"):
        patterson_map(merged_reflections(CRYSTALS[0], 0.6), CRYSTALS[0], 8)


@pytest.mark.parametrize(
    ("group", "cell", "n_points"),
    [
        ("P -1", (7, 8, 9, 80, 95, 100), 1),
        ("C 1 2/c 1", (9, 10, 11, 90, 105, 90), 2),
        ("I -4 3 d", (10,) * 3 + (90,) * 3, 2),
        ("F 2 3", (10,) * 3 + (90,) * 3, 4),
        ("R 3", (9, 9, 12, 90, 90, 120), 3),
    ],
)
def test_centring_translations_against_gemmi(group, cell, n_points):
    found = centring_translations(Crystal(cell, group))
    expected = np.array(gemmi.SpaceGroup(group).operations().cen_ops) / gemmi.Op.DEN
    assert len(found) == n_points
    np.testing.assert_allclose(sorted(found.tolist()), sorted(expected.tolist()), atol=1e-9)


@pytest.mark.parametrize("crystal", CRYSTALS, ids=lambda crystal: crystal.space_group)
def test_distance_from_the_origin_against_gemmi(crystal):
    n, radius = 10, 2.5
    cell = gemmi.UnitCell(*crystal.cell)
    points = centring_translations(crystal)
    expected = np.ones((n, n, n), dtype=bool)
    for index in np.ndindex(n, n, n):
        place = cell.orthogonalize(gemmi.Fractional(*(np.array(index) / n)))
        for point in points:
            image = cell.find_nearest_image(cell.orthogonalize(gemmi.Fractional(*point)), place)
            expected[index] &= image.dist() > radius
    found = away_from_origin((n, n, n), crystal, radius)
    assert 0 < found.sum() < found.size
    np.testing.assert_array_equal(found, expected)


def test_leaving_the_origin_out_leaves_its_centring_copies_out():
    """Both peaks of an I lattice, which any two maps share, raise the correlation of unrelated ones."""
    crystal = Crystal((21.47,) * 3 + (90,) * 3, "I -4 3 d")
    assert not away_from_origin((36, 36, 36), crystal, 2.0)[[0, 18], [0, 18], [0, 18]].any()
    whole, one_left, none_left = [], [], []
    for seed in range(4):
        maps = [patterson_map(merged_reflections(crystal, 0.7, 2 * seed + part), crystal, 36) for part in (0, 1)]
        away = away_from_origin((36, 36, 36), crystal, 1 / 0.7)
        about_centre = np.roll(away_from_origin((36, 36, 36), Crystal(crystal.cell, "P 2 3"), 1 / 0.7), 18, (0, 1, 2))
        for kept, found in ((slice(None), whole), (about_centre, one_left), (away, none_left)):
            found.append(correlation(maps[0][kept].ravel(), maps[1][kept].ravel()))
    assert np.mean(whole) > np.mean(one_left) > np.mean(none_left) + 0.1
    # Ripples of the cut-off series remain; they are weak.
    assert np.mean(none_left) < 0.35
