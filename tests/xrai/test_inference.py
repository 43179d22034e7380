import numpy as np
import pytest
import torch

from fewphoton.data.orientations import rotation_matrices
from fewphoton.xrai.inference import find_poses, mean_log_likelihood, trained_volume
from fewphoton.xrai.processes import Processes
from tests.xrai.particles import BOX, intensity, noise_free, photons, quaternions, small_config, small_model

CPU = torch.device("cpu")


def test_poses_likelihoods_and_scores_are_those_of_the_model():
    source = photons(30)
    model = small_model(source, small_config())
    found = find_poses(model, source, CPU, Processes())
    assert found.quaternion.shape == (30, 4)
    frames = model.scaled(torch.from_numpy(source.patterns(np.arange(30))))
    proposals = model.propose(frames)
    everything = torch.arange(196)
    misfit, _ = model.compare(proposals.rotation, frames[:, None], everything, model.decoder.prepared())
    np.testing.assert_array_equal(found.head, misfit.argmin(dim=1))
    np.testing.assert_allclose(found.log_likelihood, -196 * misfit.min(dim=1).values.detach(), rtol=1e-5)
    rotation = proposals.rotation[np.arange(30), found.head].detach().numpy()
    np.testing.assert_allclose(rotation_matrices(found.quaternion), rotation, atol=1e-5)
    probability = proposals.score.softmax(dim=1).detach().numpy()
    np.testing.assert_allclose(found.probability, probability[np.arange(30), found.head], rtol=1e-4)
    np.testing.assert_allclose(found.entropy_nat, -(probability * np.log(probability)).sum(axis=1), rtol=1e-4)
    patterns = torch.from_numpy(source.patterns(np.arange(30)))
    assert mean_log_likelihood(model, patterns, CPU) == pytest.approx(found.log_likelihood.mean() / 196)


def test_scores_choose_where_they_are_asked_to():
    source = noise_free(30)
    model = small_model(source, small_config(pose_choice="score"))
    found = find_poses(model, source, CPU, Processes())
    score = model.propose(model.scaled(torch.from_numpy(source.patterns(np.arange(30))))).score
    np.testing.assert_array_equal(found.head, score.argmax(dim=1))


def test_frames_without_photons_have_no_pose():
    source = photons(40, scale=0.0003)
    totals = source.patterns(np.arange(40)).sum(axis=1)
    assert 4 < (totals == 0).sum() < 40
    model = small_model(source, small_config(likelihood={"fluence": "per_frame"}))
    found = find_poses(model, source, CPU, Processes())
    dark = totals == 0
    assert np.isnan(found.quaternion[dark]).all()
    assert np.isfinite(found.quaternion[~dark]).all()
    assert (found.head[dark] == -1).all()
    assert (found.fluence[dark] == 0).all()
    assert (found.fluence[~dark] > 0).all()


def test_volume_stands_on_the_grid_of_the_box():
    source = noise_free(30)
    model = small_model(source, small_config(decoder={"oversampling": 1.5}))
    volume = trained_volume(model, BOX)
    q = np.linalg.norm(source.q_per_angstrom, axis=1)
    assert volume.voxels_per_cell == 1
    assert volume.n == 2 * (int(np.ceil(q.max() * BOX)) + 1) + 1
    np.testing.assert_array_equal(volume.values, volume.values[::-1, ::-1, ::-1])
    middle, place = volume.n // 2, np.array([3, -2, 1])
    wanted = model.decoder.log_intensities(torch.tensor(place / BOX).float()[None], model.decoder.prepared()).exp()
    assert volume.values[tuple(middle + place)] == pytest.approx(wanted.item() / model.calibration.scale, rel=1e-4)
    radius = np.linalg.norm(np.stack(np.meshgrid(*[volume.axis_hkl()] * 3, indexing="ij")), axis=0) / BOX
    np.testing.assert_array_equal(volume.weight > 0, (radius >= q.min()) & (radius <= q.max()))


@pytest.mark.parametrize("kind", [noise_free, photons])
def test_with_the_true_volume_the_true_poses_explain_the_frames_best(kind):
    """Quaternions, pixels and volume mean the same here as in the simulation, and half turns about the beam do not."""
    source = kind(25)
    model = small_model(source, small_config(decoder={"oversampling": 4.0}))
    with torch.no_grad():
        truth = intensity(model.decoder.points().double().numpy()) * model.calibration.scale
        model.decoder.half_log.copy_(torch.tensor(0.5 * np.log(truth)))
    right = torch.tensor(rotation_matrices(quaternions(25)), dtype=torch.float32)
    turned = torch.diag(torch.tensor([-1.0, -1.0, 1.0])) @ right
    frames = model.scaled(torch.from_numpy(source.patterns(np.arange(25))))
    poses = torch.stack([right, right.roll(1, 0), right.transpose(1, 2), turned], dim=1)
    misfit, _ = model.compare(poses, frames[:, None, model.candidates], model.candidates, model.decoder.prepared())
    assert (misfit.argmin(dim=1) == 0).double().mean() > 0.9
    if not source.counts:
        assert misfit[:, 0].max() < 0.02 * misfit[:, 1].mean()
