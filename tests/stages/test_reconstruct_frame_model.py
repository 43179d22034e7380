"""reconstruct with a fluence and a background of each frame: files, MPI ranks, checkpoints."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.io.background_files import write_background_map
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.photon_files import read_photon_file, write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import read_volume_file
from tests.emc.varied import varied_experiment, varied_photons
from tests.stages.test_reconstruct import OUTPUTS, arguments, killed_after, launcher

OPTIONS: dict[str, Any] = {
    "fluence": "per_frame",
    "background": "per_frame",
    "minibatch": {"iterations": 1, "fraction": 0.5},
    "held_out": {"fraction": 0.1, "every": 3, "patience": 9},
    "batch_frames": 150,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("frame-model")
    experiment = varied_experiment()
    write_crystal(place / "crystal.yaml", experiment.crystal, experiment.rotation_axis)
    provenance = Provenance("test", {}, {})
    with write_photon_file(place / "frames.h5", experiment.detector, experiment.beam, provenance) as writer:
        writer.append(varied_photons())
    flat = np.ones(experiment.detector.frame_shape)
    write_background_map(place / "background.h5", flat, provenance)
    return place


@pytest.fixture(scope="module")
def serial(folder) -> Path:
    assert main(arguments(folder, "serial", "--quiet", iterations=6, options=OPTIONS)) == 0
    return folder / "serial"


def test_files_tell_what_was_found(folder, serial):
    found = read_orientation_file(serial / "orientations.h5")
    truth = read_photon_file(folder / "frames.h5")[0].table
    assert np.corrcoef(found.fluence, truth.true_fluence)[0, 1] > 0.7
    assert np.corrcoef(found.background_photons, truth.true_background)[0, 1] > 0.4
    last = read_table(serial / "iterations.csv")[-1]
    metrics = read_metrics(serial / "metrics.json")
    for name in ("fluence_spread", "background_fraction"):
        assert 0 < metrics[name] == pytest.approx(float(last[name]))


def test_a_flat_map_is_what_no_file_means(folder, serial):
    words = arguments(folder, "mapped", "--quiet", iterations=6, options=OPTIONS)
    assert main([*words, "--background", str(folder / "background.h5")]) == 0
    for part in ("values", "weight"):
        one, other = (
            getattr(read_volume_file(place / "volume.h5").volume, part) for place in (serial, folder / "mapped")
        )
        np.testing.assert_array_equal(other, one)


def test_a_background_that_nobody_asked_for_is_refused(folder, capsys):
    words = arguments(folder, "unasked", "--quiet", iterations=6)
    assert main([*words, "--background", str(folder / "background.h5")]) == 1
    assert "background is 'none'" in capsys.readouterr().err


@pytest.mark.parametrize("number", [1, 3])
def test_resuming_gives_the_same_bytes(folder, serial, number):
    place = killed_after(folder, f"resumed{number}", number, OPTIONS)
    assert main(arguments(folder, place.name, "--quiet", iterations=6, options=OPTIONS)) == 0
    for name in OUTPUTS:
        assert (place / name).read_bytes() == (serial / name).read_bytes()


@pytest.mark.mpi
def test_ranks_change_nothing_but_rounding(folder, serial):
    words = arguments(folder, "two", "--expect-ranks", "2", "--quiet", iterations=6, options=OPTIONS)
    subprocess.run([launcher(), "-n", "2", sys.executable, "-m", "fewphoton", *words], check=True, timeout=300)
    one, many = (read_volume_file(place / "volume.h5").volume for place in (serial, folder / "two"))
    np.testing.assert_allclose(many.values, one.values, atol=1e-3 * one.values.max())
    first, second = (read_orientation_file(place / "orientations.h5") for place in (serial, folder / "two"))
    np.testing.assert_allclose(second.fluence, first.fluence, atol=1e-3)
    np.testing.assert_allclose(second.background_photons, first.background_photons, atol=0.05)
    assert np.mean(first.best_orientation == second.best_orientation) > 0.99
