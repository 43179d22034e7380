import numpy as np
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.geometry_files import read_geometry

TEXT = """
; two ASICs of a module beside each other, one more below
photon_energy = 9300 eV
clen = 85 mm
coffset = 0.001
res = 5000
adu_per_photon = 1
rigid_group_all = a0,a1,b0

a0/min_fs = 0
a0/max_fs = 3
a0/min_ss = 0
a0/max_ss = 2
a0/corner_x = 10
a0/corner_y = -4.5
a0/fs = -1.0x +0.0y
a0/ss = +0.1x -1.0y

a1/min_fs = 4
a1/max_fs = 7
a1/min_ss = 0
a1/max_ss = 2
a1/corner_x = 5
a1/corner_y = -4.5
a1/fs = -x
a1/ss = -y

b0/min_fs = 0
b0/max_fs = 3
b0/min_ss = 3
b0/max_ss = 5
b0/corner_x = 0
b0/corner_y = 20
b0/fs = +y
b0/ss = -x +0.5z
b0/clen = 0.1

bad_edge/min_fs = 4
bad_edge/max_fs = 4
bad_edge/min_ss = 0
bad_edge/max_ss = 2
bad_edge/panel = a1
badbeam/min_x = -3
badbeam/max_x = 0.1
badbeam/min_y = 19
badbeam/max_y = 22.1
"""


def read(tmp_path, text):
    path = tmp_path / "x.geom"
    path.write_text(text)
    return read_geometry(path)


def test_panels_are_placed_by_hand_worked_numbers(tmp_path):
    geometry = read(tmp_path, TEXT)
    assert geometry.detector.frame_shape == (6, 8)
    assert geometry.beam.wavelength_angstrom == pytest.approx(12398.42 / 9300, rel=1e-6)
    a0, _, b0 = geometry.detector.panels
    np.testing.assert_allclose(a0.corner_m, [2e-3, -0.9e-3, 0.086])
    np.testing.assert_allclose(a0.slow_step_m, [2e-5, -2e-4, 0])
    centre = geometry.detector.pixel_centres_m()[1 * 8 + 2]  # a0, slow 1, fast 2
    np.testing.assert_allclose(centre, [(10 - 2.5 + 0.15) * 2e-4, (-4.5 - 1.5) * 2e-4, 0.086])
    np.testing.assert_allclose(b0.slow_step_m, [-2e-4, 0, 1e-4])
    assert b0.corner_m[2] == pytest.approx(0.101)


def test_gaps_and_bad_regions_are_masked(tmp_path):
    masked = read(tmp_path, TEXT).detector.masked.reshape(6, 8)
    assert masked[3:, 4:].all()
    assert masked[:3, 4].all()
    assert not masked[:3, :4].any()
    assert not masked[:3, 5:].any()
    expected = np.zeros((3, 4), dtype=bool)
    expected[:, :2] = True  # b0: y = 20.5 and 21.5, x = -0.5 to -2.5
    np.testing.assert_array_equal(masked[3:, :4], expected)


def test_stacked_modules_lie_below_each_other(tmp_path):
    text = "wavelength = 1.3 A\nclen = 0.1\nres = 1000\n"
    for number in (0, 1):
        text += f"p{number}/dim0 = {number}\np{number}/dim1 = ss\np{number}/dim2 = fs\n"
        text += f"p{number}/min_fs = 0\np{number}/max_fs = 4\np{number}/min_ss = 0\np{number}/max_ss = 2\n"
        text += f"p{number}/corner_x = 0\np{number}/corner_y = {5 * number}\np{number}/fs = x\np{number}/ss = y\n"
    detector = read(tmp_path, text).detector
    assert detector.frame_shape == (6, 5)
    assert [panel.slow_start for panel in detector.panels] == [0, 3]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("clen = 85 mm", "clen = /LCLS/detector_1/EncoderValue", "is no number"),
        ("photon_energy = 9300 eV", "", "photon_energy"),
        ("clen = 85 mm", "clen = 85 inch", "no unit"),
        ("a0/fs = -1.0x +0.0y", "a0/fs = sideways", "no sum of x"),
        ("a1/min_fs = 4", "a1/min_fs = 0", "same pixels"),
        ("bad_edge/panel = a1", "bad_edge/panel = z9", "no panel"),
    ],
)
def test_faults_are_typed(tmp_path, old, new, message):
    assert old in TEXT
    with pytest.raises(InputFileError, match=message):
        read(tmp_path, TEXT.replace(old, new))


def test_a_file_without_panels_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="no panels"):
        read(tmp_path, "clen = 1")
