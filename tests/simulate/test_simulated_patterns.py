import numpy as np
import pytest

from fewphoton.simulate.simulated_patterns import SimulatedPatterns
from tests.simulate.test_particle import build


@pytest.mark.parametrize("noise", ["poisson", "none"])
def test_patterns_do_not_depend_on_those_made_with_them(noise):
    experiment = build(noise=noise, fluence_spread=0.3, chunk_frames=7)
    source = SimulatedPatterns(experiment)
    whole = source.patterns(np.arange(40))
    assert whole.shape == (40, len(experiment.pixels))
    index = np.array([31, 2, 2, 17])
    np.testing.assert_array_equal(source.patterns(index), whole[index])
    assert source.counts == (noise == "poisson")


def test_noise_is_about_the_noise_free_patterns_of_the_same_number():
    free, drawn = (SimulatedPatterns(build(noise=noise, photons_per_frame=5000.0)) for noise in ("none", "poisson"))
    index = np.arange(40)
    expected, counts = free.patterns(index), drawn.patterns(index)
    bright = expected > 5
    pull = (counts - expected)[bright] / np.sqrt(expected[bright])
    assert abs(pull.mean()) < 0.05
    assert pull.std() == pytest.approx(1, abs=0.03)
    np.testing.assert_array_equal(free.true_quaternions(index[::-1]), drawn.true_quaternions(index)[::-1])


def test_frames_of_the_photon_file_are_the_same():
    experiment = build()
    drawn = experiment.snapshots().draw(0, 40)
    source = SimulatedPatterns(experiment)
    np.testing.assert_array_equal(source.patterns(np.arange(40)), drawn.to_dense()[:, experiment.pixels])
    np.testing.assert_array_equal(source.true_quaternions(np.arange(40)), drawn.table.quaternion)
