import numpy as np
import pytest

from fewphoton.data import Molecule, PositionGrid
from fewphoton.errors import DataError
from fewphoton.figures import atoms, site_stems
from tests.evaluate.molecules import whole

GRID = PositionGrid(0.5, (3, 3, 3))
TRUTH = whole("COH", [[-0.5, -0.5, -0.5], [0.1, 0.05, 0.0], [0.5, 0.5, 0.5]])


def marks(axes):
    return {
        line.get_marker(): list(zip(*line.get_data(), strict=True))
        for line in axes.lines
        if line.get_marker() != "None"
    }


def test_stems_stand_on_the_nearest_site_with_the_charge_of_the_atom():
    axes = site_stems.draw([site_stems.SitePanel("truth", TRUTH)], GRID).axes[0]
    assert marks(axes) == {
        atoms.marker("C"): [(0, 6.0)],
        atoms.marker("O"): [(13, 8.0)],
        atoms.marker("H"): [(26, 1.0)],
    }
    assert "3 × 3 × 3 sites, 0.5 Å apart" in axes.get_xlabel()


def test_occupancy_scales_the_charge_and_atoms_that_are_not_there_are_left_out():
    weak = Molecule(TRUTH.element, TRUTH.position_angstrom, np.array([0.5, 0.0, 2.0]), np.zeros(3))
    panels = [site_stems.SitePanel("truth", TRUTH), site_stems.SitePanel("HIO", weak, "ε = 0.5")]
    figure = site_stems.draw(panels, GRID)
    assert marks(figure.axes[1]) == {atoms.marker("C"): [(0, 3.0)], atoms.marker("H"): [(26, 2.0)]}
    words = [text.get_text() for text in figure.axes[1].texts]
    assert {"HIO", "ε = 0.5", "b"} <= set(words)
    # The sites of the truth go on through the other panels.
    sites = figure.axes[1].collections[0].get_segments()
    assert [segment[0][0] for segment in sites] == [0, 13, 26]


def test_legend_names_the_elements_of_all_panels():
    panels = [site_stems.SitePanel("truth", TRUTH), site_stems.SitePanel("other", whole("N", [[0, 0, 0]]))]
    legend = site_stems.draw(panels, GRID).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["carbon", "nitrogen", "oxygen", "hydrogen"]


def test_faults():
    with pytest.raises(DataError, match="no molecule"):
        site_stems.draw([], GRID)
    with pytest.raises(DataError, match="outside the grid"):
        site_stems.draw([site_stems.SitePanel("far", whole("C", [[9, 0, 0]]))], GRID)


def test_elements_differ_in_colour_and_marker():
    organic = ["C", "N", "O", "H", "S", "P"]
    assert len({atoms.colour(name) for name in organic}) == len({atoms.marker(name) for name in organic}) == 6
    assert atoms.in_order(["H", "S", "O", "C", "H", "N"]) == ["C", "N", "O", "S", "H"]
    assert atoms.name("Zn") == "Zn"
