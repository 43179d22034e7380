import itertools
from dataclasses import replace

import numpy as np
import pytest

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.errors import DataError
from fewphoton.evaluate.integrate import (
    half_way_voxels,
    integrate,
    lattice_points_inside,
    photons_in_peaks,
    sphere_offsets,
    sphere_weights,
)

PRIMITIVE = Crystal((10, 11, 12, 90, 90, 90), "P 2 2 2")
BODY = Crystal((10, 10, 10, 90, 90, 90), "I 2 3")


def random_volume(n=23, per_cell=5, seed=0, hidden=0.0):
    rng = np.random.default_rng(seed)
    weight = np.where(rng.random((n, n, n)) < hidden, 0.0, rng.uniform(0.5, 2.0, (n, n, n)))
    return IntensityVolume(rng.random((n, n, n)), weight, per_cell)


def naive_peak(volume, hkl, radius):
    """Loop over the whole grid; None where the sphere leaves it or is measured by less than half."""
    total = n_sphere = n_measured = 0
    for offset in itertools.product(range(-6, 7), repeat=3):
        if sum(o * o for o in offset) > radius * radius:
            continue
        n_sphere += 1
        place = [h * volume.voxels_per_cell + volume.n // 2 + o for h, o in zip(hkl, offset, strict=True)]
        if min(place) < 0 or max(place) >= volume.n:
            return None
        if volume.weight[tuple(place)] > 0:
            n_measured += 1
            total += volume.values[tuple(place)]
    return total * n_sphere / n_measured if 2 * n_measured >= n_sphere else None


@pytest.mark.parametrize(("radius", "n_voxels"), [(0.5, 1), (1, 7), (1.5, 19), (2, 33), (3, 123)])
def test_sphere_holds_the_known_number_of_lattice_points(radius, n_voxels):
    assert len(sphere_offsets(radius)) == n_voxels


def test_ring_and_sphere_make_the_larger_sphere():
    both = np.concatenate([sphere_offsets(2), sphere_offsets(3.5, 2)])
    assert sorted(map(tuple, both.tolist())) == sorted(map(tuple, sphere_offsets(3.5).tolist()))


@pytest.mark.parametrize(
    ("group", "cell", "nearest"),
    [
        ("P 2 2 2", (10, 11, 12, 90, 90, 90), 1),
        ("I 2 3", (10, 10, 10, 90, 90, 90), 2),
        ("F 2 3", (10,) * 3 + (90,) * 3, 3),
    ],
)
def test_half_way(group, cell, nearest):
    # The nearest allowed points are 100, 110 and 111.
    assert half_way_voxels(Crystal(cell, group), 10) == pytest.approx(5 * np.sqrt(nearest))


@pytest.mark.parametrize("crystal", [PRIMITIVE, BODY])
@pytest.mark.parametrize("n", [22, 23])
def test_against_a_naive_twin(crystal, n):
    volume = random_volume(n, hidden=0.45)
    found = integrate(volume, crystal, 2.0)
    expected = {}
    for hkl in itertools.product(range(-3, 4), repeat=3):
        if any(hkl) and (crystal is PRIMITIVE or sum(hkl) % 2 == 0):
            value = naive_peak(volume, hkl, 2.0)
            if value is not None:
                expected[hkl] = value
    assert [tuple(index) for index in found.hkl.tolist()] == sorted(expected)
    assert 0 < len(expected) < len(lattice_points_inside(volume, crystal, 2.0))
    np.testing.assert_allclose(found.intensity, [expected[tuple(index)] for index in found.hkl.tolist()], rtol=1e-12)


def test_whole_spheres_are_plain_sums():
    volume = IntensityVolume(np.full((23,) * 3, 0.5), np.ones((23,) * 3), 5)
    np.testing.assert_allclose(integrate(volume, PRIMITIVE, 2.0).intensity, 16.5)


def test_values_where_nothing_was_measured_do_not_matter():
    volume = random_volume(hidden=0.3)
    poisoned = replace(volume, values=np.where(volume.weight > 0, volume.values, np.nan))
    np.testing.assert_array_equal(integrate(poisoned, BODY, 2.0).intensity, integrate(volume, BODY, 2.0).intensity)


def test_diffuse_level_is_subtracted():
    """A peak of 5 voxels on a slope keeps its own intensity: the slope's mean about a point is its value there."""
    n, per_cell = 25, 6
    slope = 3.0 + 0.1 * np.arange(n)[:, None, None] * np.ones((n, n, n))
    values = slope.copy()
    centre = np.array([1, -1, 0]) * per_cell + n // 2
    values[tuple(centre)] += 40.0
    found = integrate(IntensityVolume(values, np.ones_like(values), per_cell), PRIMITIVE, 2.0, subtract_diffuse=True)
    peak = (found.hkl == [1, -1, 0]).all(axis=1)
    np.testing.assert_allclose(found.intensity[peak], 40.0)
    np.testing.assert_allclose(found.intensity[~peak], 0.0, atol=1e-9)


def test_diffuse_level_without_measured_voxels_leaves_the_peak_out():
    n, per_cell = 25, 6
    weight = np.zeros((n, n, n))
    for hkl in ([1, 0, 0], [0, 1, 0]):
        weight[tuple((sphere_offsets(2.0) + np.array(hkl) * per_cell + n // 2).T)] = 1.0
    weight[n // 2 + 6, n // 2 + 3, n // 2] = 1.0  # three voxels from 100
    volume = IntensityVolume(np.ones((n, n, n)), weight, per_cell)
    assert integrate(volume, PRIMITIVE, 2.0).hkl.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert integrate(volume, PRIMITIVE, 2.0, subtract_diffuse=True).hkl.tolist() == [[1, 0, 0]]


def test_halves_are_integrated_alike_and_may_be_less_complete():
    volume, half = random_volume(), random_volume(seed=1, hidden=0.5)
    found = integrate(volume, BODY, 2.0, (volume, half))
    np.testing.assert_array_equal(found.half_1, found.intensity)
    alone = integrate(half, BODY, 2.0)
    known = np.isfinite(found.half_2)
    assert not known.all()
    assert found.hkl[known].tolist() == alone.hkl.tolist()
    np.testing.assert_array_equal(found.half_2[known], alone.intensity)


def test_sphere_weights_are_sums_of_weights():
    volume = random_volume(hidden=0.3)
    found = integrate(volume, BODY, 1.0)
    place = found.hkl[0] * 5 + 11
    expected = sum(volume.weight[tuple(place + offset)] for offset in sphere_offsets(1.0))
    assert sphere_weights(volume, found.hkl, 1.0)[0] == pytest.approx(expected)


def test_photons_of_all_voxels_are_those_of_the_data():
    """Photons sit in two spheres and one lone voxel, with shares 3 : 6 : 1."""
    n, per_cell = 23, 5
    values, weight = np.zeros((n, n, n)), np.full((n, n, n), 2.0)
    values[n // 2 + 5, n // 2, n // 2] = 3.0
    values[n // 2, n // 2 - 5, n // 2] = 3.0
    weight[n // 2, n // 2 - 5, n // 2] = 4.0
    values[n // 2 + 2, n // 2 + 2, n // 2 + 2] = 1.0
    volume = IntensityVolume(values, weight, per_cell)
    hkl = np.array([[1, 0, 0], [0, -1, 0], [0, 0, 1]])
    np.testing.assert_allclose(photons_in_peaks(volume, hkl, 1.0, 1000), [300, 600, 0])
    empty = replace(volume, values=np.zeros_like(values))
    assert np.isnan(photons_in_peaks(empty, hkl, 1.0, 1000)).all()


def test_faults():
    volume = random_volume()
    with pytest.raises(DataError, match="overlap"):
        integrate(volume, PRIMITIVE, 2.6)
    integrate(volume, BODY, 3.5)  # the points of this lattice are farther apart
    with pytest.raises(DataError, match="no voxel lies between"):
        integrate(volume, PRIMITIVE, 2.5, subtract_diffuse=True)
    with pytest.raises(DataError, match="does not fit"):
        integrate(volume, BODY, 2.0, (volume, random_volume(21)))
    with pytest.raises(DataError, match="was measured"):
        integrate(replace(volume, weight=np.zeros_like(volume.weight)), BODY, 2.0)
    values = volume.values.copy()
    values[11 + 5, 11 + 5, 11] = np.inf
    with pytest.raises(DataError, match=r"not finite near hkl \[1, 1, 0\]"):
        integrate(replace(volume, values=values), BODY, 2.0)
