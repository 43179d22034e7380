import itertools

import numpy as np
import pytest

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.evaluate.shells import bragg_to_diffuse, in_shell, regions, shell_edges, shell_means

CRYSTALS = [Crystal((10, 12, 14, 80, 95, 100), "P -1"), Crystal((10,) * 3 + (90,) * 3, "I 2 3")]


def test_shells_hold_each_reflection_once():
    q = np.linspace(0.01, 0.8, 57)
    edges = shell_edges(q, 7)
    np.testing.assert_allclose(np.diff(edges), 0.8 / 7)
    number = np.array([in_shell(q, edges, shell) for shell in range(7)])
    np.testing.assert_array_equal(number.sum(axis=0), 1)


def test_means_leave_out_the_unknown():
    edges = np.array([0.0, 1.0, 2.0, 3.0])
    q, values = np.array([0.1, 0.2, 0.9, 1.0, 2.5]), np.array([1.0, 2.0, np.nan, 5.0, np.nan])
    np.testing.assert_array_equal(shell_means(values, q, edges), [1.5, 5.0, np.nan])


@pytest.mark.parametrize("n", [16, 17])
@pytest.mark.parametrize("crystal", CRYSTALS, ids=lambda crystal: crystal.space_group)
def test_regions_against_distances(crystal, n):
    """The distance of every voxel from every lattice point, also those beyond the edge."""
    volume = IntensityVolume(np.ones((n, n, n)), np.ones((n, n, n)), 4)
    axis = np.arange(-4, 5)
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    points = points[crystal.centring_allows(points)]
    centre = points * 4 + n // 2
    voxel = np.stack(np.indices((n, n, n)), axis=-1).reshape(-1, 1, 3)
    distance = np.linalg.norm(voxel - centre, axis=2)
    nearest = distance.argmin(axis=1)
    expected = np.where(distance.min(axis=1) <= 1.5, np.where(points[nearest].any(axis=1), 1, 2), 0)
    np.testing.assert_array_equal(regions(volume, crystal, 1.5).ravel(), expected)


@pytest.mark.parametrize("crystal", CRYSTALS, ids=lambda crystal: crystal.space_group)
def test_ratio_against_a_naive_twin(crystal):
    n = 17
    rng = np.random.default_rng(0)
    weight = (rng.random((n, n, n)) < 0.7).astype(float)
    volume = IntensityVolume(rng.random((n, n, n)) + 0.1, weight, 4)
    region = regions(volume, crystal, 1.0)
    axis = volume.axis_hkl()
    q = crystal.q_inv_angstrom(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1))
    edges = np.array([0.0, 0.17, 0.21, 0.3])
    expected = []
    for low, high in itertools.pairwise(edges):
        inside = (q >= low) & (q < high) & (weight > 0)
        expected.append(volume.values[inside & (region == 1)].mean() / volume.values[inside & (region == 0)].mean())
    np.testing.assert_allclose(bragg_to_diffuse(volume, crystal, region, edges), expected, rtol=1e-12)


def test_ratio_of_a_known_contrast():
    crystal = CRYSTALS[1]
    n = 33
    volume = IntensityVolume(np.ones((n, n, n)), np.ones((n, n, n)), 6)
    region = regions(volume, crystal, 2.0)
    values = np.select([region == 1, region == 2], [5.0, 1e9], 0.5)
    found = bragg_to_diffuse(IntensityVolume(values, volume.weight, 6), crystal, region, np.array([0.0, 0.17, 0.3]))
    np.testing.assert_allclose(found, [10, 10])


def test_shells_without_either_side_are_unknown():
    crystal = CRYSTALS[1]
    volume = IntensityVolume(np.ones((17,) * 3), np.zeros((17,) * 3), 4)
    region = regions(volume, crystal, 1.0)
    assert np.isnan(bragg_to_diffuse(volume, crystal, region, np.array([0.0, 0.2, 0.4]))).all()
    dark = IntensityVolume(np.where(region == 1, 1.0, 0.0), np.ones((17,) * 3), 4)
    assert np.isnan(bragg_to_diffuse(dark, crystal, region, np.array([0.0, 0.2]))).all()
