import json

import numpy as np
import pytest
import torch

from fewphoton.config.train_xrai import TrainXraiConfig
from fewphoton.data import Crystal, FrameTable, PhotonFrames
from fewphoton.errors import ConfigError, DataError, GeometryError, InputFileError, MissingLibraryError
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.pattern_files import read_patterns, write_pattern_file
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.volumes import read_volume_file
from fewphoton.simulate.snapshots import UNUSED_AXIS
from fewphoton.stages import evaluate_rotations, simulate_particles, torch_requirement
from fewphoton.stages.contract import Context
from fewphoton.stages.pose_scores import numbered_frames
from fewphoton.stages.train_xrai import Inputs, Outputs, run
from fewphoton.xrai.batches import held_out_split
from tests.conftest import flat_detector
from tests.simulate.molecules import made_up_molecule, pdb_text
from tests.small_training import SMALL

QUIET = Context(1, None, False)
TRAINED = ("poses.h5", "volume.h5", "trace.csv", "metrics.json")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """Photon frames and noise-free frames of the same particle, its box, and the section that makes them."""
    folder = tmp_path_factory.mktemp("particle")
    (folder / "molecule.pdb").write_text(pdb_text(made_up_molecule()) + "END\n")
    section = {
        "structure": folder / "molecule.pdb",
        "detector": {"pixels": 16, "pixel_size_m": 6e-3, "distance_m": 0.1, "beam_stop_radius_m": 5e-3},
        "photons_per_frame": 80.0,
        "n_frames": 60,
    }
    for noise in ("poisson", "none"):
        config = simulate_particles.Config(**section, noise=noise)
        names = (f"{noise}.h5", "geometry.yaml", "crystal.yaml")
        simulate_particles.run(
            simulate_particles.Inputs(), simulate_particles.Outputs(*(folder / name for name in names)), config, QUIET
        )
    return folder, section


def train(folder, frames=None, crystal=None, checkpoint=None, preview=None, held_out=None, context=QUIET, **changes):
    config = TrainXraiConfig(**{key: SMALL.get(key, {}) | changes.pop(key, {}) for key in SMALL}, **changes)
    folder.mkdir(exist_ok=True)
    outputs = Outputs(*(folder / name for name in TRAINED), checkpoint, preview, held_out)
    run(Inputs(frames, crystal), outputs, config, context)
    return [(folder / name).read_bytes() for name in TRAINED[:2]]


def losses(folder):
    return [[value for key, value in row.items() if key != "seconds"] for row in read_table(folder / "trace.csv")]


@pytest.mark.parametrize("noise", ["poisson", "none"])
def test_what_is_written(simulated, tmp_path, noise):
    folder, _ = simulated
    kept = {"preview": tmp_path / "preview.png", "held_out": tmp_path / "held_out.txt"}
    train(tmp_path, folder / f"{noise}.h5", folder / "crystal.yaml", preview_every=1000, **kept)
    poses = read_orientation_file(tmp_path / "poses.h5")
    np.testing.assert_allclose(np.linalg.norm(poses.best_quaternion, axis=1), 1, atol=1e-9)
    assert len(poses) == 60
    assert poses.best_orientation.max() < 3
    volume = read_volume_file(tmp_path / "volume.h5")
    assert volume.volume.voxels_per_cell == 1
    assert volume.volume.values[volume.volume.weight > 0].min() > 0
    source = read_patterns(folder / f"{noise}.h5").source
    q = np.linalg.norm(source.q_per_angstrom, axis=1)
    assert poses.step_deg == pytest.approx(np.rad2deg(1 / (volume.crystal.cell[0] * q.max())))
    # The volume is in photons: its shells have the frames' brightness, whatever scale training took.
    patterns = source.patterns(np.arange(60)) / source.response
    axis = volume.volume.axis_hkl() / volume.crystal.cell[0]
    radius = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij")), axis=0)
    middle = (q > 0.4 * q.max()) & (q < 0.6 * q.max())
    shell = (radius > 0.4 * q.max()) & (radius < 0.6 * q.max())
    assert volume.volume.values[shell].mean() == pytest.approx(patterns[:, middle].mean(), rel=0.4)
    rows = read_table(tmp_path / "trace.csv")
    assert [(row["start"], row["step"]) for row in rows[:2]] == [("0", "4"), ("1", "4")]
    assert [row["step"] for row in rows[2:]] == ["8", "12"]
    metrics = read_metrics(tmp_path / "metrics.json")
    assert metrics["n_frames_held_out"] == 6
    apart = np.flatnonzero(numbered_frames(tmp_path / "held_out.txt", 60))
    np.testing.assert_array_equal(apart, np.sort(held_out_split(60, 6, 0)[1]))
    assert metrics["frames_seen"] == 16 * 8
    assert (tmp_path / "preview.png").read_bytes()[:4] == b"\x89PNG"


def test_poses_and_volume_are_scored_by_evaluate_rotations(simulated, tmp_path):
    folder, _ = simulated
    train(tmp_path, folder / "poisson.h5", folder / "crystal.yaml")
    evaluate_rotations.run(
        evaluate_rotations.Inputs(tmp_path / "volume.h5", tmp_path / "poses.h5", folder / "poisson.h5"),
        evaluate_rotations.Outputs(tmp_path / "scores.json", tmp_path / "shells.csv", tmp_path / "errors.csv"),
        evaluate_rotations.Config(shuffles=1),
        QUIET,
    )
    scores = read_metrics(tmp_path / "scores.json")
    assert 0 < scores["rotation_error_median_deg"] < 180
    assert scores["sampling_step_deg"] == read_orientation_file(tmp_path / "poses.h5").step_deg


def test_frames_made_on_the_fly_train_as_those_of_a_file(simulated, tmp_path):
    folder, section = simulated
    train(tmp_path / "file", folder / "none.h5", folder / "crystal.yaml")
    train(tmp_path / "fly", simulate=section | {"noise": "none", "chunk_frames": 7})
    assert losses(tmp_path / "fly") == losses(tmp_path / "file")


class Killed(Exception):
    pass


@pytest.mark.parametrize("after", [3, 7, 13])
def test_a_killed_training_resumes_to_the_same_bytes(simulated, tmp_path, monkeypatch, after, capsys):
    folder, _ = simulated
    given = {"frames": folder / "poisson.h5", "crystal": folder / "crystal.yaml"}
    whole = train(tmp_path / "whole", **given)

    class Dying(Context):
        def track(self, items, label, unit, total=None):
            for number, item in enumerate(items):
                if number == after:
                    raise Killed
                yield item

    with pytest.raises(Killed):
        train(tmp_path / "killed", **given, checkpoint=tmp_path / "state.pt", context=Dying(1, None, False))
    assert (tmp_path / "state.pt").exists() == (after > 5)
    assert not (tmp_path / "killed" / "poses.h5").exists()
    resumed = train(tmp_path / "killed", **given, checkpoint=tmp_path / "state.pt")
    assert resumed == whole
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert ("resumed after" in capsys.readouterr().err) == (after > 5)
    again = train(tmp_path / "killed", **given, checkpoint=tmp_path / "state.pt")
    assert again == whole


def test_a_checkpoint_of_another_run_is_left_aside_and_a_broken_one_refused(simulated, tmp_path, capsys):
    folder, _ = simulated
    given = {"frames": folder / "poisson.h5", "crystal": folder / "crystal.yaml", "checkpoint": tmp_path / "state.pt"}
    train(tmp_path / "first", **given)
    capsys.readouterr()
    train(tmp_path / "second", **given, seed=1)
    assert "training begins anew" in capsys.readouterr().err
    assert losses(tmp_path / "second") != losses(tmp_path / "first")
    data = (tmp_path / "state.pt").read_bytes()
    for wrong in (data[: len(data) // 2], b"", b"nonsense"):
        (tmp_path / "state.pt").write_bytes(wrong)
        with pytest.raises(InputFileError, match=r"state\.pt.*Remove it to begin anew"):
            train(tmp_path / "third", **given, seed=1)


def pattern_file(path, values, provenance):
    detector = flat_detector(14, 14, 4e-3)
    from fewphoton.data import Beam

    with write_pattern_file(path, detector, Beam(2.7), len(values), provenance) as writer:
        writer.append(values.astype(np.float32), FrameTable.unknown(len(values)))
    write_crystal(path.with_name("box.yaml"), Crystal((40, 40, 40, 90, 90, 90), "P 1"), UNUSED_AXIS)
    return {"frames": path, "crystal": path.with_name("box.yaml")}


def test_frames_that_cannot_be_trained_on(tmp_path, provenance):
    values = np.random.default_rng(0).random((30, 196))
    spoilt = values.copy()
    spoilt[17, 5] = np.nan
    with pytest.raises(DataError, match=r"frames\.h5 .*pattern 17 holds values that are not finite"):
        train(tmp_path, **pattern_file(tmp_path / "frames.h5", spoilt, provenance))
    with pytest.raises(DataError, match="1 frame: at least two"):
        train(tmp_path, **pattern_file(tmp_path / "frames.h5", values[:1], provenance))
    with pytest.raises(DataError, match="none of the 27 frames"):
        train(tmp_path, **pattern_file(tmp_path / "frames.h5", 0 * values, provenance))
    with pytest.raises(DataError, match="are the same"):
        train(tmp_path, **pattern_file(tmp_path / "frames.h5", 0 * values + 1, provenance))
    given = pattern_file(tmp_path / "frames.h5", values, provenance)
    (tmp_path / "frames.h5").write_bytes((tmp_path / "frames.h5").read_bytes()[:3000])
    with pytest.raises(InputFileError, match=r"frames\.h5"):
        train(tmp_path, **given)
    assert not [path for path in tmp_path.iterdir() if path.name in TRAINED]


def test_dark_frames_are_told_and_have_no_pose(tmp_path, provenance, capsys):
    values = np.random.default_rng(0).random((30, 196))
    values[[4, 11]] = 0
    train(tmp_path, **pattern_file(tmp_path / "frames.h5", values, provenance))
    assert "2 frames hold no photons" in capsys.readouterr().err
    poses = read_orientation_file(tmp_path / "poses.h5")
    assert np.flatnonzero(poses.best_orientation < 0).tolist() == [4, 11]
    assert np.isnan(poses.best_quaternion[[4, 11]]).all()


def test_two_frames_are_enough_to_run(tmp_path, provenance, capsys):
    values = np.random.default_rng(0).random((2, 196))
    given = pattern_file(tmp_path / "frames.h5", np.concatenate([values, values[:1] * 0.5]), provenance)
    train(tmp_path, **given)
    assert "fewer than the 8 of a step" in capsys.readouterr().err
    assert len(read_orientation_file(tmp_path / "poses.h5")) == 3


def test_inputs_that_do_not_fit(simulated, tmp_path):
    folder, section = simulated
    with pytest.raises(ConfigError, match="exactly one"):
        train(tmp_path)
    with pytest.raises(ConfigError, match="exactly one"):
        train(tmp_path, folder / "none.h5", simulate=section)
    with pytest.raises(ConfigError, match="give the input crystal"):
        train(tmp_path, folder / "none.h5")
    with pytest.raises(ConfigError, match="structure of the particle"):
        train(tmp_path, simulate=section | {"structure": None})
    write_crystal(tmp_path / "long.yaml", Crystal((40, 50, 60, 90, 90, 90), "P 1"), UNUSED_AXIS)
    with pytest.raises(GeometryError, match="cubic box"):
        train(tmp_path, folder / "none.h5", tmp_path / "long.yaml")
    with pytest.raises(GeometryError, match="no usable pixel"):
        train(tmp_path, folder / "none.h5", folder / "crystal.yaml", q_max_inv_angstrom=1e-6)


def test_without_pytorch_the_way_out_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(torch_requirement.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r"train-xrai needs PyTorch: pip install"):
        train(tmp_path)


def test_an_accelerator_that_is_not_there(simulated, tmp_path, monkeypatch, capsys):
    folder, _ = simulated
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="finds no CUDA device"):
        train(tmp_path, folder / "none.h5", folder / "crystal.yaml", device="cuda")
    assert "poses.h5" not in [path.name for path in tmp_path.iterdir()]


def test_the_faithful_preset_runs(simulated, tmp_path):
    folder, _ = simulated
    small = {"network": "images", "widths": [4, 4, 4, 4, 4], "hidden": [8, 8], "heads": 1}
    train(
        tmp_path,
        folder / "none.h5",
        folder / "crystal.yaml",
        preset="faithful",
        encoder=small,
        decoder={"width": 8},
        q_max_inv_angstrom=0.15,
    )
    described = json.loads(json.dumps(read_metrics(tmp_path / "metrics.json")))
    assert described["n_pixels"] < 230


def test_fluences_have_mean_one_and_the_volume_takes_their_scale(tmp_path, provenance):
    rng = np.random.default_rng(0)
    frames = PhotonFrames.from_dense(rng.poisson(rng.uniform(0.2, 3.0, (40, 1)), (40, 196)), FrameTable.unknown(40))
    given = pattern_file(tmp_path / "other.h5", rng.random((2, 196)), provenance)
    from fewphoton.data import Beam

    with write_photon_file(tmp_path / "frames.h5", flat_detector(14, 14, 4e-3), Beam(2.7), provenance) as writer:
        writer.append(frames)
    train(tmp_path, tmp_path / "frames.h5", given["crystal"], likelihood={"fluence": "per_frame"})
    poses = read_orientation_file(tmp_path / "poses.h5")
    assert poses.fluence.mean() == pytest.approx(1)
    assert np.corrcoef(poses.fluence, frames.totals())[0, 1] > 0.95
