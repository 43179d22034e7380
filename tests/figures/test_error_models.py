import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import error_models
from fewphoton.figures.signal_separation import RingRadii
from tests.conftest import flat_detector

RADII = RingRadii(np.arange(1.0, 9.0), "distance (mm)", "mm")
STD = {"poisson": np.full(8, 3.0), "azimuthal": np.array([3.5, 2.4, 3.2, np.nan, 2.9, 3.1, 2.6, 3.3])}


def draw(**change):
    detector = flat_detector()
    given = {"frame": np.full(120, 9.0), "std": STD, "n_pixels": np.arange(8), "true_std": np.full(8, 3.0)} | change
    return error_models.draw(given["frame"], detector, RADII, given["std"], given["n_pixels"], given["true_std"])


def test_curves_truth_and_pixels():
    _, curves, below = draw().axes[:3]
    poisson, azimuthal, true = curves.lines
    np.testing.assert_allclose(poisson.get_ydata(), 3.0)
    np.testing.assert_allclose(azimuthal.get_ydata(), STD["azimuthal"])
    assert true.get_linestyle() == "--"
    np.testing.assert_allclose(below.lines[0].get_ydata(), np.arange(8))
    # The smooth curve is drawn over the scattered one.
    assert poisson.get_zorder() > azimuthal.get_zorder()


def test_truth_may_be_left_out():
    assert [line.get_label() for line in draw(true_std=None).axes[1].lines] == ["poisson model", "azimuthal model"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"std": {}}, "no error model"),
        ({"std": {"poisson": np.ones(3)}}, "'poisson'.*8 rings"),
        ({"n_pixels": np.ones(3)}, "8 rings"),
        ({"true_std": np.ones(3)}, "'true'"),
        ({"frame": np.ones(3)}, "120 pixels"),
    ],
)
def test_faults(change, word):
    with pytest.raises(DataError, match=word):
        draw(**change)
