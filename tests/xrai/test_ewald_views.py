import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from fewphoton.data import Crystal
from fewphoton.errors import ConfigError
from fewphoton.xrai.ewald_views import EwaldViews, friedel_averaged, intensity_volume

CPU = torch.device("cpu")
# A box of three different edges, so that axes cannot be exchanged unseen.
BOX = Crystal((20.0, 24.0, 30.0, 90, 90, 90), "P 1")


@pytest.fixture
def views(rng):
    q = rng.uniform(-0.1, 0.1, (23, 3))
    return EwaldViews.of_crystal(q, rng.uniform(0.5, 1.5, 23), BOX, 2, CPU)


@pytest.fixture
def rng():
    return np.random.default_rng(8)


def rotations(n, rng):
    return Rotation.random(n, rng).as_quat(scalar_first=True)


def test_views_are_linear_samples_of_the_turned_volume(views, rng):
    volume = rng.random((views.n_voxels,) * 3).astype(np.float32)
    quaternion = rotations(7, rng)
    found = views.of(torch.from_numpy(volume), quaternion).numpy()
    for v, turn in enumerate(Rotation.from_quat(quaternion, scalar_first=True).as_matrix()):
        hkl = (views.q_inv_angstrom @ turn) * BOX.cell[:3]
        place = 2 * hkl + views.n_voxels // 2
        naive = map_coordinates(volume.astype(float), place.T, order=1) * views.response
        np.testing.assert_allclose(found[:, v], naive, rtol=2e-5)


def test_the_volume_is_the_smallest_odd_one_that_holds_all_pixels(views):
    assert views.n_voxels % 2 == 1
    reach = np.linalg.norm(views.q_inv_angstrom, axis=1).max() * 2 * 30
    assert views.n_voxels // 2 - 2 < reach <= views.n_voxels // 2 - 1
    for n in (views.n_voxels - 2, views.n_voxels + 1):
        with pytest.raises(ConfigError, match="odd number of voxels"):
            EwaldViews(views.q_inv_angstrom, views.response, views.to_voxels, n, CPU)


def test_adding_is_the_adjoint_of_sampling(views, rng):
    volume = torch.from_numpy(rng.random((views.n_voxels,) * 3).astype(np.float32))
    quaternion, table = rotations(9, rng), torch.from_numpy(rng.random((23, 9)).astype(np.float32))
    weight = rng.random(9)
    total = torch.zeros_like(volume, dtype=torch.float64)
    views.add(total, table, quaternion, weight)
    # Sampling includes the response, adding photons does not.
    sampled = views.of(volume, quaternion).double() / torch.from_numpy(views.response.copy())[:, None]
    there = (sampled * table * torch.from_numpy(weight)).sum()
    assert float((total * volume).sum()) == pytest.approx(float(there), rel=1e-5)


def test_weights_are_the_response(views, rng):
    quaternion, weight = rotations(4, rng), rng.random(4)
    first, second = (torch.zeros((views.n_voxels,) * 3, dtype=torch.float64) for _ in range(2))
    views.add(first, None, quaternion, weight)
    table = torch.from_numpy(np.repeat(views.response[:, None], 4, axis=1).astype(np.float32))
    views.add(second, table, quaternion, weight)
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-12)
    assert float(first.sum()) == pytest.approx(views.response.sum() * weight.sum())


def test_torch_and_kernels_agree(views, rng):
    """What runs on an accelerator is the same operations on another device; here both run on the processor."""
    volume = torch.from_numpy(rng.random((views.n_voxels,) * 3).astype(np.float32))
    quaternion = rotations(11, rng)
    transforms = views.transforms(quaternion)
    by_torch = views._sampled(volume, transforms) * torch.from_numpy(views.response.copy()).float()[:, None]
    np.testing.assert_allclose(by_torch, views.of(volume, quaternion), rtol=1e-4, atol=1e-5)
    table = torch.from_numpy(rng.random((23, 11)).astype(np.float32))
    first, second = (torch.zeros((views.n_voxels,) * 3, dtype=torch.float64) for _ in range(2))
    views.add(first, table, quaternion, np.ones(11))
    views._scatter(second, table, transforms)
    np.testing.assert_allclose(first, second, atol=1e-4)


def test_some_pixels_see_the_same_volume(views, rng):
    chosen = np.arange(23) % 3 == 0
    volume = torch.from_numpy(rng.random((views.n_voxels,) * 3).astype(np.float32))
    quaternion = rotations(3, rng)
    np.testing.assert_array_equal(views.within(chosen).of(volume, quaternion), views.of(volume, quaternion)[chosen])


def test_friedel_mates_are_equal_to_the_last_bit(rng):
    values = friedel_averaged(torch.from_numpy(rng.random((5, 5, 5))))
    assert torch.equal(values, values.flip(0, 1, 2))


def test_voxels_without_weight_are_zero():
    weight = torch.zeros((3, 3, 3), dtype=torch.float64)
    weight[1, 1, 1] = 2.0
    found = intensity_volume(torch.full((3, 3, 3), 4.0), weight, 2)
    assert found.values.sum() == 4.0
    assert found.voxels_per_cell == 2
