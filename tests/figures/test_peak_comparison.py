import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data import Detector, Panel
from fewphoton.errors import DataError
from fewphoton.figures.detector_view import DetectorView
from fewphoton.figures.peak_comparison import FramePeakList, confirmed, count_by_shell, draw, near_any
from tests.conftest import flat_detector


def peaks(points, label="rings", q=None, panel=0):
    points = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    q = np.linspace(0.05, 0.1, len(points)) if q is None else np.asarray(q)
    return FramePeakList(label, points[:, 0], points[:, 1], np.full(len(points), panel), q)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.1, 20), st.integers(0, 99))
def test_nearness_is_that_of_all_pairs(n, m, tolerance, seed):
    rng = np.random.default_rng(seed)
    points, others = rng.uniform(0, 50, (n, 2)), rng.uniform(0, 50, (m, 2))
    distance = np.linalg.norm(points[:, None] - others[None], axis=2)
    np.testing.assert_array_equal(near_any(points, others, tolerance), (distance <= tolerance).any(axis=1))


def test_the_tolerance_itself_is_near():
    assert near_any(np.array([[0.0, 0.0]]), np.array([[2.0, 0.0]]), 2.0).all()


def test_peaks_are_confirmed_by_predictions_or_by_another_finder():
    a, b = peaks([[1, 1], [5, 5], [9, 9]]), peaks([[5.5, 5], [0, 9]], "other")
    assert [good.tolist() for good in confirmed([a, b], None, 2.0)] == [[False, True, False], [True, False]]
    predicted = peaks([[1, 2], [0, 8]], "predicted")
    assert [good.tolist() for good in confirmed([a, b], predicted, 2.0)] == [[True, False, False], [False, True]]
    assert not confirmed([a], None, 2.0)[0].any()


def test_shells_are_counted_by_resolution():
    a = peaks([[1, 1], [5, 5], [9, 9]], q=[0.01, 0.05, 0.06])
    b = peaks([[5, 5]], "other", q=[0.05])
    edges, (first, second) = count_by_shell([a, b], None, 0.02, 1.0)
    np.testing.assert_allclose(edges, [0, 0.02, 0.04, 0.06, 0.08])
    assert first.n_peaks.tolist() == [1, 0, 1, 1]
    assert first.n_confirmed.tolist() == [0, 0, 1, 0]
    assert second.n_peaks.tolist() == [0, 0, 1, 0]


def test_rings_lie_on_their_pixels():
    corner = np.array([4e-3, 2e-3, 0.05])
    first = Panel("a", 0, 0, 4, 4, corner, np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0]))
    second = Panel("b", 0, 4, 4, 4, np.array([-1e-3, -2e-3, 0.05]), np.array([-1e-3, 0, 0]), np.array([0, 1e-3, 0]))
    detector = Detector((4, 8), (first, second))
    one = FramePeakList("a", np.array([2.0, 3.0]), np.array([1.0, 6.0]), np.array([0, 1]), np.ones(2))
    centres = detector.pixel_centres_m().reshape(4, 8, 3)
    np.testing.assert_allclose(one.places_m(detector), [centres[2, 1], centres[3, 6]], atol=1e-12)
    whole = draw(np.ones(32), detector, [one]).axes[0]
    expected = DetectorView.from_sample(detector).place_mm(one.places_m(detector))
    np.testing.assert_allclose(whole.collections[0].get_offsets(), expected)


def test_zoom_shows_the_densest_part_and_carries_only_its_pixels():
    detector = flat_detector(100, 90)
    rng = np.random.default_rng(0)
    points = np.vstack([rng.uniform(62, 70, (30, 2)), rng.uniform(0, 89, (10, 2))])
    values = rng.poisson(3, detector.n_pixels).astype(float)
    zoom = draw(values, detector, [peaks(points)], peaks([[66, 66]], "predicted")).axes[1]
    place = DetectorView.from_sample(detector).place_mm(peaks(points[:30]).places_m(detector))
    inside = (place > [zoom.get_xlim()[0], zoom.get_ylim()[0]]) & (place < [zoom.get_xlim()[1], zoom.get_ylim()[1]])
    assert inside.all(axis=1).sum() >= 25
    (image,) = zoom.images
    assert image.get_array().size < 0.1 * detector.n_pixels
    # The cut image shows the same pixels at the same places as the whole frame.
    to_mm = image.get_transform() - zoom.transData
    left, bottom = (sum(zoom.get_xlim()) / 2, sum(zoom.get_ylim()) / 2)
    fast, slow = np.floor(to_mm.inverted().transform((left, bottom))).astype(int)
    centre = to_mm.transform((fast + 0.5, slow + 0.5)) / 1e3
    pixel = np.argmin(((detector.pixel_centres_m()[:, :2] * [-1, 1] - centre) ** 2).sum(axis=1))
    assert image.get_array()[slow, fast] == values[pixel]


def test_legend_tells_the_share_that_is_confirmed():
    detector = flat_detector(60, 60)
    a, b = peaks([[5, 5], [30, 30], [40, 5], [50, 50]]), peaks([[5, 6]], "other")
    shells = draw(np.ones(3600), detector, [a, b]).axes[2]
    words = [text.get_text() for text in shells.get_legend().get_texts()]
    assert words == ["rings", "also by another: 25 %", "other", "also by another: 100 %"]
    shells = draw(np.ones(3600), detector, [a], b).axes[2]
    assert [text.get_text() for text in shells.get_legend().get_texts()] == ["rings", "predicted: 25 %"]
    alone = draw(np.ones(3600), detector, [a]).axes[2]
    assert [text.get_text() for text in alone.get_legend().get_texts()] == ["rings"]


def test_a_finder_may_find_nothing():
    figure = draw(np.ones(3600), flat_detector(60, 60), [peaks([[5, 5]]), peaks([], "other")])
    assert len(figure.axes[2].lines) == 4


@pytest.mark.parametrize(
    ("lists", "word"),
    [([], "found 0"), ([peaks([[1, 1]])] * 4, "found 4"), ([peaks([]), peaks([], "b")], "no finder found")],
)
def test_faults(lists, word):
    with pytest.raises(DataError, match=word):
        draw(np.ones(120), flat_detector(), lists)
