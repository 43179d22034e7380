"""pyFAI itself is the judge: pixel positions and angles of random .poni files."""

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
