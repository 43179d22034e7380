"""match-patterns and refine-poses as people run them, on counts and on frames without noise."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from fewphoton.cli import main
from fewphoton.data import Crystal, FrameOrientations
from fewphoton.data.point_group import rotation_angles_deg
from fewphoton.evaluate.rotation_error import align_rotations
from fewphoton.io.crystal_description import read_crystal, write_crystal
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.orientation_files import read_orientation_file, write_orientation_file
from fewphoton.io.pattern_files import read_patterns
from fewphoton.io.photon_files import read_photon_file, write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import read_volume_file
from fewphoton.stages.pose_estimation import every_cell
from tests.simulate.molecules import made_up_molecule, pdb_text
from tests.xrai.known_poses import off_by

FROM_NOTHING = "{level: 2, iterations: 3, held_out_fraction: 0.1, seed: 4}"
ROUNDS = "{rounds: 2, rematch_rounds: 1, rematch_level: 3, held_out_fraction: 0.1}"
PROVENANCE = Provenance("test", {}, {})


def simulate(folder, noise, photons, n_frames):
    structure = folder / "molecule.pdb"
    structure.write_text(pdb_text(made_up_molecule()) + "END\n")
    config = (
        f"{{structure: {structure}, photons_per_frame: {photons}, noise: {noise}, n_frames: {n_frames}, "
        "detector: {pixels: 14, pixel_size_m: 1.0e-2, distance_m: 0.2, beam_stop_radius_m: 5.0e-3}}"
    )
    words = [f"--{name}={folder / name}" for name in ("frames", "geometry", "crystal", "truth")]
    assert main(["simulate-particles", *words, "--config-json", config, "--quiet", "--threads=1"]) == 0


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counts")
    simulate(folder, "poisson", 100, 80)
    # A frame without photons: it has no pose, and stays.
    frames, detector, beam = read_photon_file(folder / "frames")
    dense = frames.to_dense()
    dense[5] = 0
    with write_photon_file(folder / "frames", detector, beam, PROVENANCE) as writer:
        writer.append(type(frames).from_dense(dense, frames.table))
    return folder


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exact")
    simulate(folder, "none", 2000, 300)
    return folder


def match(folder, out, config=FROM_NOTHING, *more):
    names = ("volume", "poses", "iterations", "metrics", "checkpoint")
    words = [f"--frames={folder / 'frames'}", f"--crystal={folder / 'crystal'}"]
    words += [f"--{name}={out / name}" for name in names]
    return main(["match-patterns", *words, "--config-json", config, "--quiet", "--threads=1", *more])


def refine(folder, poses, out, config=ROUNDS, *more):
    words = [f"--frames={folder / 'frames'}", f"--crystal={folder / 'crystal'}", f"--start-poses={poses}"]
    words += [f"--{name}={out / name}" for name in ("volume", "poses", "rounds", "metrics", "checkpoint")]
    return main(["refine-poses", *words, "--config-json", config, "--quiet", "--threads=1", *more])


def given(path, quaternion):
    n = len(quaternion)
    unknown = np.full(n, np.nan)
    poses = FrameOrientations(
        unknown, np.full(n, -1), unknown, unknown, unknown, best_quaternion=quaternion, spacing_deg=5.0
    )
    write_orientation_file(path, poses, PROVENANCE)


@pytest.fixture
def dying(monkeypatch):
    """Make a stage die once it has written its checkpoint a number of times."""

    def after(stage, n_written, run):
        write, written = stage.CheckpointFile.write, []

        def writing(self, *content):
            write(self, *content)
            written.append(1)
            if len(written) == n_written:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(stage.CheckpointFile, "write", writing)
            with pytest.raises(KeyboardInterrupt):
                run()

    return after


@pytest.mark.parametrize("assignment", ["best", "posterior"])
def test_matching_writes_poses_volume_and_floor(counted, tmp_path, assignment):
    assert match(counted, tmp_path, FROM_NOTHING, "--set", f"assignment={assignment}") == 0
    metrics = read_metrics(tmp_path / "metrics")
    assert metrics["n_orientations"] == 420
    assert metrics["pose_floor_median_deg"] == pytest.approx(16.1, abs=0.5)
    assert metrics["n_frames_without_photons"] == 1
    assert metrics["n_frames_held_out"] == 8
    assert len(read_table(tmp_path / "iterations")) == metrics["iterations"] == 3
    poses = read_orientation_file(tmp_path / "poses")
    assert len(poses) == 80
    assert np.isnan(poses.best_quaternion[5]).all()
    assert (poses.best_orientation[5], poses.fluence[5]) == (-1, 0.0)
    assert np.isfinite(np.delete(poses.best_quaternion, 5, axis=0)).all()
    volume = read_volume_file(tmp_path / "volume")
    assert volume.crystal.cell == read_crystal(counted / "crystal")[0].cell
    assert volume.halves is not None
    for one in (volume.volume, *volume.halves):
        np.testing.assert_array_equal(one.values, one.values[::-1, ::-1, ::-1])
        assert one.voxels_per_cell == 1


@pytest.mark.parametrize("killed_after", [2, 5])
def test_a_killed_match_goes_on_and_ends_the_same(counted, tmp_path, dying, killed_after):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    several = "{level: 1, starts: 2, start_iterations: 2, iterations: 4, held_out_fraction: 0.1, seed: 4}"
    assert match(counted, whole, several) == 0
    from fewphoton.stages import match_patterns as stage

    dying(stage, killed_after, lambda: match(counted, killed, several))
    assert not (killed / "volume").exists()
    assert match(counted, killed, several) == 0
    for name in ("volume", "poses"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    # The first start is the better one of this seed, so it must be remembered.
    assert [read_metrics(place / "metrics")["chosen_start"] for place in (whole, killed)] == [0, 0]
    assert match(counted, killed, several, "--set", "seed=5") == 0
    assert (killed / "volume").read_bytes() != (whole / "volume").read_bytes()


def test_poses_a_few_degrees_off_are_refined(exact, tmp_path):
    true = read_patterns(exact / "frames").table.quaternion
    start = off_by(true, 6.0, np.random.default_rng(0))
    start[::10] = np.nan
    given(tmp_path / "given", start)
    assert refine(exact, tmp_path / "given", tmp_path) == 0
    found = read_orientation_file(tmp_path / "poses")
    assert np.median(align_rotations(found.best_quaternion, true).error_deg) < 3.5
    assert [row["kind"] for row in read_table(tmp_path / "rounds")] == ["search", "search"]
    metrics = read_metrics(tmp_path / "metrics")
    assert metrics["n_frames_held_out"] == 30
    assert metrics["rematched_fraction"] > 0
    # The volume is that of the truth, turned by the little that all poses are off together.
    merged, truth = (read_volume_file(path).volume for path in (tmp_path / "volume", exact / "truth"))
    n = min(merged.n, truth.n)
    parts = [one.values[tuple([slice((one.n - n) // 2, (one.n + n) // 2)] * 3)] for one in (merged, truth)]
    inside = np.linalg.norm(np.indices((n, n, n)) - n // 2, axis=0) < n // 2 - 1
    assert np.corrcoef(*(part[inside] for part in parts))[0, 1] > 0.99


@pytest.mark.parametrize(("merge", "killed_after"), [("best", 1), ("best", 3), ("posterior", 2)])
def test_a_killed_refinement_goes_on_and_ends_the_same(counted, tmp_path, dying, merge, killed_after):
    from fewphoton.stages import refine_poses as stage

    true = read_photon_file(counted / "frames")[0].table.quaternion
    given(tmp_path / "given", off_by(true, 6.0, np.random.default_rng(0)))
    config = (
        f"{{rounds: 2, rematch_rounds: 1, rematch_level: 2, merge: {merge}, candidates: {{level: 1, iterations: 2}}}}"
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert refine(counted, tmp_path / "given", whole, config) == 0
    dying(stage, killed_after, lambda: refine(counted, tmp_path / "given", killed, config))
    assert not (killed / "volume").exists()
    with h5py.File(killed / "checkpoint") as file:
        done = list(file["records/seconds"][:])
    assert len(done) == killed_after
    assert refine(counted, tmp_path / "given", killed, config) == 0
    for name in ("volume", "poses"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    rounds = read_table(killed / "rounds")
    assert [row["kind"] for row in rounds] == ["candidates", "candidates", "search", "search"][: len(rounds)]
    assert [float(row["seconds"]) for row in rounds[:killed_after]] == pytest.approx(done)


@pytest.mark.parametrize("lacking", ["fluence", "frames"])
def test_a_foreign_checkpoint_of_a_refinement_is_a_typed_error(counted, tmp_path, capsys, lacking):
    true = read_photon_file(counted / "frames")[0].table.quaternion
    given(tmp_path / "given", off_by(true, 6.0, np.random.default_rng(0)))
    config = "{rounds: 1, rematch_rounds: 0}"
    assert refine(counted, tmp_path / "given", tmp_path, config) == 0
    with h5py.File(tmp_path / "checkpoint", "r+") as file:
        if lacking == "fluence":
            del file["memory/fluence"]
        else:
            poses = file["memory/quaternion"][:-1]
            del file["memory/quaternion"]
            file["memory/quaternion"] = poses
    assert refine(counted, tmp_path / "given", tmp_path, config) == 1
    said = capsys.readouterr().err
    assert "Remove the checkpoint" in said
    assert ("fluence" if lacking == "fluence" else "78 poses for 79 frames") in said


def test_a_volume_to_begin_with_may_have_any_scale(exact, tmp_path):
    true = read_patterns(exact / "frames").table.quaternion
    given(tmp_path / "given", off_by(true, 6.0, np.random.default_rng(0)))
    more = "--start-volume", str(exact / "truth")
    assert refine(exact, tmp_path / "given", tmp_path, "{rounds: 1, rematch_rounds: 0}", *more) == 0
    found = read_orientation_file(tmp_path / "poses").best_quaternion
    # No common alignment is needed: the given volume fixes the frame.
    assert np.median(rotation_angles_deg(found, true)) < 2.2


def test_the_same_run_gives_the_same_bytes_wherever_patterns_are_held(exact, tmp_path):
    true = read_patterns(exact / "frames").table.quaternion
    given(tmp_path / "given", off_by(true, 6.0, np.random.default_rng(0)))
    config = "{rounds: 1, rematch_rounds: 1, rematch_level: 2}"
    for name, held in (("a", 1.0), ("b", 0.0)):
        more = "--set", f"frames_in_memory_gb={held}"
        assert refine(exact, tmp_path / "given", tmp_path / name, config, *more) == 0
    for name in ("volume", "poses"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("short", "they belong to different runs"),
        ("nothing known", "no frame with photons has a pose"),
        ("other box", "differs from the box's"),
        ("no device", "write auto, cpu"),
        ("fluence", "set fluence to equal"),
    ],
)
def test_what_does_not_fit_is_a_typed_error(exact, tmp_path, capsys, change, message):
    true = read_patterns(exact / "frames").table.quaternion
    given(tmp_path / "given", {"short": true[:-1], "nothing known": np.full_like(true, np.nan)}.get(change, true))
    more = {"no device": ("--set", "device=tpu"), "fluence": ("--set", "fluence=per_frame")}.get(change, ())
    folder = exact
    if change == "other box":
        folder = tmp_path / "other"
        folder.mkdir()
        (folder / "frames").symlink_to(exact / "frames")
        write_crystal(folder / "crystal", Crystal((50.0, 50.0, 50.0, 90, 90, 90), "P 1"), np.array([0.0, 1.0, 0.0]))
        more = "--start-volume", str(exact / "truth")
    assert refine(folder, tmp_path / "given", tmp_path, ROUNDS, *more) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "volume").exists()


def test_a_sample_too_large_for_the_memory_is_refused_before_it_is_made(counted, tmp_path, capsys, monkeypatch):
    from fewphoton.stages import match_patterns as stage

    monkeypatch.setattr(stage, "machine_memory_bytes", lambda: 10**5)
    assert match(counted, tmp_path, "{level: 2, assignment: posterior}") == 1
    assert "lower the level" in capsys.readouterr().err
    assert match(counted, tmp_path, "{level: 2, iterations: 1}") == 0


def test_every_cell_keeps_the_voxels_of_whole_indices():
    from fewphoton.data import IntensityVolume

    axis = (np.arange(11) - 5) / 2
    h, k, m = np.meshgrid(axis, axis, axis, indexing="ij")
    kept = every_cell(IntensityVolume(100 * h + 10 * k + m, np.ones((11, 11, 11)), 2))
    assert kept.n == 5
    np.testing.assert_array_equal(kept.values[:, 2, 2], [-200, -100, 0, 100, 200])
    np.testing.assert_array_equal(kept.axis_hkl(), [-2, -1, 0, 1, 2])
