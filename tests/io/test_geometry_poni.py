"""pyFAI itself is the judge: pixel positions and angles of random .poni files."""

import re

import numpy as np
import pytest
from pyFAI.detectors import Detector as PyfaiDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from fewphoton.data.detector import q_vectors
from fewphoton.errors import InputFileError
from fewphoton.io.geometry_files import read_geometry

SHAPE = (17, 23)


def integrator(seed, orientation):
    rng = np.random.default_rng(seed)
    detector = PyfaiDetector(1.3e-3, 0.9e-3, max_shape=SHAPE, orientation=orientation)
    turns = rng.uniform(-0.4, 0.4, 3)
    poni = rng.uniform(0, 0.02, 2)
    return AzimuthalIntegrator(0.08, *poni, *turns, detector=detector, wavelength=0.7e-10)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", [0, 1])
def test_positions_and_angles_are_pyfais(tmp_path, seed, orientation):
    theirs = integrator(seed, orientation)
    path = tmp_path / "x.poni"
    theirs.save(str(path))
    ours = read_geometry(path)
    z, y, x = theirs.calc_pos_zyx(corners=False)
    centres = ours.detector.pixel_centres_m().reshape(*SHAPE, 3)
    np.testing.assert_allclose(centres[..., 2], z, atol=2e-8)
    np.testing.assert_allclose(centres[..., 1], y, atol=2e-8)
    np.testing.assert_allclose(centres[..., 0], -x, atol=2e-8)
    length = np.linalg.norm(q_vectors(ours.detector, ours.beam), axis=1).reshape(SHAPE)
    np.testing.assert_allclose(length, theirs.qArray(SHAPE) / (20 * np.pi), rtol=1e-6)


def test_the_default_image_is_seen_from_the_sample(tmp_path):
    """pyFAI documents orientation 3: origin at the bottom left when looking from the sample (+x is to the left)."""
    theirs = AzimuthalIntegrator(0.1, 0, 0, detector=PyfaiDetector(1e-3, 1e-3, max_shape=(4, 4)), wavelength=1e-10)
    theirs.save(str(tmp_path / "x.poni"))
    (panel,) = read_geometry(tmp_path / "x.poni").detector.panels
    np.testing.assert_allclose(panel.slow_step_m, [0, 1e-3, 0], atol=1e-15)
    np.testing.assert_allclose(panel.fast_step_m, [-1e-3, 0, 0], atol=1e-15)


def test_version_1_files_need_the_frame_shape(tmp_path):
    path = tmp_path / "old.poni"
    lines = ["PixelSize1: 1e-3", "PixelSize2: 2e-3", "Distance: 0.1", "Poni1: 0.002", "Poni2: 0.004"]
    lines += ["Rot1: 0", "Rot2: 0", "Rot3: 0", "Wavelength: 1e-10"]
    path.write_text("\n".join(lines))
    (panel,) = read_geometry(path, (4, 4)).detector.panels
    np.testing.assert_allclose(panel.corner_m, [0.004, -0.002, 0.1])
    with pytest.raises(InputFileError, match="max_shape"):
        read_geometry(path)


def saved_by_name(integrator, folder):
    """Save without pixel sizes, as pyFAI did before version 2.1 of the format."""
    path = folder / "named.poni"
    integrator.save(str(path))
    path.write_text(re.sub(r'"pixel[12]": [^,]+, ', "", path.read_text()))
    assert "pixel" not in path.read_text()
    return path


@pytest.mark.parametrize("name", ["Pilatus1M", "Eiger2CdTe_500k", "Jungfrau1M"])
def test_detectors_told_by_their_names_are_pyfais(tmp_path, name):
    theirs = AzimuthalIntegrator(0.1, 0.02, 0.03, 0.1, 0.2, 0.3, detector=name, wavelength=1e-10)
    ours = read_geometry(saved_by_name(theirs, tmp_path)).detector
    assert ours.frame_shape == theirs.detector.max_shape
    z, y, x = theirs.calc_pos_zyx(corners=False)
    centres = ours.pixel_centres_m().reshape(*ours.frame_shape, 3)
    np.testing.assert_allclose(centres, np.stack([-x, y, z], axis=-1), atol=1e-7)


def test_a_detector_that_is_not_known_by_name_is_refused(tmp_path):
    path = saved_by_name(AzimuthalIntegrator(0.1, 0, 0, detector="Titan", wavelength=1e-10), tmp_path)
    with pytest.raises(InputFileError, match=r"\(Titan\) without pixel size.*Save it with pyFAI as a generic Detector"):
        read_geometry(path, (2048, 2048))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Distance: 0.1", "no Poni1"),
        ("nonsense", "fields are missing"),
        (
            "\n".join(f"{n}: x" for n in ("Distance", "Poni1", "Poni2", "Rot1", "Rot2", "Rot3", "Wavelength")),
            "cannot be read",
        ),
    ],
)
def test_faults_are_typed(tmp_path, text, message):
    (tmp_path / "bad.poni").write_text(text)
    with pytest.raises(InputFileError, match=message):
        read_geometry(tmp_path / "bad.poni", (4, 4))
