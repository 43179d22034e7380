import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures.veto import VetoCurves, draw

# Six frames with 0, 0, 1, 2, 3 and 3 peaks; hits are those with 1, 3 and 3.
KEPT = np.array([6, 4, 3, 2, 0])
HITS = np.array([3, 3, 2, 2, 0])


def test_share_of_all_hits_and_blanks():
    kept, share = draw(VetoCurves(np.arange(5), KEPT, HITS, KEPT - HITS), 2).axes
    np.testing.assert_allclose(kept.lines[0].get_ydata(), KEPT / 6)
    np.testing.assert_allclose(kept.lines[1].get_ydata(), HITS / 3)
    np.testing.assert_allclose(kept.lines[2].get_ydata(), [1, 1 / 3, 1 / 3, 0, 0])
    assert [line.get_label() for line in kept.lines] == [
        "all frames (data kept)",
        "3 with a crystal",
        "3 blanks",
        "threshold 2",
    ]
    np.testing.assert_allclose(share.lines[0].get_ydata(), [0.5, 0.75, 2 / 3, 1, np.nan])
    np.testing.assert_allclose(share.lines[1].get_ydata(), [np.nan, 0, 1 / 3, 1 / 4, 0.5])
    np.testing.assert_allclose(share.lines[2].get_ydata(), 1 - KEPT / 6)


def test_without_truth_there_is_one_panel():
    (axes,) = draw(VetoCurves(np.arange(5), KEPT)).axes
    assert len(axes.lines) == 1


def test_many_peaks_make_the_axis_logarithmic():
    kept = np.arange(3000)[::-1]
    axes = draw(VetoCurves(np.arange(3000), kept), 20).axes[0]
    assert axes.get_xscale() == "symlog"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "5", "10", "30", "100", "300", "1000"]


def test_hits_alone_draw_no_curve_of_blanks():
    kept = draw(VetoCurves(np.arange(5), KEPT, KEPT, np.zeros(5, int))).axes[0]
    assert [line.get_label() for line in kept.lines] == ["all frames (data kept)", "6 with a crystal"]


def test_faults():
    with pytest.raises(DataError, match="no frames"):
        draw(VetoCurves(np.arange(1), np.zeros(1, int)))
    with pytest.raises(DataError, match="no frames"):
        draw(VetoCurves(np.arange(0), np.zeros(0, int)))
    with pytest.raises(DataError, match="not the kept frames"):
        draw(VetoCurves(np.arange(5), KEPT, HITS, HITS))
