"""The threading layer is what Numba chose for a loop that really ran."""

from __future__ import annotations

from fewphoton.kernels.threads import _sum_of_numbers, threading_layer


def test_the_layer_is_known_after_a_loop():
    assert threading_layer() in ("tbb", "omp", "workqueue")
    assert _sum_of_numbers(1000) == _sum_of_numbers.py_func(1000) == 499_500
