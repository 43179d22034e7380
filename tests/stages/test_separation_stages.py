import csv
import json
from types import SimpleNamespace

import fabio
import h5py
import hdf5plugin
import numpy as np
import pytest

from fewphoton.config.separation import (
    DensifyConfig,
    FindPeaksConfig,
    ImportSparseConfig,
    SparsifyConfig,
    VetoConfig,
)
from fewphoton.data import Beam
from fewphoton.errors import ConfigError, DataError, GeometryError, InputFileError
from fewphoton.io.cxi_peaks import read_cxi_peaks
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import read_metrics
from fewphoton.io.photon_files import read_photon_file
from fewphoton.io.raw_frames import open_raw_frames
from fewphoton.io.sparse_nexus import open_sparse_file
from fewphoton.stages import densify, find_peaks, import_sparse, sparsify, veto
from fewphoton.stages.contract import Context
from tests.conftest import flat_detector
from tests.io.test_sparse_nexus import write_as_pyfai

SHAPE = (80, 70)
BEAM = Beam(0.9)
DETECTOR = flat_detector(*SHAPE)
THAUMATIN = "thaumatin_grid_i24/thau_3_2_{:04d}.cbf.bz2"
THAUMATIN_FRAMES = (1, 3, 9, 15, 19)
BITSHUFFLE = dict(hdf5plugin.Bitshuffle(nelems=0, cname="lz4"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("FEWPHOTON_CACHE", str(folder))
    return folder


def context(threads=1):
    return Context(threads, None, False)


def simulated(n_frames=6, level=2.0, dtype="u2", seed=0, shape=SHAPE):
    """Poisson background with 0, 8, 16, 0, ... spots; two dead pixels, and a bad read that wanders."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    frames, n_spots = [], []
    for number in range(n_frames):
        mean = level * (0.5 + np.exp(-((rows - 40) ** 2 + (columns - 35) ** 2) / 600))
        n_spots.append(8 * (number % 3))
        cells = rng.permutation([(r, c) for r in range(6, shape[0] - 6, 9) for c in range(6, shape[1] - 6, 9)])
        for slow, fast in cells[: n_spots[-1]] + rng.uniform(-0.5, 0.5, (n_spots[-1], 2)):
            mean = mean + 150 * np.exp(-((rows - slow) ** 2 + (columns - fast) ** 2) / 1.2)
        frame = rng.poisson(mean).astype(dtype)
        bad = np.iinfo(dtype).max if dtype[0] != "f" else np.nan
        frame[3, 4] = frame[50, 51] = bad
        frame[number, 60] = bad
        frames.append(frame)
    return np.array(frames), np.array(n_spots)


def save(path, frames, **options):
    with h5py.File(path, "w") as file:
        options = options or BITSHUFFLE
        file.create_dataset("entry/data/data", data=frames, chunks=(1, *frames.shape[1:]), **options)
    return f"{path}::/entry/data/data"


@pytest.fixture
def run(tmp_path):
    """A run of simulated frames, its geometry, and short calls of the stages."""
    frames, n_spots = simulated()
    write_geometry_yaml(tmp_path / "g.yaml", DETECTOR, BEAM)
    return SimpleNamespace(
        folder=tmp_path,
        frames=frames,
        n_spots=n_spots,
        raw=(save(tmp_path / "raw.h5", frames),),
        geometry=tmp_path / "g.yaml",
    )


def make_sparse(run, name="sparse.h5", threads=1, raw=None, geometry=None, files=None, **config):
    path = run.folder / name
    sparsify.run(
        sparsify.Inputs(raw or run.raw, geometry or run.geometry, **(files or {})),
        sparsify.Outputs(path, path.with_suffix(".json")),
        SparsifyConfig(**{"n_bins": 60} | config),
        context(threads),
    )
    return path


def make_dense(run, sparse, name="dense.h5", threads=1, geometry=None, **config):
    path = run.folder / name
    densify.run(
        densify.Inputs(sparse, geometry),
        densify.Outputs(path, path.with_suffix(".json")),
        DensifyConfig(**config),
        context(threads),
    )
    return path


def make_peaks(run, name="peaks.cxi", threads=1, raw=None, sparse=None, geometry=None, files=None, **config):
    path = run.folder / name
    raw = () if sparse else (raw or run.raw)
    find_peaks.run(
        find_peaks.Inputs(raw, sparse, geometry or (None if sparse else run.geometry), **(files or {})),
        find_peaks.Outputs(path, path.with_suffix(".json"), path.with_suffix(".stream")),
        FindPeaksConfig(**{"n_bins": 60} | config),
        context(threads),
    )
    return path


def read_all(path):
    with open_raw_frames([str(path)]) as raw:
        return raw.read(np.arange(raw.n_frames))


def read_sparse(path):
    with open_sparse_file(path) as reader:
        return reader.read(0, reader.file.n_frames), reader.file


def test_sparse_frames_hold_what_stands_out(run):
    path = make_sparse(run)
    frames, file = read_sparse(path)
    metrics = read_metrics(path.with_suffix(".json"))
    assert file.n_frames == metrics["n_frames"] == 6
    assert file.config["cutoff_pick"] == 3.0
    for number in range(6):
        hits = slice(frames.indptr[number], frames.indptr[number + 1])
        pixel, intensity = frames.pixel[hits], frames.intensity[hits]
        raw = run.frames[number].ravel()
        np.testing.assert_array_equal(intensity, raw[pixel])
        mean, std = (
            np.interp(file.bins.radius, file.bins.centres, curve[number])
            for curve in (frames.background_mean, frames.background_std)
        )
        excess = raw - mean - np.maximum(1, 3 * np.hypot(std, 1))
        strong = file.bins.usable & (excess > 0)
        near = np.abs(excess) < 1e-4
        assert (np.isin(np.arange(raw.size), pixel) == strong)[~near].all()
        # The bad read of this frame is kept as such; the dead pixels belong to the mask.
        assert number * 70 + 60 in pixel
    dead = [3 * 70 + 4, 50 * 70 + 51]
    assert not file.bins.usable[dead].any()
    assert metrics["n_pixels_always_bad"] == 2
    assert metrics["n_bad_reads"] == 6
    assert metrics["n_hits"] == len(frames.pixel)
    assert metrics["n_pixels_used"] == DETECTOR.n_pixels - 2
    assert 0.9 < metrics["background_mean"] < 3
    assert metrics["bytes_sparse"] == path.stat().st_size


@pytest.mark.parametrize("model", ["poisson", "azimuthal", "poisson_tail"])
def test_one_thread_or_two_or_again_give_the_same_bytes(run, model):
    config = {"error_model": model, "cutoff_pick": 2.0}
    written = {}
    for name, threads in (("a", 1), ("b", 2), ("c", 2)):
        sparse = make_sparse(run, f"{name}.h5", threads, **config)
        dense = make_dense(run, sparse, f"{name}_dense.h5", threads, seed=3)
        peaks = make_peaks(run, f"{name}.cxi", threads, error_model=model, cutoff_peak=4.0)
        with h5py.File(dense) as file, h5py.File(peaks) as peak_file:
            written[name] = (
                sparse.read_bytes(),
                file["entry/data/data_000001" if "data_000001" in file["entry/data"] else "entry/data/data"][
                    ()
                ].tobytes(),
                peak_file["entry_1/result_1/peakTotalIntensity"][()].tobytes(),
                peak_file["entry_1/result_1/peakXPosRaw"][()].tobytes(),
                (peaks.with_suffix(".stream")).read_bytes(),
            )
    assert written["a"] == written["b"] == written["c"]


def test_dense_files_are_the_same_bytes_from_the_same_sparse_file(run):
    sparse = make_sparse(run)
    for layout in ("nxmx", "lima"):
        one, other = (
            make_dense(run, sparse, f"{layout}{threads}.h5", threads, seed=1, format=layout).read_bytes()
            for threads in (1, 2)
        )
        assert one == other


def test_rings_from_the_cache_give_the_same_bytes(run, cache):
    fresh = make_sparse(run, "a.h5")
    (kept,) = cache.iterdir()
    before = kept.stat().st_mtime_ns
    cached = make_sparse(run, "b.h5")
    assert kept.stat().st_mtime_ns == before
    assert fresh.read_bytes() == cached.read_bytes()
    kept.write_bytes(b"spoilt")
    again = make_sparse(run, "c.h5")
    assert again.read_bytes() == fresh.read_bytes()
    assert kept.read_bytes() != b"spoilt"
    make_sparse(run, "d.h5", n_bins=50)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("layout", ["nxmx", "lima", "cbf"])
@pytest.mark.parametrize("noise", [False, True])
def test_dense_frames_have_spots_background_and_gaps(run, layout, noise):
    sparse = make_sparse(run, cutoff_pick=2.0)
    name = "dense" if layout == "cbf" else "dense.h5"
    path = make_dense(run, sparse, name, 2, format=layout, noise=noise)
    frames, file = read_sparse(sparse)
    found = read_all(path / "*.cbf") if layout == "cbf" else read_all(path)
    assert found.shape == run.frames.shape
    for number in range(6):
        hits = slice(frames.indptr[number], frames.indptr[number + 1])
        flat = found[number].ravel()
        held = frames.intensity[hits] if layout != "cbf" else frames.intensity[hits].astype(np.int64)
        good = held != 65535
        np.testing.assert_array_equal(flat[frames.pixel[hits][good]], held[good])
        others = file.bins.usable.copy()
        others[frames.pixel[hits]] = False
        mean = np.interp(file.bins.radius, file.bins.centres, frames.background_mean[number])
        if noise:
            error = np.sqrt(mean[others].sum())
            # Cut at 2 sigma, the mean of what is drawn is a little lower.
            assert -0.1 * mean[others].sum() - 5 * error < (flat[others] - mean[others]).sum() < 5 * error
        else:
            assert np.abs(flat[others] - mean[others]).max() <= 0.5 + 1e-3
        if layout != "cbf":
            assert (flat[~file.bins.usable] == 65535).all()
    assert read_metrics(path.with_suffix(".json"))["n_frames"] == 6


def test_noise_goes_by_the_seed_and_differs_from_frame_to_frame(run):
    sparse = make_sparse(run)
    one, same, other = (
        read_all(make_dense(run, sparse, f"{name}.h5", seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.3
    assert (one[0] != one[3]).mean() > 0.3


def low_count_run(tmp_path, mean=0.1, n_frames=2):
    shape = (400, 500)
    frames = np.random.default_rng(7).poisson(mean, (n_frames, *shape)).astype(np.uint16)
    write_geometry_yaml(tmp_path / "low.yaml", flat_detector(*shape, pixel_m=2e-4), BEAM)
    return SimpleNamespace(
        folder=tmp_path, frames=frames, raw=(save(tmp_path / "low.h5", frames),), geometry=tmp_path / "low.yaml"
    )


@pytest.mark.parametrize("model", ["poisson", "poisson_tail"])
def test_a_tenth_of_a_photon_comes_back_as_it_was_and_not_with_fabio(tmp_path, model):
    run = low_count_run(tmp_path)
    cutoff = 2.0 if model == "poisson" else 4.0
    sparse = make_sparse(run, error_model=model, cutoff_pick=cutoff, n_bins=80)
    frames, file = read_sparse(sparse)
    ours = read_all(make_dense(run, sparse)).reshape(2, -1)
    fabios_image = fabio.open(str(sparse))
    fabios_image.noisy = 1.0
    theirs = np.array([fabios_image._generate_data(number) for number in range(2)]).reshape(2, -1)
    fabios_image.close()
    n_pixels = run.frames[0].size
    # Five standard errors: those of the pixels, and those of the curves, which come from as many.
    error_of_mean = 5 * np.sqrt(2 * 0.1 / (2 * n_pixels))
    error_of_variance = 5 * np.sqrt(2 * (0.1 + 2 * 0.1**2) / (2 * n_pixels))
    # Below the first ring's centre FabIO leaves the dummy.
    drawn = file.bins.usable & (file.bins.radius >= file.bins.centres[0] * (1 + 1e-6))
    assert drawn.sum() > 0.999 * n_pixels
    for number in range(2):
        mean, std = (
            np.interp(file.bins.radius, file.bins.centres, curve[number])
            for curve in (frames.background_mean, frames.background_std)
        )
        strong = frames.pixel[frames.indptr[number] : frames.indptr[number + 1]]
        others = np.setdiff1d(np.flatnonzero(file.bins.usable), strong)
        if model == "poisson":
            limit = mean + np.maximum(1, cutoff * np.hypot(std, 1))
            assert (ours[number][others] <= limit[others]).all()
            false = theirs[number] > limit
            false[strong] = False
            assert false[drawn].sum() > 20  # FabIO's noise knows no limit
        else:
            assert ours[number][others].max() <= run.frames[number].ravel()[others].max()
    assert abs(ours.mean() - 0.1) < error_of_mean
    assert abs(ours.var() - 0.1) < error_of_variance
    if model == "poisson":
        # FabIO draws max(0, normal) with the Poisson model's variance of 1 where nothing was counted.
        assert 0.4 < theirs[:, drawn].mean() < 0.5


def test_pyfais_own_file_is_densified(run):
    ours = make_sparse(run)
    frames, file = read_sparse(ours)
    write_as_pyfai(run.folder / "foreign.h5", frames, file.bins, dummy=65535)
    path = make_dense(run, run.folder / "foreign.h5", geometry=run.geometry, noise=False)
    dense = read_all(path)
    assert (dense[:, ~file.bins.usable.reshape(SHAPE)] == 65535).all()
    image = fabio.open(str(run.folder / "foreign.h5"))
    try:
        for number in range(6):
            theirs = image.getframe(number).data.ravel()
            # FabIO leaves the dummy below the first ring's centre.
            same = file.bins.usable & (file.bins.radius >= file.bins.centres[0] * (1 + 1e-6))
            assert np.abs(dense[number].ravel()[same].astype(int) - theirs[same]).max() <= 1
            assert (dense[number].ravel()[same] == theirs[same]).mean() > 0.999
            hits = slice(frames.indptr[number], frames.indptr[number + 1])
            np.testing.assert_array_equal(dense[number].ravel()[frames.pixel[hits]], frames.intensity[hits])
    finally:
        image.close()
    with pytest.raises(InputFileError, match="does not tell its geometry"):
        make_dense(run, run.folder / "foreign.h5", "other.h5")


@pytest.mark.parametrize("model", ["poisson", "azimuthal", "poisson_tail"])
def test_peaks_and_veto(run, model):
    raw = make_peaks(run, error_model=model, cutoff_peak=5.0)
    peaks, n_frames = read_cxi_peaks(raw)
    counts = peaks.counts(n_frames)
    assert (np.abs(counts - run.n_spots) <= 2).all()
    metrics = read_metrics(raw.with_suffix(".json"))
    assert metrics["n_peaks"] == len(peaks)
    assert metrics["n_frames_without_valid_pixel"] == 0
    # The same from sparse frames.
    sparse = make_sparse(run, error_model=model, cutoff_pick=2.0)
    again, _ = read_cxi_peaks(make_peaks(run, "sparse.cxi", sparse=sparse, error_model=model, cutoff_peak=5.0))
    assert len(again) == len(peaks)
    np.testing.assert_array_equal(again.frame, peaks.frame)
    for name in ("slow_px", "fast_px"):
        assert np.abs(getattr(again, name) - getattr(peaks, name)).max() < 0.3
    # Frames of no spots are rejected.
    outputs = veto.Outputs(*(run.folder / name for name in ("kept.txt", "curve.csv", "frames.csv", "veto.json")))
    veto.run(veto.Inputs(raw), outputs, VetoConfig(minimum_peaks=5), context())
    assert [int(line) for line in outputs.kept.read_text().split()] == np.flatnonzero(run.n_spots).tolist()
    rows = list(csv.DictReader(outputs.frames.read_text().splitlines()))
    assert [int(row["n_peaks"]) for row in rows] == counts.tolist()
    curve = list(csv.DictReader(outputs.curve.read_text().splitlines()))
    assert (curve[0]["n_frames_kept"], curve[-1]["n_frames_kept"]) == ("6", "0")
    assert json.loads(outputs.metrics.read_text())["n_frames_kept"] == 4


def test_frames_of_mixed_kinds_are_not_linked_in_part(run):
    np.save(run.folder / "more.npy", run.frames[:2])
    with h5py.File(make_peaks(run, "one.cxi", cutoff_peak=5.0)) as file:
        assert file["entry_1/data_1/data"].shape == run.frames.shape
    second = save(run.folder / "second.h5", run.frames[:3])
    both = make_peaks(run, "both.cxi", raw=(*run.raw, second), cutoff_peak=5.0)
    with h5py.File(both) as file:
        assert file["entry_1/data_1/data"].shape == (9, *SHAPE)
    mixed = make_peaks(run, "mixed.cxi", raw=(*run.raw, str(run.folder / "more.npy")), cutoff_peak=5.0)
    with h5py.File(mixed) as file:
        assert "data_1" not in file["entry_1"]
        assert len(file["entry_1/result_1/nPeaks"]) == 8
    sparse = make_peaks(run, "from_sparse.cxi", sparse=make_sparse(run), cutoff_peak=5.0)
    for path, first, last in (
        (run.folder / "one.cxi", ("raw.h5", "//0"), ("raw.h5", "//5")),
        (both, ("both.cxi", "//0"), ("both.cxi", "//8")),
        (mixed, ("raw.h5::/entry/data/data", "//"), ("more.npy", "//")),
        (sparse, ("sparse.h5", "//"), ("sparse.h5", "//")),
    ):
        lines = path.with_suffix(".stream").read_text().splitlines()
        names = [line.rpartition("/")[2] if "::" not in line else line for line in lines if "Image filename" in line]
        events = [line.partition(": ")[2] for line in lines if line.startswith("Event")]
        for place, (name, event) in ((0, first), (-1, last)):
            assert names[place].endswith(name)
            assert events[place] == event


def test_photons_from_sparse_frames(run):
    sparse = make_sparse(run)
    outputs = import_sparse.Outputs(run.folder / "photons.h5", run.folder / "photons.json")
    import_sparse.run(import_sparse.Inputs(sparse), outputs, ImportSparseConfig(), context())
    photons, detector, _ = read_photon_file(outputs.frames)
    frames, file = read_sparse(sparse)
    np.testing.assert_array_equal(detector.masked, ~file.bins.usable)
    dense = photons.to_dense()
    for number in range(6):
        hits = slice(frames.indptr[number], frames.indptr[number + 1])
        pixel, intensity = frames.pixel[hits], frames.intensity[hits].astype(float)
        mean = np.interp(file.bins.radius[pixel], file.bins.centres, frames.background_mean[number])
        expected = np.where(intensity == 65535, 0, np.rint(intensity - mean))
        np.testing.assert_array_equal(dense[number][pixel], expected)
        assert dense[number].sum() == expected.sum()


def test_mask_dark_and_flat(run):
    rng = np.random.default_rng(0)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[10:20, 10:20] = 1
    dark, flat = rng.uniform(0, 0.5, (2, *SHAPE)), rng.uniform(0.5, 2, SHAPE)
    flat[30, 30] = 0
    for name, image in (("mask", mask), ("dark", dark), ("flat", flat)):
        np.save(run.folder / f"{name}.npy", image)
    files = {name: run.folder / f"{name}.npy" for name in ("mask", "dark", "flat")}
    sparse = make_sparse(run, files=files, solid_angle=True, polarization=True)
    frames, file = read_sparse(sparse)
    image = file.bins.usable.reshape(SHAPE)
    assert not image[10:20, 10:20].any()
    assert not image[30, 30]
    assert file.bins.normalization is not None
    held = frames.intensity != 65535
    frame = np.repeat(np.arange(6), np.diff(frames.indptr))
    expected = np.rint(
        run.frames.reshape(6, -1)[frame, frames.pixel] - dark.mean(axis=0).ravel()[frames.pixel].astype("f4")
    )
    np.testing.assert_array_equal(frames.intensity[held], expected[held])
    dense = read_all(make_dense(run, sparse))
    usable = image & (run.frames != 65535).all(axis=0)
    # Less the dark; pixels of small weight scatter more and are clipped sooner, which takes a little off the mean.
    assert -0.2 < dense[0][usable].mean() - run.frames[0][usable].mean() + 0.25 < 0.1
    peaks, _ = read_cxi_peaks(make_peaks(run, "corrected.cxi", sparse=sparse, cutoff_peak=5.0))
    assert (np.abs(peaks.counts(6) - run.n_spots) <= 4).all()


def test_frames_without_anything_valid_are_counted(run, capsys):
    frames = np.concatenate(
        [run.frames, np.full((1, *SHAPE), 65535, dtype=np.uint16), np.zeros((1, *SHAPE), np.uint16)]
    )
    raw = (save(run.folder / "odd.h5", frames),)
    sparse = make_sparse(run, raw=raw)
    metrics = read_metrics(sparse.with_suffix(".json"))
    assert (metrics["n_frames"], metrics["n_frames_without_valid_pixel"]) == (8, 1)
    assert "1 frames hold no valid pixel" in capsys.readouterr().err
    held, file = read_sparse(sparse)
    assert np.diff(held.indptr)[6] == file.bins.usable.sum()
    assert np.diff(held.indptr)[7] == 0
    dense = read_all(make_dense(run, sparse))
    assert (dense[6] == 65535).all()
    assert (dense[7][file.bins.usable.reshape(SHAPE)] <= 4).all()
    peaks = make_peaks(run, raw=raw)
    told = read_metrics(peaks.with_suffix(".json"))
    assert (told["n_frames_without_valid_pixel"], told["n_bad_reads"]) == (1, metrics["n_bad_reads"])
    assert read_cxi_peaks(peaks)[0].counts(8)[6:].tolist() == [0, 0]
    from_sparse = make_peaks(run, "s.cxi", sparse=make_sparse(run, "two.h5", raw=raw, cutoff_pick=2.0))
    assert read_cxi_peaks(from_sparse)[0].counts(8)[6:].tolist() == [0, 0]
    told = read_metrics(from_sparse.with_suffix(".json"))
    assert (told["n_frames_without_valid_pixel"], told["n_bad_reads"]) == (1, metrics["n_bad_reads"])
    for_peakfinder8 = read_metrics(make_peaks(run, "p.cxi", raw=raw, method="peakfinder8").with_suffix(".json"))
    assert for_peakfinder8["n_frames_without_valid_pixel"] == 1
    assert for_peakfinder8["n_bad_reads"] == metrics["n_bad_reads"]


@pytest.mark.parametrize("dtype", ["u1", "u4", "i2", "i4", "f4", "f8", ">u2"])
def test_frames_of_other_types(run, dtype):
    frames = simulated(dtype="u1" if dtype == "u1" else dtype.lstrip(">"))[0].astype(dtype)
    raw = (save(run.folder / "typed.h5", frames, compression="gzip"),)
    sparse = make_sparse(run, raw=raw)
    held, file = read_sparse(sparse)
    assert file.dtype == np.dtype(dtype).newbyteorder("=")
    dense = read_all(make_dense(run, sparse))
    assert dense.dtype == file.dtype
    frame = np.repeat(np.arange(6), np.diff(held.indptr))
    np.testing.assert_array_equal(dense.reshape(6, -1)[frame, held.pixel], held.intensity)
    peaks, n_frames = read_cxi_peaks(make_peaks(run, raw=raw, cutoff_peak=5.0))
    assert (np.abs(peaks.counts(n_frames) - run.n_spots) <= 2).all()


def test_a_cut_chunk_ends_the_stages_with_its_frame_named(run):
    with h5py.File(run.folder / "raw.h5", "r+") as file:
        item = file["entry/data/data"].id
        _, packed = item.read_direct_chunk((4, 0, 0))
        item.write_direct_chunk((4, 0, 0), packed[: len(packed) // 2])
    for threads in (1, 2):
        with pytest.raises(InputFileError, match="frame 4 cannot be read"):
            make_sparse(run, threads=threads)
        with pytest.raises(InputFileError, match="frame 4 cannot be read"):
            make_peaks(run, threads=threads)
    assert not list(run.folder.glob("sparse*"))
    assert not list(run.folder.glob("peaks*"))


def test_inputs_that_do_not_fit_are_refused(run):
    other = save(run.folder / "other.h5", run.frames[:, :70])
    with pytest.raises(InputFileError, match="frames differ from those"):
        make_sparse(run, raw=(*run.raw, other))
    with pytest.raises(InputFileError, match="another detector"):
        make_sparse(run, raw=(other,))
    np.save(run.folder / "small.npy", np.zeros((70, 70)))
    for role in ("mask", "dark", "flat"):
        with pytest.raises(InputFileError, match="does not fit the frames"):
            make_sparse(run, files={role: run.folder / "small.npy"})
    with pytest.raises(InputFileError, match="no such file"):
        make_sparse(run, geometry=run.folder / "none.yaml")
    write_geometry_yaml(run.folder / "masked.yaml", DETECTOR.with_mask(np.ones(DETECTOR.n_pixels, dtype=bool)), BEAM)
    with pytest.raises(GeometryError, match="every pixel is masked"):
        make_sparse(run, geometry=run.folder / "masked.yaml")
    assert not list(run.folder.glob("sparse*"))


def test_configurations_that_do_not_fit_are_refused(run):
    sparse = make_sparse(run, cutoff_pick=4.0)
    with pytest.raises(ConfigError, match="holds pixels above 4 sigma only"):
        make_peaks(run, sparse=sparse, cutoff_peak=3.0)
    with pytest.raises(ConfigError, match="peakfinder8 needs raw frames"):
        make_peaks(run, sparse=sparse, method="peakfinder8")
    with pytest.raises(ConfigError, match="either --raw or --sparse"):
        find_peaks.run(
            find_peaks.Inputs(run.raw, sparse, run.geometry),
            find_peaks.Outputs(run.folder / "x.cxi", run.folder / "x.json"),
            FindPeaksConfig(),
            context(),
        )
    with pytest.raises(ConfigError, match="either --raw or --sparse"):
        find_peaks.run(
            find_peaks.Inputs(),
            find_peaks.Outputs(run.folder / "x.cxi", run.folder / "x.json"),
            FindPeaksConfig(),
            context(),
        )
    with pytest.raises(ConfigError, match="needs --geometry"):
        find_peaks.run(
            find_peaks.Inputs(run.raw),
            find_peaks.Outputs(run.folder / "x.cxi", run.folder / "x.json"),
            FindPeaksConfig(),
            context(),
        )
    with pytest.raises(ConfigError, match="expected a formula"):
        make_sparse(run, "y.h5", error_model="variance", variance_formula="5*J")
    with pytest.raises(ConfigError, match="poisson_tail needs counts"):
        make_sparse(run, "y.h5", error_model="poisson_tail", solid_angle=True)
    floats = (save(run.folder / "floats.h5", run.frames.astype("f4")),)
    with pytest.raises(ConfigError, match="poisson_tail needs counts"):
        make_sparse(run, "y.h5", raw=floats, error_model="poisson_tail")
    with pytest.raises(ConfigError, match="no value is left"):
        make_sparse(run, "y.h5", saturation=0)
    with pytest.raises(DataError, match="cannot be separated"):
        make_sparse(run, "y.h5", raw=(save(run.folder / "half.h5", (run.frames % 100).astype("f2")),))
    assert not list(run.folder.glob("[xy].*"))


@pytest.mark.parametrize("value", ['"three"', "null", "[3]"])
def test_a_cutoff_in_the_file_that_is_no_number_is_refused(run, value):
    sparse = make_sparse(run)
    with h5py.File(sparse, "r+") as file:
        note = file["entry_0000/sparsify/configuration"]
        del note["data"]
        note["data"] = f'{{"sparsify": {{"cutoff_pick": {value}}}}}'
    with pytest.raises(InputFileError, match="its configuration cannot be used"):
        make_dense(run, sparse)
    with pytest.raises(InputFileError, match="its configuration cannot be used"):
        make_peaks(run, sparse=sparse)


def test_a_saturated_frame_and_negative_counts(run):
    frames = run.frames.astype(np.int32)
    frames[frames == 65535] = -1
    frames[1] = 2**20
    frames[2, 5, 5] = -7
    raw = (save(run.folder / "signed.h5", frames),)
    sparse = make_sparse(run, raw=raw, saturation=2**20, cutoff_pick=2.0)
    held, file = read_sparse(sparse)
    assert np.diff(held.indptr)[1] == 0
    place = held.indptr[2] + np.flatnonzero(held.pixel[held.indptr[2] : held.indptr[3]] == 5 * 70 + 5)
    assert held.intensity[place].tolist() == [-1]
    assert read_metrics(sparse.with_suffix(".json"))["n_frames_without_valid_pixel"] == 1
    assert file.gap == -1


@pytest.mark.parametrize("minimum", [None, -1000])
def test_an_integrating_detector(run, minimum):
    """Values about 0 with read-out noise, a bad read of -5136 and spots."""
    frames = (run.frames.astype(float) - 6 + np.random.default_rng(1).normal(0, 2, run.frames.shape)).round()
    frames[run.frames == 65535] = -5136
    raw = (save(run.folder / "adu.h5", frames.astype(np.int32)),)
    config = {"error_model": "azimuthal", "minimum_valid": minimum}
    sparse = make_sparse(run, raw=raw, cutoff_pick=2.0, **config)
    metrics = read_metrics(sparse.with_suffix(".json"))
    if minimum is None:
        assert metrics["n_bad_reads"] > 5_000  # all that is negative
        return
    assert metrics["n_bad_reads"] == 6
    assert metrics["n_pixels_always_bad"] == 2
    _, file = read_sparse(sparse)
    assert file.gap == -(2**31)
    dense = read_all(make_dense(run, sparse))
    usable = file.bins.usable.reshape(SHAPE) & (frames > -5000).all(axis=0)
    assert abs(dense[0][usable].mean() - frames[0][usable].mean()) < 0.3
    assert (dense[:, ~file.bins.usable.reshape(SHAPE)] == -(2**31)).all()
    from_raw, _ = read_cxi_peaks(make_peaks(run, raw=raw, cutoff_peak=5.0, **config))
    from_sparse, _ = read_cxi_peaks(make_peaks(run, "s.cxi", sparse=sparse, cutoff_peak=5.0, **config))
    np.testing.assert_array_equal(from_raw.frame, from_sparse.frame)
    assert np.abs(from_raw.slow_px - from_sparse.slow_px).max() < 0.5
    assert (np.abs(from_raw.counts(6) - run.n_spots) <= 2).all()


@pytest.mark.real_data
def test_thaumatin_hits_and_blanks(data_dir, tmp_path):
    """Frames 1, 3 and 9 are full of spots, 15 is a weak hit, 19 is blank."""
    raw = tuple(str(data_dir / THAUMATIN.format(number)) for number in THAUMATIN_FRAMES)
    run = SimpleNamespace(folder=tmp_path, raw=raw, geometry=data_dir / THAUMATIN.format(1))
    path = make_peaks(run, n_bins=800, threads=2)
    peaks, n_frames = read_cxi_peaks(path)
    counts = peaks.counts(n_frames)
    assert (counts[:3] > 300).all()
    assert 40 < counts[3] < 200
    assert counts[4] < 20
    for minimum, expected in ((counts[3] + 1, [0, 1, 2]), (20, [0, 1, 2, 3])):
        outputs = veto.Outputs(*(tmp_path / name for name in ("kept", "curve", "frames", "metrics")))
        veto.run(veto.Inputs(path), outputs, VetoConfig(minimum_peaks=int(minimum)), context())
        assert [int(line) for line in outputs.kept.read_text().split()] == expected
    sparse = make_sparse(run, n_bins=800, cutoff_pick=2.0, threads=2)
    metrics = read_metrics(sparse.with_suffix(".json"))
    assert metrics["compression_ratio_to_uncompressed"] > 8
    again, _ = read_cxi_peaks(make_peaks(run, "sparse.cxi", sparse=sparse, n_bins=800))
    np.testing.assert_array_equal(again.counts(n_frames), counts)
    # The same maxima; pixels between the background and the pick's limit are in the sums of raw frames alone.
    shift = np.hypot(again.slow_px - peaks.slow_px, again.fast_px - peaks.fast_px)
    assert shift.max() < 2
    assert np.median(shift) < 0.25
    bright = peaks.intensity > 500
    assert bright.sum() > 300
    assert np.median(shift[bright]) < 0.05
    # FabIO gives back every strong pixel of the file.
    held, file = read_sparse(sparse)
    image = fabio.open(str(sparse))
    theirs = image.getframe(4).data.ravel()
    image.close()
    hits = slice(held.indptr[4], held.indptr[5])
    np.testing.assert_array_equal(theirs[held.pixel[hits]], held.intensity[hits])
    mean = np.interp(file.bins.radius, file.bins.centres, held.background_mean[4])
    others = file.bins.usable & (file.bins.radius >= file.bins.centres[0] * (1 + 1e-6))
    others[held.pixel[hits]] = False
    assert np.abs(theirs[others] - mean[others]).max() <= 0.5 + 1e-3


@pytest.mark.real_data
def test_cspad_frames_run_through(data_dir, tmp_path):
    """Raw ADU, negative without light: the smallest valid value has to be named."""
    shape = (5920, 388)
    write_geometry_yaml(tmp_path / "g.yaml", flat_detector(*shape, pixel_m=1.1e-4), Beam(1.2726))
    run = SimpleNamespace(
        folder=tmp_path, raw=(str(data_dir / "cspad_thermolysin_run14.h5"),), geometry=tmp_path / "g.yaml"
    )
    config = {"n_bins": 400, "error_model": "azimuthal", "minimum_valid": -1000, "noise": 3.0}
    sparse = make_sparse(run, cutoff_pick=3.0, **config)
    held, file = read_sparse(sparse)
    assert file.gap == -(2**31)
    assert (held.background_mean > -10).all()
    assert (held.background_mean < 60).all()
    dense = read_all(make_dense(run, sparse))
    assert dense.shape == (2, *shape)
    frames = read_all(run.raw[0])
    good = file.bins.usable.reshape(shape) & (frames[0] > -1000)
    assert abs(np.median(dense[0][good]) - np.median(frames[0][good])) <= 3
    assert len(read_cxi_peaks(make_peaks(run, cutoff_peak=6.0, **config))[0]) > 0
    pf8 = {"method": "peakfinder8", "n_bins": 400, "minimum_valid": -1000}
    read_cxi_peaks(make_peaks(run, "pf8.cxi", **pf8))
