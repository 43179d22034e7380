import numpy as np
import pytest

from fewphoton.data import Molecule
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.errors import DataError

MOLECULE = Molecule(("C", "O"), np.array([[0, 0, 0], [1.2, 0, 0]]), np.ones(2), np.zeros(2))


def test_errors_belong_to_the_atoms():
    found = RecoveredMolecule(MOLECULE, 1.02, np.full((2, 3), 0.01))
    assert not found.standard_error_angstrom.flags.writeable
    assert RecoveredMolecule(MOLECULE, 0.0).standard_error_angstrom is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-0.1,), "reduced chi² must be finite, found -0.1"),
        ((np.nan,), "reduced chi² must be finite, found nan"),
        ((np.inf,), "reduced chi² must be finite, found inf"),
        ((1.0, np.zeros((3, 3))), r"standard errors: expected shape \(2, 3\), found \(3, 3\)"),
    ],
)
def test_what_is_no_solution_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        RecoveredMolecule(MOLECULE, *arguments)
