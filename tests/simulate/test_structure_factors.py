import gemmi
import numpy as np
import pytest

from fewphoton.data import AtomicStructure, Crystal
from fewphoton.data.form_factors import form_factors
from fewphoton.errors import InputFileError
from fewphoton.io.crystal_files import read_structure
from fewphoton.simulate.structure_factors import diffuse_form, intensities
from tests.conftest import ROOT

HKL = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 0], [3, -1, 2], [0, 0, 4]], dtype=np.int32)


def test_caesium_chloride_by_hand():
    """F = f_Cs + f_Cl for h + k + l even, the difference for odd."""
    structure = AtomicStructure(
        (4.12, 4.12, 4.12, 90, 90, 90),
        "P m -3 m",
        ("Cs", "Cl"),
        np.array([[0, 0, 0], [0.5, 0.5, 0.5]]),
        np.ones(2),
        np.zeros(2),
    )
    stol2 = (HKL**2).sum(axis=1) / (2 * 4.12) ** 2
    sign = np.where(HKL.sum(axis=1) % 2 == 0, 1, -1)
    expected = (form_factors("Cs", stol2) + sign * form_factors("Cl", stol2)) ** 2
    np.testing.assert_allclose(intensities(structure, HKL), expected, rtol=1e-9)


def test_form_factors_start_at_the_number_of_electrons():
    for element, electrons in (("H", 1), ("C", 6), ("Mo", 42)):
        assert form_factors(element, np.zeros(1))[0] == pytest.approx(electrons, rel=2e-3)


@pytest.mark.real_data
def test_gemmi_agrees_reflection_by_reflection(data_dir):
    path = data_dir / "small_molecules" / "thpp.cif"
    small = gemmi.read_small_structure(str(path))
    for site in small.sites:
        site.aniso = gemmi.SMat33d(0, 0, 0, 0, 0, 0)
    calculator = gemmi.StructureFactorCalculatorX(small.cell)
    expected = [abs(calculator.calculate_sf_from_small_structure(small, index)) ** 2 for index in HKL.tolist()]
    np.testing.assert_allclose(intensities(read_structure(path), HKL), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.real_data
def test_measured_intensities_of_a_real_crystal(data_dir):
    folder = data_dir / "small_molecules"
    lines = [line for line in (folder / "thpp.hkl").read_text().splitlines() if len(line) >= 28]
    rows = [(int(line[:4]), int(line[4:8]), int(line[8:12]), float(line[12:20])) for line in lines]
    rows = [row for row in rows if any(row[:3])]
    hkl = np.array([row[:3] for row in rows], dtype=np.int32)
    calculated = intensities(read_structure(folder / "thpp.cif"), hkl)
    assert np.corrcoef(calculated, [row[3] for row in rows])[0, 1] > 0.9


def test_the_demo_crystal_is_what_it_says():
    structure = read_structure(ROOT / "config" / "structures" / "dimolybdenum_i43d.cif")
    operations = len(list(gemmi.SpaceGroup(structure.space_group).operations()))
    copies = structure.occupancy * operations / structure.site_symmetry_order()
    formula = {}
    for element, number in zip(structure.element, copies / 8, strict=True):
        formula[element] = formula.get(element, 0.0) + number
    assert formula == pytest.approx({"C": 78, "H": 120, "Mo": 2, "N": 6, "O": 1})
    mass = sum(number * gemmi.Element(element).weight for element, number in formula.items())
    assert mass == pytest.approx(1350, abs=1)


def test_absences_vanish_and_equivalents_agree():
    structure = read_structure(ROOT / "config" / "structures" / "dimolybdenum_i43d.cif")
    crystal = Crystal(structure.cell, structure.space_group)
    hkl = crystal.lattice_points(0.4)
    found = intensities(structure, hkl)
    absent = ~crystal.space_group_allows(hkl)
    assert absent.any()
    # Directly summed at the point itself: the mapping to the asymmetric unit must not be what makes them vanish.
    small = AtomicStructure(
        structure.cell, "P 1", structure.element, structure.fractional, structure.occupancy, structure.b_iso_angstrom2
    )
    assert found[absent].max() < 1e-12 * found.max()
    assert intensities(small, hkl[absent][:1])[0] > 1


def test_diffuse_form_grows_from_zero_to_all_electrons_squared():
    structure = AtomicStructure((5, 5, 5, 90, 90, 90), "P 1", ("C",), np.zeros((1, 3)), np.ones(1), np.full(1, 3.0))
    q = np.array([0.0, 0.3, 2.0])
    expected = form_factors("C", (q / 2) ** 2) ** 2 * (1 - np.exp(-2 * (3.0 + 1.0) * (q / 2) ** 2))
    np.testing.assert_allclose(diffuse_form(structure, q, b_extra_angstrom2=1.0), expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "cannot be read|no usable"), ("data_x\n_cell_length_a 5\n", "no usable|cannot be read")],
)
def test_files_without_a_structure_are_refused(tmp_path, text, message):
    (tmp_path / "x.cif").write_text(text)
    with pytest.raises(InputFileError, match=rf"{message}"):
        read_structure(tmp_path / "x.cif")
    with pytest.raises(InputFileError, match="no such file"):
        read_structure(tmp_path / "y.cif")
