import numpy as np
import pytest

from fewphoton.config import CountPhotonsConfig, DrawPatternsConfig, SelectPatternsConfig
from fewphoton.errors import DataError, GeometryError, InputFileError
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.photon_files import read_photon_file, write_photon_file
from fewphoton.stages import count_photons, draw_patterns, select_patterns
from fewphoton.stages.contract import Context
from tests.conftest import flat_detector
from tests.particle.patterns import BEAM, EDGE, bar_and_stop, counted, plane_with, sphere_intensity

QUIET = Context(1, progress=False)


def select(folder, frames, labels=(), empties=None, **config):
    inputs = select_patterns.Inputs(frames, empties, tuple(map(str, labels)))
    outputs = select_patterns.Outputs(
        folder / "patterns.csv", folder / "kept.txt", folder / "metrics.json", folder / "selected.h5"
    )
    select_patterns.run(inputs, outputs, SelectPatternsConfig(**config), QUIET)
    kept = [int(line) for line in outputs.kept.read_text().split()]
    return read_table(outputs.patterns), kept, read_metrics(outputs.metrics)


@pytest.fixture
def particles(tmp_path, provenance):
    """40 frames by turns of one sphere and of two, and 10 without a particle; labels of the first 30."""
    rng = np.random.default_rng(0)
    means = []
    for number in range(40):
        turn, photons = rng.uniform(0, 2 * np.pi), rng.uniform(3e3, 1e4)
        apart = (0.07 * np.cos(turn), 0.07 * np.sin(turn)) if number % 2 else (0.0, 0.0)
        means.append(sphere_intensity(photons, apart=apart) + 0.002)
    means += [np.full((EDGE, EDGE), 0.002)] * 10
    _, detector = plane_with(bar_and_stop())
    for name, stack, seed in (("frames.h5", means, 1), ("empties.h5", means[-1:] * 30, 2)):
        with write_photon_file(tmp_path / name, detector, BEAM, provenance) as writer:
            writer.append(counted(stack, seed))
    labels = np.where(np.arange(50) < 30, np.arange(50) % 2 == 0, -1)
    np.save(tmp_path / "labels.npy", labels)
    return tmp_path


def test_hits_are_found_and_labels_of_some_sort_the_rest(particles):
    rows, kept, metrics = select(
        particles, particles / "frames.h5", [particles / "labels.npy"], particles / "empties.h5", n_repeats=3
    )
    assert [row["hit"] == "True" for row in rows] == [True] * 40 + [False] * 10
    assert 10 < metrics["hit_threshold_photons"] < 60
    assert metrics["n_labelled_hits"] == 30
    assert metrics["auc"] > 0.97
    assert 0.2 < metrics["auc_of_shuffled_labels_mean"] < 0.7
    single = set(range(0, 40, 2))
    assert len(single.symmetric_difference(kept)) <= 2
    chosen, _, _ = read_photon_file(particles / "selected.h5")
    frames, _, _ = read_photon_file(particles / "frames.h5")
    np.testing.assert_array_equal(chosen.to_dense(), frames.take(np.array(kept)).to_dense())


def test_without_labels_all_hits_are_kept(particles):
    rows, kept, metrics = select(particles, particles / "frames.h5", minimum_photons=1000)
    assert kept == list(range(40))
    assert rows[0]["score"] == rows[0]["label"] == ""
    assert "auc" not in metrics
    assert metrics["hit_threshold_photons"] == 1000


def test_what_does_not_fit_is_refused(particles, provenance):
    np.save(particles / "few.npy", np.zeros(7))
    np.save(particles / "one.npy", np.ones(50))
    with pytest.raises(InputFileError, match="expected 50 labels"):
        select(particles, particles / "frames.h5", [particles / "few.npy"])
    with pytest.raises(DataError, match="folds"):
        select(particles, particles / "frames.h5", [particles / "one.npy"])
    with write_photon_file(particles / "other.h5", flat_detector(EDGE, EDGE), BEAM, provenance) as writer:
        writer.append(counted([np.ones((EDGE, EDGE))] * 3))
    with pytest.raises(GeometryError, match="another detector"):
        select(particles, particles / "frames.h5", empties=particles / "other.h5")


@pytest.mark.parametrize("labelled", [True, False])
def test_the_ranking_is_drawn(particles, labelled):
    labels = [particles / "labels.npy"] if labelled else []
    select(particles, particles / "frames.h5", labels, n_repeats=2, n_shuffles=0)
    inputs = draw_patterns.Inputs(particles / "frames.h5", particles / "patterns.csv", particles / "metrics.json")
    config = DrawPatternsConfig(n_patterns=12, half_width_pixel=40)
    draw_patterns.run(inputs, draw_patterns.Outputs(particles / "a.png"), config, QUIET)
    draw_patterns.run(inputs, draw_patterns.Outputs(particles / "b.png"), config, QUIET)
    assert (particles / "a.png").read_bytes() == (particles / "b.png").read_bytes()
    (particles / "patterns.csv").write_text("frame,hit\n0,True\n")
    with pytest.raises(InputFileError, match="no table of select-patterns"):
        draw_patterns.run(inputs, draw_patterns.Outputs(particles / "c.png"), config, QUIET)


@pytest.mark.real_data
def test_single_particles_of_a_real_run(data_dir, tmp_path):
    """50 patterns of a pnCCD, 19 of which people called single: honest, so the interval is wide."""
    file = data_dir / "spi_pnccd" / "test_pattern.h5.gz"
    write_geometry_yaml(tmp_path / "g.yaml", flat_detector(128, 128, 75e-6, 0.5), BEAM)
    inputs = count_photons.Inputs((f"{file}::/patterns",), tmp_path / "g.yaml", None, (f"{file}::/mask",))
    outputs = count_photons.Outputs(tmp_path / "frames.h5", tmp_path / "counted.json")
    count_photons.run(inputs, outputs, CountPhotonsConfig(calibration="photons"), QUIET)
    _, kept, metrics = select(tmp_path, tmp_path / "frames.h5", [f"{file}::/labels"])
    assert (metrics["n_wanted_hits"], metrics["n_unwanted_hits"]) == (19, 31)
    assert metrics["auc"] > 0.85
    assert metrics["auc_low"] > 0.7
    assert metrics["auc"] < metrics["auc_of_fitted_frames"]
    assert metrics["auc_of_shuffled_labels_mean"] < 0.6
    assert metrics["n_wanted_selected"] >= 13
    assert len(kept) - metrics["n_wanted_selected"] <= 3
