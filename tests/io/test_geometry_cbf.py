import bz2

import numpy as np
import pytest

from fewphoton.errors import InputFileError
from fewphoton.io.geometry_files import read_geometry


@pytest.mark.real_data
def test_thaumatin_header_gives_the_published_beam(data_dir):
    geometry = read_geometry(data_dir / "thaumatin_grid_i24" / "thau_3_2_0001.cbf.bz2")
    (panel,) = geometry.detector.panels
    assert geometry.detector.frame_shape == (2527, 2463)
    assert geometry.beam.wavelength_angstrom == pytest.approx(0.96859, abs=1e-4)
    np.testing.assert_allclose(panel.corner_m, [1261.61 * 172e-6, 1306.96 * 172e-6, 0.351], atol=2e-4)
    np.testing.assert_allclose(panel.slow_step_m, [0, -172e-6, 0])
    np.testing.assert_allclose(panel.fast_step_m, [-172e-6, 0, 0])


def test_a_file_that_is_no_cbf_is_refused(tmp_path):
    (tmp_path / "x.cbf").write_bytes(b"not an image")
    with pytest.raises(InputFileError, match="FabIO"):
        read_geometry(tmp_path / "x.cbf")


@pytest.mark.real_data
def test_a_header_without_distance_is_refused(data_dir, tmp_path):
    content = bz2.decompress((data_dir / "thaumatin_grid_i24" / "thau_3_2_0019.cbf.bz2").read_bytes())
    (tmp_path / "x.cbf").write_bytes(content.replace(b"Detector_distance", b"Detector_nowhere!"))
    with pytest.raises(InputFileError, match="Detector_distance"):
        read_geometry(tmp_path / "x.cbf")
