import fabio
import numpy as np
import pytest

from fewphoton.data import Beam
from fewphoton.errors import InputFileError
from fewphoton.io.dense_cbf import write_dense_cbf
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.image_files import load_array, open_image
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import open_raw_frames
from tests.conftest import flat_detector

FRAMES = np.random.default_rng(0).integers(0, 4000, (1, 12, 10)).astype(np.int32)
BINARY_MARK = b"\x0c\x1a\x04\xd5"


@pytest.fixture
def cbf(tmp_path):
    with write_dense_cbf(tmp_path / "x", flat_detector(), Beam(0.9), np.int32, 1, Provenance("t", {}, {})) as writer:
        writer.append(FRAMES)
    return tmp_path / "x" / "x_00001.cbf"


def test_sound_files_are_those_of_fabio(cbf):
    image = open_image(cbf)
    np.testing.assert_array_equal(image.data, FRAMES[0])
    np.testing.assert_array_equal(image.get_frame(0).data, FRAMES[0])
    theirs = fabio.open(str(cbf))
    assert dict(image.header) == dict(theirs.header)
    assert image.nframes == theirs.nframes == 1


@pytest.mark.parametrize("name", ["x.cbf", "x.edf"])
def test_a_header_without_end_is_refused(cbf, tmp_path, name):
    """FabIO alone reads on past the end of such a file for ever."""
    content = cbf.read_bytes()
    path = tmp_path / name
    for cut in (content[: content.index(BINARY_MARK)], content.replace(BINARY_MARK, b"    "), content[:300]):
        path.write_bytes(cut)
        with pytest.raises(InputFileError, match=rf"{name}: FabIO cannot read it"), open_raw_frames([str(path)]):
            pass
    if name == "x.cbf":
        with pytest.raises(InputFileError, match=r"x\.cbf: FabIO cannot read it"):
            read_geometry(path)


def test_data_that_do_not_fit_their_checksum_are_refused(cbf):
    content = bytearray(cbf.read_bytes())
    content[content.index(BINARY_MARK) + 30] ^= 1
    cbf.write_bytes(content)
    with pytest.raises(InputFileError, match="checksum"):
        open_image(cbf)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no array",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': '<i8',",
        b"\x93NUMPY\x01\x00\x20\x00{'descr': '<i8', 'shape': (((((  \n",
        b"\x93NUMPY\x01\x00\x46\x00{'descr': '<i8', 'fortran_order': False, 'shape': (2000000000000,), } \n",
    ],
)
@pytest.mark.parametrize("mode", [None, "r"])
def test_arrays_that_are_none_are_refused(tmp_path, content, mode):
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=r"x\.npy: cannot be read as a NumPy array"):
        load_array(path, mode)


def test_several_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(3), b=np.ones(2))
    with pytest.raises(InputFileError, match="several arrays"):
        load_array(tmp_path / "x.npz")


@pytest.mark.parametrize("where", ["itself", "another"])
def test_a_chain_of_directories_without_end_is_refused(tmp_path, where):
    """FabIO alone follows such a chain for ever."""
    path = tmp_path / "x.tif"
    fabio.tifimage.TifImage(data=FRAMES[0].astype(np.uint16)).write(str(path))
    np.testing.assert_array_equal(open_image(path).data, FRAMES[0])
    content = bytearray(path.read_bytes())
    first = int.from_bytes(content[4:8], "little")
    after = first + 2 + 12 * int.from_bytes(content[first : first + 2], "little")
    if where == "another":
        content += bytes(2) + first.to_bytes(4, "little")
    follower = len(content) - 6 if where == "another" else first
    content[after : after + 4] = follower.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputFileError, match=r"x\.tif: FabIO cannot read it: the directory at byte"):
        open_image(path)


def test_a_dimension_beyond_reason_is_refused(tmp_path):
    """FabIO alone counts up to it."""
    path = tmp_path / "x.edf"
    fabio.edfimage.EdfImage(data=FRAMES[0]).write(str(path))
    np.testing.assert_array_equal(open_image(path).data, FRAMES[0])
    content = path.read_bytes()
    assert b"Dim_2 = 12 ;" in content
    path.write_bytes(content.replace(b"Dim_2 = 12 ;", b"Dim_299999999999 = 12 ;", 1))
    with pytest.raises(InputFileError, match=r"x\.edf: FabIO cannot read it: the header names Dim_2999"):
        open_image(path)


@pytest.mark.parametrize("content", [b"", b"I", b"II*\x00", b"MM\x00*\x00\x00\xff\xff", b"II+\x00" + bytes(12)])
def test_images_that_are_cut_are_refused(tmp_path, content):
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(InputFileError, match=r"x\.tif: FabIO cannot read it"):
        open_image(tmp_path / "x.tif")
