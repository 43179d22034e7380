import numpy as np
import pytest
import torch

from fewphoton.xrai.fourier_net import FourierNetDecoder, in_half_space

Q = torch.tensor(np.random.default_rng(0).uniform(-0.1, 0.1, (40, 3)), dtype=torch.float32)


def sines(network, x):
    """The networks again, in NumPy."""
    *hidden, last = network
    for layer in hidden:
        weight, bias = (values.detach().double().numpy() for values in (layer.linear.weight, layer.linear.bias))
        x = np.sin(layer.omega * (x @ weight.T + bias))
    return x @ last.weight.detach().double().numpy().T + last.bias.detach().double().numpy()


def test_value_is_the_exponential_of_one_network_times_the_other():
    decoder = FourierNetDecoder(16, 0.1, friedel=False)
    x = Q.double().numpy() / 0.1
    wanted = (np.exp(sines(decoder.envelope, x)) * sines(decoder.modulant, x))[:, 0]
    found = decoder.amplitudes(Q, decoder.prepared()).detach()
    np.testing.assert_allclose(found, wanted, atol=3e-3 * np.abs(wanted).max())
    square = decoder.log_intensities(Q, decoder.prepared()).detach().exp()
    torch.testing.assert_close(square, found**2, rtol=1e-4, atol=1e-8)


def test_sizes_are_those_of_the_program_it_descends_from():
    decoder = FourierNetDecoder(256, 0.1, friedel=True)
    shapes = {
        name: [tuple(p.weight.shape) for p in net.modules() if isinstance(p, torch.nn.Linear)]
        for name, net in (("envelope", decoder.envelope), ("modulant", decoder.modulant))
    }
    assert shapes["envelope"] == [(256, 3), (256, 256), (256, 256), (1, 256)]
    assert shapes["modulant"] == [(256, 3), (256, 256), (256, 256), (256, 256), (1, 256)]
    first, second = decoder.modulant[0], decoder.modulant[1]
    assert first.linear.weight.abs().max().item() == pytest.approx(1 / 3, rel=0.02)
    assert second.linear.weight.abs().max().item() == pytest.approx(np.sqrt(6 / 256) / 40, rel=0.02)


@pytest.mark.parametrize("friedel", [True, False])
def test_friedel_mates_are_equal_where_it_is_asked_for(friedel):
    decoder = FourierNetDecoder(16, 0.1, friedel=friedel)
    both = [decoder.amplitudes(sign * Q, decoder.prepared()) for sign in (1, -1)]
    assert torch.equal(*both) == friedel


def test_the_half_space_holds_one_of_each_pair():
    points = torch.tensor([[0.0, 0, 1], [0, 0, -1], [0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0], [3, -1, -2]])
    inside = in_half_space(points)[:, 0]
    assert inside.tolist() == [True, False, True, False, True, False, False]
    assert (inside != in_half_space(-points)[:, 0]).all()
