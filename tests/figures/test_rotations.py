import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import rotations

SHELLS = [
    {
        "q_low_inv_angstrom": str(0.1 * n),
        "q_high_inv_angstrom": str(0.1 * (n + 1)),
        "cc_truth": str(1 - 0.2 * n),
        "cc_half_shared_orientations": "0.9",
    }
    for n in range(3)
]


def test_curves_stand_at_the_middle_of_their_shells():
    figure = rotations.draw(SHELLS, np.array([1.0, 2.0]), np.array([1.0, 2.0]), 5.0)
    left = figure.axes[0]
    truth = next(line for line in left.lines if line.get_label() == "truth")
    np.testing.assert_allclose(truth.get_xdata(), [0.05, 0.15, 0.25])
    np.testing.assert_allclose(truth.get_ydata(), [1.0, 0.8, 0.6])
    assert {text.get_text() for text in left.get_legend().get_texts()} == {"truth", "half sets"}


def test_every_known_error_is_counted_once_and_turned_frames_only_where_there_are_any():
    error = np.array([1e-6, 3.0, 8.0, 179.0, np.nan])
    figure = rotations.draw(SHELLS, error, error, 5.0, 0.01)
    right = figure.axes[1]
    shares = [patch.get_data().values for patch in right.patches if hasattr(patch, "get_data")]
    assert len(shares) == 2
    assert shares[0].sum() == pytest.approx(1.0)
    assert right.get_title() == "50.0 % within a step of 5° (grey); by chance 1.0 %"
    turned = np.where(error > 100, 1.0, error)
    again = rotations.draw(SHELLS, error, turned, 5.0).axes[1]
    assert sum(hasattr(patch, "get_data") for patch in again.patches) == 3
    assert "chance" not in again.get_title()


def test_nothing_to_draw_is_an_error():
    one = np.ones(1)
    for shells, error, step in (([], one, 5.0), (SHELLS, np.array([np.nan]), 5.0), (SHELLS, one, np.nan)):
        with pytest.raises(DataError, match="nothing to draw"):
            rotations.draw(shells, error, error, step)
