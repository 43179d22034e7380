import csv
import gzip
import json
from copy import deepcopy

import numpy as np
import pytest

from fewphoton.data.detector import q_vectors
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import InputFileError
from fewphoton.io.dials_experiments import read_dials_experiments

CELL = np.diag([10.0, 20.0, 30.0])
LIST = {
    "__id__": "ExperimentList",
    "experiment": [
        {"__id__": "Experiment", "beam": 0, "detector": 0, "goniometer": 0, "scan": 0, "crystal": 0, "imageset": 0}
    ],
    "imageset": [{"__id__": "ImageSequence", "template": "x_####.cbf"}],
    "beam": [
        {
            "direction": [0.0, 0.0, 1.0],
            "wavelength": 1.0,
            "polarization_normal": [0.0, 1.0, 0.0],
            "polarization_fraction": 0.9,
        }
    ],
    "detector": [
        {
            "panels": [
                {
                    "name": "Panel",
                    "fast_axis": [1.0, 0.0, 0.0],
                    "slow_axis": [0.0, -1.0, 0.0],
                    "origin": [-5.0, 4.0, -100.0],
                    "image_size": [10, 8],
                    "pixel_size": [1.0, 1.0],
                    "trusted_range": [-1.0, 65000.0],
                    "thickness": 0.32,
                    "mu": 1.5,
                    "mask": [[2, 3, 4, 5]],
                    "px_mm_strategy": {"type": "SimplePxMmStrategy"},
                }
            ]
        }
    ],
    "goniometer": [
        {"axes": [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], "angles": [90.0, 77.0, 90.0], "scan_axis": 1}
    ],
    "scan": [{"image_range": [3, 5], "oscillation": [10.0, 0.5]}],
    "crystal": [
        {
            "real_space_a": CELL[0].tolist(),
            "real_space_b": CELL[1].tolist(),
            "real_space_c": CELL[2].tolist(),
            "space_group_hall_symbol": " P 2ac 2ab",
        }
    ],
    "profile": [],
    "scaling_model": [],
}


@pytest.fixture
def content():
    return deepcopy(LIST)


@pytest.fixture
def read(tmp_path):
    def write_and_read(content):
        path = tmp_path / "x.expt"
        path.write_text(json.dumps(content))
        return read_dials_experiments(path)

    return write_and_read


def test_by_hand(content, read):
    (item,) = read(content)
    assert item.template == "x_####.cbf"
    assert (item.first_image, item.n_images, item.omega_start_deg, item.omega_step_deg) == (3, 3, 10.0, 0.5)
    assert item.crystal.cell == pytest.approx((10, 20, 30, 90, 90, 90))
    assert item.crystal.space_group == "P 21 21 21"
    assert item.largest_trusted == 65000
    assert item.mosaicity_deg is None
    assert item.sensor_thickness_m.tolist() == [0.0]  # no parallax correction is asked for
    np.testing.assert_allclose(item.beam.direction, [0, 0, 1], atol=1e-15)
    assert abs(item.beam.polarization_axis[0]) == pytest.approx(1)
    panel = item.detector.panels[0]
    # Half a turn about y: seen along the beam, imgCIF's x becomes -x; distances stay, the detector lies downstream.
    np.testing.assert_allclose(panel.corner_m, [0.005, 0.004, 0.1])
    np.testing.assert_allclose(panel.fast_step_m, [-0.001, 0, 0], atol=1e-18)
    np.testing.assert_allclose(panel.slow_step_m, [0, -0.001, 0], atol=1e-18)
    masked = item.detector.masked.reshape(8, 10)
    assert masked.sum() == 4
    assert masked[3:5, 2:4].all()


def test_goniometer_by_hand(content, read):
    """Fixed: 90 deg about z takes a* from x to y; setting: 90 deg about y takes it on to y, and the axis x to -z.

    The turn into the laboratory then takes y to y and -z to z. The angle of the scan axis itself plays no part.
    """
    (item,) = read(content)
    np.testing.assert_allclose(item.rotation_axis, [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(item.ub_inv_angstrom[0, :, 0], [0, 0.1, 0], atol=1e-12)


def test_two_forms_of_the_goniometer_agree(content, read):
    (item,) = read(content)
    setting, fixed = rotation_about_axis([0, 1, 0], 90), rotation_about_axis([0, 0, 1], 90)
    content["goniometer"] = [
        {
            "rotation_axis": [1.0, 0.0, 0.0],
            "fixed_rotation": fixed.ravel().tolist(),
            "setting_rotation": setting.ravel().tolist(),
        }
    ]
    (other,) = read(content)
    np.testing.assert_allclose(other.ub_inv_angstrom, item.ub_inv_angstrom, atol=1e-12)
    np.testing.assert_allclose(other.rotation_axis, item.rotation_axis, atol=1e-12)


def test_scan_with_properties(content, read):
    content["scan"] = [{"image_range": [3, 5], "properties": {"oscillation": [10.0, 10.5, 11.0]}}]
    (item,) = read(content)
    assert (item.omega_start_deg, item.omega_step_deg, item.n_images) == (10.0, 0.5, 3)
    content["scan"] = [{"image_range": [1, 3], "properties": {"oscillation": [0.0, 0.5, 2.0]}}]
    with pytest.raises(InputFileError, match="differ in their rotation"):
        read(content)


def test_still_has_no_axis(content, read):
    entry = content["experiment"][0]
    del entry["scan"], entry["goniometer"]
    (item,) = read(content)
    assert item.rotation_axis is None
    np.testing.assert_allclose(item.ub_inv_angstrom[0], np.diag([-0.1, 0.05, -1 / 30]), atol=1e-15)


def test_scan_varying_crystal(content, read):
    turns = rotation_about_axis([1, 0, 0], [0.0, 0.1, 0.2, 0.3])
    matrices = turns @ np.linalg.inv(CELL)
    content["crystal"][0]["A_at_scan_points"] = matrices.reshape(4, 9).tolist()
    (item,) = read(content)
    assert item.ub_inv_angstrom.shape == (4, 3, 3)
    content["crystal"][0]["A_at_scan_points"].pop()
    with pytest.raises(InputFileError, match="3 matrices for 3 images"):
        read(content)


def test_hierarchy_places_panels(content, read):
    """A group shifted by 1 mm and turned by 90 deg about the beam holds the panel in its own frame."""
    root = {"fast_axis": [1, 0, 0], "slow_axis": [0, 1, 0], "origin": [0, 0, 0]}
    group = {"fast_axis": [0, 1, 0], "slow_axis": [-1, 0, 0], "origin": [1, 0, 0], "children": [{"panel": 0}]}
    content["detector"][0]["hierarchy"] = root | {"children": [group]}
    (item,) = read(content)
    panel = item.detector.panels[0]
    # In the group x is y and y is -x, so the origin (-5, 4, -100) lies at (1 - 4, -5, -100).
    np.testing.assert_allclose(panel.corner_m, [0.003, -0.005, 0.1], atol=1e-12)
    np.testing.assert_allclose(panel.fast_step_m, [0, 0.001, 0], atol=1e-12)
    content["detector"][0]["hierarchy"] = root | {"children": []}
    with pytest.raises(InputFileError, match="places 0 of 1 panels"):
        read(content)


def _without(model, key):
    def change(content):
        del content[model][0][key]

    return change


def _set(model, key, value):
    def change(content):
        content[model][0][key] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_without("experiment", "crystal"), "has no crystal"),
        (_without("beam", "wavelength"), "wavelength"),
        (_without("scan", "image_range"), "image_range"),
        (_without("crystal", "real_space_b"), "real_space_b"),
        (_set("experiment", "detector", 3), "incomplete"),
        (_set("beam", "wavelength", -1.0), "wavelength must be positive"),
        (_set("beam", "s0_at_scan_points", [[0, 0, 1]]), "the beam moves"),
        (_set("goniometer", "setting_rotation_at_scan_points", []), "the goniometer moves"),
        (_set("crystal", "space_group_hall_symbol", "nonsense"), "experiment 0"),
        (_set("crystal", "real_space_b", [10.0, 0.0, 0.0]), "experiment 0"),
        (_set("crystal", "real_space_b", [0.0, float("nan"), 0.0]), "experiment 0"),
        (_set("scan", "image_range", [5, 3]), "is empty"),
        (lambda content: content.update(experiment=[]), "lists no experiments"),
        (lambda content: content.update(__id__="DataBlock"), "no DIALS experiment list"),
        (lambda content: content["detector"][0]["panels"].append(content["detector"][0]["panels"][0]), "two panels"),
    ],
)
def test_faults_are_named(content, read, change, message):
    change(content)
    with pytest.raises(InputFileError, match=message) as caught:
        read(content)
    assert "x.expt" in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", gzip.compress(b"{}" * 100)[:-12], b"\x89HDF"])
def test_other_files_are_refused(tmp_path, raw):
    path = tmp_path / "x.expt"
    path.write_bytes(raw)
    with pytest.raises(InputFileError, match="DIALS experiment list"):
        read_dials_experiments(path)
    with pytest.raises(InputFileError, match="cannot be read"):
        read_dials_experiments(tmp_path / "absent.expt")


@pytest.mark.real_data
def test_l_cysteine_sweeps(data_dir):
    folder = data_dir / "l_cysteine_i19"
    indexed = read_dials_experiments(folder / "indexed_narrow.expt")
    assert [item.template for item in indexed] == [f"l-cyst_0{number}_#####.cbf" for number in (1, 2, 3, 4)]
    assert [item.n_images for item in indexed] == [1700, 1700, 1700, 1800]
    for name, sweeps in {"scaled_20_25.expt.gz": (3, 0), "scaled_30.expt.gz": (1,), "scaled_35.expt.gz": (2,)}.items():
        for item, sweep in zip(read_dials_experiments(folder / name), sweeps, strict=True):
            other = indexed[sweep]
            # The axes of one form of goniometer are the matrices of the other.
            np.testing.assert_allclose(item.rotation_axis, other.rotation_axis, atol=1e-4)
            assert item.omega_start_deg == other.omega_start_deg
            assert item.detector.frame_shape == (1679, 1475)
            assert item.ub_inv_angstrom.shape == (item.n_images + 1, 3, 3)
            assert item.crystal.cell[:3] == pytest.approx((5.428, 8.141, 12.038), rel=2e-3)


@pytest.mark.real_data
def test_pixels_see_the_resolution_that_dials_gave_them(data_dir):
    """Each observation's pixel has the length of its reciprocal vector (parallax moves spots by up to 0.4 pixels)."""
    folder = data_dir / "l_cysteine_i19"
    item = read_dials_experiments(folder / "scaled_35.expt.gz")[0]
    q = np.linalg.norm(q_vectors(item.detector, item.beam), axis=1).reshape(item.detector.frame_shape)
    with gzip.open(folder / "scaled_observations.csv.gz", "rt") as handle:
        rows = [row for row in csv.DictReader(handle) if row["sweep"] == "03"]
    hkl = np.array([[int(row[name]) for name in "hkl"] for row in rows])
    slow = np.array([int(float(row["y_px"])) for row in rows])
    fast = np.array([int(float(row["x_px"])) for row in rows])
    np.testing.assert_allclose(q[slow, fast], item.crystal.q_inv_angstrom(hkl), rtol=0, atol=0.004)
