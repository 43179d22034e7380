import json
import subprocess
import sys

import fabio
import h5py
import numpy as np
import pyFAI
import pytest

from fewphoton.data import Beam, Detector, FrameTable, Panel, SparseFrames
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.provenance import Provenance
from fewphoton.io.sparse_nexus import open_sparse_file, write_sparse_file
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization, radius_of_pixels
from tests.conftest import flat_detector

BEAM = Beam(0.9, polarization_fraction=0.9)
N_BINS = 8
GROUP = "entry_0000/sparse_frames"


def masked_detector():
    detector = flat_detector(30, 20)
    masked = detector.masked.copy()
    masked[[0, 33, 34, 599]] = True
    return detector.with_mask(masked)


DETECTOR = masked_detector()


def some_frames(dtype="u2", n_frames=3, seed=0):
    rng = np.random.default_rng(seed)
    usable = np.flatnonzero(~DETECTOR.masked)
    pixels = [np.sort(rng.choice(usable, size, replace=False)) for size in ([12, 0, 7] * n_frames)[:n_frames]]
    lengths = [len(pixel) for pixel in pixels]
    return SparseFrames(
        np.concatenate([[0], np.cumsum(lengths)]),
        np.concatenate(pixels),
        rng.integers(50, 120, sum(lengths)).astype(dtype),
        np.sort(rng.uniform(1, 20, (n_frames, N_BINS)))[:, ::-1],
        rng.uniform(1, 3, (n_frames, N_BINS)),
    )


def write(path, frames=None, unit="r_m", dtype="u2", norm=None, links=(), table=None, parts=1, **config):
    frames = some_frames(dtype) if frames is None else frames
    bins = azimuthal_bins(DETECTOR, BEAM, N_BINS, unit, norm=norm)
    n = frames.n_frames
    table = table or FrameTable(
        np.arange(n) + 5, np.full(n, 2, dtype=np.int32), np.arange(n) // 2, np.arange(n) * 0.1, np.arange(n) * 0.1 + 0.1
    )
    gap = np.nan if dtype[0] == "f" else (-1 if dtype[0] == "i" else np.iinfo(dtype).max)
    provenance = Provenance("sparsify", {"cutoff_pick": 3.0, "error_model": "poisson", "noise": 1.0} | config, {})
    with write_sparse_file(path, bins, DETECTOR, BEAM, dtype, gap, table, provenance, links) as writer:
        for part in np.array_split(np.arange(n), parts):
            first, last = part[0], part[-1] + 1
            hits = slice(frames.indptr[first], frames.indptr[last])
            writer.append(
                SparseFrames(
                    frames.indptr[first : last + 1] - frames.indptr[first],
                    frames.pixel[hits],
                    frames.intensity[hits],
                    frames.background_mean[first:last],
                    frames.background_std[first:last],
                )
            )
    return bins, frames, table


def assert_frames(found, frames):
    for name in ("indptr", "pixel", "intensity", "background_mean", "background_std"):
        np.testing.assert_array_equal(getattr(found, name), getattr(frames, name))
    assert found.intensity.dtype == frames.intensity.dtype


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i4", "f4", "f8"])
@pytest.mark.parametrize("unit", ["r_m", "q_inv_angstrom"])
def test_what_is_written_is_read(tmp_path, dtype, unit):
    norm = normalization(DETECTOR, BEAM, solid_angle=True) if dtype == "u2" else None
    bins, frames, table = write(tmp_path / "x.h5", some_frames(dtype), unit, dtype, norm, parts=2)
    with open_sparse_file(tmp_path / "x.h5") as reader:
        file = reader.file
        assert (file.n_frames, file.dtype, file.bins.unit) == (3, np.dtype(dtype), unit)
        assert file.config == {"cutoff_pick": 3.0, "error_model": "poisson", "noise": 1.0}
        assert_frames(reader.read(0, 3), frames)
        middle = reader.read(1, 3)
        np.testing.assert_array_equal(middle.pixel, frames.pixel[frames.indptr[1] :])
        assert middle.n_frames == 2
        for name in ("image", "shots", "batch", "omega_start_deg", "omega_end_deg"):
            if hasattr(table, name):
                np.testing.assert_array_equal(getattr(file.table, name), getattr(table, name))
        detector, beam = file.geometry
        assert detector.digest() == DETECTOR.digest()
        np.testing.assert_array_equal(detector.masked, DETECTOR.masked)
        assert beam.polarization_fraction == 0.9
        np.testing.assert_array_equal(file.bins.usable, bins.usable)
        np.testing.assert_allclose(file.bins.radius, bins.radius, rtol=2e-7)
        np.testing.assert_allclose(file.bins.edges, bins.edges, rtol=1e-5)
        if norm is None:
            assert file.bins.normalization is None
        else:
            np.testing.assert_array_equal(file.bins.normalization[bins.usable], norm[bins.usable])


def test_the_same_frames_give_the_same_bytes(tmp_path):
    for name, parts in (("a.h5", 1), ("b.h5", 1)):
        write(tmp_path / name, parts=parts)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def dense(frame, frames, bins):
    """What FabIO promises: interpolated mean, rounded, strong pixels put in; masked pixels hold the dummy."""
    image = np.interp(bins.radius.astype(float), bins.centres, frames.background_mean[frame])
    if bins.normalization is not None:
        image *= bins.normalization
    hits = slice(frames.indptr[frame], frames.indptr[frame + 1])
    image[frames.pixel[hits]] = frames.intensity[hits]
    return image, frames.pixel[hits], frames.intensity[hits]


@pytest.mark.parametrize("dtype", ["u2", "u4", "i4", "f4"])
@pytest.mark.parametrize("unit", ["r_m", "q_inv_angstrom"])
@pytest.mark.parametrize("normalized", [False, True])
def test_fabio_opens_it(tmp_path, dtype, unit, normalized):
    norm = normalization(DETECTOR, BEAM, solid_angle=True, polarization=True) if normalized else None
    bins, frames, _ = write(tmp_path / "x.h5", some_frames(dtype), unit, dtype, norm)
    image = fabio.open(str(tmp_path / "x.h5"))
    try:
        assert type(image).__name__ == "SparseImage"
        assert image.nframes == 3
        assert image.cutoff == 3.0
        for number in range(3):
            found = image.getframe(number).data.ravel()
            assert found.dtype == dtype
            expected, pixel, intensity = dense(number, frames, bins)
            np.testing.assert_array_equal(found[pixel], intensity)
            masked = DETECTOR.masked
            if dtype == "f4":
                assert np.isnan(found[masked]).all()
            else:
                gap = -1 if dtype[0] == "i" else np.iinfo(dtype).max
                assert (found[masked] == gap).all()
            # FabIO puts the dummy below the first ring's centre too, half a ring that we fill.
            here = ~masked & (bins.radius >= bins.centres[0] * (1 + 1e-6))
            tolerance = 1e-4 if dtype == "f4" else 0.5 + 1e-4
            assert np.abs(found[here] - expected[here]).max() <= tolerance
    finally:
        image.close()


@pytest.mark.parametrize("layout", ["lima", "eiger"])
def test_fabios_densify_program_runs_on_it(tmp_path, layout):
    bins, frames, _ = write(tmp_path / "run_sparse.h5")
    command = [sys.executable, "-W", "ignore", "-m", "fabio.app.densify", "-O", layout, "-N", "0"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "{basename}_dense.h5"), str(tmp_path / "run_sparse.h5")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    (written,) = [path for path in tmp_path.iterdir() if "dense" in path.name and "data" not in path.name][:1]
    with fabio.open(str(written)) as image:
        assert image.nframes == 3
        for number in range(3):
            _, pixel, intensity = dense(number, frames, bins)
            np.testing.assert_array_equal(image.getframe(number).data.ravel()[pixel], intensity)


def panels():
    """All four ways a single panel can lie straight across the beam."""
    for slow, fast in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
        corner = np.array([-fast * 7.3e-3, -slow * 11.2e-3, 0.05])
        yield Panel("p0", 0, 0, 30, 20, corner, np.array([0, slow * 1e-3, 0]), np.array([fast * 8e-4, 0, 0]))


@pytest.mark.parametrize("panel", list(panels()))
def test_pyfai_understands_the_geometry_in_it(tmp_path, panel):
    detector = Detector((30, 20), (panel,))
    bins = azimuthal_bins(detector, BEAM, 4)
    with write_sparse_file(
        tmp_path / "x.h5", bins, detector, BEAM, "u2", 65535, FrameTable.unknown(1), Provenance("sparsify", {}, {})
    ) as writer:
        writer.append(
            SparseFrames([0, 0], np.zeros(0, np.uint32), np.zeros(0, np.uint16), np.ones((1, 4)), np.ones((1, 4)))
        )
    with h5py.File(tmp_path / "x.h5") as file:
        content = json.loads(file["entry_0000/sparsify/configuration/data"].asstr()[()])["geometry"]
    ai = pyFAI.load(content)
    for unit, theirs, scale in (("r_m", "r_m", 1.0), ("q_inv_angstrom", "q_A^-1", 2 * np.pi)):
        np.testing.assert_allclose(
            radius_of_pixels(detector, BEAM, unit) * scale,
            ai.array_from_unit((30, 20), "center", theirs).ravel(),
            rtol=1e-6,
        )
    azimuth = ai.chi_center if hasattr(ai, "chi_center") else ai.chiArray((30, 20))
    centres = detector.pixel_centres_m()
    difference = azimuth.ravel() - np.arctan2(centres[:, 1], -centres[:, 0])
    np.testing.assert_allclose(np.exp(1j * difference), 1, atol=1e-5)


def test_a_tilted_detector_has_no_description_for_pyfai(tmp_path):
    panel = Panel("p0", 0, 0, 30, 20, np.array([0.01, 0.01, 0.05]), np.array([0, -1e-3, 2e-4]), np.array([-1e-3, 0, 0]))
    detector = Detector((30, 20), (panel,))
    bins = azimuthal_bins(detector, BEAM, 4)
    with write_sparse_file(
        tmp_path / "x.h5", bins, detector, BEAM, "u2", 65535, FrameTable.unknown(1), Provenance("sparsify", {}, {})
    ) as writer:
        writer.append(
            SparseFrames([0, 0], np.zeros(0, np.uint32), np.zeros(0, np.uint16), np.ones((1, 4)), np.ones((1, 4)))
        )
    with h5py.File(tmp_path / "x.h5") as file:
        assert json.loads(file["entry_0000/sparsify/configuration/data"].asstr()[()])["geometry"] is None
    with open_sparse_file(tmp_path / "x.h5") as reader:
        assert reader.file.geometry[0].digest() == detector.digest()


def write_as_pyfai(path, frames, bins, unit="m", name="r_m", scale=1.0, seed=0, dummy=0):
    """The layout of sparsify-Bragg: no order of the pixels in a frame, no geometry of ours."""
    rng = np.random.default_rng(seed)
    order = np.concatenate(
        [rng.permutation(np.arange(a, b)) for a, b in zip(frames.indptr[:-1], frames.indptr[1:], strict=True)]
    ).astype(int)
    with h5py.File(path, "w") as file:
        file.attrs.update(NX_class="NXroot", default="entry_0000", creator="pyFAI_2026.9.0")
        entry = file.create_group("entry_0000")
        entry.attrs.update(NX_class="NXentry", default="sparse_frames", pyFAI_sparse_frames="/entry_0000/sparse_frames")
        group = entry.create_group("sparse_frames")
        group.attrs.update(NX_class="NXdata", signal="background_avg", axes=[".", "radius"])
        group["frame_ptr"] = frames.indptr.astype(np.uint32)
        group["index"] = frames.pixel[order]
        group["intensity"] = frames.intensity[order]
        group["background_avg"] = frames.background_mean
        group["background_std"] = frames.background_std
        group["radius"] = (bins.centres * scale).astype(np.float32)
        group["radius"].attrs.update(unit=unit, long_name=name)
        group["mask"] = (bins.radius * np.float32(scale)).reshape(bins.frame_shape)
        group["mask"].attrs["unit"] = unit
        group["dummy"] = frames.intensity.dtype.type(dummy)
        configuration = entry.create_group("sparsify/configuration")
        configuration["type"] = "text/json"
        configuration["data"] = json.dumps({"geometry": {}, "sparsify": {"cutoff_pick": 2.0, "noise": 1.0}})


@pytest.mark.parametrize(
    ("unit_name", "ours", "scale"),
    [
        (("m", "r_m"), "r_m", 1.0),
        (("r_m", "Radius $r$ ($m$)"), "r_m", 1.0),
        (("mm", "Radius $r$ ($mm$)"), "r_m", 1e3),
        (("q_A^-1", "Scattering vector $q$ ($\\AA^{-1}$)"), "q_inv_angstrom", 2 * np.pi),
        (("q_nm^-1", "Scattering vector $q$ ($nm^{-1}$)"), "q_inv_angstrom", 20 * np.pi),
    ],
)
def test_pyfais_own_layout_is_read(tmp_path, unit_name, ours, scale):
    frames = some_frames("u4", seed=4)
    bins = azimuthal_bins(DETECTOR, BEAM, N_BINS, ours)
    write_as_pyfai(tmp_path / "x.h5", frames, bins, *unit_name, scale)
    with open_sparse_file(tmp_path / "x.h5") as reader:
        file = reader.file
        assert_frames(reader.read(0, 3), frames)
        assert file.geometry is None
        assert file.config == {"cutoff_pick": 2.0, "noise": 1.0}
        assert file.bins.unit == ours
        np.testing.assert_allclose(file.bins.centres, bins.centres, rtol=1e-6)
        np.testing.assert_allclose(file.bins.radius, bins.radius, rtol=1e-6)
        assert (file.bins.bin_of_pixel != bins.bin_of_pixel).mean() < 0.05  # border pixels by rounding
        assert np.isnan(file.table.omega_start_deg).all()


def damage(path, how):
    with h5py.File(path, "r+") as file:
        group = file[GROUP]

        def replace(name, values):
            attributes = dict(group[name].attrs)
            del group[name]
            group[name] = values
            group[name].attrs.update(attributes)

        if how.startswith("without "):
            del group[how.removeprefix("without ")]
        elif how == "unknown default":
            file.attrs["default"] = "entry_7"
            del file["entry_0000"]
        elif how == "index out of range":
            group["index"][4] = 600
        elif how == "wide index":
            replace("index", group["index"][()].astype(np.uint64) + 2**32)
        elif how == "negative index":
            replace("index", group["index"][()].astype(np.int64) - 600)
        elif how == "pixel twice":
            group["index"][4] = group["index"][3]
        elif how == "index of floats":
            replace("index", group["index"][()].astype(float))
        elif how == "index too short":
            replace("index", group["index"][:-1])
        elif how == "falling frame_ptr":
            group["frame_ptr"][1] = 18
            group["frame_ptr"][2] = 3
        elif how == "frame_ptr from 1":
            group["frame_ptr"][0] = 1
        elif how == "no frames":
            replace("frame_ptr", np.zeros(1, dtype=np.uint32))
        elif how == "empty frame_ptr":
            replace("frame_ptr", np.zeros(0, dtype=np.uint32))
        elif how == "curves of another length":
            replace("background_std", np.ones((3, N_BINS + 1), dtype=np.float32))
        elif how == "NaN background":
            group["background_avg"][1, 3] = np.nan
        elif how == "infinite spread":
            group["background_std"][1, 3] = np.inf
        elif how == "empty radius":
            replace("radius", np.zeros(0, dtype=np.float32))
            replace("background_avg", np.zeros((3, 0), dtype=np.float32))
            replace("background_std", np.zeros((3, 0), dtype=np.float32))
        elif how == "falling radius":
            replace("radius", group["radius"][()][::-1])
        elif how == "NaN radius":
            group["radius"][2] = np.nan
        elif how == "angles":
            group["radius"].attrs.update(unit="2th_deg", long_name="2th_deg")
        elif how == "mask of one row":
            replace("mask", group["mask"][0])
        elif how == "negative normalization":
            group["normalization"] = np.full((30, 20), -1, dtype=np.float32)
        elif how == "normalization of another shape":
            group["normalization"] = np.ones((20, 30), dtype=np.float32)
        else:
            note = file["entry_0000/sparsify/configuration"]
            if "data" in note:
                del note["data"]
            note["data"] = {"text": "{cutoff", "list": "[1]", "null": '{"sparsify": null}', "numbers": 5}[how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("without frame_ptr", "no sparse frames"),
        ("without index", "missing"),
        ("without intensity", "missing"),
        ("without background_avg", "missing"),
        ("without background_std", "missing"),
        ("without radius", "missing"),
        ("without mask", "missing"),
        ("unknown default", "no sparse frames"),
        ("index out of range", "pixel 600 lies outside the frame of 600"),
        ("wide index", "lies outside"),
        ("negative index", "lies outside"),
        ("pixel twice", "occurs twice"),
        ("index of floats", "wrong type"),
        ("index too short", "wrong shape"),
        ("falling frame_ptr", "does not rise"),
        ("frame_ptr from 1", "does not rise"),
        ("no frames", "holds no frames"),
        ("empty frame_ptr", "holds no frames"),
        ("curves of another length", "wrong shape"),
        ("NaN background", r"background_avg.*not finite"),
        ("infinite spread", r"background_std.*not finite"),
        ("empty radius", "does not rise"),
        ("falling radius", "does not rise"),
        ("NaN radius", "does not rise"),
        ("angles", "unknown unit"),
        ("mask of one row", "wrong shape"),
        ("negative normalization", "finite and positive"),
        ("normalization of another shape", "wrong shape"),
        ("text", "cannot be read as JSON"),
        ("list", "is no configuration"),
        ("null", "is no configuration"),
        ("numbers", "has the wrong type"),
    ],
)
def test_damaged_files_are_refused(tmp_path, how, message):
    path = tmp_path / "x.h5"
    write(path)
    damage(path, how)
    with pytest.raises(InputFileError, match=message) as raised, open_sparse_file(path) as reader:
        reader.read(0, reader.file.n_frames)
    assert "x.h5" in str(raised.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95])
def test_truncated_files_are_refused(tmp_path, share):
    path = tmp_path / "x.h5"
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputFileError), open_sparse_file(path) as reader:
        reader.read(0, 3)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputFileError, match="no such file"), open_sparse_file(tmp_path / "none.h5"):
        pass
    (tmp_path / "text.h5").write_text("no frames")
    with pytest.raises(InputFileError, match="HDF5"), open_sparse_file(tmp_path / "text.h5"):
        pass
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(InputFileError, match="no sparse frames"), open_sparse_file(tmp_path / "empty.h5"):
        pass


def test_a_file_without_its_configuration_is_read(tmp_path):
    write(tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        del file["entry_0000/sparsify"]
    with open_sparse_file(tmp_path / "x.h5") as reader:
        assert reader.file.config == {}


def test_frames_that_do_not_fit_are_not_written(tmp_path):
    with pytest.raises(DataError, match="expected uint16"):
        write(tmp_path / "x.h5", some_frames("u4"), dtype="u2")
    with pytest.raises(DataError, match="3 sparse frames were written for a table of 2 rows"):
        write(tmp_path / "y.h5", table=FrameTable.unknown(2))
    assert not list(tmp_path.iterdir())


def test_links_to_the_raw_frames(tmp_path):
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["entry/data/data"] = np.zeros((3, 30, 20), dtype=np.uint16)
    (tmp_path / "below").mkdir()
    links = (f"{tmp_path / 'raw.h5'}::/entry/data/data", str(tmp_path / "frame.cbf"))
    write(tmp_path / "below" / "x.h5", links=links)
    with h5py.File(tmp_path / "below" / "x.h5") as file:
        assert list(file["entry_0000/data"]) == ["data_0001"]
        assert file["entry_0000/data/data_0001"].shape == (3, 30, 20)


def test_a_file_of_one_ring(tmp_path):
    bins = azimuthal_bins(DETECTOR, BEAM, 1)
    frames = SparseFrames([0, 1], np.array([5]), np.array([9], dtype=np.uint16), [[2.0]], [[1.0]])
    with write_sparse_file(
        tmp_path / "x.h5", bins, DETECTOR, BEAM, "u2", 65535, FrameTable.unknown(1), Provenance("sparsify", {}, {})
    ) as writer:
        writer.append(frames)
    with open_sparse_file(tmp_path / "x.h5") as reader:
        assert reader.file.bins.n_bins == 1
        np.testing.assert_array_equal(reader.file.bins.usable, bins.usable)
        assert_frames(reader.read(0, 1), frames)
