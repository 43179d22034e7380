import gemmi
import numpy as np
import pytest
from scipy.integrate import quad

from fewphoton.data.form_factors import covalent_radius_angstrom, form_factors, sphere_form_factors
from fewphoton.errors import DataError

ELEMENTS = ("H", "C", "N", "O", "S", "Se")


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("q", [1e-6, 0.004, 0.05, 0.7, 2.9, 5.7])
def test_sphere_is_the_transform_of_its_density(element, q):
    """Radial integral of a uniform density: 4 pi rho r² sin(2 pi q r) / (2 pi q r)."""
    radius, electrons = covalent_radius_angstrom(element), gemmi.Element(element).atomic_number
    density = electrons / (4 / 3 * np.pi * radius**3)
    found, _ = quad(lambda r: 4 * np.pi * density * r**2 * np.sinc(2 * q * r), 0, radius, epsabs=1e-12, limit=200)
    assert sphere_form_factors(element, np.array([q]))[0] == pytest.approx(found, abs=1e-9 * electrons)


def test_sphere_by_hand():
    """At q = 1 / (2 R) the closed form is 3 Z / pi²; its first zero is where tan x = x."""
    radius = covalent_radius_angstrom("O")
    assert radius == pytest.approx(0.66)
    found = sphere_form_factors("O", np.array([0.0, 1 / (2 * radius), 4.493409457909064 / (2 * np.pi * radius)]))
    np.testing.assert_allclose(found, [8.0, 24 / np.pi**2, 0.0], atol=1e-12)


def test_series_and_closed_form_join():
    """On both sides of the border, and near 0, no digits are lost."""
    x = np.geomspace(1e-5, 0.25, 400)
    values = sphere_form_factors("C", x / (2 * np.pi * covalent_radius_angstrom("C"))) / 6
    series = 1 - x**2 / 10 + x**4 / 280 - x**6 / 15120 + x**8 / 1330560
    np.testing.assert_allclose(values, series, rtol=1e-12)


def test_free_atoms_have_gemmi_s_values():
    stol2 = np.linspace(0, 4, 9)
    for element in ELEMENTS:
        expected = [gemmi.Element(element).it92.calculate_sf(value) for value in stol2]
        np.testing.assert_allclose(form_factors(element, stol2), expected, rtol=1e-5)
    # International Tables C (1992), Table 6.1.1.1: carbon at sin(theta) / lambda = 0.5 per angstrom.
    assert form_factors("C", np.array([0.25]))[0] == pytest.approx(1.685, abs=2e-3)


def test_what_is_no_element_is_refused():
    for element in ("Qq", "X", ""):
        with pytest.raises(DataError, match=f"unknown element: '{element}'"):
            form_factors(element, np.zeros(1))
        with pytest.raises(DataError, match=f"unknown element: '{element}'"):
            sphere_form_factors(element, np.zeros(1))
    with pytest.raises(DataError, match="no X-ray form factor of element 'Es'"):
        form_factors("Es", np.zeros(1))
