import matplotlib
import pytest

from fewphoton.errors import OutputFileError
from fewphoton.figures import style


@style.applied()
def small_figure():
    figure = style.new_figure(40, 30)
    figure.add_subplot().plot([0, 1], [1, 0], label="a")
    return figure


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_same_figure_gives_same_bytes(tmp_path, suffix):
    for name in ("one", "two"):
        style.save(small_figure(), tmp_path / f"{name}{suffix}")
    one, two = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert len(one) > 500


def test_no_date_is_written(tmp_path):
    style.save(small_figure(), tmp_path / "a.svg")
    style.save(small_figure(), tmp_path / "a.pdf")
    assert "<dc:date>" not in (tmp_path / "a.svg").read_text()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()


def test_png_has_200_dots_per_inch(tmp_path):
    style.save(small_figure(), tmp_path / "a.png")
    pixels = matplotlib.image.imread(tmp_path / "a.png")
    assert pixels.shape[:2] == (int(30 / 25.4 * 200), int(40 / 25.4 * 200))


@pytest.mark.parametrize("name", ["a.jpg", "a"])
def test_unknown_suffix_is_refused(tmp_path, name):
    with pytest.raises(OutputFileError, match="no kind of figure file"):
        style.save(small_figure(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_settings_end_with_the_block():
    before = dict(matplotlib.rcParams)
    with style.applied():
        assert matplotlib.rcParams["font.size"] == 8.0
    assert dict(matplotlib.rcParams) == before


def test_photon_colours_run_from_white_to_dark_without_turning_back():
    red, green, blue, _ = style.PHOTONS(range(256)).T
    assert tuple(style.PHOTONS(0)) == (1.0, 1.0, 1.0, 1.0)
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    assert (luminance[1:] - luminance[:-1]).max() < 1e-3
