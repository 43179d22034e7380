import numpy as np
import pytest

from fewphoton.errors import DataError
from fewphoton.figures.ranked_patterns import RankedPatterns, RocCurve, around, draw


def sheet(n):
    image = np.random.default_rng(0).poisson(2.0, (n, 8, 8)).astype(float)
    label = np.arange(n) % 3 - 1
    return RankedPatterns(list(image), np.arange(n), np.linspace(1, 0, n), label)


def test_a_square_about_the_centre_is_cut_out():
    image = np.arange(30.0).reshape(5, 6)
    np.testing.assert_array_equal(around(image, (1.5, 2.5), 1), [[8, 9], [14, 15]])
    edge = around(image, (0.0, 5.0), 2)
    assert edge.shape == (4, 4)
    np.testing.assert_array_equal(edge[2:, :3], image[:2, 3:])
    assert np.isnan(edge[:2]).all()
    assert np.isnan(edge[:, 3]).all()
    assert np.isnan(around(image, (50.0, 50.0), 2)).all()


def test_patterns_are_framed_by_label_and_the_curve_has_its_area():
    curve = RocCurve(np.array([0, 0.2, 1.0]), np.array([0, 0.9, 1.0]), 0.91, 0.8, 0.97, 0.95)
    figure = draw(sheet(13), curve, ("single", "not single"))
    tiles = [axes for axes in figure.subfigs[0].axes if axes.images]
    assert len(tiles) == 13
    assert tiles[0].get_title() == "0: 1.00"
    assert len({tuple(axes.spines["left"].get_edgecolor()) for axes in tiles}) == 3
    texts = [
        text.get_text() for axes in figure.subfigs[1].axes if axes.get_legend() for text in axes.get_legend().texts
    ]
    assert any("area 0.91" in text and "0.80 to 0.97" in text for text in texts)


def test_no_pattern_is_refused_and_one_without_label_is_drawn():
    assert not draw(sheet(1), None).subfigs
    with pytest.raises(DataError, match="no hits"):
        draw(RankedPatterns([], np.zeros(0, int), np.zeros(0), np.zeros(0, int)), None)
