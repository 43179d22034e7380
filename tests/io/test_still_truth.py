from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from fewphoton.data import Crystal, Reflections
from fewphoton.data.still_truth import StillShots, StillSpots, StillTruth
from fewphoton.errors import DataError, InputFileError
from fewphoton.io.still_truth import read_still_truth, write_still_truth

CRYSTAL = Crystal((79.2, 79.2, 37.9, 90, 90, 90), "P 43 21 2")


def shots(is_hit):
    hit = np.asarray(is_hit, dtype=bool)
    ub = np.where(hit[:, None, None], CRYSTAL.b_matrix, np.nan)
    return StillShots(hit, ub, np.where(hit, 2e-3, 0.0), np.linspace(0.5, 1.5, len(hit)))


def spots(counts, seed=0):
    n = int(np.sum(counts))
    rng = np.random.default_rng(seed)
    columns = [rng.random(n).astype(np.float32) for _ in range(7)]
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    hkl = rng.integers(-9, 9, (n, 3)).astype(np.int32)
    return StillSpots(indptr, hkl, rng.integers(0, 8, n).astype(np.int32), *columns)


@pytest.fixture
def reference():
    return Reflections.bare(np.array([[1, 1, 0], [2, 0, 1]], dtype=np.int32), np.array([5.0, 7.5]))


@pytest.fixture
def background():
    mean = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)
    mean[1] = np.nan
    return mean


PARTS = ((shots([True, False]), spots([3, 0], 1)), (shots([False]), spots([0], 2)), (shots([True]), spots([4], 3)))


@pytest.fixture
def path(tmp_path, reference, background, provenance):
    target = tmp_path / "truth.h5"
    with write_still_truth(target, CRYSTAL, reference, background, 1.03, 0.9, provenance) as writer:
        for part in PARTS:
            writer.append(*part)
    return target


def same(found, expected):
    for column in fields(expected):
        values = getattr(expected, column.name)
        np.testing.assert_array_equal(getattr(found, column.name), values)
        assert getattr(found, column.name).dtype == values.dtype


def test_round_trip(path, reference, background):
    truth = read_still_truth(path)
    same(truth.shots, StillShots.concatenate([part[0] for part in PARTS]))
    same(truth.spots, StillSpots.concatenate([part[1] for part in PARTS]))
    np.testing.assert_array_equal(truth.background_mean, background)
    np.testing.assert_array_equal(truth.reference.hkl, reference.hkl)
    np.testing.assert_array_equal(truth.reference.intensity, reference.intensity)
    assert (truth.crystal.cell, truth.crystal.space_group) == (CRYSTAL.cell, "P 43 21 2")
    assert (truth.wavelength_angstrom, truth.spot_sigma_px) == (1.03, 0.9)
    assert [truth.spots.rows(frame) for frame in (0, 3)] == [slice(0, 3), slice(3, 7)]
    assert truth.spots.frame_numbers().tolist() == [0, 0, 0, 3, 3, 3, 3]


def test_a_range_of_frames_is_read_alone(path):
    truth = read_still_truth(path, 1, 4)
    whole = read_still_truth(path).shots
    same(truth.shots, StillShots(*(getattr(whole, column.name)[1:4] for column in fields(whole))))
    same(truth.spots, StillSpots.concatenate([spots([0]), spots([0]), PARTS[2][1]]))
    assert len(read_still_truth(path, 4, 4).shots) == 0
    with pytest.raises(InputFileError, match="0 to 4"):
        read_still_truth(path, 2, 5)


def test_no_frame_round_trips(tmp_path, reference, background, provenance):
    with write_still_truth(tmp_path / "none.h5", CRYSTAL, reference, background, 1.0, 1.0, provenance):
        pass
    truth = read_still_truth(tmp_path / "none.h5")
    assert (len(truth.shots), len(truth.spots), truth.spots.n_frames) == (0, 0, 0)


def test_same_input_gives_same_bytes(path, tmp_path, reference, background, provenance):
    again = tmp_path / "again.h5"
    with write_still_truth(again, CRYSTAL, reference, background, 1.03, 0.9, provenance) as writer:
        for part in PARTS:
            writer.append(*part)
    assert again.read_bytes() == path.read_bytes()


def test_failed_write_leaves_nothing(tmp_path, reference, background, provenance):
    target = tmp_path / "truth.h5"
    with (
        pytest.raises(DataError, match="2 shots"),
        write_still_truth(target, CRYSTAL, reference, background, 1.0, 1.0, provenance) as writer,
    ):
        writer.append(shots([True, False]), spots([3]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("spots/partiality", "partiality"), ("shots/is_hit", "is_hit"), ("crystal/cell", "cell"), ("experiment", "exp")],
)
def test_missing_datasets_are_named(path, name, words):
    with h5py.File(path, "a") as file:
        del file[name]
    with pytest.raises(InputFileError, match=words):
        read_still_truth(path)


def damage(name, values):
    def apply(path):
        with h5py.File(path, "a") as file:
            del file[name]
            file[name] = values

    return apply


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("spots/indptr", np.array([0, 3, 2, 3, 7]), "row pointers"),
        ("spots/indptr", np.array([0, 3, 3, 3, 8]), "row pointers"),
        ("spots/indptr", np.array([0, 2, 3, 3, 7]), "without a crystal has spots"),
        ("spots/photons", np.full(7, np.nan, np.float32), "not finite"),
        ("spots/photons", np.full(7, -1, np.float32), "negative"),
        ("spots/hkl", np.zeros((7, 3)), "integers"),
        ("spots/slow_px", np.zeros(6, np.float32), "wrong shape"),
        ("shots/background_scale", np.array([1, np.nan, 1, 1.0]), "background_scale"),
        ("shots/photons_per_electron2", np.ones(4), "photons_per_electron2"),
        ("shots/ub_inv_angstrom", np.full((4, 3, 3), np.nan), "finite UB"),
        ("crystal/cell", np.array([1.0, 2, 3, 90, 90, 90]), "contradicts"),
    ],
)
def test_damage_is_named(path, name, values, words):
    damage(name, values)(path)
    if name == "crystal/cell":
        with h5py.File(path, "a") as file:
            file["crystal"].attrs["space_group"] = "P 43 21 2"
    with pytest.raises(InputFileError, match=words):
        read_still_truth(path)


def test_truncated_and_foreign_files_are_refused(path, tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputFileError, match="still_truth"):
        read_still_truth(tmp_path / "other.h5")
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputFileError, match=r"truth\.h5"):
        read_still_truth(path)


def test_contradictory_truth_is_refused(path):
    truth = read_still_truth(path)
    with pytest.raises(DataError, match="spots of 4 frames for 7 shots"):
        replace(truth, shots=shots([True] * 7))
    with pytest.raises(DataError, match="positive"):
        replace(truth, spot_sigma_px=float("nan"))
    assert isinstance(truth, StillTruth)
    with pytest.raises(ValueError, match="read-only"):
        truth.spots.photons[0] = 1
