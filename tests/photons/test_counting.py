import numpy as np
import pytest
from scipy import stats

from fewphoton.data import FrameTable
from fewphoton.errors import DataError
from fewphoton.photons.calibration import Calibration, threshold_errors
from fewphoton.photons.counting import CountReader, PhotonCounter
from tests.photons.raw_runs import raw_run


def count(raw, calibration, threshold=0.6, **options):
    counter = PhotonCounter(calibration, threshold, raw.dtype, **options)
    return counter.count(raw, FrameTable.unknown(len(raw)))


def true_calibration(run):
    readout = run.readout
    return Calibration.of(readout.offset_adu, readout.adu_per_photon, readout.read_noise_adu, run.detector.masked)


def test_clear_photons_are_all_recovered():
    # Half a photon is 20 noise widths away.
    run = raw_run(200, 30.0, read_noise_adu=1.0)
    counted = count(run.raw, true_calibration(run), 0.5)
    counted.photons.validate()
    np.testing.assert_array_equal(counted.photons.to_dense(), run.photons.to_dense())
    assert counted.n_invalid.sum() == counted.n_saturated.sum() == 0


@pytest.mark.parametrize("dtype", ["int32", "float32", "float64"])
def test_types_agree(dtype):
    run = raw_run(20)
    one = count(run.raw, true_calibration(run)).photons
    other = count(run.raw.astype(dtype), true_calibration(run)).photons
    np.testing.assert_array_equal(one.to_dense(), other.to_dense())


@pytest.mark.parametrize(("noise", "threshold"), [(12.0, 0.6), (14.0, 0.5)])
def test_errors_come_as_often_as_predicted(noise, threshold):
    run = raw_run(2000, 60.0, adu_per_photon=40.0, read_noise_adu=noise)
    # Rounding adds a twelfth to the variance that the prediction knows; whole values above a level lie half a unit
    # further on average, which is averaged out by the spread of the offsets.
    calibration = Calibration.of(
        run.readout.offset_adu, run.readout.adu_per_photon, np.hypot(noise, 12**-0.5), run.detector.masked
    )
    found = count(run.raw, calibration, threshold).photons.to_dense()
    true = run.photons.to_dense()
    false_expected, missed_expected = threshold_errors(calibration, threshold)
    usable = calibration.usable
    empty, single = (true == 0) & usable, true == 1
    n_false = int((found[empty] > 0).sum())
    n_missed = int((found[single] == 0).sum())
    expected = false_expected * empty.sum() / usable.sum()
    assert abs(n_false - expected) < 5 * np.sqrt(expected)
    assert stats.binomtest(n_missed, int(single.sum()), missed_expected).pvalue > 1e-4


def test_bad_reads_are_counted_and_never_photons():
    calibration = Calibration.of(np.array([0, 0, -3000, 0]), 10.0, 1.0, np.array([False, False, False, True]))
    raw = np.array([[20, -5136, -2000, -5136], [0, 10, -2000, 0]], dtype=np.int32)
    counted = count(raw, calibration, minimum_valid=-1000.0)
    assert counted.photons.to_dense().tolist() == [[2, 0, 0, 0], [0, 1, 0, 0]]
    assert counted.n_invalid.tolist() == [2, 1]


def test_nan_and_infinity_are_bad_reads():
    calibration = Calibration.of(0.0, 1.0, 0.1, np.zeros(4, dtype=bool))
    counted = count(np.array([[np.nan, np.inf, -np.inf, 2.0]], dtype=np.float32), calibration)
    assert counted.photons.to_dense().tolist() == [[0, 0, 0, 2]]
    assert counted.n_invalid.tolist() == [3]


def test_full_scale_is_saturated():
    calibration = Calibration.of(0.0, 100.0, 1.0, np.array([False, False, True]))
    counted = count(np.array([[65535, 65534, 65535]], dtype=np.uint16), calibration)
    assert counted.n_saturated.tolist() == [1]
    assert counted.photons.to_dense().tolist() == [[655, 655, 0]]


def test_frames_without_photons_are_kept():
    calibration = Calibration.of(0.0, 10.0, 1.0, np.zeros(3, dtype=bool))
    counted = count(np.array([[0, 0, 0], [10, 0, 0], [0, 0, 0]], dtype=np.uint16), calibration)
    assert counted.photons.totals().tolist() == [0, 1, 0]


def test_wrong_shape_or_type_is_refused():
    counter = PhotonCounter(Calibration.of(0.0, 1.0, 1.0, np.zeros(3, dtype=bool)), 0.6, np.dtype("u2"))
    for raw in (np.zeros((1, 4), dtype=np.uint16), np.zeros((1, 3), dtype=np.int32), np.zeros(3, dtype=np.uint16)):
        with pytest.raises(DataError, match="3 pixels"):
            counter.count(raw, FrameTable.unknown(1))


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "int32", "float32"])
def test_counts_are_taken_as_they_are(dtype):
    photons = np.array([[0, 1, 7, 3], [2, 0, 0, 65535 - 1]])
    reader = CountReader(np.array([False, False, True, False]), np.dtype(dtype))
    counted = reader.count(photons.astype(dtype), FrameTable.unknown(2))
    assert counted.photons.to_dense().tolist() == [[0, 1, 0, 3], [2, 0, 0, 65534]]
    assert counted.n_invalid.sum() == counted.n_saturated.sum() == 0


def test_marked_and_negative_counts_are_bad_reads():
    largest = np.iinfo(np.uint32).max
    reader = CountReader(np.zeros(3, dtype=bool), np.dtype("u4"))
    counted = reader.count(np.array([[1, largest, 70000]], dtype=np.uint32), FrameTable.unknown(1))
    assert counted.photons.to_dense().tolist() == [[1, 0, 65535]]
    assert (counted.n_invalid[0], counted.n_saturated[0]) == (1, 1)
    signed = CountReader(np.zeros(3, dtype=bool), np.dtype("i4"))
    assert signed.count(np.array([[1, -1, -2]], dtype=np.int32), FrameTable.unknown(1)).n_invalid.tolist() == [2]


def test_fractions_are_no_counts():
    reader = CountReader(np.zeros(2, dtype=bool), np.dtype("f4"))
    with pytest.raises(DataError, match="fractions"):
        reader.count(np.array([[0.0, 1.4]], dtype=np.float32), FrameTable.unknown(1))


def test_all_masked_counts_are_refused():
    with pytest.raises(DataError, match="no usable pixel"):
        CountReader(np.ones(3, dtype=bool), np.dtype("u2"))
