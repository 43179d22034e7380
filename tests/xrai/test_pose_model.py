import numpy as np
import pytest
import torch

from fewphoton.data.pattern_source import PatternPixels
from fewphoton.errors import ConfigError
from fewphoton.xrai.pose_model import PixelGrid
from tests.xrai.particles import noise_free, photons, pixels, small_config, small_model

ALL = np.arange(20)


def batch(source):
    return torch.from_numpy(source.patterns(ALL))


def test_partners_lie_opposite_the_middle():
    grid = PixelGrid.of_source(noise_free(2, place=pixels(4, masked=(0, 6))))
    # Pixel 15 has lost its partner 0, pixel 9 its partner 6.
    partner = grid.partners()
    assert partner[list(grid.number).index(15)] == -1
    assert partner[list(grid.number).index(9)] == -1
    assert grid.number[partner[list(grid.number).index(1)]] == 14


def test_poses_are_compared_at_the_turned_back_pixels():
    """Misfit at any pose is that of the decoder's own values at R^-1 q, pixel by pixel."""
    source = noise_free(20)
    model = small_model(source, small_config())
    intensity = model.scaled(batch(source))
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(0)))[0]
    turn = turn * torch.det(turn)
    prepared = model.decoder.prepared()
    some = torch.tensor([3, 50, 77])
    found, _ = model.compare(turn.expand(20, 3, 3), intensity[:, some], some, prepared)
    inverse = torch.linalg.inv(turn)
    total = 0.0
    for pixel in some.tolist():
        amplitude = model.decoder.amplitudes(inverse @ model.q[pixel], prepared)
        target = torch.sqrt(intensity[:, pixel] / model.response[pixel])
        total = total + model.ring_weight[pixel] * (target - amplitude) ** 2 / 3
    torch.testing.assert_close(found, total)


def test_the_best_head_alone_is_trained_and_named():
    source = noise_free(20)
    model = small_model(source, small_config())
    pixel = torch.arange(0, 196, 5)
    intensity = model.scaled(batch(source))
    proposals = model.propose(intensity)
    prepared = model.decoder.prepared()
    misfit, _ = model.compare(proposals.rotation, intensity[:, None, pixel], pixel, prepared)
    lowest, best = misfit.min(dim=1)
    named = torch.nn.functional.cross_entropy(proposals.score, best)
    loss, reported = model(batch(source), pixel)
    torch.testing.assert_close(reported, lowest.mean())
    torch.testing.assert_close(loss, lowest.mean() + 0.05 * named)


def test_symmetric_loss_is_equation_4():
    """The lesser of both squares for each frame, one head: that of the frame, and that of the turned frame."""
    config = small_config(encoder={"heads": 1}, likelihood={"symmetric": True, "ring_weights": False})
    source = noise_free(20, place=pixels(masked=(0, 1, 40)))
    model = small_model(source, config)
    assert len(model.candidates) == 196 - 6
    pixel = model.candidates
    patterns = batch(source)
    place = torch.zeros(20, 196)
    place[:, model.number] = patterns
    turned = place.reshape(20, 14, 14).flip(1, 2).reshape(20, 196)[:, model.number]
    prepared = model.decoder.prepared()
    squares = []
    for given in (patterns, turned):
        # Where the partner is masked the turned frame shows another pixel; the likelihood leaves those out.
        seen = model.scaled(patterns)[:, model.partner] if given is turned else model.scaled(given)
        rotation = model.propose(seen).rotation[:, 0]
        squares.append(model.compare(rotation, model.scaled(given)[:, pixel], pixel, prepared)[0])
    loss, misfit = model(patterns, pixel)
    torch.testing.assert_close(misfit, torch.minimum(*squares).mean())
    torch.testing.assert_close(loss, misfit)


def test_frames_without_photons_add_nothing_and_give_finite_gradients():
    source = photons(20)
    model = small_model(source, small_config())
    patterns = batch(source)
    whole = model(patterns, torch.arange(196))[1]
    with_dark = torch.cat([patterns, torch.zeros(20, 196)])
    model(with_dark, torch.arange(196))[0].backward()
    assert all(torch.isfinite(values.grad).all() for values in model.parameters())
    torch.testing.assert_close(model(with_dark, torch.arange(196))[1], whole / 2)


@pytest.mark.parametrize("likelihood", ["amplitudes", "poisson"])
def test_fluence_does_not_change_poses_where_it_is_free(likelihood):
    source = photons(20, scale=30.0)
    config = small_config(likelihood={"model": likelihood, "fluence": "per_frame"})
    model = small_model(source, config)
    intensity = model.scaled(batch(source))
    first, second = model.propose(intensity), model.propose(4 * intensity)
    torch.testing.assert_close(first.rotation, second.rotation, atol=1e-4, rtol=1e-4)


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="12 x 12"):
        small_model(noise_free(5, place=pixels(8)), small_config(encoder={"network": "images", "widths": [2] * 5}))
    with pytest.raises(ConfigError, match="know no background"):
        small_model(noise_free(5), small_config(likelihood={"background_photons_per_frame": 3.0}))


def test_a_beam_off_the_middle_has_no_turned_frames():
    place = pixels()
    moved = PatternPixels(place.q_per_angstrom + np.array([0.004, 0, 0]), place.response, place.number, place.shape)
    small_model(noise_free(5, place=moved), small_config())
    with pytest.raises(ConfigError, match="does not meet the middle"):
        small_model(noise_free(5, place=moved), small_config(likelihood={"symmetric": True}))


def test_the_faithful_model_is_built_as_described():
    source = noise_free(20)
    config = small_config(
        preset="faithful",
        encoder={"network": "images", "widths": [4] * 5, "hidden": [8, 8], "heads": 1},
        decoder={"width": 8},
    )
    model = small_model(source, config)
    assert config.likelihood.symmetric
    assert type(model.decoder).__name__ == "FourierNetDecoder"
    loss, misfit = model(batch(source), model.candidates)
    loss.backward()
    assert loss == misfit
    assert all(values.grad is not None for name, values in model.named_parameters() if "heads" not in name)
