"""Costs of one more atom at every site of a lattice, against sums over detectors at each site."""

import numpy as np
import pytest

from fewphoton.kernels import insertion_cost
from tests.kernels import naive

SHAPES = [(5, 4, 3), (4, 4, 2), (3, 5, 1), (1, 1, 4), (2, 1, 1), (1, 1, 1)]


@pytest.fixture(params=["jitted", "python"], autouse=True)
def precision(request, monkeypatch):
    """Compiled code works in float32 as searches do; Python code in float64, but for the map that it returns."""
    if request.param == "python":
        naive.in_python(monkeypatch, insertion_cost)
        return np.float64, 1e-6
    return np.float32, 1e-5


def as_rows(waves, dtype):
    return np.stack([waves.real, waves.imag], axis=-2).astype(dtype)


def scene(seed, dtype, n=40, n_atoms=4):
    """Scattering vectors, atoms with their waves, form factors of two elements, intensities and weights."""
    rng = np.random.default_rng(seed)
    q = rng.uniform(-0.8, 0.8, (n, 3))
    position = rng.uniform(-2, 2, (n_atoms, 3))
    kind = rng.integers(0, 2, n_atoms)
    factor = rng.uniform(1, 8, (2, n)).astype(dtype)
    measured, weight = rng.uniform(-5, 300, n).astype(dtype), rng.uniform(1e-4, 1e-2, n).astype(dtype)
    return q, position, kind, factor, measured, weight


def test_waves_and_their_sums(precision):
    dtype, tolerance = precision
    q, position, kind, factor, measured, weight = scene(1, dtype)
    wave, amplitude = np.empty((4, 2, 40), dtype), np.full((2, 40), np.nan, dtype)
    insertion_cost.fill_waves(q, position, wave)
    exact = np.exp(2j * np.pi * position @ q.T)
    np.testing.assert_allclose(wave, as_rows(exact, np.float64), atol=tolerance)
    insertion_cost.sum_waves(wave, kind, factor, amplitude)
    total = (factor[kind] * exact).sum(axis=0)
    np.testing.assert_allclose(amplitude, as_rows(total, np.float64), atol=30 * tolerance)
    cost = insertion_cost.intensity_cost(amplitude, measured, weight)
    assert cost == pytest.approx(naive.molecule_cost(q, position, factor[kind], measured, weight), rel=tolerance)
    insertion_cost.add_wave(amplitude, wave[2], factor[kind[2]], -1.0)
    rest = np.delete(factor[kind] * exact, 2, axis=0).sum(axis=0)
    np.testing.assert_allclose(amplitude, as_rows(rest, np.float64), atol=30 * tolerance)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_products_of_waves(precision, sign):
    dtype, tolerance = precision
    rng = np.random.default_rng(2)
    first = rng.standard_normal(30) + 1j * rng.standard_normal(30)
    turns = np.exp(2j * np.pi * rng.random((3, 30)))
    product = np.empty((2, 30), dtype)
    insertion_cost.multiply_waves(as_rows(first, dtype), *as_rows(turns, dtype), sign, product)
    turn = turns.prod(axis=0)
    expected = first * (turn if sign > 0 else turn.conj())
    np.testing.assert_allclose(product, as_rows(expected, np.float64), atol=tolerance)


@pytest.mark.parametrize("shape", SHAPES)
def test_tables_hold_the_first_half_of_a_plane(precision, shape):
    dtype, tolerance = precision
    q = scene(3, dtype)[0]
    step = np.array([0.3, 0.45, 0.6])
    half = (shape[0] * shape[1] + 1) // 2
    cosines, sines = np.empty((2, 80, half), dtype)
    insertion_cost.fill_plane_tables(*naive.line_waves(q, step, shape, dtype)[:2], cosines, sines)
    plane = naive.lattice_positions(np.zeros(3), step, (*shape[:2], 1))[0, :half]
    phase = 2 * np.pi * q @ plane.T
    expected = np.concatenate([phase, 2 * phase])
    np.testing.assert_allclose(cosines, np.cos(expected), atol=tolerance)
    np.testing.assert_allclose(sines, np.sin(expected), atol=tolerance)


def whole_map(q, origin, others, element, measured, weight, step, shape, dtype):
    """The cost at all sites by the kernels, `(n_z, n_x n_y)`."""
    n, n_plane = len(q), shape[0] * shape[1]
    amplitude = as_rows(others, dtype)
    wave = np.empty((1, 2, n), dtype)
    insertion_cost.fill_waves(q, origin[None], wave)
    along_x, along_y, along_z = naive.line_waves(q, step, shape, dtype)
    cosines, sines = np.empty((2, 2 * n, (n_plane + 1) // 2), dtype)
    insertion_cost.fill_plane_tables(along_x, along_y, cosines, sines)
    terms = np.empty((4, n), dtype)
    even, odd = np.empty((2, shape[2], 2 * n), dtype)
    constant = insertion_cost.insertion_rows(amplitude, wave[0], element, measured, weight, along_z, terms, even, odd)
    return constant + insertion_cost.insertion_map(even, odd, cosines, sines, n_plane).astype(np.float64)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [4, 5])
def test_the_map_is_the_cost_at_every_site(precision, shape, seed):
    """To 1e-6 of the largest cost in float64, and to 1e-5 in float32, about 100 roundings of 6e-8 each."""
    dtype, tolerance = precision
    q, position, kind, factor, measured, weight = scene(seed, dtype)
    step, origin = np.array([0.4, 0.35, 0.8]), np.array([0.13, -0.21, 0.4])
    others = (factor[kind[1:]] * np.exp(2j * np.pi * position[1:] @ q.T)).sum(axis=0)
    found = whole_map(q, origin, others, factor[kind[0]], measured, weight, step, shape, dtype)
    sites = naive.lattice_positions(origin, step, shape)
    expected = np.array(
        [
            [naive.molecule_cost(q, np.vstack([one, position[1:]]), factor[kind], measured, weight) for one in plane]
            for plane in sites
        ]
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * expected.max())


def test_one_detector_by_hand(precision):
    """|1 + exp(2 pi i x)|² is 2, 4 and 2 at a quarter turn before, at and after the origin; measured: 0.

    The origin itself lies an eighth of a turn further in a second case, where opposite sites differ.
    """
    dtype, tolerance = precision
    q = np.array([[1.0, 0.0, 0.0]])
    one = np.ones(1, dtype)
    options = (np.ones(1, complex), one, 0 * one, one, np.array([0.25, 1, 1]), (3, 1, 1), dtype)
    found = whole_map(q, np.zeros(3), *options)
    np.testing.assert_allclose(found, [[4, 16, 4]], rtol=tolerance)
    found = whole_map(q, np.array([0.125, 0, 0]), *options)
    turned = (2 + 2 * np.cos(np.pi / 4 * np.array([-1, 1, 3]))) ** 2
    np.testing.assert_allclose(found, [turned], atol=16 * tolerance)
