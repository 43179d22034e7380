"""A few atoms and the directions they scatter to."""

from __future__ import annotations

import numpy as np

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel

NAMES = ("C", "N", "C", "O", "H")
POSITION = np.array([[0.1, 0.2, -0.5], [1.5, 0.0, 0.3], [-1.2, 0.6, 0.9], [0.4, -1.4, 0.8], [0.9, 1.3, -0.9]])
OCCUPANCY = np.array([1.0, 0.8, 1.1, 0.9, 0.7])


def small_model(atom_model="sphere", n=60, wavelength_angstrom=0.7):
    """The forward model of the atoms on a whole Ewald sphere, and the atoms' kinds."""
    model = ForwardModel.build(ewald_sphere(wavelength_angstrom, n), ("C", "H", "N", "O"), atom_model)
    return model, model.kinds(NAMES)


def central_differences(function, parameters, step=1e-5):
    """Derivatives of an array-valued function of a vector, one column a parameter."""
    columns = []
    for number in range(len(parameters)):
        moved = np.zeros(len(parameters))
        moved[number] = step
        columns.append((function(parameters + moved) - function(parameters - moved)) / (2 * step))
    return np.stack(columns, axis=-1)
