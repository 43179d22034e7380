import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures.peak_counts import draw


def test_counts_and_their_distribution():
    counts = np.array([0, 3, 3, 1])
    over, spread = draw({"rings": counts, "other": counts[::-1]}, 2).axes
    np.testing.assert_array_equal(over.lines[0].get_data(), [np.arange(4), counts])
    assert over.lines[0].get_label() == "rings: 7 peaks"
    assert over.lines[2].get_ydata()[0] == 2
    values, edges, _ = spread.patches[0].get_data()
    np.testing.assert_array_equal(values, [1, 1, 0, 2])
    np.testing.assert_allclose(edges, np.arange(5) - 0.5)


@pytest.mark.parametrize("n_frames", [1, 100, 5000])
def test_any_number_of_frames(n_frames):
    counts = np.random.default_rng(0).poisson(200, n_frames)
    over, spread = draw({"rings": counts}).axes
    assert len(over.lines) == 1
    assert spread.patches[0].get_data()[0].sum() == n_frames
    assert over.get_ylim()[1] > counts.max()


def test_no_peak_at_all():
    assert draw({"rings": np.zeros(5, dtype=int)}).axes[0].get_ylim()[1] > 0


@pytest.mark.parametrize("counts", [{}, {"a": np.zeros(0, int)}, {"a": np.zeros(2, int), "b": np.zeros(3, int)}])
def test_faults(counts):
    with pytest.raises(DataError, match="same frames"):
        draw(counts)
