import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures.pick_share import MeasuredShare, draw, normal_share


def test_shares_of_the_paper():
    np.testing.assert_allclose(normal_share([1, 2, 3]), [0.158655, 0.0227501, 0.0013499], rtol=1e-5)


def test_marked_shares_are_written_beside_the_bell():
    bell = draw().axes[0]
    assert [text.get_text().splitlines()[-1] for text in bell.texts if "above" in text.get_text()] == [
        "16 %",
        "2.3 %",
        "0.13 %",
    ]


def test_points_are_sorted_by_cutoff_and_the_axis_holds_them():
    share = draw([MeasuredShare("a", np.array([4.0, 1.0]), np.array([1e-6, 0.3]))]).axes[1]
    assert share.get_yscale() == "log"
    np.testing.assert_allclose(share.lines[2].get_data(), [[1, 4], [0.3, 1e-6]])
    assert share.get_xlim()[1] > 4
    assert share.get_ylim()[0] < 1e-6


def test_right_axis_is_the_compression_of_index_and_value():
    share = draw().axes[1]
    (beside,) = share.child_axes
    share.figure.canvas.draw()
    np.testing.assert_allclose(sorted(beside.get_ylim()), sorted(0.5 / np.array(share.get_ylim())))
    assert 0.5 / normal_share(2.0) == pytest.approx(22, abs=0.05)  # the paper's largest compression at 2 sigma


@pytest.mark.parametrize(
    ("cutoff", "kept", "word"),
    [
        ([1.0, 2.0], [0.1], "every cut-off"),
        ([], [], "every cut-off"),
        ([1.0], [1.5], "within 0 and 1"),
        ([1.0], [np.nan], "within 0 and 1"),
        ([np.inf], [0.1], "finite"),
    ],
)
def test_faults(cutoff, kept, word):
    with pytest.raises(DataError, match=word):
        draw([MeasuredShare("a", np.array(cutoff), np.array(kept))])
