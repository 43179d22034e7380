import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from fewphoton.data.volume import IntensityVolume
from fewphoton.xrai.voxel_decoder import VoxelDecoder, interpolated

SPACING = 0.02


@pytest.fixture
def decoder():
    made = VoxelDecoder(9, SPACING)
    made.start(torch.tensor([0.0, 0.1]), torch.tensor([2.0, -1.0]), 0.3, torch.Generator().manual_seed(1))
    return made


def test_interpolation_is_that_of_scipy_on_the_grid_of_volumes(decoder):
    points = np.random.default_rng(0).uniform(-0.079, 0.079, (50, 3))
    volume = decoder.prepared().detach().numpy()
    axis = IntensityVolume(volume.astype(float), np.ones((9, 9, 9)), 1).axis_hkl() * SPACING
    place = (points - axis[0]) / SPACING
    wanted = map_coordinates(volume, place.T, order=1)
    found = decoder.log_intensities(torch.tensor(points, dtype=torch.float32), decoder.prepared())
    np.testing.assert_allclose(found.detach(), wanted, atol=2e-5)
    amplitude = decoder.amplitudes(torch.tensor(points, dtype=torch.float32), decoder.prepared())
    np.testing.assert_allclose(amplitude.detach() ** 2, np.exp(wanted), rtol=1e-4)


def test_friedel_mates_are_equal_to_the_last_bit_after_any_change(decoder):
    with torch.no_grad():
        decoder.half_log += torch.randn(9, 9, 9, generator=torch.Generator().manual_seed(2))
    volume = decoder.prepared()
    assert torch.equal(volume, volume.flip(0, 1, 2))
    points = torch.rand(100, 3, generator=torch.Generator().manual_seed(3)) * 0.16 - 0.08
    both = [decoder.log_intensities(sign * points, volume) for sign in (1, -1)]
    torch.testing.assert_close(*both, atol=2e-5, rtol=0)


def test_beyond_the_cube_stands_its_border(decoder):
    volume = decoder.prepared()
    beyond = decoder.log_intensities(torch.tensor([[0.5, 0.0, 0.0]]), volume)
    assert beyond.item() == pytest.approx(volume[8, 4, 4].item())


def test_the_start_is_the_radial_course_with_noise():
    plain = VoxelDecoder(9, SPACING)
    plain.start(torch.tensor([0.0, 0.1]), torch.tensor([2.0, -1.0]), 0.0, torch.Generator().manual_seed(1))
    volume = plain.prepared()
    assert volume[4, 4, 4].item() == pytest.approx(2.0)
    assert volume[4, 4, 6].item() == pytest.approx(2.0 - 3 * 0.4)
    assert volume[0, 0, 0].item() == pytest.approx(-1.0)


def test_the_table_is_constant_beyond_its_ends():
    x = torch.tensor([-1.0, 0.0, 1.5, 2.0, 9.0])
    found = interpolated(x, torch.tensor([0.0, 1.0, 2.0]), torch.tensor([5.0, 7.0, 1.0]))
    np.testing.assert_allclose(found, np.interp(x, [0, 1, 2], [5, 7, 1]), atol=1e-6)


def test_gradients_reach_points_and_voxels(decoder):
    points = torch.full((1, 3), 0.013, requires_grad=True)
    decoder.log_intensities(points, decoder.prepared()).sum().backward()
    assert points.grad.abs().sum() > 0
    # A point's eight voxels and their mates.
    assert (decoder.half_log.grad != 0).sum() == 15 or (decoder.half_log.grad != 0).sum() == 16
