"""How one atom scatters: tabulated form factors of free atoms, and uniform spheres of covalent radius."""

from __future__ import annotations

import gemmi
import numpy as np
from numpy.typing import NDArray

from fewphoton.errors import DataError

# Below this x the closed form 3 (sin x - x cos x) / x³ loses digits, and the series to x⁶ is exact to 1e-13.
_SERIES = 0.1


def _known(element: str) -> gemmi.Element:
    # The library takes an unknown name for element X and gives it the form factor of oxygen.
    known = gemmi.Element(element)
    if known.atomic_number == 0:
        raise DataError(f"unknown element: {element!r}")
    return known


def form_factors(element: str, stol2: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the X-ray form factor of an element (International Tables C, 1992).

    ``stol2`` is (sin(theta) / lambda)² in 1/angstrom².

    Raises
    ------
    DataError
        If there is no such element, or the tables hold no form factor of it (beyond californium).
    """
    known = _known(element)
    coefficients = known.it92
    if coefficients is None:
        coefficients = gemmi.IT92_get_exact(known, 0)
    if coefficients is None:
        raise DataError(f"no X-ray form factor of element {element!r} is tabulated")
    total = np.full(len(stol2), coefficients.c)
    for a, b in zip(coefficients.a, coefficients.b, strict=True):
        total += a * np.exp(-b * stol2)
    return total


def covalent_radius_angstrom(element: str) -> float:
    """Return the covalent radius of an element.

    Raises
    ------
    DataError
        If there is no such element.
    """
    return float(_known(element).covalent_r)


def sphere_form_factors(element: str, q_inv_angstrom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the transform of a uniform sphere of covalent radius that holds all electrons of the atom.

    Z 3 (sin x - x cos x) / x³ with x = 2 pi q R, which is the Bessel function of order 3/2 in Mutzafi et al. 2015,
    Nat. Commun. 6, 7950 (doi:10.1038/ncomms8950), Methods.

    Parameters
    ----------
    element : str
        Element.
    q_inv_angstrom : ndarray of float64, `(n,)`
        Scattering vector lengths, without 2 pi.

    Raises
    ------
    DataError
        If there is no such element.
    """
    x = 2 * np.pi * covalent_radius_angstrom(element) * np.asarray(q_inv_angstrom, dtype=np.float64)
    x2 = x * x
    near = 1 - x2 / 10 * (1 - x2 / 28 * (1 - x2 / 54))
    with np.errstate(divide="ignore", invalid="ignore"):
        far = 3 * (np.sin(x) - x * np.cos(x)) / (x * x2)
    return np.asarray(_known(element).atomic_number * np.where(x < _SERIES, near, far))
