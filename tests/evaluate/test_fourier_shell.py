import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.errors import DataError
from fewphoton.evaluate.fourier_shell import (
    ShellCorrelation,
    coefficient_shell_correlation,
    density_shell_correlation,
    intensity_shell_correlation,
)

CRYSTAL = Crystal((10, 12, 14, 80, 95, 100), "P -1")


def curve(correlation, q=None):
    value = np.array(correlation, dtype=float)
    return ShellCorrelation(
        np.arange(1.0, len(value) + 1) / 10 if q is None else np.array(q), value, np.ones(len(value), dtype=np.int64)
    )


def density(n, seed=0, smooth=1.0):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(n, n, n)), smooth, mode="wrap")


def test_crossings_by_hand():
    """From 0.9 at q = 0.2 to 0.3 at 0.3: 0.5 is passed two thirds of the way."""
    found = curve([1.0, 0.9, 0.3, 0.8, 0.1])
    assert found.crossing_q_inv_angstrom(0.5) == pytest.approx(0.2 + 0.1 * 2 / 3)
    assert found.resolution_angstrom(0.5) == pytest.approx(1 / (0.2 + 0.1 * 2 / 3))
    assert found.crossing_q_inv_angstrom(0.9) == pytest.approx(0.2)
    assert found.crossing_q_inv_angstrom(0.2) == pytest.approx(0.4 + 0.1 * 6 / 7)


def test_shells_that_say_nothing_are_passed_over():
    found = curve([np.nan, 1.0, np.nan, 0.0, np.nan])
    assert found.crossing_q_inv_angstrom(0.5) == pytest.approx(0.3)
    assert found.last_q_inv_angstrom() == pytest.approx(0.4)


def test_curves_without_a_crossing():
    agree = curve([1.0, 0.9, 0.8])
    assert np.isnan(agree.crossing_q_inv_angstrom(0.5))
    assert agree.resolution_angstrom(0.5) == pytest.approx(1 / 0.3)
    differ = curve([0.1, 0.9, 0.2])
    assert np.isnan(differ.crossing_q_inv_angstrom(0.5))
    assert differ.resolution_angstrom(0.5) == np.inf
    nothing = curve([np.nan, np.nan])
    assert np.isnan([nothing.resolution_angstrom(0.5), nothing.last_q_inv_angstrom()]).all()


def test_coefficients_by_hand():
    """Shell one: (1, 2) and (2, 1), 4/5; shell two: i against 1 has no common part; shell three has no power."""
    first = np.array([1.0, 2.0, 1j, 0.0, 9.0])
    second = np.array([2.0, 1.0, 1.0, 1.0, 9.0])
    q = np.array([0.1, 0.15, 0.2, 0.3, 0.9])
    found = coefficient_shell_correlation(first, second, q, np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
    np.testing.assert_allclose(found.correlation, [0.8, 0, np.nan, np.nan], atol=1e-15)
    np.testing.assert_array_equal(found.n_voxels, [2, 1, 1, 0])
    np.testing.assert_allclose(found.q_inv_angstrom, [0.15, 0.25, 0.35, 0.45])


@pytest.mark.parametrize("n", [12, 13])
def test_densities_against_a_naive_twin(n):
    first, second = density(n), density(n) + 0.5 * density(n, 1, 0.5)
    found = density_shell_correlation(first, second, 2.5)
    f, g = np.fft.fftshift(np.fft.fftn(first)), np.fft.fftshift(np.fft.fftn(second))
    radius = np.linalg.norm(np.indices((n, n, n)) - n // 2, axis=0)
    for shell in range(n // 2):
        inside = (radius >= shell + 0.5) & (radius < shell + 1.5)
        expected = (f[inside] * g[inside].conj()).sum().real
        expected /= np.linalg.norm(f[inside]) * np.linalg.norm(g[inside])
        assert found.correlation[shell] == pytest.approx(expected, rel=1e-10)
        assert found.n_voxels[shell] == inside.sum()
    np.testing.assert_allclose(found.q_inv_angstrom, np.arange(1, n // 2 + 1) / (n * 2.5))


@given(st.integers(0, 1000), st.floats(0.1, 10), st.floats(-5, 5), st.tuples(*[st.integers(-4, 4)] * 3))
@settings(max_examples=15, deadline=None)
def test_scale_and_offset_do_not_matter_and_common_shifts_neither(seed, scale, offset, shift):
    first, second = density(8, seed), density(8, seed + 1)
    expected = density_shell_correlation(first, second, 1.0).correlation
    moved = [np.roll(one, shift, (0, 1, 2)) for one in (first, scale * second + offset)]
    np.testing.assert_allclose(density_shell_correlation(*moved, 1.0).correlation, expected, atol=1e-10)
    np.testing.assert_allclose(density_shell_correlation(first, scale * first + offset, 1.0).correlation, 1, rtol=1e-10)
    np.testing.assert_allclose(density_shell_correlation(first, -first, 1.0).correlation, -1, rtol=1e-10)


def test_noise_above_a_known_frequency_sets_the_resolution():
    """Coefficients agree below 8 Fourier voxels and are independent above: 0.5 is passed between 7 and 9."""
    n, voxel = 32, 1.5
    common, noise = np.fft.fftn(density(n, 0, 0)), np.fft.fftn(density(n, 1, 0))
    frequency = np.fft.fftfreq(n, 1 / n)
    radius = np.sqrt(sum(f**2 for f in np.meshgrid(frequency, frequency, frequency, indexing="ij")))
    second = np.where(radius < 8, common, noise)
    found = density_shell_correlation(np.fft.ifftn(common).real, np.fft.ifftn(second).real, voxel)
    assert n * voxel / 9 < found.resolution_angstrom(0.5) < n * voxel / 7


def test_number_of_shells():
    found = density_shell_correlation(density(16), density(16, 1), 1.0, n_shells=3)
    assert len(found.correlation) == 3
    assert found.n_voxels.sum() == density_shell_correlation(density(16), density(16, 1), 1.0).n_voxels.sum()


def volumes(n=15, k=4, share=0.7, noise=0.5):
    rng = np.random.default_rng(0)
    truth = rng.gamma(1.0, 1.0, (n, n, n)) + 20
    weights = [(rng.random((n, n, n)) < share).astype(float) for _ in range(2)]
    return [IntensityVolume(truth + noise * rng.normal(size=truth.shape), weight, k) for weight in weights]


def test_intensities_against_numpy():
    first, second = volumes()
    edges = np.array([0.0, 0.06, 0.11, 0.2])
    found = intensity_shell_correlation(first, second, CRYSTAL, edges)
    axis = first.axis_hkl()
    q = CRYSTAL.q_inv_angstrom(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1))
    both = (first.weight > 0) & (second.weight > 0)
    for shell in range(3):
        inside = both & (q >= edges[shell]) & (q < edges[shell + 1])
        expected = np.corrcoef(first.values[inside], second.values[inside])[0, 1]
        assert found.correlation[shell] == pytest.approx(expected, rel=1e-10)
        assert found.n_voxels[shell] == inside.sum()


def test_a_common_powder_ring_counts_nothing():
    """Two volumes of independent speckle on one strong radial profile: near 0, though all values are near alike."""
    rng = np.random.default_rng(1)
    n = 25
    axis = (np.arange(n) - n // 2) / 4
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2)
    crystal = Crystal((10.0,) * 3 + (90.0,) * 3, "P 2 3")
    edges = np.arange(0.0, 0.31, 0.05)
    profile = 100 * np.exp(-np.floor(radius / 0.5 + 1e-9))
    pair = [IntensityVolume(profile * rng.gamma(50, 1 / 50, radius.shape), np.ones(radius.shape), 4) for _ in range(2)]
    found = intensity_shell_correlation(*pair, crystal, edges)
    assert np.abs(found.correlation[1:]).max() < 0.15


def test_shells_without_spread_or_voxels_are_unknown():
    one = np.full((9, 9, 9), 0.1)
    flat = IntensityVolume(one, np.ones_like(one), 2)
    other = IntensityVolume(np.random.default_rng(0).random(one.shape), np.ones_like(one), 2)
    edges = np.array([0.0, 0.1, 0.2, 5.0, 6.0])
    assert np.isnan(intensity_shell_correlation(flat, other, CRYSTAL, edges).correlation).all()
    unseen = IntensityVolume(one, np.zeros_like(one), 2)
    found = intensity_shell_correlation(unseen, other, CRYSTAL, edges)
    assert np.isnan(found.correlation).all()
    np.testing.assert_array_equal(found.n_voxels, 0)
    assert np.isnan(intensity_shell_correlation(other, other, CRYSTAL, edges).correlation[3])


def test_wrong_input_is_refused():
    first, second = volumes()
    edges = np.array([0.0, 0.1, 0.2])
    with pytest.raises(DataError, match="share no grid"):
        intensity_shell_correlation(first, IntensityVolume(first.values, first.weight, 5), CRYSTAL, edges)
    with pytest.raises(DataError, match="share no grid"):
        intensity_shell_correlation(first, volumes(n=13)[0], CRYSTAL, edges)
    with pytest.raises(DataError, match="ascend"):
        intensity_shell_correlation(first, second, CRYSTAL, edges[::-1].copy())
    spoiled = first.values.copy()
    spoiled[7, 7, 7] = np.nan
    with pytest.raises(DataError, match="not finite"):
        intensity_shell_correlation(
            IntensityVolume(spoiled, np.ones_like(spoiled), 4),
            IntensityVolume(spoiled, np.ones_like(spoiled), 4),
            CRYSTAL,
            edges,
        )
    with pytest.raises(DataError, match="shape"):
        density_shell_correlation(density(8), density(9), 1.0)
    with pytest.raises(DataError, match="shape"):
        density_shell_correlation(np.zeros((4, 4, 5)), np.zeros((4, 4, 5)), 1.0)
    with pytest.raises(DataError, match="finite"):
        density_shell_correlation(np.full((4, 4, 4), np.nan), np.zeros((4, 4, 4)), 1.0)
    with pytest.raises(DataError, match="voxel"):
        density_shell_correlation(density(8), density(8), 0.0)
    with pytest.raises(DataError, match="shapes differ"):
        coefficient_shell_correlation(np.zeros(3, complex), np.zeros(4, complex), np.zeros(3), edges)


def test_shells_between_two_q_include_both():
    curve = ShellCorrelation(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.0, 0.9, 0.8, 0.1]), np.arange(4))
    part = curve.between(0.2, 0.3)
    assert part.q_inv_angstrom.tolist() == [0.2, 0.3]
    assert part.correlation.tolist() == [0.9, 0.8]
    assert part.n_voxels.tolist() == [1, 2]
    assert curve.between(0.0, 1.0).correlation.tolist() == curve.correlation.tolist()
