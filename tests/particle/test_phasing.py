import numpy as np
import pytest
from scipy import fft, ndimage

from fewphoton.errors import DataError
from fewphoton.particle.phase_average import (
    aligned_to,
    average_densities,
    by_frequency_shell,
    centred,
    inverted,
    kept_starts,
    shifted_onto,
)
from fewphoton.particle.phasing import PhasedDensity, PhasingSchedule, autocorrelation_support, next_iterate, phase_once


def particle(shape, seed=0):
    """Twelve Gaussian blobs in the middle of the grid: a density without symmetry."""
    rng = np.random.default_rng(seed)
    place = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    density, centre = np.zeros(shape), np.array(shape) / 2
    for _ in range(12):
        away = place - centre - rng.uniform(-0.15, 0.15, len(shape)) * min(shape)
        density += rng.uniform(0.5, 1.5) * np.exp(-(away**2).sum(axis=-1) / 2.4)
    density[density < 0.02] = 0
    return density


def measured(density, stop=1):
    """Intensities, and a mask that leaves out the centre, where the beam stop is."""
    intensity = np.abs(fft.fftshift(fft.fftn(density))) ** 2
    known = np.ones(density.shape, dtype=bool)
    known[tuple(slice(n // 2 - stop, n // 2 + stop + 1) for n in density.shape)] = False
    return np.where(known, intensity, np.nan), known


def agreement(density, truth):
    return float(np.corrcoef(aligned_to(truth, density).ravel(), truth.ravel())[0, 1])


@pytest.mark.parametrize("shape", [(40, 40), (40, 37), (24, 24, 24)])
def test_a_particle_comes_back_from_its_intensities(shape):
    truth = particle(shape)
    intensity, known = measured(truth)
    schedule = PhasingSchedule()
    starts = [phase_once(intensity, known, schedule, np.random.default_rng(seed)) for seed in range(4)]
    kept = kept_starts(starts)
    averaged = average_densities([start.density for start in kept])
    assert agreement(averaged.density, truth) > 0.98
    assert kept[0].free_error < 0.1
    assert (kept[0].density[~kept[0].support] == 0).all()
    assert kept[0].density.min() == 0
    # The total is the amplitude at the zero frequency, under the beam stop.
    total = averaged.density.sum()
    assert total == pytest.approx(truth.sum(), rel=0.1)
    _, shells = by_frequency_shell(averaged.phase_agreement, known)
    assert np.nanmin(shells[:6]) > 0.8


@pytest.mark.parametrize("method", ["hybrid_input_output", "raar", "difference_map"])
def test_every_method_finds_the_particle_in_one_of_a_few_starts(method):
    truth = particle((40, 40), 2)
    intensity, known = measured(truth)
    schedule = PhasingSchedule(steps=((method, 250), ("error_reduction", 50)))
    starts = [phase_once(intensity, known, schedule, np.random.default_rng(seed)) for seed in range(5)]
    assert agreement(kept_starts(starts)[0].density, truth) > 0.97


def test_the_free_error_tells_a_support_without_bounds():
    """With no support to speak of all that is seen is met, and what is not seen is missed."""
    truth = particle((40, 40))
    intensity, known = measured(truth)
    everywhere = np.ones((40, 40), dtype=bool)
    loose = PhasingSchedule(shrink_every=0)
    wrong = phase_once(intensity, known, loose, np.random.default_rng(0), everywhere)
    right = phase_once(intensity, known, loose, np.random.default_rng(0), truth > 0)
    assert wrong.error < 0.05
    assert wrong.free_error > 0.2
    assert right.free_error < 0.05
    assert kept_starts([wrong, right]) == [right]


@pytest.mark.parametrize("method", ["error_reduction", "hybrid_input_output", "raar", "difference_map"])
def test_the_truth_is_a_fixed_point(method):
    truth = particle((20, 20))
    after = next_iterate(method, truth, lambda density: density, truth > 0, 0.9)
    np.testing.assert_allclose(after, truth, atol=1e-12)


def test_iterates_by_hand():
    """P x = 2 where x is (1, 1, -1), support on the first voxel only."""
    current, support = np.array([1.0, 1.0, -1.0]), np.array([True, False, False])

    def projection(_):
        return np.array([2.0, 2.0, 2.0])

    found = {
        name: next_iterate(name, current, projection, support, 0.5).tolist()
        for name in ("error_reduction", "hybrid_input_output", "raar", "difference_map")
    }
    assert found["error_reduction"] == [2, 0, 0]
    assert found["hybrid_input_output"] == [2, 0, -2]
    # 2 P x - x = (3, 3, 5); S of it = (3, 0, 0); its reflection (3, -3, -5).
    assert found["raar"] == [0.25 * (3 + 1) + 1, 0.25 * (-3 + 1) + 1, 0.25 * (-5 - 1) + 1]
    assert found["difference_map"] == [2, -1, -3]


@pytest.mark.parametrize("shape", [(16, 16), (15, 18), (9, 10, 11)])
def test_shift_and_inversion_are_undone(shape):
    density = particle(shape)
    moved = np.roll(inverted(density), tuple(range(3, 3 + len(shape))), axis=tuple(range(len(shape))))
    np.testing.assert_allclose(aligned_to(density, moved), density, atol=2e-3 * density.max())
    np.testing.assert_allclose(np.abs(fft.fftn(inverted(density))), np.abs(fft.fftn(density)), atol=1e-9)
    np.testing.assert_array_equal(inverted(inverted(density)), density)


@pytest.mark.parametrize("shape", [(16, 17), (12, 13, 14)])
def test_the_centre_of_mass_comes_to_the_middle(shape):
    density = np.zeros(shape)
    density[(1,) * len(shape)], density[(-1,) * len(shape)] = 2.0, 1.9
    middle = tuple(size // 2 for size in shape)
    found = centred(density)
    assert found[tuple(place + 1 for place in middle)] == 2.0
    assert found[tuple(place - 1 for place in middle)] == 1.9
    np.testing.assert_array_equal(centred(np.roll(density, (5,) * len(shape), tuple(range(len(shape))))), found)


def test_shifts_alone_keep_the_hand():
    density = particle((15, 16, 17))
    moved = np.roll(density, (3, -2, 5), (0, 1, 2))
    np.testing.assert_allclose(shifted_onto(density, moved), density, atol=2e-3 * density.max())
    mirrored = shifted_onto(density, inverted(density))
    assert np.corrcoef(mirrored.ravel(), density.ravel())[0, 1] < 0.97
    with pytest.raises(DataError, match="cannot be laid"):
        shifted_onto(density, density[1:])


def test_random_phases_agree_as_chance_has_it():
    rng = np.random.default_rng(0)
    found = average_densities([rng.normal(size=(32, 32)) for _ in range(16)])
    _, shells = by_frequency_shell(found.phase_agreement, np.ones((32, 32), dtype=bool))
    assert 0.15 < shells[3:].mean() < 0.4
    same = average_densities([particle((20, 20))] * 3)
    np.testing.assert_allclose(same.phase_agreement, 1, atol=1e-6)


def test_shells_by_hand():
    values = np.zeros((5, 5))
    values[2, 2], values[2, 3], values[1, 1] = 7.0, 4.0, 8.0
    known = np.ones((5, 5), dtype=bool)
    known[2, 2] = False
    radius, mean = by_frequency_shell(values, known)
    assert radius.tolist() == [0, 1, 2]
    assert np.isnan(mean[0])
    assert mean[1] == pytest.approx((4 + 8) / 8)  # four neighbours and four corners at 1.41


def test_impossible_data_are_refused():
    intensity, known = measured(particle((16, 16)))
    rng = np.random.default_rng(0)
    for broken, mask in [
        (intensity, known[:-1]),
        (intensity, np.zeros_like(known)),
        (intensity, np.ones_like(known)),  # the NaN of the beam stop
        (np.zeros_like(intensity), known),
    ]:
        with pytest.raises(DataError):
            phase_once(broken, mask, PhasingSchedule(), rng)
    unranked = PhasedDensity(np.zeros((2, 2)), np.ones((2, 2), dtype=bool), 0.1, float("nan"))
    with pytest.raises(DataError, match="without free voxels"):
        kept_starts([unranked])
    with pytest.raises(DataError, match="no density"):
        average_densities([])
    with pytest.raises(DataError, match="cannot be laid"):
        aligned_to(np.zeros((3, 3)), np.zeros((3, 4)))


def test_the_support_stays_where_the_autocorrelation_has_it():
    """Intensities that contradict each other would spread the density over the whole box otherwise."""
    truth = particle((20, 20, 20))
    intensity, known = measured(truth)
    noise = np.random.default_rng(1).gamma(0.7, 1 / 0.7, intensity.shape)
    contradictory = intensity * noise * noise[::-1]
    start = phase_once(contradictory, known, PhasingSchedule(), np.random.default_rng(0))
    first = autocorrelation_support(contradictory, known)
    assert start.support.sum() < 4 * first.sum()
    assert start.support[ndimage.binary_dilation(first, iterations=3)].sum() == start.support.sum()
