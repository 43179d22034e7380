"""draw-particles: each figure from the files that the stages before it write."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fewphoton.cli import main
from fewphoton.config.particle_figure import DrawParticlesConfig
from fewphoton.errors import ConfigError, DataError, InputFileError
from fewphoton.io.metrics import read_table, write_table
from fewphoton.io.volumes import write_ccp4_map
from fewphoton.stages import draw_particles
from fewphoton.stages.contract import Context
from tests.figures.test_particle_figures import ball

QUIET = Context(1, progress=False)


def draw(folder, figure, config=None, **files):
    inputs = draw_particles.Inputs(**{role: tuple(map(str, paths)) for role, paths in files.items()})
    outputs = draw_particles.Outputs(folder / "figure.png", folder / "figure.csv")
    draw_particles.run(inputs, outputs, DrawParticlesConfig(figure=figure, **config or {}), QUIET)
    assert outputs.figure.stat().st_size > 5_000
    return read_table(outputs.table)


def write_map(path, values, edge=34.0):
    write_ccp4_map(path, values, (edge, edge, edge, 90, 90, 90))
    return path


def test_densities_are_drawn_beside_the_first(tmp_path):
    paths = [write_map(tmp_path / "truth.ccp4", ball()), write_map(tmp_path / "found.ccp4", 5 * ball((1, 0, 0)))]
    rows = draw(tmp_path, "densities", maps=paths)
    assert [row["density"] for row in rows] == ["truth", "found"]
    assert float(rows[0]["correlation_with_first"]) == pytest.approx(1)
    assert 0.8 < float(rows[1]["correlation_with_first"]) < 1
    # Other grids are brought to that of the first, about the middle of the box.
    fine = np.pad(ndimage.zoom(ball(), 2, order=3, grid_mode=True, mode="nearest"), 3)[1:, 1:, 1:]
    other = write_map(tmp_path / "other.ccp4", fine, float(len(fine)))
    rows = draw(tmp_path, "densities", maps=[paths[0], other])
    assert float(rows[1]["correlation_with_first"]) > 0.98
    long = tmp_path / "long.ccp4"
    write_ccp4_map(long, ball(), (34.0, 34.0, 40.0, 90, 90, 90))
    with pytest.raises(InputFileError, match="cubic box"):
        draw(tmp_path, "densities", maps=[paths[0], long])
    with pytest.raises(ConfigError, match="one for each of the 2 input files"):
        draw(tmp_path, "densities", {"labels": ["a"]}, maps=paths)


def test_correlations_name_their_resolution(tmp_path):
    q = np.arange(1, 11) / 100
    for name, values in (("a", 1 - 8 * q), ("b", 1 - q), ("c", 0 * q)):
        rows = [
            {"q_inv_angstrom": x, "density_fsc": y, "volume_cc": None if x > 0.05 else y, "density_fsc_chance": 0.2}
            for x, y in zip(q, values, strict=True)
        ]
        write_table(tmp_path / name / "curves.csv", rows)
    files = [tmp_path / name / "curves.csv" for name in "abc"]
    rows = draw(tmp_path, "shell_correlations", curves=files)
    assert [row["curve"] for row in rows] == ["a", "b", "c"]
    assert [row["resolution_is"] for row in rows] == ["crossing", "at or beyond the edge", "none"]
    assert float(rows[0]["resolution_angstrom"]) == pytest.approx(16)
    assert float(draw(tmp_path, "shell_correlations", {"curve": "volume_cc"}, curves=files)[1]["resolution_angstrom"])
    write_table(tmp_path / "x.csv", [{"q_inv_angstrom": 1}])
    with pytest.raises(InputFileError, match="density_fsc"):
        draw(tmp_path, "shell_correlations", curves=[tmp_path / "x.csv"])


def test_starts_of_a_training_are_curves_of_their_own(tmp_path):
    rows = [
        {"start": start, "step": step, "seconds": step / 10, "loss": 1 / step, "held_out_log_likelihood": -1 / step}
        for start in (0, 1)
        for step in (10, 20, 30)
    ]
    write_table(tmp_path / "trace.csv", rows)
    write_table(tmp_path / "plain.csv", [{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.4}])
    found = draw(tmp_path, "training", traces=[tmp_path / "trace.csv", tmp_path / "plain.csv"])
    assert [row["training"] for row in found] == ["trace, start 0", "trace, start 1", "plain"]
    assert [row["loss"] for row in found][2] == "0.4"
    with pytest.raises(DataError, match="no trace has a column error; they have"):
        draw(tmp_path, "training", {"measures": ["error"]}, traces=[tmp_path / "plain.csv"])


def test_the_table_gives_medians_over_seeds(tmp_path):
    rows = [
        {"n_frames": n, "photons_per_frame": photons, "method": method, "seed": seed, "error": n / 1000 + seed}
        for n in (5000, 1000)
        for photons in (None, 300)
        for method in ("EMC", "X-RAI")
        for seed in (0, 1, 2)
        if photons or method == "X-RAI"
    ]
    write_table(tmp_path / "scores.csv", rows)
    config = {"merit": "error", "digits": 2}
    cells = draw(tmp_path, "accuracy_table", config, scores=[tmp_path / "scores.csv"])
    assert len(cells) == 6
    assert [(cell["row"], cell["group"], cell["column"]) for cell in cells[:3]] == [
        ("1000", "", "X-RAI"),
        ("1000", "300", "X-RAI"),
        ("1000", "300", "EMC"),
    ]
    assert [float(cells[0][name]) for name in ("median", "lowest", "highest")] == [2, 1, 3]
    kept = draw(tmp_path, "accuracy_table", config | {"only": {"method": "EMC"}}, scores=[tmp_path / "scores.csv"])
    assert {cell["column"] for cell in kept} == {"EMC"}


@pytest.mark.parametrize("figure", ["densities", "shell_correlations", "training", "accuracy_table"])
def test_missing_files_are_named(figure, tmp_path, capsys):
    assert main(["draw-particles", "--figure", str(tmp_path / "f.png"), "--set", f"figure={figure}"]) == 1
    assert f"figure '{figure}' needs --" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
