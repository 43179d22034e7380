from dataclasses import fields, replace

import h5py
import numpy as np
import pytest

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.data import Shot
from fewphoton.errors import InputFileError
from fewphoton.io.shot_files import read_shot_file, read_true_molecule, write_shot_file
from tests.simulate.molecules import made_up_molecule

SHOT = Shot(
    wavelength_angstrom=0.35,
    q_inv_angstrom=ewald_sphere(0.35, 40),
    intensity_electron2=np.random.default_rng(1).uniform(-0.1, 50, 40),
    white_sigma_electron2=0.2,
    photons_per_electron2=None,
    composition={"C": 5, "O": 3, "Cl": 1},
)
TRUTH = made_up_molecule()


@pytest.fixture
def path(tmp_path, provenance):
    write_shot_file(tmp_path / "shot.h5", SHOT, provenance, TRUTH)
    return tmp_path / "shot.h5"


@pytest.mark.parametrize("changes", [{}, {"photons_per_electron2": 0.03, "atom_model": "free_atom"}])
def test_round_trip(tmp_path, provenance, changes):
    given = replace(SHOT, **changes)
    write_shot_file(tmp_path / "s.h5", given, provenance)
    found = read_shot_file(tmp_path / "s.h5")
    for column in fields(Shot):
        np.testing.assert_array_equal(getattr(found, column.name), getattr(given, column.name))
    assert list(found.composition) == ["C", "O", "Cl"]


def test_truth_stands_apart(path, tmp_path, provenance):
    found = read_true_molecule(path)
    assert found.element == TRUTH.element
    for name in ("position_angstrom", "occupancy", "b_iso_angstrom2"):
        np.testing.assert_array_equal(getattr(found, name), getattr(TRUTH, name))
    with h5py.File(path) as file:
        assert sorted(file) == ["provenance", "shot", "truth"]
        assert file["truth/position_angstrom"].attrs["units"] == "angstrom"
        assert file["shot/q_inv_angstrom"].attrs["units"] == "1/angstrom"
        assert not {"element", "position_angstrom"} & set(file["shot"])
    write_shot_file(tmp_path / "alone.h5", SHOT, provenance)
    with pytest.raises(InputFileError, match=r"alone\.h5 \[truth/element\]: dataset is missing"):
        read_true_molecule(tmp_path / "alone.h5")


def test_same_input_gives_same_bytes(path, tmp_path, provenance):
    write_shot_file(tmp_path / "again.h5", SHOT, provenance, TRUTH)
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


def spoil(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


def without(name):
    def change(file):
        del file[name]

    return change


def other_model(file):
    file["shot"].attrs["atom_model"] = "gauss"


def other_kind(file):
    file.attrs["fewphoton_kind"] = "photon_frames"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("shot/intensity_electron2"), "shot/intensity_electron2.*missing"),
        (without("shot/wavelength_angstrom"), "shot/wavelength_angstrom.*missing"),
        (spoil("shot/q_inv_angstrom", np.zeros((39, 3))), r"q_inv_angstrom.*expected \(40, 3\); found \(39, 3\)"),
        (spoil("shot/intensity_electron2", np.arange(40)), "intensity_electron2.*expected floats"),
        (spoil("shot/intensity_electron2", np.full(40, np.nan)), "/shot.*40 values that are not finite"),
        (spoil("shot/composition_count", np.array([5, 3])), "composition_count.*wrong shape"),
        (spoil("shot/composition_element", np.array([b"C", b"O", b"Qq"])), "/shot.*unknown elements.*Qq"),
        (spoil("shot/composition_element", np.array([b"C", b"O", b"\xff"])), "/shot.*decode"),
        (spoil("shot/white_sigma_electron2", -1.0), "/shot.*must not be negative"),
        (other_model, "/shot.*atom model is one of"),
        (other_kind, "expected shot; found photon_frames"),
    ],
)
def test_damage_is_named(path, change, message):
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(InputFileError, match=rf"shot\.h5.*{message}"):
        read_shot_file(path)


def test_damaged_truth_is_named(path):
    with h5py.File(path, "a") as file:
        spoil("truth/occupancy", np.full(14, -1.0))(file)
    with pytest.raises(InputFileError, match=r"/truth.*occupancy must not be negative"):
        read_true_molecule(path)
    assert len(read_shot_file(path)) == 40


def test_truncated_and_missing_files_are_refused(path, tmp_path):
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputFileError, match=r"shot\.h5.*truncated"):
        read_shot_file(path)
    with pytest.raises(InputFileError, match="no such file"):
        read_shot_file(tmp_path / "none.h5")
