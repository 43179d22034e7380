import math

import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures import convergence


def log(n, beta=1.0):
    return [
        {
            "iteration": str(i),
            "change": str(0.5**i),
            "mutual_information_nat": str(3.0 - 3.0 / i),
            "beta": str(min(1.0, beta * i)),
        }
        for i in range(1, n + 1)
    ]


def labelled(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_lines_hold_the_logs():
    figure = convergence.draw([log(5), log(8)], ["sparse", "rich"])
    above, below = figure.axes
    assert above.get_yscale() == "log"
    lines = labelled(above)
    assert list(lines) == ["sparse", "rich"]
    np.testing.assert_allclose(lines["rich"].get_xdata(), np.arange(1, 9))
    np.testing.assert_allclose(lines["rich"].get_ydata(), 0.5 ** np.arange(1, 9))
    np.testing.assert_allclose(labelled(below)["sparse"].get_ydata(), 3 - 3 / np.arange(1, 6))


def test_information_is_limited_by_the_number_of_orientations():
    figure = convergence.draw([log(4)], ["a"], [100])
    levels = [line.get_ydata()[0] for line in figure.axes[1].lines if len(set(line.get_ydata())) == 1]
    assert levels == [pytest.approx(math.log(100))]
    assert figure.axes[1].texts[0].get_text().startswith("ln 100")
    assert not convergence.draw([log(4)], ["a"], [None]).axes[1].texts[:0:-1]


def test_end_of_annealing_is_marked_once_it_is_there():
    figure = convergence.draw([log(6, beta=0.3)], ["a"])
    dots = [line for line in figure.axes[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [float(dot.get_xdata()[0]) for dot in dots] == [4.0]  # 0.3 * 4 is the first above 1
    assert "β reaches 1" in labelled(figure.axes[0])
    assert "β reaches 1" not in labelled(convergence.draw([log(6)], ["a"]).axes[0])


def test_change_of_zero_does_not_break_the_logarithm():
    rows = log(3)
    rows[2]["change"] = "0.0"
    line = labelled(convergence.draw([rows], ["a"]).axes[0])["a"]
    np.testing.assert_array_equal(np.isnan(line.get_ydata()), [False, False, True])


@pytest.mark.parametrize(
    ("tables", "labels"), [([], []), ([log(2)], []), ([[]], ["a"]), ([[{"iteration": "1"}]], ["a"])]
)
def test_faults(tables, labels):
    with pytest.raises(DataError):
        convergence.draw(tables, labels)
