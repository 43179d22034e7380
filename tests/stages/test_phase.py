"""phase as people run it: from a Fourier volume to a density that other programs open."""

from __future__ import annotations

import gemmi
import h5py
import numpy as np
import pytest
from scipy import fft

from fewphoton.cli import main
from fewphoton.config.phase import PhaseConfig
from fewphoton.data import Crystal, IntensityVolume
from fewphoton.errors import ConvergenceError, GeometryError, InputFileError
from fewphoton.io.density_files import read_density_file
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import write_volume_file
from fewphoton.particle.measured_intensity import distance_from_centre
from fewphoton.particle.phase_average import aligned_to
from fewphoton.stages import phase
from fewphoton.stages.contract import Context
from tests.particle.test_phasing import particle

QUIET = Context(1, progress=False)
N = 20
BOX = Crystal((50.0, 50.0, 50.0, 90, 90, 90), "P 1")
QUICK = PhaseConfig(
    steps=({"method": "raar", "iterations": 120}, {"method": "error_reduction", "iterations": 40}), n_starts=3
)
NAMES = ("density.h5", "density.ccp4", "transfer.csv", "starts.csv", "metrics.json")


def intensities(truth):
    """Intensities up to 8 voxels from the centre, behind a beam stop of a voxel, of one hemisphere alone."""
    values = np.abs(fft.fftshift(fft.fftn(truth))) ** 2
    distance = distance_from_centre(values.shape)
    weight = ((distance > 1.1) & (distance <= 9.5)).astype(float)
    weight[:, :, N // 2 + 1 :] = 0
    return IntensityVolume(np.where(weight > 0, values, np.nan), weight, 1)


def write(path, volume=None, crystal=BOX):
    volume = intensities(particle((N, N, N))) if volume is None else volume
    write_volume_file(path, volume, crystal, np.array([0.0, 1.0, 0.0]), Provenance("test", {}, {}))
    return path


def run(volume, folder, config=QUICK, checkpoint=None):
    outputs = phase.Outputs(*(folder / name for name in NAMES), checkpoint)
    phase.run(phase.Inputs(volume), outputs, config, QUIET)
    return outputs


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    return write(tmp_path_factory.mktemp("phase") / "volume.h5")


@pytest.fixture(scope="module")
def phased(volume):
    return run(volume, volume.parent / "whole")


def test_the_particle_comes_back(phased):
    density = read_density_file(phased.density)
    truth = particle((N, N, N))
    assert np.corrcoef(aligned_to(truth, density.values).ravel(), truth.ravel())[0, 1] > 0.98
    # Its centre of mass lies in the middle of the box.
    weight = density.values.clip(0)
    middle = [float((weight.sum(axis=axes) * density.axis_angstrom()).sum()) for axes in ((1, 2), (0, 2), (0, 1))]
    assert np.abs(np.array(middle) / weight.sum()).max() < density.voxel_angstrom
    metrics = read_metrics(phased.metrics)
    assert (density.n, density.voxel_angstrom, metrics["voxel_angstrom"]) == (N, 2.5, 2.5)
    assert density.q_low_inv_angstrom == pytest.approx(1 / 50)
    assert density.q_high_inv_angstrom == pytest.approx(9 / 50)
    assert metrics["free_error"] < 0.1
    assert metrics["n_starts"] == 3
    assert metrics["oversampling"] > 5


def test_starts_and_transfer_function_are_told(phased):
    rows = read_table(phased.starts)
    metrics = read_metrics(phased.metrics)
    assert [row["start"] for row in rows] == ["0", "1", "2"]
    kept = [float(row["free_error"]) for row in rows if row["kept"] == "True"]
    assert len(kept) == metrics["n_starts_kept"] >= 2
    assert min(kept) == pytest.approx(metrics["free_error"])
    curve = read_table(phased.transfer)
    assert (curve[0]["transfer_function"], curve[0]["measured_voxels"]) == ("", "0")
    values = [float(row["transfer_function"]) for row in curve if row["transfer_function"]]
    assert min(values[:6]) > 0.9
    assert max(values) <= 1 + 1e-9
    assert float(curve[3]["q_inv_angstrom"]) == pytest.approx(3 / 50)


def test_other_programs_open_the_density(phased):
    density = read_density_file(phased.density)
    found = gemmi.read_ccp4_map(str(phased.map), setup=True)
    assert found.grid.unit_cell.parameters == (50, 50, 50, 90, 90, 90)
    np.testing.assert_allclose(np.array(found.grid.array), density.values, atol=1e-6 * density.values.max())
    middle = found.grid.interpolate_value(gemmi.Position(25, 25, 25))
    assert middle == pytest.approx(density.values[N // 2, N // 2, N // 2], rel=1e-5)
    with h5py.File(phased.density) as file:
        plot = file[file.attrs["default"]]
        plot = plot[plot.attrs["default"]]
        assert plot.attrs["NX_class"] == "NXdata"
        signal = plot[plot.attrs["signal"]]
        assert [len(plot[axis]) for axis in plot.attrs["axes"]] == list(signal.shape)
        assert plot["x"].attrs["units"] == "angstrom"


def test_interrupted_phasing_goes_on_where_it_was(volume, phased, tmp_path, monkeypatch):
    checkpoint, done = tmp_path / "checkpoint.h5", []
    once = phase.phase_once

    def interrupted(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return once(*arguments)

    monkeypatch.setattr(phase, "phase_once", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(volume, tmp_path, checkpoint=checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.h5"]
    done.pop()
    outputs = run(volume, tmp_path, checkpoint=checkpoint)
    assert len(done) == 2
    assert not checkpoint.exists()
    for name in NAMES:
        assert (outputs.density.parent / name).read_bytes() == (phased.density.parent / name).read_bytes(), name


def test_checkpoints_of_something_else_are_not_taken(volume, tmp_path, monkeypatch):
    checkpoint = tmp_path / "checkpoint.h5"
    calls = []
    once = phase.phase_once
    monkeypatch.setattr(phase, "phase_once", lambda *arguments: calls.append(1) or once(*arguments))
    monkeypatch.setattr(phase.PhasingCheckpointFile, "remove", lambda self: None)
    quick = QUICK.model_copy(update={"n_starts": 1, "steps": QUICK.steps[:1]})
    run(volume, tmp_path, quick, checkpoint)
    run(volume, tmp_path, quick, checkpoint)
    assert len(calls) == 1
    run(volume, tmp_path, quick.model_copy(update={"seed": 7}), checkpoint)
    assert len(calls) == 2
    checkpoint.write_bytes(checkpoint.read_bytes()[:3000])
    with pytest.raises(InputFileError, match="phasing then begins anew"):
        run(volume, tmp_path, quick, checkpoint)


def test_one_start_says_nothing_of_agreement(volume, tmp_path):
    outputs = run(volume, tmp_path, QUICK.model_copy(update={"n_starts": 1, "steps": QUICK.steps[:1]}))
    assert all(row["transfer_function"] == "" for row in read_table(outputs.transfer))
    assert read_metrics(outputs.metrics)["resolution_transfer_angstrom"] is None


def test_a_start_that_loses_its_support_is_left_out(volume, tmp_path, monkeypatch):
    once, numbers = phase.phase_once, iter(range(9))

    def failing(*arguments):
        if next(numbers) == 1:
            raise ConvergenceError("lost")
        return once(*arguments)

    monkeypatch.setattr(phase, "phase_once", failing)
    outputs = run(volume, tmp_path)
    assert read_metrics(outputs.metrics)["n_starts_without_support"] == 1
    assert [row["kept"] for row in read_table(outputs.starts)][1] == "False"

    def lost(*arguments):
        raise ConvergenceError("lost")

    monkeypatch.setattr(phase, "phase_once", lost)
    with pytest.raises(ConvergenceError, match="all 3 starts lost their support"):
        run(volume, tmp_path)


def test_volumes_that_cannot_be_phased_are_refused(tmp_path, capsys):
    ones = np.ones((N, N, N))
    nan = ones.copy()
    nan[2, 2, 2] = np.nan
    for number, (values, message) in enumerate([(0 * ones, "holds no photons"), (nan, r"\[2, 2, 2\] is not finite")]):
        path = write(tmp_path / f"{number}.h5", IntensityVolume(values, ones, 1))
        with pytest.raises(InputFileError, match=message):
            run(path, tmp_path)
    full = np.abs(fft.fftshift(fft.fftn(np.random.default_rng(0).random((N, N, N))))) ** 2
    path = write(tmp_path / "full.h5", IntensityVolume(full, ones, 1))
    with pytest.raises(InputFileError, match=r"full.h5: the autocorrelation fills.*larger box"):
        run(path, tmp_path)
    crystal = Crystal((50.0, 50.0, 60.0, 90, 90, 90), "P 1")
    path = write(tmp_path / "crystal.h5", crystal=crystal)
    with pytest.raises(GeometryError, match="belongs to a crystal"):
        run(path, tmp_path)
    assert not (tmp_path / "density.h5").exists()
    words = [f"--{name.split('.')[0]}={tmp_path / name}" for name in NAMES if name != "density.ccp4"]
    code = main(["phase", f"--volume={tmp_path / '0.h5'}", *words, f"--map={tmp_path / 'd.ccp4'}", "--quiet"])
    assert code == 1
    assert "0.h5: no measured voxel is above zero" in capsys.readouterr().err


def test_files_of_densities_are_checked(phased, volume, tmp_path):
    with pytest.raises(InputFileError, match="particle_density"):
        read_density_file(volume)
    broken = tmp_path / "broken.h5"
    broken.write_bytes(phased.density.read_bytes())
    with h5py.File(broken, "r+") as file:
        file["entry/density/values"][3, 3, 3] = np.nan
    with pytest.raises(InputFileError, match="all of them finite"):
        read_density_file(broken)
