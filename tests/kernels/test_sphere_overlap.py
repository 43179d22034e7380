import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from fewphoton.kernels import sphere_overlap
from tests.kernels import naive


@pytest.fixture(params=["jitted", "python"], autouse=True)
def mode(request, monkeypatch):
    if request.param == "python":
        naive.in_python(monkeypatch, sphere_overlap)


def spheres(n, seed, span=2.0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-span, span, (n, 3)), rng.uniform(0.5, 4, n), rng.choice([0.31, 0.66, 0.76], n)


@pytest.mark.parametrize(("first", "second"), [(0.7, 0.7), (0.31, 0.76), (1.0, 1.0 - 1e-12), (2.0, 1e-3)])
def test_lens_keeps_its_digits_from_containment_to_touching(first, second):
    small = np.geomspace(1e-18, 1.0, 60)
    gap, total = abs(first - second), first + second
    distances = np.concatenate([[0.0, gap, total], gap * (1 - small), gap + small * (total - gap)])
    for d in distances:
        found, exact = sphere_overlap.lens_volume(d, first, second), naive.lens(float(d), first, second)
        # The sum of the radii is rounded; the slope in it is at most the section of the smaller sphere.
        assert found == pytest.approx(exact, rel=0, abs=1e-15 * total * np.pi * min(first, second) ** 2), d


def test_lens_is_the_integral_of_common_discs():
    a, b, d = 0.76, 0.5, 0.9

    def disc(x):
        return np.pi * max(0.0, min(a**2 - x**2, b**2 - (x - d) ** 2))

    crossing = (d**2 + a**2 - b**2) / (2 * d)
    volume = integrate.quad(disc, d - b, a, points=[crossing], epsabs=1e-12)[0]
    assert sphere_overlap.lens_volume(d, a, b) == pytest.approx(volume, rel=1e-9)


@given(st.floats(0, 3), st.floats(0.05, 1.5), st.floats(0.05, 1.5))
def test_lens_is_symmetric_and_bounded(distance, first, second):
    volume = sphere_overlap.lens_volume(distance, first, second)
    assert volume == sphere_overlap.lens_volume(distance, second, first)
    assert 0 <= volume <= 4 / 3 * np.pi * min(first, second) ** 3 * (1 + 1e-12)


def test_overlaps_are_sums_of_lenses():
    first, second = spheres(7, 0), spheres(5, 1)
    shift = np.random.default_rng(2).normal(size=(4, 3))
    product = np.empty(4)
    sphere_overlap.overlaps(*first, *second, shift, product)
    np.testing.assert_allclose(product, [naive.sphere_overlap(first, second, one) for one in shift], rtol=1e-12)


def test_climb_ends_where_no_step_leads_higher():
    first = spheres(8, 3)
    second = (first[0] + np.random.default_rng(4).normal(0, 0.05, (8, 3)), first[1], first[2])
    shift = np.array([0.2, -0.15, 0.1])
    start = shift.copy()
    for rounding in (1e-2, 1e-4, 1e-6):
        sphere_overlap.climb(*first, *second, shift, rounding, 200)
    top = naive.sphere_overlap(first, second, shift)
    assert top > naive.sphere_overlap(first, second, start)
    around = np.random.default_rng(5).normal(size=(40, 3))
    for step in 1e-3 * around / np.linalg.norm(around, axis=1, keepdims=True):
        assert naive.sphere_overlap(first, second, shift + step) < top


def test_climb_meets_equal_sets_at_the_kink():
    first = spheres(6, 6)
    shift = np.array([0.1, 0.05, -0.08])
    for rounding in (1e-2, 1e-4, 1e-6):
        sphere_overlap.climb(*first, *first, shift, rounding, 200)
    np.testing.assert_allclose(shift, 0, atol=1e-7)


def test_climb_stands_still_without_overlap():
    first = spheres(3, 7)
    shift = np.array([50.0, 0.0, 0.0])
    assert sphere_overlap.climb(*first, *first, shift, 1e-3, 10) == 0
    np.testing.assert_array_equal(shift, [50.0, 0.0, 0.0])


def test_climb_with_small_spheres_in_large_ones():
    """Pairs of which one holds the other pull nothing, and those about to pull less than equal ones."""
    rng = np.random.default_rng(11)
    first = rng.uniform(-1, 1, (6, 3)), rng.uniform(1, 3, 6), np.full(6, 0.76)
    second = rng.uniform(-1, 1, (6, 3)), rng.uniform(1, 3, 6), np.full(6, 0.31)
    shift = np.array([0.05, 0.1, 0.0])
    sphere_overlap.climb(*first, *second, shift, 1e-6, 400)
    step = 1e-4 * np.eye(3)
    slope = [
        (naive.sphere_overlap(first, second, shift + one) - naive.sphere_overlap(first, second, shift - one)) / 2e-4
        for one in step
    ]
    np.testing.assert_allclose(slope, 0, atol=1e-3)
