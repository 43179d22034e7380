import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fewphoton.data import Beam, PeakTable
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.cxi_peaks import read_cxi_peaks, write_cxi_peaks
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import open_raw_frames
from tests.conftest import flat_detector
from tests.io.test_dense_frames import tiled_detector

COLUMNS = ("frame", "slow_px", "fast_px", "intensity", "sigma", "n_pixels", "saturated")
PROVENANCE = Provenance("test", {}, {})


def peaks_of(counts, shape=(12, 10), seed=0):
    rng = np.random.default_rng(seed)
    n_peaks = int(np.sum(counts))
    return PeakTable(
        np.repeat(np.arange(len(counts)), counts),
        rng.uniform(0, shape[0] - 1, n_peaks),
        rng.uniform(0, shape[1] - 1, n_peaks),
        rng.normal(100, 60, n_peaks),
        rng.uniform(0.5, 20, n_peaks),
        rng.integers(1, 30, n_peaks),
        rng.random(n_peaks) < 0.3,
    )


def same_peaks(found, peaks):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(peaks, name), err_msg=name)
        assert getattr(found, name).dtype == getattr(peaks, name).dtype


@pytest.fixture
def written(tmp_path, detector, beam, provenance):
    peaks = peaks_of([3, 0, 5, 1])
    write_cxi_peaks(tmp_path / "x.cxi", peaks, 4, detector, beam, provenance)
    return tmp_path / "x.cxi", peaks


def test_round_trip(written):
    path, peaks = written
    found, n_frames = read_cxi_peaks(path)
    same_peaks(found, peaks)
    assert n_frames == 4


@settings(max_examples=25, deadline=None)
@given(arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 9)), st.integers(0, 10**6))
def test_round_trip_of_any_counts(tmp_path_factory, counts, seed):
    path = tmp_path_factory.mktemp("cxi") / "x.cxi"
    peaks = peaks_of(counts, seed=seed)
    write_cxi_peaks(path, peaks, len(counts), flat_detector(), Beam(1.0), PROVENANCE)
    found, n_frames = read_cxi_peaks(path)
    same_peaks(found, peaks)
    assert n_frames == len(counts)


def test_many_frames_are_written_in_blocks(tmp_path, detector, beam, provenance):
    counts = np.random.default_rng(1).integers(0, 90, 3000)
    peaks = peaks_of(counts)
    write_cxi_peaks(tmp_path / "x.cxi", peaks, 3000, detector, beam, provenance)
    same_peaks(read_cxi_peaks(tmp_path / "x.cxi")[0], peaks)
    with h5py.File(tmp_path / "x.cxi") as file:
        chunks = file["entry_1/result_1/peakXPosRaw"].chunks
        assert chunks[0] < 3000
        assert chunks[0] * chunks[1] * 4 <= 256 * 1024


def test_crystfel_finds_what_it_opens(written):
    """nPeaks in one dimension, three tables of two with a row a frame, and no filter but HDF5's own."""
    path, peaks = written
    with h5py.File(path) as file:
        group = file["entry_1/result_1"]
        assert group["nPeaks"].dtype == np.int32
        assert group["nPeaks"][()].tolist() == [3, 0, 5, 1]
        for name in ("peakXPosRaw", "peakYPosRaw", "peakTotalIntensity", "peakSNR"):
            item = group[name]
            assert (item.dtype, item.shape) == (np.float32, (4, 5))
            assert (item[1] == 0).all()
            assert (item[0, 3:] == 0).all()
        np.testing.assert_array_equal(group["peakXPosRaw"][2], peaks.fast_px[3:8])
        np.testing.assert_array_equal(group["peakYPosRaw"][2], peaks.slow_px[3:8])
        np.testing.assert_array_equal(group["peakTotalIntensity"][2], peaks.intensity[3:8])
        np.testing.assert_array_equal(group["peakSNR"][2], peaks.intensity[3:8] / peaks.sigma[3:8])
        used = set()

        def look(name, item):
            if isinstance(item, h5py.Dataset):
                pipeline = item.id.get_create_plist()
                used.update(pipeline.get_filter(number)[0] for number in range(pipeline.get_nfilters()))

        file.visititems(look)
        assert used == {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE}


def test_default_plot_is_the_number_of_peaks(written):
    with h5py.File(written[0]) as file:
        group = file[file.attrs["default"]]
        assert group.attrs["NX_class"] == "NXentry"
        plot = group[group.attrs["default"]]
        assert plot.attrs["NX_class"] == "NXdata"
        assert plot[plot.attrs["signal"]].name == "/entry_1/result_1/nPeaks"


def test_instrument_and_mask(tmp_path, provenance):
    detector = tiled_detector()
    write_cxi_peaks(tmp_path / "x.cxi", peaks_of([2], detector.frame_shape), 1, detector, Beam(1.5), provenance)
    with h5py.File(tmp_path / "x.cxi") as file:
        place = file["entry_1/instrument_1/detector_1"]
        np.testing.assert_array_equal(place["mask"][()].ravel() != 0, detector.masked)
        np.testing.assert_array_equal(place["corner_position"][7], detector.panels[7].corner_m)
        np.testing.assert_array_equal(place["basis_vectors"][7, 1], detector.panels[7].fast_step_m)
        wave = file["entry_1/instrument_1/beam_1/incident_wavelength"]
        assert (wave[()], wave.attrs["units"]) == (pytest.approx(1.5e-10), "m")


def test_powder_of_a_hand_worked_peak(tmp_path, provenance):
    """75 mm off the beam and 100 mm away the peak is scattered by atan(0.75); half a pixel off either way is less."""
    detector = flat_detector(200, 100, 1e-3, 0.1)
    peaks = PeakTable([0], [99.5 - 75.0], [49.5], [42.0], [1.0], [1], [False])
    write_cxi_peaks(tmp_path / "x.cxi", peaks, 1, detector, Beam(1.5), provenance)
    with h5py.File(tmp_path / "x.cxi") as file:
        powder = file["entry_1/powder_1"]
        intensity, q_two_pi, d_spacing = (powder[name][()] for name in ("I", "q_A^-1", "d_A"))
    assert intensity.sum() == 42
    step = q_two_pi[1] - q_two_pi[0]
    q = 4 * np.pi * np.sin(np.arctan(0.75) / 2) / 1.5
    assert q_two_pi[intensity.argmax()] == pytest.approx(q, abs=step)
    np.testing.assert_allclose(d_spacing, 2 * np.pi / q_two_pi)
    q_corner = 4 * np.pi * np.sin(np.arctan(np.hypot(0.05, 0.1) / 0.1) / 2) / 1.5
    assert q_two_pi[-1] + step / 2 == pytest.approx(q_corner)


def frames_file(path, n_frames, seed=0):
    frames = np.random.default_rng(seed).integers(0, 9, (n_frames, 12, 10)).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = frames
    return f"{path}::/entry/data/data", frames


def test_linked_frames_survive_a_move_of_the_folder(tmp_path, detector, beam, provenance, monkeypatch):
    link, frames = frames_file(tmp_path / "run/raw/a.h5", 4)
    write_cxi_peaks(tmp_path / "run/peaks/x.cxi", peaks_of([1, 2, 0, 1]), 4, detector, beam, provenance, link)
    (tmp_path / "run").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    with open_raw_frames(["moved/peaks/x.cxi::/entry_1/data_1/data"]) as raw:
        np.testing.assert_array_equal(next(raw.chunks(10))[1], frames)


def test_frames_of_several_files_become_one_dataset(tmp_path, detector, beam, provenance, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, second = frames_file(tmp_path / "a.h5", 3, 1), frames_file(tmp_path / "b.h5", 1, 2)
    links = [first[0], "b.h5::/entry/data/data"]
    write_cxi_peaks("out/x.cxi", peaks_of([1, 2, 0, 1]), 4, detector, beam, provenance, links)
    with h5py.File("out/x.cxi") as file:
        assert file["entry_1/data_1/data"].is_virtual
        np.testing.assert_array_equal(file["entry_1/data_1/data"], np.concatenate([first[1], second[1]]))


def test_links_that_do_not_fit_are_refused(tmp_path, detector, beam, provenance):
    link, _ = frames_file(tmp_path / "a.h5", 3)
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["image"] = np.zeros((4, 4))
    cases = {
        "do not fit the peaks": link,
        "no such file": f"{tmp_path}/none.h5::/data",
        "missing": f"{tmp_path}/a.h5::/nowhere",
        "not named": f"{tmp_path}/a.h5",
        "no stack": f"{tmp_path}/flat.h5::/image",
    }
    for message, wrong in cases.items():
        with pytest.raises(InputFileError, match=message):
            write_cxi_peaks(tmp_path / "x.cxi", peaks_of([1, 2, 0, 1]), 4, detector, beam, provenance, wrong)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.h5", "flat.h5"]


def test_same_input_gives_same_bytes(written, tmp_path, detector, beam, provenance):
    write_cxi_peaks(tmp_path / "again/x.cxi", written[1], 4, detector, beam, provenance)
    assert (tmp_path / "again/x.cxi").read_bytes() == written[0].read_bytes()


@pytest.mark.parametrize("counts", [[0, 0, 0], []])
def test_no_peaks_at_all(tmp_path, detector, beam, provenance, counts):
    write_cxi_peaks(tmp_path / "x.cxi", peaks_of(np.array(counts, int)), len(counts), detector, beam, provenance)
    found, n_frames = read_cxi_peaks(tmp_path / "x.cxi")
    assert (len(found), n_frames) == (0, len(counts))


def test_unknown_sigma_gives_no_ratio(tmp_path, detector, beam, provenance):
    peaks = PeakTable([0, 0], [1, 2], [1, 2], [5, 6], [0, 2], [1, 1], [True, False])
    write_cxi_peaks(tmp_path / "x.cxi", peaks, 1, detector, beam, provenance)
    same_peaks(read_cxi_peaks(tmp_path / "x.cxi")[0], peaks)
    with h5py.File(tmp_path / "x.cxi") as file:
        assert file["entry_1/result_1/peakSNR"][()].tolist() == [[0.0, 3.0]]


@pytest.fixture
def foreign(tmp_path):
    """A file as pyFAI's peakfinder lays it out: no sigma, no pixels, bitshuffle-LZ4."""
    path = tmp_path / "foreign.cxi"
    tables = {
        "peakXPosRaw": [[10.25, 3.5], [7.0, 0.0], [0.0, 0.0]],
        "peakYPosRaw": [[1.5, 2.5], [8.0, 0.0], [0.0, 0.0]],
        "peakTotalIntensity": [[100.0, 50.0], [-9.0, 0.0], [0.0, 0.0]],
        "peakSNR": [[10.0, 0.0], [-3.0, 0.0], [0.0, 0.0]],
    }
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        group = file.create_group("entry_1/result_1")
        group["nPeaks"] = np.array([2, 1, 0], dtype=np.int32)
        for name, values in tables.items():
            group.create_dataset(name, data=np.array(values, np.float32), **hdf5plugin.Bitshuffle(cname="lz4"))
    return path


def test_a_file_in_pyfai_layout(foreign):
    peaks, n_frames = read_cxi_peaks(foreign)
    assert n_frames == 3
    assert peaks.frame.tolist() == [0, 0, 1]
    assert peaks.fast_px.tolist() == [10.25, 3.5, 7.0]
    assert peaks.slow_px.tolist() == [1.5, 2.5, 8.0]
    assert peaks.intensity.tolist() == [100, 50, -9]
    assert peaks.sigma.tolist() == [10, 0, 3]
    assert peaks.n_pixels.tolist() == [0, 0, 0]
    assert not peaks.saturated.any()


def test_a_file_that_pyfai_wrote(tmp_path):
    spots = pytest.importorskip("pyFAI.io.spots")
    kind = [(name, np.float32) for name in ("pos0", "pos1", "intensity", "sigma")]
    frames = [np.array([(4.5, 6.25, 100, 4), (7, 1, 30, 5)], kind), np.array([], kind), np.array([(0, 2, 8, 2)], kind)]
    spots.save_spots_cxi(str(tmp_path / "x.cxi"), frames)
    peaks, n_frames = read_cxi_peaks(tmp_path / "x.cxi")
    assert n_frames == 3
    assert peaks.frame.tolist() == [0, 0, 2]
    assert peaks.slow_px.tolist() == [4.5, 7, 0]
    assert peaks.fast_px.tolist() == [6.25, 1, 2]
    np.testing.assert_allclose(peaks.sigma, [4, 5, 2])


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("nPeaks", None, "missing"),
        ("peakYPosRaw", None, "missing"),
        ("nPeaks", np.array([2.0, 1, 0]), "wrong type"),
        ("nPeaks", np.array([[2, 1, 0]]), "wrong shape"),
        ("nPeaks", np.array([3, 1, 0]), "do not fit the tables"),
        ("nPeaks", np.array([-1, 1, 0]), "do not fit the tables"),
        ("peakXPosRaw", np.zeros((2, 2)), "wrong shape"),
        ("peakXPosRaw", np.zeros(6), "wrong shape"),
        ("peakXPosRaw", np.full((3, 2), np.nan), "not finite"),
        ("peakTotalIntensity", np.zeros((3, 2), complex), "wrong type"),
        ("peakSigma", np.full((3, 2), -1.0), "sigma"),
    ],
)
def test_foreign_faults_are_typed(foreign, name, values, message):
    with h5py.File(foreign, "a") as file:
        group = file["entry_1/result_1"]
        if name in group:
            del group[name]
        if values is not None:
            group[name] = values
    with pytest.raises(InputFileError, match=message):
        read_cxi_peaks(foreign)


def test_files_that_are_no_cxi_are_refused(tmp_path, written):
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(InputFileError, match="result_1"):
        read_cxi_peaks(tmp_path / "empty.h5")
    with pytest.raises(InputFileError, match="no such file"):
        read_cxi_peaks(tmp_path / "none.h5")
    written[0].write_bytes(written[0].read_bytes()[:-400])
    with pytest.raises(InputFileError):
        read_cxi_peaks(written[0])


def test_peaks_that_do_not_fit_are_refused(tmp_path, detector, beam, provenance):
    def one(**changes):
        values = {"slow_px": [1.0], "fast_px": [1.0], "intensity": [1.0], **changes}
        return PeakTable(frame=[3], sigma=[1.0], n_pixels=[1], saturated=[False], **values)

    cases = [
        (one(), 3, "frame 3 is outside"),
        (one(fast_px=[50.0]), 4, "outside the frame"),
        (one(slow_px=[np.nan]), 4, "slow_px"),
        (one(intensity=[np.inf]), 4, "intensity"),
    ]
    for peaks, n_frames, message in cases:
        with pytest.raises(DataError, match=message):
            write_cxi_peaks(tmp_path / "x.cxi", peaks, n_frames, detector, beam, provenance)
    assert list(tmp_path.iterdir()) == []
