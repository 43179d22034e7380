import bz2
import shutil

import fabio
import h5py
import numpy as np
import pytest

from fewphoton.data import FrameTable
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.raw_frames import open_raw_frames, write_raw_frames

FRAMES = np.random.default_rng(0).integers(0, 4000, (7, 5, 6)).astype(np.uint16)


def collect(patterns, size=3):
    with open_raw_frames(patterns) as raw:
        parts = list(raw.chunks(size))
        assert [first for first, _ in parts] == np.cumsum([0, *[len(part) for _, part in parts[:-1]]]).tolist()
        return np.concatenate([part for _, part in parts]), raw.table


@pytest.fixture
def ours(tmp_path, provenance):
    path = tmp_path / "raw.h5"
    number = np.arange(7)
    table = FrameTable(number, np.ones(7, int), number // 4, 0.5 * number, 0.5 * number + 0.5)
    with write_raw_frames(path, (5, 6), np.uint16, 7, table, provenance) as writer:
        writer.append(FRAMES[:4])
        writer.append(FRAMES[4:])
    return path


def test_our_own_files_keep_batches_and_angles(ours):
    frames, table = collect([str(ours)])
    np.testing.assert_array_equal(frames, FRAMES)
    np.testing.assert_array_equal(table.batch, [0, 0, 0, 0, 1, 1, 1])
    np.testing.assert_allclose(table.omega_deg, 0.5 * np.arange(7) + 0.25)


def test_sampled_frames(ours):
    with open_raw_frames([str(ours)]) as raw:
        np.testing.assert_array_equal(raw.read(np.array([5, 0, 3])), FRAMES[[5, 0, 3]])
        assert raw.read(np.array([], dtype=int)).shape == (0, 5, 6)


def test_links_virtual_datasets_and_stacks(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/stack"] = FRAMES.reshape(7, 5, 2, 3)  # five modules of 2 x 3
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("a.h5", "/deep/stack")
        file["soft"] = h5py.SoftLink("/linked")
        layout = h5py.VirtualLayout((7, 5, 2, 3), np.uint16)
        layout[:] = h5py.VirtualSource(tmp_path / "a.h5", "deep/stack", (7, 5, 2, 3))
        file.create_virtual_dataset("virtual", layout)
    for name in ("linked", "soft", "virtual"):
        frames, _ = collect([f"{tmp_path}/b.h5::/{name}"])
        np.testing.assert_array_equal(frames, FRAMES.reshape(7, 10, 3))


def test_eiger_style_numbered_files(tmp_path):
    with h5py.File(tmp_path / "master.h5", "w") as file:
        group = file.create_group("entry/data")
        for number, part in enumerate((FRAMES[:3], FRAMES[3:]), start=1):
            with h5py.File(tmp_path / f"data_{number}.h5", "w") as data:
                data["entry/data/data"] = part
            group[f"data_00000{number}"] = h5py.ExternalLink(f"data_{number}.h5", "/entry/data/data")
    frames, table = collect([str(tmp_path / "master.h5")])
    np.testing.assert_array_equal(frames, FRAMES)
    np.testing.assert_array_equal(table.source_index, np.arange(7))


def test_images_in_natural_order_are_one_series(tmp_path):
    for number in (1, 2, 10):
        fabio.edfimage.EdfImage(data=np.full((4, 4), number, dtype=np.int32)).write(str(tmp_path / f"run_{number}.edf"))
    with bz2.open(tmp_path / "run_11.edf.bz2", "wb") as target, (tmp_path / "run_10.edf").open("rb") as source:
        shutil.copyfileobj(source, target)
    frames, table = collect([str(tmp_path / "run_*.edf*")])
    assert frames[:, 0, 0].tolist() == [1, 2, 10, 10]
    np.testing.assert_array_equal(table.batch, 0)
    (tmp_path / "list.txt").write_text(f"# a list\n{tmp_path}/run_10.edf\n\n{tmp_path}/run_1.edf\n")
    assert collect([f"@{tmp_path}/list.txt"])[0][:, 0, 0].tolist() == [10, 1]


def test_numpy_arrays(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES.astype(np.float32))
    frames, table = collect([str(tmp_path / "a.npy"), str(tmp_path / "a.npy")])
    assert frames.shape == (14, 5, 6)
    np.testing.assert_array_equal(table.batch, np.repeat([0, 1], 7))


@pytest.mark.real_data
def test_pilatus_headers_give_angles(data_dir):
    with open_raw_frames([str(data_dir / "l_cysteine_i19" / "frames" / "l-cyst_01_0000[1-3].cbf.bz2")]) as raw:
        assert raw.frame_shape == (1679, 1475)
        np.testing.assert_allclose(np.diff(raw.table.omega_deg), 0.1, atol=1e-6)


@pytest.mark.real_data
def test_dectris_test_pattern(data_dir):
    with open_raw_frames([str(data_dir / "formats" / "eiger2_simread7_bslz4_data_000001.h5")]) as raw:
        (_, frames) = next(raw.chunks(1))
        assert frames.dtype == np.uint16
        assert frames.std() > 0


def write_h5(path, values):
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = values
    return str(path)


def test_faults_are_typed(tmp_path, ours):
    cases = {
        "no file matches": [str(tmp_path / "nothing*.h5")],
        "no such file": [str(tmp_path / "nothing.h5")],
        "missing": [f"{ours}::/entry/wrong"],
        "wrong type": [write_h5(tmp_path / "c.h5", np.zeros((2, 3, 3), complex))],
        "no frames": [write_h5(tmp_path / "one.h5", np.zeros(5))],
        "differ": [str(ours), write_h5(tmp_path / "other.h5", np.zeros((2, 3, 3), np.uint16))],
        "list of files": [f"@{tmp_path}/none.txt"],
    }
    (tmp_path / "bad.edf").write_bytes(b"nonsense")
    cases["FabIO"] = [str(tmp_path / "bad.edf")]
    (tmp_path / "bad.npy").write_bytes(b"nonsense")
    cases["NumPy"] = [str(tmp_path / "bad.npy")]
    truncated = tmp_path / "cut.h5"
    truncated.write_bytes(ours.read_bytes()[:-300])
    cases["truncated"] = [str(truncated)]
    for message, patterns in cases.items():
        with pytest.raises(InputFileError, match=message), open_raw_frames(patterns):
            pass


def test_a_writer_that_is_not_filled_leaves_nothing(tmp_path, provenance):
    with (
        pytest.raises(DataError, match="4 of 7"),
        write_raw_frames(tmp_path / "x.h5", (5, 6), np.uint16, 7, FrameTable.unknown(7), provenance) as writer,
    ):
        writer.append(FRAMES[:4])
    assert list(tmp_path.iterdir()) == []


def test_fabio_opens_what_we_write(ours):
    with fabio.open(f"{ours}::/entry/data/data") as image:
        assert image.nframes == 7
        for number in (0, 6):
            np.testing.assert_array_equal(image.get_frame(number).data, FRAMES[number])


def test_arrays_that_are_cut_or_vanish_in_mid_run_are_typed_errors(tmp_path):
    path = tmp_path / "x.npy"
    for big_endian in (False, True):
        np.save(path, FRAMES.astype(">u2") if big_endian else FRAMES)
        np.testing.assert_array_equal(collect([str(path)])[0], FRAMES)
    with open_raw_frames([str(path)]) as raw:
        frames = raw.chunks(2)
        next(frames)
        path.write_bytes(path.read_bytes()[:300])
        with pytest.raises(InputFileError, match=r"x\.npy: was cut while it was read, before frame 3"):
            next(frames)
        path.unlink()
        with pytest.raises(InputFileError, match=r"x\.npy: frames 4 to 4 cannot be read"):
            raw.deferred(4)()


@pytest.mark.parametrize("order", [FRAMES[:0], np.asfortranarray(FRAMES)])
def test_arrays_without_frames_or_in_another_order_are_refused(tmp_path, order):
    np.save(tmp_path / "x.npy", order)
    with pytest.raises(InputFileError, match=r"x\.npy"):
        collect([str(tmp_path / "x.npy")])


def test_images_and_linked_files_that_vanish_in_mid_run_are_typed_errors(tmp_path):
    for number in range(3):
        fabio.edfimage.EdfImage(data=FRAMES[number]).write(str(tmp_path / f"x_{number}.edf"))
    with open_raw_frames([str(tmp_path / "x_*.edf")]) as raw:
        frames = raw.chunks(1)
        next(frames)
        (tmp_path / "x_1.edf").unlink()
        with pytest.raises(InputFileError, match=r"x_1\.edf"):
            next(frames)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["stack"] = FRAMES
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("data.h5", "/stack")
    (tmp_path / "data.h5").unlink()
    with pytest.raises(InputFileError, match=r"master\.h5 \[/linked\]"):
        collect([f"{tmp_path}/master.h5::/linked"])


def test_batches_that_are_no_numbers_of_batches_name_the_file(ours):
    with h5py.File(ours, "r+") as file:
        del file["entry/frames/batch"]
        file["entry/frames/batch"] = np.full(7, 0.5)
    with pytest.raises(InputFileError, match=r"raw\.h5.*batch: expected integers"):
        collect([str(ours)])
