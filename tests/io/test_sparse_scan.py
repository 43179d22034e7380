import json

import h5py
import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.data import Crystal, PhotonFrames
from fewphoton.data.detector import q_vectors
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import InputFileError
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.metrics import read_metrics
from fewphoton.io.photon_files import read_photon_file
from fewphoton.io.sparse_scan import open_sparse_scan, take_counts

PARAMETERS = (
    "distance 100000.0\nwavelength 0.5\ny_center 3.0\nz_center 2.0\ny_size 50\nz_size 100\n"
    "o11 1\no12 0\no21 0\no22 -1\ntilt_x 0.0\ntilt_y 0.0\ntilt_z 0.0\nomegasign 1.0\nchi 0.0\nwedge 0.0\n"
)


def scan_file(path, **changes):
    """Three frames of 5 x 6 pixels: two hits stored out of order, none, and one saturated hit."""
    values = {
        "row": np.array([4, 0, 2], np.uint16),
        "col": np.array([5, 1, 3], np.uint16),
        "intensity": np.array([12, 40, 65535], np.uint16),
        "nnz": np.array([2, 0, 1]),
        "measurement/rot_center": np.array([0.1, 0.3, 0.5]),
        **changes,
    }
    with h5py.File(path, "w") as file:
        group = file.create_group("1.1")
        group.attrs.update(shape0=5, shape1=6)
        for name, column in values.items():
            if column is not None:
                group[name] = column
    return path


def collect(path, **options):
    with open_sparse_scan(path) as scan:
        parts = list(take_counts(scan, options.get("saturation"), options.get("cap")))
    return PhotonFrames.concatenate([part for part, _, _ in parts]), parts[0][1:]


def test_hits_become_sorted_frames_with_angles(tmp_path):
    frames, _ = collect(scan_file(tmp_path / "s.h5"))
    assert frames.pixel.tolist() == [1, 29, 15]
    assert frames.count.tolist() == [40, 12, 65535]
    np.testing.assert_allclose(frames.table.omega_start_deg, [0.0, 0.2, 0.4])
    np.testing.assert_allclose(frames.table.omega_deg, [0.1, 0.3, 0.5])


def test_saturated_hits_are_left_out_and_bright_ones_capped(tmp_path):
    frames, tallies = collect(scan_file(tmp_path / "s.h5"), saturation=65535, cap=20)
    assert frames.totals().tolist() == [32, 0, 0]
    assert tallies == (1, 1)


def test_a_cap_beyond_the_type_of_the_counts_caps_nothing(tmp_path):
    small = np.array([12, 40, 100], np.int8)
    frames, tallies = collect(scan_file(tmp_path / "s.h5", intensity=small), saturation=1000, cap=500)
    assert frames.totals().tolist() == [52, 0, 100]
    assert tallies == (0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nnz": np.array([2, 0, 2])}, "do not add up"),
        ({"row": np.array([5, 0, 2], np.uint16)}, "outside the frame"),
        ({"row": np.array([0, 0, 2], np.uint16), "col": np.array([1, 1, 3], np.uint16)}, "increase strictly"),
        ({"intensity": np.array([0, 40, 9], np.uint16)}, "count is 0"),
        ({"intensity": None}, "missing"),
        ({"nnz": None}, "scan group is missing"),
        ({"row": np.array([0.5, 1, 2])}, "wrong type"),
    ],
)
def test_faults_are_typed(tmp_path, changes, message):
    with pytest.raises(InputFileError, match=message):
        collect(scan_file(tmp_path / "s.h5", **changes))


def test_scans_without_angles_are_read(tmp_path):
    frames, _ = collect(scan_file(tmp_path / "s.h5", **{"measurement/rot_center": None}))
    assert np.isnan(frames.table.omega_deg).all()


def test_imaged11_geometry_by_hand(tmp_path):
    """z_center is along slow, up with o11 = 1; y along fast, reversed by o22 = -1; x is the beam."""
    (tmp_path / "d.par").write_text(PARAMETERS)
    detector = read_geometry(tmp_path / "d.par", (5, 6)).detector
    centres = detector.pixel_centres_m().reshape(5, 6, 3)
    np.testing.assert_allclose(centres[2, 3], [0, 0, 0.1], atol=1e-12)
    np.testing.assert_allclose(centres[3, 3], [0, 1e-4, 0.1], atol=1e-12)
    np.testing.assert_allclose(centres[2, 4], [-5e-5, 0, 0.1], atol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "shape", "message"),
    [
        ("distance 100000.0\n", "", (5, 6), "no distance"),
        ("wedge 0.0", "wedge 1.5", (5, 6), "wedge"),
        ("wavelength 0.5", "wavelength half", (5, 6), "cannot be read"),
        ("", "", None, "frame shape"),
    ],
)
def test_imaged11_faults(tmp_path, old, new, shape, message):
    (tmp_path / "d.par").write_text(PARAMETERS.replace(old, new))
    with pytest.raises(InputFileError, match=message):
        read_geometry(tmp_path / "d.par", shape)


def test_stage_writes_frames_and_tallies(tmp_path):
    scan_file(tmp_path / "s.h5")
    (tmp_path / "d.par").write_text(PARAMETERS)
    words = ["import-scan", "--scan", str(tmp_path / "s.h5"), "--geometry", str(tmp_path / "d.par"), "--quiet"]
    words += ["--frames", str(tmp_path / "f.h5"), "--metrics", str(tmp_path / "m.json")]
    assert main([*words, "--set", "saturation_counts=65535", "--set", "exposures_per_batch=2"]) == 0
    frames, detector, _ = read_photon_file(tmp_path / "f.h5")
    assert detector.frame_shape == (5, 6)
    assert frames.table.batch.tolist() == [0, 0, 1]
    assert read_metrics(tmp_path / "m.json") == {
        "n_frames": 3,
        "n_zero_photon_frames": 2,
        "n_hits": 2,
        "photons_total": 52,
        "n_saturated_hits_left_out": 1,
        "n_capped_hits": 0,
    }


@pytest.mark.real_data
def test_silicon_photons_lie_on_allowed_lattice_points(data_dir):
    """Every sign between detector, goniometer and UB matrix at once, on real counts."""
    folder = data_dir / "silicon_id11"
    known = json.loads((folder / "orientation_derived.json").read_text())
    ub = np.array(known["UB"])[[1, 2, 0]]  # from the frame with x along the beam and z up
    crystal = Crystal.from_ub(ub, known["cell"], known["space_group"])
    inside = total = 0.0
    with open_sparse_scan(folder / "silicon_fullscan_strong_sparse.h5") as scan:
        geometry = read_geometry(folder / "CeO2.par", scan.frame_shape)
        q = q_vectors(geometry.detector, geometry.beam)
        for frames, _, _ in take_counts(scan, 65535, None):
            turns = rotation_about_axis(geometry.rotation_axis, frames.table.omega_deg)[frames.frame_numbers()]
            hkl = np.einsum("nji,nj->ni", turns, q[frames.pixel]) @ np.linalg.inv(crystal.ub_matrix).T
            near = np.rint(hkl).astype(int)
            on_point = (np.abs(hkl - near).max(axis=1) < 0.05) & crystal.centring_allows(near)
            inside += frames.count[on_point].sum(dtype=float)
            total += frames.count.sum(dtype=float)
    assert inside / total > 0.99
