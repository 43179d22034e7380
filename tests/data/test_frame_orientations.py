import numpy as np
import pytest

from fewphoton.data import FrameOrientations
from fewphoton.errors import DataError


def some(**changes):
    columns = {
        "best_angle_deg": np.array([90.0, np.nan]),
        "best_orientation": np.array([1, -1]),
        "best_probability": np.array([0.5, 0.0]),
        "entropy_nat": np.array([0.5, 1.4]),
        "log_likelihood": np.zeros(2),
        "angle_deg": np.arange(4) * 90.0,
    }
    return FrameOrientations(**(columns | changes))


def test_length_and_step():
    assert len(some()) == 2
    assert some().step_deg == 90.0
    assert some().best_orientation.dtype == np.int32


@pytest.mark.parametrize("numbers", [[4, 0], [-2, 0]])
def test_orientations_outside_the_sample_are_refused(numbers):
    with pytest.raises(DataError, match="-1 to 3"):
        some(best_orientation=np.array(numbers))


def test_columns_of_two_lengths_are_refused():
    with pytest.raises(DataError, match="entropy_nat"):
        some(entropy_nat=np.zeros(3))
