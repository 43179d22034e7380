"""Laue averages against gemmi's own mapping of equivalents."""

import gemmi
import numpy as np
import pytest

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.emc.symmetry import symmetrized

CRYSTALS = {
    "P -1": (7.1, 8.2, 9.3, 80, 95, 100),
    "P 1 21 1": (7.1, 8.2, 9.3, 90, 95, 90),
    "P 21 21 21": (9.1, 10.3, 11.9, 90, 90, 90),
    "P 41": (9.0, 9.0, 12.0, 90, 90, 90),
    "P 3": (9.0, 9.0, 12.0, 90, 90, 120),
    "P 6 2 2": (9.0, 9.0, 12.0, 90, 90, 120),
    "I -4 3 d": (21.47, 21.47, 21.47, 90, 90, 90),
    "P 21 3": (9.0, 9.0, 9.0, 90, 90, 90),
}


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("n", [7, 8])
def test_means_over_equivalents_are_gemmis(name, n):
    crystal = Crystal(CRYSTALS[name], name)
    rng = np.random.default_rng(4)
    volume = IntensityVolume(rng.random((n,) * 3), rng.random((n,) * 3) * (rng.random((n,) * 3) < 0.6), 1)
    found = symmetrized(volume, crystal)

    lowest = 1 - n % 2
    axis = np.arange(lowest, n) - n // 2
    hkl = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    unit = crystal.to_laue_asu(hkl)
    _, group = np.unique(unit, axis=0, return_inverse=True)
    place = tuple((hkl + n // 2).T)
    weight, values = volume.weight[place], volume.values[place]
    mass = np.bincount(group.ravel(), weight)
    total = np.bincount(group.ravel(), weight * values)
    mean = np.divide(total, mass, out=np.zeros_like(mass), where=mass > 0)
    np.testing.assert_allclose(found.values[place], mean[group.ravel()], atol=1e-12)
    assert ((found.weight[place] > 0) == (mass[group.ravel()] > 0)).all()


def test_averaging_twice_changes_nothing_and_keeps_the_mean():
    crystal = Crystal(CRYSTALS["I -4 3 d"], "I -4 3 d")
    rng = np.random.default_rng(1)
    volume = IntensityVolume(rng.random((9,) * 3), np.ones((9,) * 3), 2)
    once = symmetrized(volume, crystal)
    twice = symmetrized(once, crystal)
    np.testing.assert_allclose(twice.values, once.values, atol=1e-14)
    assert once.values.mean() == pytest.approx(volume.values.mean())
    assert not np.allclose(once.values, volume.values)


def test_fractional_indices_are_equivalents_as_well():
    crystal = Crystal(CRYSTALS["P 41"], "P 41")
    values = np.zeros((9,) * 3)
    values[4 + 1, 4 + 3, 4 + 2] = 8.0
    found = symmetrized(IntensityVolume(values, np.ones_like(values), 2), crystal)
    operations = gemmi.SpaceGroup("P 41").operations().derive_symmorphic().sym_ops
    mates = {tuple(sign * np.array(op.apply_to_hkl([1, 3, 2]))) for op in operations for sign in (1, -1)}
    assert len(mates) == 8
    for mate in mates:
        assert found.values[tuple(np.array(mate) + 4)] == pytest.approx(1.0)
    assert found.values.sum() == pytest.approx(8.0)
