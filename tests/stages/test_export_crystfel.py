"""What CrystFEL gets: peaks beside linked frames, a geometry that names them, and a list of files."""

import numpy as np
import pytest

from fewphoton.config import ExportCrystfelConfig
from fewphoton.data import PeakTable
from fewphoton.errors import InputFileError
from fewphoton.io.cxi_peaks import write_cxi_peaks
from fewphoton.io.geometry_crystfel import read_crystfel_geometry
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.stages.contract import Context
from fewphoton.stages.export_crystfel import Inputs, Outputs, run

QUIET = Context(1, None, False)


def test_geometry_and_list_fit_the_peaks(tmp_path, detector, beam, provenance):
    peaks = PeakTable(np.array([1]), *np.ones((4, 1)), np.array([3]), np.array([False]))
    write_cxi_peaks(tmp_path / "p.cxi", peaks, 2, detector, beam, provenance)
    write_geometry_yaml(tmp_path / "g.yaml", detector, beam)
    outputs = Outputs(tmp_path / "d.geom", tmp_path / "files.lst")
    run(Inputs(tmp_path / "p.cxi", tmp_path / "g.yaml"), outputs, ExportCrystfelConfig(), QUIET)
    assert (tmp_path / "files.lst").read_text() == f"{tmp_path / 'p.cxi'}\n"
    text = (tmp_path / "d.geom").read_text()
    assert "data = /entry_1/data_1/data" in text
    assert "peak_list = /entry_1/result_1" in text
    again = read_crystfel_geometry(tmp_path / "d.geom")
    np.testing.assert_allclose(again.detector.pixel_centres_m(), detector.pixel_centres_m(), atol=1e-9)


def test_other_files_are_no_peaks(tmp_path, detector, beam):
    write_geometry_yaml(tmp_path / "g.yaml", detector, beam)
    with pytest.raises(InputFileError, match=r"g\.yaml"):
        run(
            Inputs(tmp_path / "g.yaml", tmp_path / "g.yaml"),
            Outputs(tmp_path / "d.geom", tmp_path / "l"),
            ExportCrystfelConfig(),
            QUIET,
        )
