from dataclasses import replace

import numpy as np
import pytest

from fewphoton.data import Evaluation
from fewphoton.errors import DataError


def small_evaluation() -> Evaluation:
    """Two frames, three reflections, a map of four voxels along an edge."""
    return Evaluation(
        patterson=np.arange(64.0).reshape(4, 4, 4),
        reference_patterson=None,
        patterson_voxel_angstrom=np.array([1.0, 2.0, 3.0]),
        true_angle_deg=np.array([1.0, 2.0]),
        best_angle_deg=np.array([1.5, np.nan]),
        angle_error_deg=np.array([0.5, np.nan]),
        photons=np.array([7, 0]),
        hkl=np.array([[1, 1, 0], [2, 0, 0], [2, 1, 1]]),
        q_inv_angstrom=np.array([0.1, 0.2, 0.3]),
        intensity=np.array([3.0, 2.0, 1.0]),
        sigma=np.array([0.1, np.nan, 0.3]),
        reference_intensity=np.full(3, np.nan),
        truth_intensity=np.array([3.0, np.nan, 1.0]),
        orientation_step_deg=1.0,
    )


def test_arrays_are_read_only_and_typed():
    found = small_evaluation()
    assert found.photons.dtype == np.int64
    assert found.hkl.dtype == np.int32
    with pytest.raises(ValueError, match="read-only"):
        found.intensity[0] = 1.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("patterson", np.zeros((4, 4, 3))),
        ("reference_patterson", np.zeros((5, 5, 5))),
        ("best_angle_deg", np.zeros(3)),
        ("sigma", np.zeros(2)),
        ("hkl", np.zeros((3, 2), dtype=int)),
        ("photons", np.array([0.5, 1.5])),
        ("patterson_voxel_angstrom", np.zeros(1)),
    ],
)
def test_misfits_are_named(name, value):
    with pytest.raises(DataError, match=name):
        replace(small_evaluation(), **{name: value})
