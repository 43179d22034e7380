import csv

import numpy as np
import pytest
from matplotlib.image import imread

from fewphoton.config.molecule_figure import DrawMoleculeConfig
from fewphoton.data import Molecule
from fewphoton.errors import ConfigError, DataError
from fewphoton.figures import ball_drawing
from fewphoton.io.metrics import write_table
from fewphoton.io.molecule_files import write_xyz
from fewphoton.stages import draw_molecule
from fewphoton.stages.contract import Context
from fewphoton.stages.draw_molecule import Inputs, Outputs
from tests.evaluate.molecules import changed, random_molecule
from tests.stages.test_score_molecule import write_solutions, write_truth

QUIET = Context(progress=False)
TRUTH = random_molecule(9, 1)


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    monkeypatch.setattr(ball_drawing, "_PIXELS_PER_MM", 2.5)


def drawn(monkeypatch, tmp_path, inputs, **config):
    """Run the stage; return the figure that it saved and its table."""
    kept = []
    monkeypatch.setattr(draw_molecule.style, "save", lambda figure, path: kept.append(figure))
    outputs = Outputs(tmp_path / "a.png", tmp_path / "a.csv")
    draw_molecule.run(Inputs(**inputs), outputs, DrawMoleculeConfig(**config), QUIET)
    with (tmp_path / "a.csv").open(newline="") as handle:
        return kept[0], list(csv.DictReader(handle))


@pytest.fixture
def molecules(tmp_path):
    moved = TRUTH.position_angstrom.copy()
    moved[2] += [0, 0, 1.5]
    one_wrong = Molecule(TRUTH.element, moved, np.ones(9), np.zeros(9))
    return {
        "truth": write_truth(tmp_path / "shot.h5", TRUTH),
        "recovered": (
            str(write_solutions(tmp_path / "gespar.json", [one_wrong, TRUTH])),
            str(write_solutions(tmp_path / "ours.json", [changed(TRUTH, 1, (-1, -1, -1), (1, 0, 0), 0.01)])),
        ),
    }


def words(axes):
    return " ".join(text.get_text() for text in axes.texts)


def test_balls_show_the_first_solution_of_each_method(monkeypatch, tmp_path, molecules):
    figure, rows = drawn(monkeypatch, tmp_path, molecules, figure="balls", labels=("GESPAR", "ours"))
    truth, gespar, ours = (axes for axes in figure.axes if axes.images)
    assert [axes.get_title() for axes in (truth, gespar, ours)] == ["truth", "GESPAR", "ours"]
    assert "8 of 9 atoms" in words(gespar)
    assert "9 of 9 atoms, shown inverted" in words(ours)
    assert [len(axes.patches) for axes in (truth, gespar, ours)] == [
        len(truth.patches),
        len(ours.patches) + 1,
        len(ours.patches),
    ]
    assert len(rows) == 27
    wrong = [row for row in rows if row["misplaced"] == "True"]
    assert [(row["molecule"], row["element"]) for row in wrong] == [("GESPAR", TRUTH.element[2])]


def test_balls_from_a_chosen_side_with_sticks(monkeypatch, tmp_path, molecules):
    molecules["recovered"] = ()
    plain, _ = drawn(monkeypatch, tmp_path, molecules, figure="balls")
    turned, _ = drawn(monkeypatch, tmp_path, molecules, figure="balls", view_deg=(20, 50), ball_scale=0.5, bonds=False)
    assert len(plain.axes) == len(turned.axes) == 1
    assert plain.axes[0].images[0].get_extent() != turned.axes[0].images[0].get_extent()


def test_stems_stand_on_sites_named_after_the_files(monkeypatch, tmp_path, molecules):
    figure, rows = drawn(monkeypatch, tmp_path, molecules, figure="site_stems", spacing_angstrom=0.4)
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["truth", "gespar", "ours"]
    sites = {
        label: sorted((int(row["site"]), row["element"]) for row in rows if row["molecule"] == label)
        for label in ("truth", "gespar", "ours")
    }
    assert sites["truth"] == sites["ours"]
    assert len(set(sites["truth"]) - set(sites["gespar"])) == 1


def test_sites_of_a_stated_grid(monkeypatch, tmp_path, molecules):
    sites = np.array([[0, 0, 0], [1, 2, 0], [2, 2, 2]])
    truth = Molecule(("C", "N", "O"), 0.7 * (sites - 1), np.ones(3), np.zeros(3))
    write_xyz(tmp_path / "truth.xyz", truth)
    write_xyz(tmp_path / "found.xyz", changed(truth, 0, (-1, -1, -1), (0.7, 0, 0.7)))
    inputs = {"truth": tmp_path / "truth.xyz", "recovered": (str(tmp_path / "found.xyz"),)}
    _, rows = drawn(monkeypatch, tmp_path, inputs, figure="site_stems", spacing_angstrom=0.7, shape=(3, 3, 3))
    found = {(row["element"], int(row["site"])) for row in rows if row["molecule"] == "found"}
    assert found == {("C", 0), ("N", 15), ("O", 26)}
    with pytest.raises(DataError, match=r"'site_stems' from .*truth.xyz.*outside the grid"):
        drawn(monkeypatch, tmp_path, inputs, figure="site_stems", spacing_angstrom=0.7, shape=(2, 2, 2))


def test_atoms_halfway_between_sites_find_one(monkeypatch, tmp_path):
    places = 0.7 * np.array([[0, 0, 0], [2.5, 1.5, -0.5], [-1.5, 0.5, 3.5], [1, 1, 1]])
    truth = Molecule(tuple("CNOH"), places, np.ones(4), np.zeros(4))
    write_xyz(tmp_path / "truth.xyz", truth)
    inputs = {"truth": tmp_path / "truth.xyz"}
    _, rows = drawn(monkeypatch, tmp_path, inputs, figure="site_stems", spacing_angstrom=0.7)
    assert len(rows) == 4


def test_atoms_of_occupancy_0_are_nowhere(monkeypatch, tmp_path, molecules):
    far = np.append(TRUTH.position_angstrom, [[90, 0, 0]], axis=0)
    found = Molecule((*TRUTH.element, "C"), far, np.append(np.ones(9), 0), np.zeros(10))
    molecules["recovered"] = (str(write_solutions(tmp_path / "with_nothing.json", [found])),)
    figure, rows = drawn(monkeypatch, tmp_path, molecules, figure="site_stems")
    assert len(rows) == 18
    assert "9 of 9 atoms" in words(figure.axes[1])
    figure, rows = drawn(monkeypatch, tmp_path, molecules, figure="balls")
    assert np.ptp(figure.axes[0].images[0].get_extent()) < 20


@pytest.fixture
def scores(tmp_path):
    rows = []
    for method, limit in (("fewphoton", 30), ("GESPAR", 12)):
        for noise in (1e-4, 1e-3):
            for n_atoms in (10, 20):
                for seed in range(4):
                    solved = n_atoms + 2 * seed < limit
                    rows.append(
                        {
                            "method": method,
                            "white_level": noise,
                            "n_atoms": n_atoms,
                            "error": 0.02 if solved else 0.6,
                            "solved": solved,
                            "seconds": n_atoms + seed,
                            "rms_matched_angstrom": np.sqrt(noise) * (1 + 0.1 * seed),
                            "rms_over_bound": 1 + 0.1 * seed,
                        }
                    )
    # As a sweep names its columns.
    rows = [{"recover.method" if name == "method" else name: value for name, value in row.items()} for row in rows]
    write_table(tmp_path / "one.csv", rows[:20])
    write_table(tmp_path / "two.csv", rows[20:])
    return {"scores": (str(tmp_path / "one.csv"), str(tmp_path / "two.csv"))}


def test_error_curves_by_method_and_noise(monkeypatch, tmp_path, scores):
    figure, rows = drawn(monkeypatch, tmp_path, scores, figure="error_curves", panels=("white_level",))
    assert len(figure.axes) == 4
    above, below = figure.axes[0], figure.axes[2]
    assert above.get_title() == "N = $10^{-4}$"
    assert [line.get_label() for line in above.lines] == ["GESPAR", "fewphoton"]
    np.testing.assert_allclose(above.lines[0].get_xydata(), [[10, 0.6], [20, 0.6]])
    np.testing.assert_allclose(above.lines[1].get_ydata(), [0.02, 0.02])
    np.testing.assert_allclose(below.lines[0].get_ydata(), [0.25, 0.0])
    assert below.get_xlabel() == "number of atoms"
    assert len(rows) == 8
    assert {row["n_runs"] for row in rows} == {"4"}


def test_only_some_rows(monkeypatch, tmp_path, scores):
    kept = {"white_level": 1e-3, "method": ("fewphoton", "other")}
    figure, rows = drawn(monkeypatch, tmp_path, scores, figure="error_curves", only=kept)
    assert [row["method"] for row in rows] == ["fewphoton"] * 2
    assert len(figure.axes) == 2
    for only, word in (({"white_level": 7}, "no row is left"), ({"noise": 7}, "no column 'noise'")):
        with pytest.raises(DataError, match=word):
            drawn(monkeypatch, tmp_path, scores, figure="error_curves", only=only)


def test_small_numbers_are_told_apart(monkeypatch, tmp_path):
    rows = [{"method": "m", "n_atoms": 5, "error": e, "solved": True, "white_level": e} for e in (1e-9, 2e-9)]
    write_table(tmp_path / "t.csv", rows)
    inputs = {"scores": (str(tmp_path / "t.csv"),)}
    _, kept = drawn(monkeypatch, tmp_path, inputs, figure="error_curves", only={"white_level": 2e-9})
    assert [(row["n_runs"], float(row["error_median"])) for row in kept] == [("1", 2e-9)]


def test_precision_of_solved_molecules(monkeypatch, tmp_path, scores):
    figure, rows = drawn(monkeypatch, tmp_path, scores, figure="precision")
    points = figure.axes[0].lines[0]
    assert len(points.get_xdata()) == 16
    assert figure.axes[0].get_xlabel() == "noise level N"
    assert len(rows) == 4
    none, rows = drawn(monkeypatch, tmp_path, scores, figure="precision", only={"method": "GESPAR", "n_atoms": 20})
    assert [axes.texts[-1].get_text() for axes in none.axes] == ["no molecule was solved"] * 2
    assert {row["success_rate"] for row in rows} == {"0.0"}


def test_time_to_solution(monkeypatch, tmp_path, scores):
    figure, rows = drawn(monkeypatch, tmp_path, scores, figure="time_to_solution")
    lines = {line.get_label(): line.get_ydata()[-1] for line in figure.axes[0].lines}
    assert lines == {"fewphoton (16 runs)": 1.0, "GESPAR (16 runs)": 0.125}
    assert {row["series"] for row in rows} == {"fewphoton", "GESPAR"}


@pytest.mark.parametrize("figure", ["balls", "site_stems", "error_curves", "precision", "time_to_solution"])
def test_every_figure_is_a_picture_and_says_what_it_needs(tmp_path, molecules, scores, figure):
    outputs = Outputs(tmp_path / "figure.png")
    inputs = {**molecules, **scores}
    draw_molecule.run(Inputs(**inputs), outputs, DrawMoleculeConfig(figure=figure), QUIET)
    image = imread(outputs.figure)
    assert image.std() > 0.02
    with pytest.raises(ConfigError, match=f"'{figure}' needs --"):
        draw_molecule.run(Inputs(), outputs, DrawMoleculeConfig(figure=figure), QUIET)


def test_faults(monkeypatch, tmp_path, molecules, scores):
    with pytest.raises(ConfigError, match="one for each of the 2"):
        drawn(monkeypatch, tmp_path, molecules, figure="balls", labels=("one",))
    with pytest.raises(DataError, match=r"'error_curves' from .*one.csv.*no column molecule"):
        drawn(monkeypatch, tmp_path, scores, figure="error_curves", series=("molecule",))
    with pytest.raises(DataError, match="no column molecule"):
        drawn(monkeypatch, tmp_path, scores, figure="time_to_solution", series=("molecule",))
