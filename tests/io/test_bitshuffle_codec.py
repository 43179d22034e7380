import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewphoton.errors import DataError, InputFileError
from fewphoton.io.bitshuffle_codec import ChunkEncoder, bitshuffle_library, decode_chunk, decodes
from fewphoton.io.raw_frames import open_raw_frames

BITSHUFFLE = dict(hdf5plugin.Bitshuffle(nelems=0, cname="lz4"))
DTYPES = ["u1", "u2", "u4", "u8", "i2", "i4", "i8", "f4", "f8"]


def encoded(values):
    encoder = ChunkEncoder(values.shape, values.dtype)
    encoder.frame[...] = values
    return encoder.encode().tobytes()


def counts(shape, dtype="u2", seed=0):
    return np.random.default_rng(seed).poisson(2, shape).astype(dtype)


def stored(path, frames, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data/data", data=frames, chunks=(1, *frames.shape[1:]), **options)
    return path


def test_the_codec_is_there():
    assert bitshuffle_library() is not None


@settings(max_examples=60, deadline=None)
@given(
    n_slow=st.integers(1, 90),
    n_fast=st.integers(1, 120),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
    incompressible=st.booleans(),
)
def test_what_is_encoded_is_decoded(n_slow, n_fast, dtype, seed, incompressible):
    rng = np.random.default_rng(seed)
    values = counts((n_slow, n_fast), dtype, seed)
    if incompressible:
        values = np.frombuffer(rng.bytes(values.nbytes), dtype=dtype).reshape(values.shape)
    again = decode_chunk(encoded(values), values.shape, values.dtype)
    assert again.tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (7, 9), (64, 64), (301, 207)])
def test_hdf5_reads_our_chunks_and_we_read_its(tmp_path, shape, dtype):
    values = counts(shape, dtype)[None]
    path = stored(tmp_path / "x.h5", np.zeros_like(values), **BITSHUFFLE)
    with h5py.File(path, "r+") as file:
        item = file["entry/data/data"]
        assert decodes(item)
        item.id.write_direct_chunk((0, 0, 0), encoded(values[0]))
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["entry/data/data"][()], values)
    with h5py.File(stored(tmp_path / "y.h5", values, **BITSHUFFLE)) as file:
        _, packed = file["entry/data/data"].id.read_direct_chunk((0, 0, 0))
    assert packed == encoded(values[0])
    np.testing.assert_array_equal(decode_chunk(packed, shape, values.dtype), values[0])


@pytest.mark.parametrize("shape", [(5, 3), (100, 93)])
def test_every_truncation_is_refused(shape):
    packed = encoded(counts(shape))
    for length in [*range(16), len(packed) // 2, len(packed) - 4, len(packed) - 1]:
        with pytest.raises(DataError, match=r"truncated|announces"):
            decode_chunk(packed[:length], shape, np.dtype("u2"))
    with pytest.raises(DataError, match="corrupt"):
        decode_chunk(packed + b"\0", shape, np.dtype("u2"))


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255), shape=st.sampled_from([(40, 31), (200, 90)]))
def test_a_changed_byte_is_refused_or_changes_no_size(place, value, shape):
    packed = bytearray(encoded(counts(shape)))
    packed[place % len(packed)] = value
    try:
        again = decode_chunk(bytes(packed), shape, np.dtype("u2"))
    except DataError:
        return
    assert again.shape == shape


def test_a_chunk_of_another_frame_size_is_refused():
    with pytest.raises(DataError, match="announces"):
        decode_chunk(encoded(counts((8, 8))), (8, 9), np.dtype("u2"))


def test_only_whole_frames_of_plain_bitshuffle_lz4_are_decoded_here(tmp_path):
    frames = counts((2, 16, 16))
    zstd = dict(hdf5plugin.Bitshuffle(nelems=0, cname="zstd"))
    for number, options in enumerate([{}, {"compression": "gzip"}, zstd, {**BITSHUFFLE, "fletcher32": True}]):
        with h5py.File(stored(tmp_path / f"{number}.h5", frames, **options)) as file:
            assert not decodes(file["entry/data/data"])
    with h5py.File(tmp_path / "more.h5", "w") as file:
        assert not decodes(file.create_dataset("pairs", data=frames, chunks=(2, 16, 16), **BITSHUFFLE))
        assert not decodes(file.create_dataset("parts", data=frames, chunks=(1, 8, 16), **BITSHUFFLE))
        assert not decodes(file.create_dataset("whole", data=frames))
        assert not decodes(file.create_dataset("big", data=frames.astype(">u2"), chunks=(1, 16, 16), **BITSHUFFLE))
        layout = h5py.VirtualLayout((2, 16, 16), "u2")
        layout[:] = h5py.VirtualSource(tmp_path / "0.h5", "entry/data/data", (2, 16, 16))
        file.create_virtual_dataset("linked", layout)
        assert not decodes(file["linked"])


@pytest.fixture
def run(tmp_path):
    """Four frames, the third of which is cut."""
    frames = counts((4, 90, 80))
    path = stored(tmp_path / "run.h5", frames, **BITSHUFFLE)
    with h5py.File(path, "r+") as file:
        item = file["entry/data/data"].id
        _, packed = item.read_direct_chunk((2, 0, 0))
        item.write_direct_chunk((2, 0, 0), packed[: len(packed) // 3])
    return path, frames


def test_a_cut_chunk_in_the_middle_is_told_with_its_frame(run):
    path, frames = run
    with open_raw_frames([str(path)]) as raw:
        for number in (0, 1, 3):
            np.testing.assert_array_equal(raw.deferred(number)(), frames[number])
        broken = raw.deferred(2)
        with pytest.raises(InputFileError, match=r"run\.h5.*frame 2 cannot be read.*truncated"):
            broken()
        with pytest.raises(InputFileError, match="frame 2 cannot be read"):
            raw.read(np.array([1, 2]))
        with pytest.raises(InputFileError, match="frame 2 cannot be read"):
            list(raw.chunks(4))


def test_a_chunk_stored_without_its_filter_is_read(run):
    path, frames = run
    with h5py.File(path, "r+") as file:
        file["entry/data/data"].id.write_direct_chunk((2, 0, 0), frames[2].tobytes(), filter_mask=1)
    with open_raw_frames([str(path)]) as raw:
        np.testing.assert_array_equal(raw.deferred(2)(), frames[2])
        np.testing.assert_array_equal(raw.read(np.arange(4)), frames)


def test_a_chunk_that_was_never_written_is_its_fill_value(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        item = file.create_dataset("entry/data/data", (3, 20, 10), "u2", chunks=(1, 20, 10), fillvalue=7, **BITSHUFFLE)
        item[1] = 3
    with open_raw_frames([str(tmp_path / "x.h5")]) as raw:
        assert [int(raw.deferred(number)().max()) for number in range(3)] == [7, 3, 7]
        assert (raw.read(np.array([2])) == 7).all()


@pytest.mark.parametrize("kind", ["npy", "plain", "gzip", "single", "modules", "two"])
def test_deferred_frames_are_the_frames_of_every_source(tmp_path, kind):
    frames = counts((3, 12, 10), "i4")
    names = [str(tmp_path / "x.h5")]
    if kind == "npy":
        names = [str(tmp_path / "x.npy")]
        np.save(names[0], frames)
    elif kind == "single":
        frames = frames[:1]
        with h5py.File(names[0], "w") as file:
            file["entry/data/data"] = frames[0]
    elif kind == "modules":
        with h5py.File(names[0], "w") as file:
            file["entry/data/data"] = frames.reshape(3, 2, 6, 10)
    else:
        stored(names[0], frames, **({"compression": "gzip"} if kind == "gzip" else {}))
    if kind == "two":
        names.append(str(stored(tmp_path / "y.h5", frames[::-1], **BITSHUFFLE)))
        frames = np.concatenate([frames, frames[::-1]])
    with open_raw_frames(names) as raw:
        assert raw.n_frames == len(frames)
        waiting = [raw.deferred(number) for number in range(len(frames))]
        np.testing.assert_array_equal([read() for read in waiting], frames)


@pytest.mark.real_data
def test_frames_of_a_real_eiger_2(data_dir):
    path = data_dir / "formats/eiger2_simread7_bslz4_data_000001.h5"
    with open_raw_frames([str(path)]) as raw, h5py.File(path) as file:
        assert raw._sources[0]._decodes
        for number in range(raw.n_frames):
            np.testing.assert_array_equal(raw.deferred(number)(), file["entry/data/data"][number])


def test_a_shape_that_cannot_be_encoded_has_no_encoder(monkeypatch):
    monkeypatch.setattr("fewphoton.io.bitshuffle_codec.bitshuffle_library", lambda: None)
    with pytest.raises(DataError, match="exports no codec"):
        ChunkEncoder((2, 2), np.dtype("u2"))
