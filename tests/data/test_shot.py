import numpy as np
import pytest

from fewphoton.data import Shot
from fewphoton.errors import DataError

GOOD = {
    "wavelength_angstrom": 0.35,
    "q_inv_angstrom": np.arange(12.0).reshape(4, 3),
    "intensity_electron2": np.array([4.0, 0.0, -1.0, 9.0]),
    "white_sigma_electron2": 0.5,
    "photons_per_electron2": None,
    "composition": {"C": 2, "H": 3},
}


def test_a_shot_counts_its_detectors_and_atoms():
    shot = Shot(**GOOD)
    assert len(shot) == 4
    assert shot.n_atoms == 5
    assert shot.atom_model == "sphere"
    assert not shot.intensity_electron2.flags.writeable


def test_variance_by_hand():
    """White noise of 0.5 electron², and counts of a tenth of a photon per electron²: 10 I electron⁴ of variance."""
    model = np.array([4.0, 0.0, -1.0, 9.0])
    np.testing.assert_allclose(Shot(**GOOD).variance(model), 0.25)
    counted = Shot(**GOOD | {"photons_per_electron2": 0.1})
    np.testing.assert_allclose(counted.variance(model), [40.25, 0.25, 0.25, 90.25])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"q_inv_angstrom": np.zeros((4, 2))}, r"q_inv_angstrom: expected shape \('any', 3\), found \(4, 2\)"),
        ({"intensity_electron2": np.zeros(3)}, r"intensity_electron2: expected shape \(4,\), found \(3,\)"),
        ({"intensity_electron2": np.array([1, np.nan, np.inf, 0])}, "intensity_electron2 holds 2 values that are not"),
        ({"q_inv_angstrom": np.full((4, 3), np.nan)}, "q_inv_angstrom holds 12 values that are not finite"),
        ({"q_inv_angstrom": np.zeros((0, 3)), "intensity_electron2": np.zeros(0)}, "at least one detector"),
        ({"wavelength_angstrom": 0.0}, "wavelength must be positive"),
        ({"wavelength_angstrom": np.nan}, "wavelength must be positive"),
        ({"white_sigma_electron2": -1.0}, "white noise must not be negative, found -1.0"),
        ({"white_sigma_electron2": np.nan}, "white noise must not be negative, found nan"),
        ({"photons_per_electron2": 0.0}, "photons per electron² must be positive, found 0.0"),
        ({"white_sigma_electron2": 0.1}, "1 intensities lie below -0.6, 6 standard deviations"),
        ({"white_sigma_electron2": 0.0}, "lowest: -1"),
        ({"atom_model": "gauss"}, "atom model is one of sphere, free_atom, found 'gauss'"),
        ({"composition": {"C": 2, "Qq": 1, "Zz": 1}}, "unknown elements in the composition: Qq, Zz"),
        ({"composition": {"C": 2, "H": 0}}, "at least one atom of each element"),
        ({"composition": {}}, "at least one atom of each element"),
    ],
)
def test_what_is_no_shot_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        Shot(**GOOD | changes)
