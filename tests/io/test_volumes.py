import gemmi
import h5py
import numpy as np
import pytest

from fewphoton.data import Crystal, IntensityVolume
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.volumes import read_ccp4_map, read_volume_file, write_ccp4_map, write_volume_file


def grid(seed: int, n: int = 24) -> IntensityVolume:
    rng = np.random.default_rng(seed)
    return IntensityVolume(rng.random((n, n, n)), rng.random((n, n, n)), 3)


@pytest.fixture
def path(tmp_path, cubic_crystal, provenance):
    target = tmp_path / "volume.h5"
    write_volume_file(target, grid(0), cubic_crystal, np.array([0.0, 1, 0]), provenance, (grid(1), grid(2)))
    return target


def test_round_trip(path, cubic_crystal):
    found = read_volume_file(path)
    np.testing.assert_array_equal(found.volume.values, grid(0).values)
    np.testing.assert_array_equal(found.volume.weight, grid(0).weight)
    assert found.volume.voxels_per_cell == 3
    assert found.crystal.cell == cubic_crystal.cell
    assert found.crystal.space_group == cubic_crystal.space_group
    np.testing.assert_array_equal(found.rotation_axis, [0, 1, 0])
    assert found.halves is not None
    np.testing.assert_array_equal(found.halves[1].values, grid(2).values)


def test_orientation_of_the_crystal_is_kept(tmp_path, provenance):
    turned = Crystal((5, 6, 7, 80, 95, 100), "P -1", np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    write_volume_file(tmp_path / "v.h5", grid(0), turned, np.array([0.0, 1, 0]), provenance)
    found = read_volume_file(tmp_path / "v.h5")
    np.testing.assert_array_equal(found.crystal.ub_matrix, turned.ub_matrix)
    assert found.halves is None


def test_halves_can_be_left_in_the_file(path):
    assert read_volume_file(path, with_halves=False).halves is None


def test_default_plot_is_found_by_nexus_rules(path):
    with h5py.File(path) as file:
        plot = file[file.attrs["default"]]
        plot = plot[plot.attrs["default"]]
        assert plot.attrs["NX_class"] == "NXdata"
        signal = plot[plot.attrs["signal"]]
        assert [plot[name].shape[0] for name in plot.attrs["axes"]] == list(signal.shape)
        np.testing.assert_allclose(plot["h"][12], 0.0)


def test_same_input_gives_same_bytes(path, tmp_path, cubic_crystal, provenance):
    again = tmp_path / "again.h5"
    write_volume_file(again, grid(0), cubic_crystal, np.array([0.0, 1, 0]), provenance, (grid(1), grid(2)))
    assert again.read_bytes() == path.read_bytes()


def test_truncated_file_is_refused(path):
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputFileError, match=r"volume\.h5"):
        read_volume_file(path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.attrs.__setitem__("fewphoton_kind", "photon_frames"), "not the kind of file"),
        (lambda file: file.__delitem__("entry/volume/weight"), "volume/weight"),
        (lambda file: file.__delitem__("entry"), "/entry"),
        (lambda file: file["entry/crystal"].attrs.__setitem__("space_group", "Q 1"), "unknown space group"),
        (lambda file: file["entry/volume"].attrs.__delitem__("voxels_per_cell"), "voxels_per_cell"),
        (lambda file: file["entry/crystal/u_matrix"].__setitem__((0, 0), 3.0), "proper rotation"),
    ],
)
def test_damage_is_named(path, damage, message):
    with h5py.File(path, "a") as file:
        damage(file)
    with pytest.raises(InputFileError, match=message):
        read_volume_file(path)


def test_grids_of_two_shapes_are_refused(path):
    with h5py.File(path, "a") as file:
        del file["entry/volume/weight"]
        file["entry/volume/weight"] = np.ones((24, 24, 23))
    with pytest.raises(InputFileError, match="wrong shape"):
        read_volume_file(path)


def test_ccp4_map_as_gemmi_sees_it(tmp_path):
    values = np.random.default_rng(0).normal(size=(5, 6, 7))
    cell = (10.0, 11.0, 12.0, 80.0, 95.0, 100.0)
    write_ccp4_map(tmp_path / "map.ccp4", values, cell)
    ccp4 = gemmi.read_ccp4_map(str(tmp_path / "map.ccp4"), setup=True)
    assert (ccp4.grid.nu, ccp4.grid.nv, ccp4.grid.nw) == (5, 6, 7)
    # A point on the second voxel along a and the third along c.
    assert ccp4.grid.interpolate_value(gemmi.Fractional(1 / 5, 0, 2 / 7)) == pytest.approx(values[1, 0, 2], rel=1e-4)
    np.testing.assert_allclose(ccp4.grid.unit_cell.parameters, cell, rtol=1e-6)
    found, found_cell = read_ccp4_map(tmp_path / "map.ccp4")
    np.testing.assert_array_equal(found, values.astype(np.float32))
    np.testing.assert_allclose(found_cell, cell, rtol=1e-6)


def test_ccp4_refuses_what_is_no_map(tmp_path):
    with pytest.raises(DataError, match="finite"):
        write_ccp4_map(tmp_path / "map.ccp4", np.full((3, 3, 3), np.nan), (1, 1, 1, 90, 90, 90))
    (tmp_path / "bad.ccp4").write_bytes(b"no map")
    with pytest.raises(InputFileError, match="CCP4"):
        read_ccp4_map(tmp_path / "bad.ccp4")
    with pytest.raises(InputFileError, match="CCP4"):
        read_ccp4_map(tmp_path / "missing.ccp4")


def test_a_map_of_impossible_size_is_refused(tmp_path):
    write_ccp4_map(tmp_path / "m.ccp4", np.zeros((6, 8, 10)), (5, 6, 7, 90, 90, 90))
    content = bytearray((tmp_path / "m.ccp4").read_bytes())
    content[:12] = 3 * (2**30).to_bytes(4, "little")
    (tmp_path / "m.ccp4").write_bytes(content)
    with pytest.raises(InputFileError, match=r"m\.ccp4: cannot be read as a CCP4 map"):
        read_ccp4_map(tmp_path / "m.ccp4")
