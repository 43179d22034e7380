import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from fewphoton.xrai.ewald_views import radii_voxels
from fewphoton.xrai.merging import VolumeSums, merge_poses, radial_start
from tests.xrai.known_poses import particles, problem_of


@pytest.fixture(scope="module")
def known():
    found = particles(400, 2000.0, "none")
    return found, problem_of(found)


def merged(found, problem, **options):
    return merge_poses(problem.views, problem.patterns, np.arange(400), found.quaternion, **options)


def test_known_poses_give_a_volume_whose_views_are_the_patterns(known):
    found, problem = known
    volume, weight = merged(found, problem, batch=64)
    view = problem.views.of(volume, found.quaternion).numpy().T
    relative = np.sqrt(((view - found.expected) ** 2).mean() / found.expected.var())
    assert relative < 0.15
    assert torch.equal(weight, weight.flip(0, 1, 2))
    assert torch.equal(volume, volume.flip(0, 1, 2))
    # Shuffled poses leave the mean of each shell.
    other, _ = merge_poses(problem.views, problem.patterns, np.arange(400), np.roll(found.quaternion, 1, axis=0))
    view = problem.views.of(other, found.quaternion).numpy().T
    assert np.sqrt(((view - found.expected) ** 2).mean() / found.expected.var()) > 4 * relative


def test_the_size_of_a_batch_changes_nothing_but_rounding(known):
    found, problem = known
    np.testing.assert_allclose(
        merged(found, problem, batch=37)[0], merged(found, problem, batch=400)[0], rtol=1e-4, atol=1e-4
    )


def test_sharpening_brings_views_nearer_to_the_patterns(known):
    found, problem = known

    def distance(volume):
        return float(((problem.views.of(volume, found.quaternion).numpy().T - found.expected) ** 2).mean())

    assert distance(merged(found, problem, sharpenings=2)[0]) < 0.6 * distance(merged(found, problem)[0])


def test_fluences_are_divided_out(known):
    found, problem = known
    fluence = np.random.default_rng(1).uniform(0.3, 3.0, 400)

    def brighter(frame):
        return problem.patterns(frame) * torch.from_numpy(fluence[frame]).float()

    volume, _ = merge_poses(problem.views, brighter, np.arange(400), found.quaternion, fluence)
    view = problem.views.of(volume, found.quaternion).numpy().T
    assert np.sqrt(((view - found.expected) ** 2).mean() / found.expected.var()) < 0.17


def test_means_of_sums_by_hand(known):
    _, problem = known
    sums = VolumeSums(problem.views)
    middle = problem.views.n_voxels // 2
    sums.photons[middle + 3, middle, middle] = 8.0
    sums.weight[middle + 3, middle, middle] = 2.0
    values, weight = sums.averaged()
    assert float(weight[middle - 3, middle, middle]) == 1.0
    # The prior is the shell's mean, which is 4 too: nothing else is in the shell.
    assert float(values[middle + 3, middle, middle]) == pytest.approx(4.0)
    assert float(values[middle, middle + 3, middle]) == pytest.approx(4.0)
    assert float(values[middle, middle, middle + 5]) == 0.0


def test_a_random_start_keeps_the_shells_and_differs_by_seed(known):
    _, problem = known
    poses = Rotation.random(400, np.random.default_rng(0)).as_quat(scalar_first=True)
    volume, _ = merge_poses(problem.views, problem.patterns, np.arange(400), poses)
    first, second = (radial_start(volume, np.random.default_rng(seed), 0.5, 2.0) for seed in (0, 1))
    np.testing.assert_allclose(first, first.flip(0, 1, 2), rtol=1e-5)
    assert not torch.allclose(first, second, rtol=0.1)
    shell = np.rint(radii_voxels(len(volume))) == 5
    flat = radial_start(volume, np.random.default_rng(0), 1e-6, 2.0).numpy()[shell]
    assert np.ptp(flat) < 1e-4 * flat.mean()
    logarithm = np.log(first.numpy()[shell] / flat)
    assert 0.2 < logarithm.std() < 0.9
