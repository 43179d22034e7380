import csv
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from fewphoton.cli import main
from fewphoton.config import DrawFigureConfig
from fewphoton.config.figure import FigureName
from fewphoton.data import IntensityVolume
from fewphoton.data.evaluation import Evaluation
from fewphoton.errors import ConfigError, DataError, InputFileError, OutputFileError
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.evaluation_files import write_evaluation
from fewphoton.io.photon_files import PhotonFileReader, write_photon_file
from fewphoton.io.volumes import write_volume_file
from fewphoton.stages import draw_figure
from fewphoton.stages.contract import Context
from fewphoton.stages.draw_figure import Inputs, Outputs

QUIET = Context(progress=False)


def write_rows(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def small_shells():
    return [
        {
            "q_low_inv_angstrom": q - 0.05,
            "q_high_inv_angstrom": q + 0.05,
            "r_high_low": 0.1 + q,
            "r_chance": 0.6,
            "photons_per_peak": 100 - 90 * q,
            "bragg_to_diffuse": 10 - 9 * q,
            "cc_truth": 1 - q,
        }
        for q in (0.1, 0.2, 0.3, 0.4)
    ]


def small_evaluation(best_angle_deg):
    rng = np.random.default_rng(1)
    hkl = np.array([[1, 1, 0], [2, 0, 0], [2, 1, 1], [2, 2, 0], [3, 1, 0]])
    return Evaluation(
        patterson=rng.random((16, 16, 16)),
        reference_patterson=rng.random((16, 16, 16)),
        patterson_voxel_angstrom=np.array([1.3, 1.3, 1.3]),
        true_angle_deg=best_angle_deg - 1.0,
        best_angle_deg=best_angle_deg,
        angle_error_deg=np.ones(len(best_angle_deg)),
        photons=np.arange(len(best_angle_deg)),
        hkl=hkl,
        q_inv_angstrom=np.linspace(0.1, 0.3, 5),
        intensity=np.array([5.0, 4.0, 3.0, 2.0, 1.0]),
        sigma=np.ones(5),
        reference_intensity=np.array([5.0, 4.1, 3.0, 2.0, -1.0]),
        truth_intensity=np.array([5.0, 4.0, 3.0, 2.1, 1.0]),
        orientation_step_deg=3.6,
        tolerance_deg=3.6,
        chance_fraction=0.02,
    )


@pytest.fixture
def files(tmp_path, frames, detector, beam, cubic_crystal, provenance):
    """Small files of every kind, as keyword arguments of Inputs."""
    rng = np.random.default_rng(0)
    with write_photon_file(tmp_path / "frames.h5", detector, beam, provenance) as writer:
        writer.append(frames)
    write_crystal(tmp_path / "crystal.yaml", cubic_crystal, np.array([0.0, 1.0, 0.0]))
    volume = IntensityVolume(rng.random((21, 21, 21)), np.ones((21, 21, 21)), 5)
    write_volume_file(tmp_path / "volume.h5", volume, cubic_crystal, np.array([0.0, 1.0, 0.0]), provenance)
    angles = 3.6 * np.arange(100)
    best = rng.integers(0, 100, 25)
    write_evaluation(tmp_path / "evaluation.h5", small_evaluation(angles[best]), provenance)
    iterations = [
        {"iteration": i, "change": 0.5**i, "mutual_information_nat": 4 - 4 / i, "beta": 1.0} for i in range(1, 9)
    ]
    for point in ("thin~48", "thin~96"):
        write_rows(tmp_path / point / "iterations.csv", iterations)
        write_rows(tmp_path / point / "shells.csv", small_shells())
        (tmp_path / point / "metrics.json").write_text(json.dumps({"n_orientations": 100, "sampling_step_deg": 5.0}))
    study = {"dataset": "a", "reconstruct.preset": "none", "failed": False, "iterations_to_plain_r": 3}
    study |= {"iterations_to_final_r": 3, "seconds_to_plain_r": 1.5, "seconds_to_final_r": 1.5}
    table = [{"thin.photons_per_frame": n, "r_high_low_low_q": 1 / n, "note": "a", **study} for n in (10, 100)]
    write_rows(tmp_path / "metrics.csv", table)
    errors = [{"rotation_error_deg": error, "rotation_error_up_to_turn_deg": error} for error in (1.0, 2.0, 40.0)]
    write_rows(tmp_path / "errors.csv", errors)
    return {
        "frames": tmp_path / "frames.h5",
        "crystal": tmp_path / "crystal.yaml",
        "volume": tmp_path / "volume.h5",
        "reference_volume": tmp_path / "volume.h5",
        "evaluation": tmp_path / "evaluation.h5",
        "metrics": tuple(str(tmp_path / point / "metrics.json") for point in ("thin~48", "thin~96")),
        "iterations": tuple(str(tmp_path / point / "iterations.csv") for point in ("thin~48", "thin~96")),
        "shells": tuple(str(tmp_path / point / "shells.csv") for point in ("thin~48", "thin~96")),
        "table": tmp_path / "metrics.csv",
        "errors": tmp_path / "errors.csv",
    }


NEEDED = {
    "frames": ["frames"],
    "powder": ["frames"],
    "convergence": ["iterations"],
    "r_factor": ["shells"],
    "patterson": ["evaluation"],
    "orientations": ["evaluation"],
    "bragg_diffuse": ["shells"],
    "volume_slices": ["volume"],
    "reflections": ["evaluation"],
    "sweep": ["table"],
    "convergence_study": ["table"],
    "rotations": ["shells", "errors", "metrics"],
    "pipeline": [],
}


WITH_AXIS = ("sweep", "convergence_study")


def configured(figure, **more):
    return DrawFigureConfig(figure=figure, **({"x": "thin.photons_per_frame"} if figure in WITH_AXIS else {}), **more)


def test_every_figure_of_the_configuration_can_be_drawn():
    assert set(FigureName.__args__) == set(NEEDED) == set(draw_figure._FIGURES)


@pytest.mark.parametrize("figure", NEEDED)
def test_drawn_from_all_files_and_from_the_needed_ones_alone(tmp_path, files, figure):
    draw_figure.run(Inputs(**files), Outputs(tmp_path / "all.png"), configured(figure), QUIET)
    least = {name: files[name] for name in NEEDED[figure]}
    draw_figure.run(Inputs(**least), Outputs(tmp_path / "least.png"), configured(figure), QUIET)
    for name in ("all.png", "least.png"):
        pixels = imread(tmp_path / name)
        assert pixels[..., :3].std() > 0.01


@pytest.mark.parametrize("figure", [name for name in NEEDED if NEEDED[name]])
def test_missing_input_is_named_by_its_flag(tmp_path, files, figure):
    for missing in NEEDED[figure]:
        rest = {name: value for name, value in files.items() if name != missing}
        with pytest.raises(ConfigError, match=f"{figure}.*--{missing}"):
            draw_figure.run(Inputs(**rest), Outputs(tmp_path / "a.png"), configured(figure), QUIET)
    assert not (tmp_path / "a.png").exists()


def drawn(monkeypatch, tmp_path, inputs, config):
    """Run the stage and return the figure that it saved."""
    kept = []
    monkeypatch.setattr(draw_figure.style, "save", lambda figure, path: kept.append(figure))
    draw_figure.run(inputs, Outputs(tmp_path / "a.png"), config, QUIET)
    return kept[0]


def test_labels_are_the_folders_unless_given(monkeypatch, tmp_path, files):
    inputs = Inputs(shells=files["shells"])
    figure = drawn(monkeypatch, tmp_path, inputs, configured("r_factor"))
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["thin~48", "thin~96"]
    figure = drawn(monkeypatch, tmp_path, inputs, configured("r_factor", labels=("48", "96")))
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["48", "96"]
    with pytest.raises(ConfigError, match="2 input files, found 1"):
        draw_figure.run(inputs, Outputs(tmp_path / "a.png"), configured("r_factor", labels=("48",)), QUIET)


def test_shells_are_drawn_at_their_middle_with_chance_and_photons(monkeypatch, tmp_path, files):
    axes, counts = drawn(monkeypatch, tmp_path, Inputs(shells=files["shells"][:1]), configured("r_factor")).axes
    q = np.array([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(axes.lines[0].get_data(), [q, 0.1 + q])
    np.testing.assert_allclose(counts.lines[0].get_data(), [q, 100 - 90 * q])
    assert np.median(axes.collections[0].get_paths()[0].vertices[:, 1]) == pytest.approx(0.6, abs=0.01)
    axes = drawn(monkeypatch, tmp_path, Inputs(shells=files["shells"][:1]), configured("bragg_diffuse")).axes[0]
    np.testing.assert_allclose(axes.lines[1].get_data(), [q, 10 - 9 * q])


def test_figures_of_merit_come_from_the_metrics(monkeypatch, tmp_path, files):
    record = {
        "cc_reference": 0.9876,
        "r_high_low_all": 0.25,
        "cc_truth": 0.9,
        "patterson_correlation_without_origin": 0.75,
    }
    (tmp_path / "metrics.json").write_text(json.dumps(record))
    inputs = Inputs(evaluation=files["evaluation"], metrics=(str(tmp_path / "metrics.json"),))
    left, right = drawn(monkeypatch, tmp_path, inputs, configured("reflections")).axes[:2]
    assert left.texts[0].get_text().splitlines()[:2] == ["CC = 0.988", "R = 0.250"]
    assert right.texts[0].get_text().splitlines()[0] == "CC = 0.900"
    figure = drawn(monkeypatch, tmp_path, inputs, configured("patterson"))
    assert "away from the origin 0.750" in figure.get_suptitle()


def test_frames_begin_where_told(monkeypatch, tmp_path, files, frames):
    config = configured("frames", first_frame=20, n_frames=9)
    figure = drawn(monkeypatch, tmp_path, Inputs(frames=files["frames"]), config)
    totals = frames.totals()[20:]
    assert [int(axes.get_xlabel().split()[0]) for axes in figure.axes] == totals.tolist()
    with pytest.raises(DataError, match=r"no frame 25; the file holds 25"):
        draw_figure.run(
            Inputs(frames=files["frames"]), Outputs(tmp_path / "a.png"), configured("frames", first_frame=25), QUIET
        )


def test_powder_is_the_sum_of_all_frames(monkeypatch, tmp_path, files, frames, detector):
    whole = PhotonFileReader.chunks
    monkeypatch.setattr(PhotonFileReader, "chunks", lambda reader: whole(reader, max_hits=20))
    figure = drawn(monkeypatch, tmp_path, Inputs(frames=files["frames"]), configured("powder"))
    expected = frames.to_dense().sum(axis=0).reshape(detector.frame_shape)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), expected)


def test_limit_of_information_comes_from_the_metrics(monkeypatch, tmp_path, files):
    inputs = Inputs(iterations=files["iterations"], metrics=files["metrics"])
    figure = drawn(monkeypatch, tmp_path, inputs, configured("convergence"))
    assert any(text.get_text().startswith("ln 100") for text in figure.axes[1].texts)
    inputs = Inputs(iterations=files["iterations"], metrics=files["metrics"][:1])
    with pytest.raises(ConfigError, match="2 runs, found 1"):
        draw_figure.run(inputs, Outputs(tmp_path / "a.png"), configured("convergence"), QUIET)


def test_empty_table_is_refused_with_its_name(tmp_path, files):
    empty = tmp_path / "empty.csv"
    empty.write_text("iteration,change,mutual_information_nat,beta\n")
    with pytest.raises(DataError, match=r"'convergence' from .*empty\.csv.*no rows"):
        draw_figure.run(Inputs(iterations=(str(empty),)), Outputs(tmp_path / "a.png"), configured("convergence"), QUIET)


def test_sweep_needs_its_axis_and_a_metric(tmp_path, files):
    inputs = Inputs(table=files["table"])
    with pytest.raises(ConfigError, match="needs x"):
        draw_figure.run(inputs, Outputs(tmp_path / "a.png"), DrawFigureConfig(figure="sweep"), QUIET)
    with pytest.raises(DataError, match="no column 'cc_truth'"):
        draw_figure.run(inputs, Outputs(tmp_path / "a.png"), configured("sweep", metrics=("cc_truth",)), QUIET)


def test_missing_and_foreign_files_are_refused(tmp_path, files):
    for inputs, figure in (
        (Inputs(frames=tmp_path / "none.h5"), "frames"),
        (Inputs(frames=files["volume"]), "frames"),
        (Inputs(volume=files["frames"]), "volume_slices"),
        (Inputs(evaluation=files["frames"]), "patterson"),
        (Inputs(shells=(str(tmp_path / "none.csv"),)), "r_factor"),
    ):
        with pytest.raises(InputFileError):
            draw_figure.run(inputs, Outputs(tmp_path / "a.png"), configured(figure), QUIET)
    with pytest.raises(OutputFileError, match="figure file"):
        draw_figure.run(Inputs(), Outputs(tmp_path / "a.gif"), configured("pipeline"), QUIET)


def test_command_line(tmp_path, files, capsys):
    target = tmp_path / "out" / "convergence.svg"
    words = ["draw-figure", "--iterations", *files["iterations"], "--metrics", *files["metrics"]]
    words += ["--figure", str(target), "--config-json", '{"figure": "convergence", "labels": ["48", "96"]}', "--quiet"]
    assert main(words) == 0
    assert target.read_text().startswith("<?xml")
    assert main(["draw-figure", "--figure", str(target), "--set", "figure=powder"]) == 1
    assert "needs --frames" in capsys.readouterr().err
    assert main(["draw-figure", "--figure", str(target), "--set", "figure=powdr"]) == 1


def test_captions_stand_beside_every_figure():
    folder = Path(__file__).resolve().parents[2] / "workflow" / "report"
    for figure in (*NEEDED, "workflow", "metrics"):
        assert (folder / f"{figure}.rst").read_text(encoding="utf-8").strip()
