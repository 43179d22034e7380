import re

import numpy as np
import pytest
from scipy import constants

from fewphoton.data import Beam, Detector, Panel, PeakTable
from fewphoton.data.detector import q_vectors
from fewphoton.errors import DataError
from fewphoton.io.crystfel_peak_list import (
    crystfel_geometry,
    crystfel_panel_names,
    peak_panels_and_q,
    write_crystfel_peak_list,
)
from fewphoton.io.geometry_files import read_geometry
from tests.conftest import flat_detector
from tests.io.test_dense_frames import tiled_detector


def table(frame, slow, fast, intensity=None):
    n_peaks = len(frame)
    intensity = 10.0 + np.arange(n_peaks) if intensity is None else intensity
    return PeakTable(frame, slow, fast, intensity, np.ones(n_peaks), np.full(n_peaks, 3), np.zeros(n_peaks, bool))


def parse(text):
    """Read a stream as CrystFEL does: marker lines, and five words a peak after the line of titles."""
    lines = text.splitlines()
    assert lines[0] == "CrystFEL stream format 2.3"
    begin, end = lines.index("----- Begin geometry file -----"), lines.index("----- End geometry file -----")
    chunks = []
    reading = False
    for line in lines[end + 1 :]:
        if line == "----- Begin chunk -----":
            chunks.append({"peaks": []})
        elif line == "Peaks from peak search":
            reading, titles = True, True
        elif line == "End of peak list":
            reading = False
        elif reading and titles:
            assert line == "  fs/px   ss/px (1/d)/nm^-1   Intensity  Panel"
            titles = False
        elif reading:
            words = line.split()
            assert len(words) == 5
            chunks[-1]["peaks"].append((*map(float, words[:4]), words[4]))
        elif chunks and (match := re.match(r"(.+?)(?: = |: )(.*)", line)):
            chunks[-1][match[1]] = match[2]
    return "\n".join(lines[begin + 1 : end]) + "\n", chunks


def test_positions_and_resolution_of_a_hand_worked_peak(tmp_path, provenance):
    """Pixels of 1 mm, 100 mm away: a peak 75 mm off the beam is scattered by atan(0.75)."""
    detector = flat_detector(200, 100, 1e-3, 0.1)
    peaks = table([1], [99.5 - 75.0], [49.5], [123.456])
    write_crystfel_peak_list(
        tmp_path / "x.stream", peaks, 2, detector, Beam(1.5), provenance, "a b.h5::/entry/data/data"
    )
    geometry, (first, second) = parse((tmp_path / "x.stream").read_text())
    assert first["peaks"] == []
    assert (first["hit"], second["hit"], second["num_peaks"]) == ("0", "1", "1")
    inverse_nm = 10 * 2 * np.sin(np.arctan(0.75) / 2) / 1.5
    assert second["peaks"] == [(50.0, 25.0, pytest.approx(inverse_nm, abs=0.005), 123.46, "p0")]
    assert (second["Image filename"], second["Event"]) == ("a b.h5", "//1")
    assert "data = /entry/data/data\n" in geometry
    energy = constants.h * constants.c / constants.e * 1e10 / 1.5
    assert float(second["photon_energy_eV"]) == pytest.approx(energy)
    assert second["average_camera_length"] == "0.100000 m"


def test_geometry_reads_back(tmp_path):
    detector = tiled_detector()
    (tmp_path / "x.geom").write_text(crystfel_geometry(detector, Beam(0.9)))
    geometry = read_geometry(tmp_path / "x.geom")
    np.testing.assert_allclose(geometry.detector.pixel_centres_m()[: 26 * 14], detector.pixel_centres_m(), atol=1e-9)
    assert geometry.beam.wavelength_angstrom == pytest.approx(0.9, rel=1e-8)
    assert [panel.name for panel in geometry.detector.panels] == [panel.name for panel in detector.panels]


@pytest.mark.real_data
def test_resolution_agrees_with_crystfel(tmp_path, data_dir):
    """1/d of every peak that CrystFEL found in real frames, from the geometry in its own stream.

    CrystFEL rounds to 0.01 and moved the detector by up to 0.08 mm in refinement, which changes 1/d by up to 0.004.
    """
    geometry_text, chunks = parse((data_dir / "hewl" / "pal_lysozyme_crystfel.stream").read_text())
    (tmp_path / "x.geom").write_text(geometry_text)
    geometry = read_geometry(tmp_path / "x.geom")
    rows = [(number, *peak) for number, chunk in enumerate(chunks) for peak in chunk["peaks"]]
    frame, fast, slow, inverse_nm, _, names = map(np.array, zip(*rows, strict=True))
    peaks = table(frame, slow - 0.5, fast - 0.5)
    panel, q_inv_angstrom = peak_panels_and_q(peaks, geometry.detector, geometry.beam)
    assert len(peaks) > 50
    np.testing.assert_allclose(10 * q_inv_angstrom, inverse_nm, atol=0.005 + 0.004)
    assert [geometry.detector.panels[n].name for n in panel] == names.tolist()


def test_q_of_pixel_centres_is_that_of_the_detector():
    detector, beam = tiled_detector(), Beam(1.1, direction=np.array([0.02, 0, 1]))
    pixels = np.flatnonzero(detector.panel_numbers() >= 0)
    slow, fast = np.divmod(pixels, detector.frame_shape[1])
    panel, q_inv_angstrom = peak_panels_and_q(table(np.zeros(len(pixels), int), slow, fast), detector, beam)
    np.testing.assert_array_equal(panel, detector.panel_numbers()[pixels])
    np.testing.assert_allclose(q_inv_angstrom, np.linalg.norm(q_vectors(detector, beam)[pixels], axis=1), rtol=1e-9)


def test_peaks_in_gaps_belong_to_the_nearest_panel():
    """Rows 5 and 6 and column 4 are gaps of the tiled detector."""
    peaks = table([0, 0, 0], [5.2, 5.9, 2.0], [1.0, 1.0, 4.1])
    panel, q_inv_angstrom = peak_panels_and_q(peaks, tiled_detector(), Beam(1.0))
    assert panel.tolist() == [0, 3, 1]
    assert np.isfinite(q_inv_angstrom).all()


@pytest.mark.parametrize("place", [(-0.6, 3), (12.6, 3), (3, np.nan), (3, 9.6)])
def test_peaks_outside_the_frame_are_refused(place, tmp_path, detector, beam, provenance):
    with pytest.raises(DataError, match="outside the frame"):
        write_crystfel_peak_list(
            tmp_path / "x.stream", table([0], [place[0]], [place[1]]), 1, detector, beam, provenance, "a.h5"
        )
    assert list(tmp_path.iterdir()) == []


def test_files_of_one_frame(tmp_path, detector, beam, provenance):
    peaks = table([0, 2, 2], [1, 2, 3], [3, 2, 1])
    names = ["a.cbf", "b.cbf", "c.cbf"]
    write_crystfel_peak_list(tmp_path / "x.stream", peaks, 3, detector, beam, provenance, names)
    geometry, chunks = parse((tmp_path / "x.stream").read_text())
    assert [(chunk["Image filename"], chunk["Event"]) for chunk in chunks] == [(name, "//") for name in names]
    assert [len(chunk["peaks"]) for chunk in chunks] == [1, 0, 2]
    assert "dim0" not in geometry
    for wrong, n_frames in ((names[:2], 3), (names, 2)):
        with pytest.raises(DataError):
            write_crystfel_peak_list(tmp_path / "y.stream", peaks, n_frames, detector, beam, provenance, wrong)


def test_no_peaks_at_all(tmp_path, detector, beam, provenance):
    write_crystfel_peak_list(tmp_path / "x.stream", table([], [], []), 2, detector, beam, provenance, "a.h5")
    assert [chunk["num_peaks"] for chunk in parse((tmp_path / "x.stream").read_text())[1]] == ["0", "0"]


def test_names_that_crystfel_cannot_take_are_replaced():
    step = np.array([0, -1.0, 0]), np.array([-1.0, 0, 0])

    def named(*names):
        panels = [Panel(name, 0, 2 * i, 1, 1, np.array([0, 0, 1.0]), *step) for i, name in enumerate(names)]
        return crystfel_panel_names(Detector((1, 2 * len(names)), tuple(panels)))

    assert named("q0a1", "asic_7") == ["q0a1", "asic_7"]
    for names in (("bad_one", "b"), ("a/b", "c"), ("group1", "c"), ("a", "a"), ("0", "1"), ("mask0", "x")):
        assert named(*names) == ["p0", "p1"]
