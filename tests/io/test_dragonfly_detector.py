import h5py
import numpy as np
import pytest

from fewphoton.data import Beam, Crystal, Detector, Panel
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import GeometryError
from fewphoton.io.dragonfly_detector import voxel_spacing, write_dragonfly_detector
from tests.conftest import flat_detector

CUBE = (200.0, 200.0, 200.0, 90, 90, 90)


def test_hand_worked_pixel(tmp_path):
    """A pixel 3 cm right and 4 cm up of the beam, 12 cm downstream: its ray has the length 13 cm."""
    corner = np.array([0.035, 0.045, 0.12])
    panel = Panel("p", 0, 0, 1, 1, corner, np.array([0, -0.01, 0]), np.array([-0.01, 0, 0]))
    beam = Beam(2.0, polarization_fraction=1.0)
    write_dragonfly_detector(tmp_path / "d.h5", Detector((1, 1), (panel,)), beam, 0.005)
    with h5py.File(tmp_path / "d.h5") as file:
        found = {name: item[()] for name, item in file.items()}
    assert set(found) == {"qx", "qy", "qz", "corr", "mask", "detd", "ewald_rad"}
    # Dividing by the wavelength and by the voxel: 1 / (2 * 0.005) = 100.
    assert found["qx"] == pytest.approx([100 * 3 / 13])
    assert found["qy"] == pytest.approx([100 * 4 / 13])
    assert found["qz"] == pytest.approx([100 * (12 / 13 - 1)])
    assert found["corr"] == pytest.approx([1e-4 * 0.12 / 0.13**3 * (1 - (3 / 13) ** 2)])
    assert found["ewald_rad"] == pytest.approx(100)
    assert found["detd"] == pytest.approx(12)
    assert (found["mask"].dtype, found["mask"].tolist()) == (np.uint8, [0])


def test_masked_pixels_and_gaps_are_not_used(tmp_path, beam):
    first = flat_detector(4, 6)
    masked = np.zeros(24, bool)
    masked[[0, 7]] = True
    wide = Detector((5, 6), first.panels, np.concatenate([masked, np.zeros(6, bool)]))
    write_dragonfly_detector(tmp_path / "d.h5", wide, beam, 0.01)
    with h5py.File(tmp_path / "d.h5") as file:
        assert np.flatnonzero(file["mask"][()]).tolist() == [0, 7, *range(24, 30)]
        assert set(file["mask"][()]) == {0, 2}
        values = np.stack([file[name][()] for name in ("qx", "qy", "qz", "corr")])
    assert values.shape == (4, 30)
    assert np.isfinite(values).all()
    assert (values[:3, 24:] == 0).all()
    assert values[3].min() > 0


def test_spacing_is_that_of_the_box():
    assert voxel_spacing(Crystal(CUBE, "P 1"), 1) == pytest.approx(1 / 200)
    assert voxel_spacing(Crystal(CUBE, "P 1"), 4) == pytest.approx(1 / 800)


@pytest.mark.parametrize(
    "crystal",
    [
        Crystal((200.0, 200.0, 190.0, 90, 90, 90), "P 1"),
        Crystal((200.0, 200.0, 200.0, 90, 90, 100), "P 1"),
        Crystal(CUBE, "P 1", rotation_about_axis([0, 0, 1], 3.0)),
    ],
    ids=["tetragonal", "monoclinic", "turned"],
)
def test_other_grids_are_refused(crystal):
    with pytest.raises(GeometryError, match="voxels that are cubes"):
        voxel_spacing(crystal, 1)
