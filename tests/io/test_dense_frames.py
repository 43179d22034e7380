import json

import fabio
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.data import Beam, Detector, FrameTable, Panel
from fewphoton.errors import DataError, GeometryError, OutputFileError
from fewphoton.io import dense_hdf5
from fewphoton.io.dense_frames import Sensor, write_dense_cbf, write_dense_frames, write_dense_lima, write_dense_nxmx
from fewphoton.io.dense_nxmx import direct_beam
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.hdf5 import COMPRESSION
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import open_raw_frames
from tests.conftest import flat_detector

N_FRAMES = 7
PROVENANCE = Provenance("test", {"a": 1}, {})


def frames_of(shape, dtype=np.uint16, n_frames=N_FRAMES, seed=0):
    return np.random.default_rng(seed).integers(0, 200, (n_frames, *shape)).astype(dtype)


def turned(angle_deg):
    angle = np.deg2rad(angle_deg)
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


def tiled_detector():
    """Twelve tilted panels of 5 x 4 pixels in a frame with gaps of two rows and one column, and three bad pixels."""
    panels = []
    rng = np.random.default_rng(3)
    for number in range(12):
        row, column = divmod(number, 3)
        turn = turned(7.0 * column) @ np.linalg.qr(np.eye(3) + 0.01 * rng.normal(size=(3, 3)))[0]
        panels.append(
            Panel(
                f"tile{number}",
                row * 7,
                column * 5,
                5,
                4,
                np.array([0.02 - 0.01 * column, 0.03 - 0.012 * row, 0.1 + 0.001 * number]),
                turn @ [1e-4, -1.1e-3, 0],
                turn @ [-0.9e-3, 0, 0],
            )
        )
    detector = Detector((26, 14), tuple(panels))
    masked = detector.masked.copy()
    masked[[0, 17, 200]] = True
    return detector.with_mask(masked)


def angles(n_frames=N_FRAMES):
    number = np.arange(n_frames)
    return FrameTable(number + 5, np.ones(n_frames, int), number // 4, 10 + 0.5 * number, 10.5 + 0.5 * number)


def same_geometry(found, detector):
    assert found.frame_shape == detector.frame_shape
    np.testing.assert_array_equal(found.masked, detector.masked)
    np.testing.assert_array_equal(found.panel_numbers(), detector.panel_numbers())
    np.testing.assert_allclose(found.pixel_centres_m(), detector.pixel_centres_m(), rtol=0, atol=1e-6)


def write(opened, frames, step=3):
    with opened as writer:
        for start in range(0, len(frames), step):
            buffer = frames[start : start + step].copy()
            writer.append(buffer)
            buffer[:] = 0  # the writer must not look at the caller's array any more


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "f4", "f8", ">u2"])
@pytest.mark.parametrize("threads", [1, 3])
def test_lima_opens_in_fabio_and_here(tmp_path, beam, dtype, threads):
    detector = flat_detector(13, 11)
    frames = frames_of((13, 11), dtype)
    write(write_dense_lima(tmp_path / "x.h5", detector, beam, dtype, 7, PROVENANCE, threads=threads), frames)
    with fabio.open(str(tmp_path / "x.h5")) as image:
        assert type(image).__name__ == "LimaImage"
        assert image.nframes == N_FRAMES
        for number in range(N_FRAMES):
            np.testing.assert_array_equal(image.get_frame(number).data, frames[number])
    with open_raw_frames([str(tmp_path / "x.h5")]) as raw:
        assert raw.path_names[0].endswith("/data")
        np.testing.assert_array_equal(next(raw.chunks(10))[1], frames)


def test_lima_default_plot_is_the_frames(tmp_path, detector, beam, provenance):
    path = tmp_path / "x.h5"
    write(write_dense_lima(path, detector, beam, "u2", 7, provenance, table=angles()), frames_of((12, 10)))
    with h5py.File(path) as file:
        plot = file[file[file.attrs["default"]].attrs["default"]]
        assert plot.attrs["NX_class"] == "NXdata"
        assert plot[plot.attrs["signal"]].shape == (7, 12, 10)
        assert plot["data"].chunks == (1, 12, 10)
        np.testing.assert_array_equal(file["entry_0000/frames/source_index"], np.arange(7) + 5)
        assert file.attrs["fewphoton_kind"] == "dense_frames"


def encoded_by_hdf5(frames):
    with h5py.File("by the filter", "w", driver="core", backing_store=False) as file:
        item = file.create_dataset("x", data=frames, chunks=(1, *frames.shape[1:]), **COMPRESSION)
        return [item.id.read_direct_chunk((number, 0, 0))[1] for number in range(len(frames))]


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["u1", "u2", "u4", "i4", "f4", "f8"]),
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 70000),
    st.integers(0, 2**32 - 1),
)
def test_chunks_equal_those_of_the_filter(dtype, n_slow, n_fast, spread, seed):
    frames = np.random.default_rng(seed).integers(0, spread, (2, n_slow, n_fast)).astype(dtype)
    with h5py.File("by the writer", "w", driver="core", backing_store=False) as file:
        write(dense_hdf5.dense_dataset_writer(file, "x", frames.shape, dtype), frames)
        item = file["x"]
        np.testing.assert_array_equal(item[()], frames)
        assert [item.id.read_direct_chunk((number, 0, 0))[1] for number in range(2)] == encoded_by_hdf5(frames)


def test_the_filter_library_exports_its_codec():
    """Without it everything still works, but no encoding runs beside the caller's work."""
    assert dense_hdf5.bitshuffle_library() is not None


def test_files_are_the_same_for_any_number_of_threads(tmp_path, detector, beam, provenance):
    frames = frames_of((12, 10))
    for threads in (1, 4):
        path = tmp_path / str(threads) / "x.h5"
        write(write_dense_lima(path, detector, beam, "u2", 7, provenance, threads=threads), frames, step=threads)
    assert (tmp_path / "1/x.h5").read_bytes() == (tmp_path / "4/x.h5").read_bytes()


def test_frames_are_written_without_the_codec_too(tmp_path, detector, beam, provenance, monkeypatch):
    frames = frames_of((12, 10))
    write(write_dense_lima(tmp_path / "a.h5", detector, beam, "u2", 7, provenance), frames)
    monkeypatch.setattr(dense_hdf5, "bitshuffle_library", lambda: None)
    write(write_dense_lima(tmp_path / "b.h5", detector, beam, "u2", 7, provenance), frames)
    with h5py.File(tmp_path / "a.h5") as a, h5py.File(tmp_path / "b.h5") as b:
        where = "entry_0000/instrument/detector/data"
        np.testing.assert_array_equal(a[where], b[where])
        np.testing.assert_array_equal(b[where], frames)


def test_nxmx_keeps_panels_mask_and_beam(tmp_path, provenance):
    detector, beam = tiled_detector(), Beam(0.9)
    frames = frames_of(detector.frame_shape, "u4")
    write(write_dense_nxmx(tmp_path / "x.h5", detector, beam, "u4", 7, provenance), frames)
    geometry = read_geometry(tmp_path / "x.h5", detector.frame_shape)
    same_geometry(geometry.detector, detector)
    assert geometry.beam.wavelength_angstrom == 0.9
    assert geometry.rotation_axis is None
    with open_raw_frames([str(tmp_path / "x.h5")]) as raw:
        np.testing.assert_array_equal(next(raw.chunks(10))[1], frames)
        assert np.isnan(raw.table.omega_start_deg).all()


def test_nxmx_opens_as_eiger_in_fabio(tmp_path, detector, beam, provenance):
    frames = frames_of((12, 10))
    write(write_dense_nxmx(tmp_path / "x.h5", detector, beam, "u2", 7, provenance), frames)
    with fabio.open(str(tmp_path / "x.h5")) as image:
        assert type(image).__name__ == "EigerImage"
        assert image.nframes == N_FRAMES
        for number in range(N_FRAMES):
            np.testing.assert_array_equal(image.get_frame(number).data, frames[number])


def test_nxmx_fields(tmp_path, beam, provenance):
    detector = flat_detector(12, 10, 1e-3, 0.05)
    masked = np.zeros((12, 10), bool)
    masked[3, 4] = True
    detector = Detector((14, 10), detector.panels).with_mask(np.vstack([masked, np.zeros((2, 10), bool)]))
    sensor = Sensor("Si", 450e-6)
    write(
        write_dense_nxmx(tmp_path / "x.h5", detector, beam, "i4", 7, provenance, sensor=sensor),
        frames_of((14, 10), "i4"),
    )
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["entry/definition"].asstr()[()] == "NXmx"
        place = file["entry/instrument/detector"]
        quantities = {
            name: (place[name][()], place[name].attrs["units"]) for name in place if "units" in place[name].attrs
        }
        assert quantities["x_pixel_size"] == (pytest.approx(1e-3), "m")
        assert quantities["y_pixel_size"] == (pytest.approx(1e-3), "m")
        assert quantities["distance"] == (pytest.approx(0.05), "m")
        assert quantities["beam_center_x"] == (pytest.approx(5.0), "pixel")
        assert quantities["beam_center_y"] == (pytest.approx(6.0), "pixel")
        assert quantities["sensor_thickness"] == (450e-6, "m")
        mask = place["pixel_mask"][()]
        assert mask.dtype == np.uint32
        assert mask[3, 4] == 1 << 8
        assert (mask[12:] == 1).all()
        assert np.count_nonzero(mask) == 21
        assert place["data"] == file["entry/data/data_000001"]
        module = place["module_0"]
        assert module["data_origin"][()].tolist() == [0, 0]
        assert module["data_size"][()].tolist() == [12, 10]
        for name in ("fast_pixel_direction", "slow_pixel_direction", "module_offset"):
            chain = module[name]
            while chain.attrs["depends_on"] != ".":
                chain = file[chain.attrs["depends_on"]]
            assert chain.name == "/entry/instrument/detector/transformations/translation"
        np.testing.assert_allclose(module["fast_pixel_direction"].attrs["vector"], [-1, 0, 0])
        assert file["entry/instrument/beam/incident_wavelength"].attrs["units"] == "angstrom"


def test_nxmx_rotation_scans(tmp_path, detector, beam, provenance):
    opened = write_dense_nxmx(
        tmp_path / "x.h5", detector, beam, "u2", 7, provenance, table=angles(), rotation_axis=[0, -2.0, 0]
    )
    write(opened, frames_of((12, 10)))
    np.testing.assert_array_equal(read_geometry(tmp_path / "x.h5").rotation_axis, [0, -1, 0])
    with open_raw_frames([str(tmp_path / "x.h5")]) as raw:
        np.testing.assert_array_equal(raw.table.omega_start_deg, angles().omega_start_deg)
        np.testing.assert_array_equal(raw.table.batch, angles().batch)
    with h5py.File(tmp_path / "x.h5") as file:
        assert file[file["entry/sample/depends_on"].asstr()[()]].attrs["transformation_type"] == "rotation"


def test_direct_beam_of_hand_worked_detectors(beam):
    assert direct_beam(flat_detector(12, 10, 1e-3, 0.05), beam) == pytest.approx((0, 6.0, 5.0, 0.05))
    edge_on = Panel("p", 0, 0, 4, 4, np.array([0.1, 0, 0.1]), np.array([0, 1e-3, 0]), np.array([0, 0, 1e-3]))
    assert direct_beam(Detector((4, 4), (edge_on,)), beam) is None
    upstream = Panel("p", 0, 0, 4, 4, np.array([0.0, 0, -0.1]), np.array([0, 1e-3, 0]), np.array([1e-3, 0, 0]))
    assert direct_beam(Detector((4, 4), (upstream,)), beam) is None
    left = Panel("a", 0, 0, 4, 4, np.array([0.01, 0.002, 0.1]), np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0]))
    right = Panel("b", 0, 4, 4, 4, np.array([0.003, 0.002, 0.2]), np.array([0, -1e-3, 0]), np.array([-1e-3, 0, 0]))
    assert direct_beam(Detector((4, 8), (left, right)), beam) == pytest.approx((1, 2.0, 4 + 3.0, 0.2))


@pytest.mark.parametrize("edge_on", [True, False])
def test_nxmx_needs_no_beam_centre(tmp_path, beam, provenance, edge_on):
    corner = np.array([0.1, 0.05, 0.1])
    fast = np.array([0, 0, 1e-3]) if edge_on else np.array([-1e-3, 0, 0])
    detector = Detector((4, 4), (Panel("p", 0, 0, 4, 4, corner, np.array([0, 1e-3, 0]), fast),))
    write(write_dense_nxmx(tmp_path / "x.h5", detector, beam, "u2", 7, provenance), frames_of((4, 4)))
    same_geometry(read_geometry(tmp_path / "x.h5").detector, detector)
    with h5py.File(tmp_path / "x.h5") as file:
        assert ("beam_center_x" in file["entry/instrument/detector"]) is not edge_on


@settings(max_examples=10, deadline=None)
@given(st.floats(-40, 40), st.floats(20e-6, 300e-6), st.floats(0.03, 2), st.floats(0.3, 3))
def test_nxmx_round_trip_of_any_tilt(tmp_path_factory, tilt_deg, pixel_m, distance_m, wavelength):
    turn = turned(tilt_deg)
    (flat,) = flat_detector(30, 20, pixel_m, distance_m).panels
    vectors = {name: turn @ getattr(flat, name) for name in ("corner_m", "slow_step_m", "fast_step_m")}
    detector = Detector((30, 20), (Panel("p", 0, 0, 30, 20, **vectors),))
    path = tmp_path_factory.mktemp("tilt") / "x.h5"
    write(write_dense_nxmx(path, detector, Beam(wavelength), "u1", 1, PROVENANCE), frames_of((30, 20), "u1", 1))
    geometry = read_geometry(path)
    same_geometry(geometry.detector, detector)
    assert geometry.beam.wavelength_angstrom == wavelength


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "i8"])
def test_cbf_opens_in_fabio_and_here(tmp_path, dtype):
    detector = flat_detector(13, 11, 172e-6, 0.2000005)
    beam = Beam(0.96859, polarization_fraction=0.99)
    frames = frames_of((13, 11), dtype)
    opened = write_dense_cbf(
        tmp_path / "run", detector, beam, dtype, 7, PROVENANCE, table=angles(), sensor=Sensor("Si", 1e-3)
    )
    write(opened, frames)
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["provenance.json", *(f"run_{number:05d}.cbf" for number in range(1, 8))]
    for number in range(N_FRAMES):
        with fabio.open(str(tmp_path / "run" / f"run_{number + 1:05d}.cbf")) as image:
            assert type(image).__name__ == "CbfImage"
            assert "Silicon sensor, thickness 0.001000 m" in image.header["_array_data.header_contents"]
            assert image.pilatus_headers["Pixel_size"] == pytest.approx((172e-6, 172e-6))
            np.testing.assert_array_equal(image.data, frames[number])
    geometry = read_geometry(tmp_path / "run" / "run_00001.cbf")
    same_geometry(geometry.detector, detector)
    assert geometry.beam.wavelength_angstrom == pytest.approx(0.96859, abs=1e-8)
    assert geometry.beam.polarization_fraction == pytest.approx(0.99)
    with open_raw_frames([str(tmp_path / "run" / "*.cbf")]) as raw:
        np.testing.assert_array_equal(np.concatenate([part for _, part in raw.chunks(3)]), frames)
        np.testing.assert_allclose(raw.table.omega_start_deg, angles().omega_start_deg, atol=1e-6)
        np.testing.assert_allclose(raw.table.omega_end_deg, angles().omega_end_deg, atol=1e-6)
    assert json.loads((tmp_path / "run/provenance.json").read_text())["stage"] == "test"


def two_modules(shift_m=0.0):
    """Two modules on one grid with a gap of two columns, the second off by ``shift_m`` along the beam."""
    down, right = np.array([0, -1e-4, 0]), np.array([-1e-4, 0, 0])
    corner = np.array([4e-4, 3e-4, 0.1])
    other = corner + 6 * right + np.array([0, 0, shift_m])
    panels = (Panel("a", 0, 0, 5, 4, corner, down, right), Panel("b", 0, 6, 5, 4, other, down, right))
    return Detector((5, 10), panels)


def test_cbf_marks_gaps_and_masked_pixels(tmp_path, beam, provenance):
    detector = two_modules()
    masked = detector.masked.copy()
    masked[12] = True
    frames = frames_of((5, 10), "u4")
    frames[:, :, 4:6] = 2**32 - 1
    write(write_dense_cbf(tmp_path / "run", detector.with_mask(masked), beam, "u4", 7, provenance), frames)
    with open_raw_frames([str(tmp_path / "run" / "run_00003.cbf")]) as raw:
        found = raw.read(np.array([0]))[0]
    expected = frames[2].astype(np.int64)
    expected[:, 4:6] = -1
    expected[1, 2] = -2
    np.testing.assert_array_equal(found, expected)
    found = read_geometry(tmp_path / "run" / "run_00001.cbf").detector.pixel_centres_m()
    good = ~detector.masked
    np.testing.assert_allclose(found[good], detector.pixel_centres_m()[good], rtol=0, atol=1e-6)


def test_cbf_refuses_what_its_header_cannot_tell(tmp_path, detector, beam, provenance):
    (flat,) = detector.panels
    turn = turned(1.0)
    vectors = {name: turn @ getattr(flat, name) for name in ("corner_m", "slow_step_m", "fast_step_m")}
    tilted = Detector((12, 10), (Panel("p", 0, 0, 12, 10, **vectors),))
    mirrored = Detector((12, 10), (Panel("p", 0, 0, 12, 10, flat.corner_m, flat.slow_step_m, -flat.fast_step_m),))
    upstream = flat_detector(distance_m=-0.05)
    cases = [(tilted, beam), (mirrored, beam), (upstream, beam), (two_modules(1e-5), beam)]
    cases.append((detector, Beam(1.0, direction=np.array([0, 0.01, 1]))))
    for bad_detector, bad_beam in cases:
        with (
            pytest.raises(GeometryError, match="CBF header"),
            write_dense_cbf(tmp_path / "run", bad_detector, bad_beam, "u2", 1, provenance),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_cbf_values_must_fit(tmp_path, detector, beam, provenance):
    with (
        pytest.raises(DataError, match="integers"),
        write_dense_cbf(tmp_path / "a", detector, beam, "f4", 1, provenance),
    ):
        pass
    frames = frames_of((12, 10), "u4", 1)
    frames[0, 2, 2] = 2**31
    with pytest.raises(DataError, match="2147483647"):
        write(write_dense_cbf(tmp_path / "a", detector, beam, "u4", 1, provenance), frames)
    assert list(tmp_path.iterdir()) == []


def test_cbf_replaces_its_own_folder_only(tmp_path, detector, beam, provenance):
    for n_frames in (5, 2):
        write(
            write_dense_cbf(tmp_path / "run", detector, beam, "u2", n_frames, provenance),
            frames_of((12, 10), n_frames=n_frames),
        )
    assert len(list((tmp_path / "run").glob("*.cbf"))) == 2
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with (
        pytest.raises(OutputFileError, match=r"notes\.txt"),
        write_dense_cbf(tmp_path / "run", detector, beam, "u2", 1, provenance),
    ):
        pass
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("layout", ["lima", "nxmx", "cbf"])
def test_same_input_gives_same_bytes(tmp_path, detector, beam, provenance, layout):
    for folder in ("a", "b"):
        path = tmp_path / folder / ("x" if layout == "cbf" else "x.h5")
        write(
            write_dense_frames(path, layout, detector, beam, "u2", 7, provenance, table=angles()), frames_of((12, 10))
        )
    first, second = (sorted(p for p in (tmp_path / folder).rglob("*") if p.is_file()) for folder in ("a", "b"))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    assert len(first) == (8 if layout == "cbf" else 1)


@pytest.mark.parametrize("layout", ["lima", "nxmx", "cbf"])
@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (frames_of((12, 10))[:4], "4 of 7"),
        (frames_of((12, 10), n_frames=8), "for a file of 7"),
        (frames_of((10, 12)), "expected uint16"),
        (frames_of((12, 10), "i4"), "expected uint16"),
        (frames_of((12, 10))[0], "expected uint16"),
    ],
    ids=["few", "many", "shape", "dtype", "2d"],
)
def test_failures_leave_nothing(tmp_path, detector, beam, provenance, layout, frames, message):
    former = tmp_path / "x.h5"
    if layout != "cbf":
        former.write_text("former")
    opened = write_dense_frames(former, layout, detector, beam, "u2", 7, provenance, threads=2)
    with pytest.raises(DataError, match=message), opened as writer:
        writer.append(frames)
    assert [path.read_text() for path in tmp_path.iterdir()] == ([] if layout == "cbf" else ["former"])


def interrupted(opened, frames):
    with opened as writer:
        writer.append(frames)
        raise KeyboardInterrupt


@pytest.mark.parametrize("layout", ["lima", "nxmx", "cbf"])
def test_an_interrupted_caller_leaves_nothing(tmp_path, detector, beam, provenance, layout):
    opened = write_dense_frames(tmp_path / "x.h5", layout, detector, beam, "u2", 7, provenance, threads=2)
    with pytest.raises(KeyboardInterrupt):
        interrupted(opened, frames_of((12, 10)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", ["lima", "nxmx", "cbf"])
def test_impossible_orders_are_refused(tmp_path, detector, beam, provenance, layout):
    cases = [("u2", 0, None), ("c8", 7, None), ("u2", 7, angles(6))]
    for dtype, n_frames, table in cases:
        opened = write_dense_frames(tmp_path / "x.h5", layout, detector, beam, dtype, n_frames, provenance, table=table)
        with pytest.raises(DataError), opened:
            pass
    assert list(tmp_path.iterdir()) == []


def test_other_faults(tmp_path, detector, beam, provenance):
    with (
        pytest.raises(OutputFileError, match="suffix"),
        write_dense_lima(tmp_path / "x.cbf", detector, beam, "u2", 1, provenance),
    ):
        pass
    askew = Beam(1.0, direction=np.array([0.1, 0, 1]))
    with (
        pytest.raises(GeometryError, match=r"\+z"),
        write_dense_nxmx(tmp_path / "x.h5", detector, askew, "u2", 1, provenance),
    ):
        pass
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputFileError, match="a file"),
        write_dense_cbf(tmp_path / "file", detector, beam, "u2", 1, provenance),
    ):
        pass
    with (
        pytest.raises(OutputFileError, match="cannot be written"),
        write_dense_cbf(tmp_path / "file" / "run", detector, beam, "u2", 1, provenance),
    ):
        pass


def test_empty_appends_and_all_masked(tmp_path, detector, beam, provenance):
    dark = detector.with_mask(np.ones(detector.n_pixels, bool))
    for layout in ("lima", "nxmx", "cbf"):
        with write_dense_frames(tmp_path / f"{layout}.h5", layout, dark, beam, "u2", 1, provenance) as writer:
            writer.append(np.zeros((0, 12, 10), np.uint16))
            writer.append(np.zeros((1, 12, 10), np.uint16))
    assert read_geometry(tmp_path / "nxmx.h5").detector.masked.all()


@pytest.mark.real_data
def test_a_real_pilatus_frame_goes_through_all_layouts(tmp_path, data_dir, provenance):
    source = data_dir / "thaumatin_grid_i24" / "thau_3_2_0003.cbf.bz2"
    geometry = read_geometry(source)
    with open_raw_frames([str(source)]) as raw:
        frames = raw.read(np.array([0]))
    detector = geometry.detector.with_mask((frames[0] < 0).ravel())
    write(write_dense_frames(tmp_path / "run", "cbf", detector, geometry.beam, "i4", 1, provenance), frames)
    back = read_geometry(tmp_path / "run" / "run_00001.cbf")
    same_geometry(back.detector, geometry.detector)
    write(
        write_dense_frames(tmp_path / "x.h5", "nxmx", detector, geometry.beam, "i4", 1, provenance, threads=2), frames
    )
    same_geometry(read_geometry(tmp_path / "x.h5").detector, detector)
    for name in ("run/run_00001.cbf", "x.h5"):
        with open_raw_frames([str(tmp_path / name)]) as raw:
            found = raw.read(np.array([0]))
        np.testing.assert_array_equal(found[frames >= 0], frames[frames >= 0])
        assert (found[frames < 0] < 0).all()
