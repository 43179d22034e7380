"""score-particles: what is wrong by a known amount is told to be wrong by that amount."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewphoton.cli import main
from fewphoton.config import SimulateParticlesConfig
from fewphoton.config.score_particles import ScoreParticlesConfig
from fewphoton.data import Crystal, FrameOrientations, IntensityVolume
from fewphoton.data.density import Density
from fewphoton.data.point_group import quaternion_product
from fewphoton.errors import ConfigError, GeometryError, InputFileError
from fewphoton.io.density_files import write_density_file
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.orientation_files import write_orientation_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import read_ccp4_map, read_volume_file, write_volume_file
from fewphoton.particle.measured_intensity import distance_from_centre
from fewphoton.particle.phase_average import inverted
from fewphoton.simulate.molecular_transform import MolecularTransform
from fewphoton.stages import score_particles, simulate_particles
from fewphoton.stages.contract import Context
from fewphoton.stages.pose_scores import true_orientations
from tests.simulate.molecules import made_up_molecule, pdb_text
from tests.simulate.test_particle import SMALL

QUIET = Context(1, progress=False)
BOX = 44.0
N = 24
TURN = Rotation.from_euler("xyz", [70, -35, 120], degrees=True)
PROVENANCE = Provenance("test", {}, {})


@dataclass(frozen=True)
class Truth:
    """A simulated experiment with its files."""

    folder: Path
    structure: Path
    frames: Path
    quaternion: np.ndarray


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("score")
    structure = folder / "molecule.pdb"
    structure.write_text(pdb_text(made_up_molecule()) + "END\n")
    config = SimulateParticlesConfig(**SMALL | {"structure": structure, "box_angstrom": BOX, "n_frames": 300})
    names = ("frames.h5", "geometry.yaml", "crystal.yaml", "truth.h5", "metrics.json")
    outputs = simulate_particles.Outputs(*(folder / name for name in names))
    simulate_particles.run(simulate_particles.Inputs(), outputs, config, QUIET)
    true, _ = true_orientations(outputs.frames)
    return Truth(folder, structure, outputs.frames, true)


def write_poses(path, quaternion):
    n = len(quaternion)
    poses = FrameOrientations(
        np.full(n, np.nan), np.full(n, -1), np.ones(n), np.zeros(n), np.zeros(n), None, quaternion, 1.0
    )
    write_orientation_file(path, poses, PROVENANCE)
    return path


def disturbed(quaternion, sigma_deg, seed=0):
    """Poses after the sample was turned by TURN, each off by a known angle."""
    rng = np.random.default_rng(seed)
    axis = rng.standard_normal((len(quaternion), 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.abs(rng.normal(0, np.deg2rad(sigma_deg), len(quaternion)))
    off = Rotation.from_rotvec(axis * angle[:, None]).as_quat(scalar_first=True)
    back = TURN.inv().as_quat(scalar_first=True)
    return quaternion_product(quaternion_product(off, quaternion), back), np.rad2deg(angle)


def turned_about_the_beam(quaternion):
    return quaternion_product(np.array([0.0, 0.0, 0.0, 1.0]), quaternion)


def run(folder, config=None, **files):
    names = (
        "poses",
        "frames",
        "held_out",
        "held_out_poses",
        "held_out_frames",
        "volume",
        "density",
        "structure",
    )
    inputs = score_particles.Inputs(*(files.pop(name, None) for name in names))
    outputs = score_particles.Outputs(folder / "metrics.json", folder / "curves.csv", **files)
    score_particles.run(inputs, outputs, config or ScoreParticlesConfig(), QUIET)
    return read_metrics(outputs.metrics), read_table(outputs.curves)


def test_pose_errors_are_those_that_were_made(truth, tmp_path):
    """A third of the frames lies turned about the beam, a tenth anywhere, and the rest is off by known angles."""
    poses, angle = disturbed(truth.quaternion, 2.0)
    turned, lost = np.arange(300) % 3 == 0, np.arange(300) % 10 == 1
    poses[turned] = turned_about_the_beam(poses[turned])
    poses[lost] = Rotation.random(int(lost.sum()), np.random.default_rng(1)).as_quat(scalar_first=True)
    poses[7] = np.nan
    path = write_poses(tmp_path / "poses.h5", poses)
    metrics, rows = run(tmp_path, poses=path, frames=truth.frames, errors=tmp_path / "errors.csv")
    assert rows == []
    errors = read_table(tmp_path / "errors.csv")
    assert errors[7]["pose_error_deg"] == ""
    found = np.array([float(row["pose_error_deg"] or "nan") for row in errors])
    right = ~lost & np.isfinite(found)
    np.testing.assert_allclose(found[right], angle[right], atol=0.35)
    assert metrics["train_n_frames_without_pose"] == 1
    known = found[np.isfinite(found)]
    assert metrics["train_pose_error_median_deg"] == pytest.approx(np.median(known))
    assert metrics["train_pose_error_mean_deg"] == pytest.approx(known.mean())
    assert metrics["train_pose_error_rms_deg"] == pytest.approx(np.sqrt((known**2).mean()))
    assert metrics["train_poses_within_3_deg"] == pytest.approx((known <= 3).mean())
    assert 0.85 < metrics["train_poses_within_10_deg"] < 0.93
    straight = np.array([float(row["pose_error_without_turn_deg"] or "nan") for row in errors])
    assert np.nanmin(straight[turned & ~lost]) > 170


def test_frames_that_were_kept_apart_use_the_alignment_of_the_others(truth, tmp_path):
    """Their own would hide that the encoder turns all of them."""
    poses, _ = disturbed(truth.quaternion, 0.5)
    extra = Rotation.from_rotvec([0, np.deg2rad(5.0), 0]).as_quat(scalar_first=True)
    train = write_poses(tmp_path / "train.h5", poses)
    other = write_poses(tmp_path / "other.h5", quaternion_product(poses, extra))
    given = {"poses": train, "frames": truth.frames, "held_out_frames": truth.frames}
    metrics, _ = run(tmp_path, held_out_poses=other, **given)
    assert metrics["train_pose_error_median_deg"] < 1
    assert metrics["held_out_pose_error_median_deg"] == pytest.approx(5, abs=0.3)
    alone, _ = run(tmp_path, held_out_poses=other, held_out_frames=truth.frames)
    assert alone["held_out_pose_error_median_deg"] < 1
    # True orientations may come as a file of their own.
    known = write_poses(tmp_path / "true.h5", truth.quaternion)
    assert run(tmp_path, poses=train, frames=known)[0]["train_pose_error_median_deg"] < 1


def test_frames_that_were_kept_apart_may_be_numbered(truth, tmp_path):
    poses, angle = disturbed(truth.quaternion, 1.0)
    apart = np.arange(300) % 10 == 4
    poses[apart] = disturbed(truth.quaternion, 6.0, 1)[0][apart]
    other = disturbed(truth.quaternion, 6.0, 1)[1][apart]
    (tmp_path / "held_out.txt").write_text("".join(f"{number}\n" for number in np.flatnonzero(apart)))
    given = {"poses": write_poses(tmp_path / "poses.h5", poses), "frames": truth.frames}
    files = given | {"held_out": tmp_path / "held_out.txt"}
    metrics, _ = run(tmp_path, **files, errors=tmp_path / "errors.csv")
    assert (metrics["train_n_frames"], metrics["held_out_n_frames"]) == (270, 30)
    assert metrics["train_pose_error_median_deg"] == pytest.approx(np.median(angle[~apart]), abs=0.2)
    assert metrics["held_out_pose_error_median_deg"] == pytest.approx(np.median(other), abs=0.4)
    rows = [int(row["frame"]) for row in read_table(tmp_path / "errors.csv") if row["frames"] == "held_out"]
    assert rows == np.flatnonzero(apart).tolist()
    for text, message in [("300", "not there"), ("a", "one a line"), ("", "some of the frames")]:
        (tmp_path / "held_out.txt").write_text(text)
        with pytest.raises(InputFileError, match=message):
            run(tmp_path, **files)
    with pytest.raises(ConfigError, match="give one"):
        run(tmp_path, **files, held_out_frames=truth.frames, held_out_poses=given["poses"])


@pytest.fixture(scope="module")
def transform():
    molecule = made_up_molecule().centred().turned(TURN.as_matrix())
    return MolecularTransform(molecule, 1.0, b_factors=False)


def found_density(transform, cutoff=9.2):
    """Turned, inverted, moved, and right up to a q alone: beyond it the phases are random."""
    density = np.roll(inverted(transform.density_grid(N, BOX)), (3, -2, 4), (0, 1, 2))
    noise = np.random.default_rng(0).standard_normal(density.shape)
    beyond = np.fft.ifftshift(distance_from_centre(density.shape)) > cutoff
    waves, other = np.fft.fftn(density), np.fft.fftn(noise)
    waves = np.where(beyond, np.abs(waves) * np.exp(1j * np.angle(other)), waves)
    return Density(np.fft.ifftn(waves).real, BOX, 1 / BOX, 12 / BOX)


def volume_file(path, transform):
    values = transform.intensity_grid(N, 1 / BOX)
    weight = (distance_from_centre(values.shape) <= N / 2 + 0.5).astype(float)
    weight[N // 2, N // 2, N // 2] = 0
    box = Crystal((BOX, BOX, BOX, 90, 90, 90), "P 1")
    write_volume_file(path, IntensityVolume(values, weight, 1), box, np.array([0.0, 1.0, 0.0]), PROVENANCE)
    return path


def test_volume_and_density_are_scored_in_either_hand(truth, transform, tmp_path):
    write_density_file(tmp_path / "density.h5", found_density(transform), PROVENANCE)
    poses, _ = disturbed(truth.quaternion, 1.0)
    metrics, rows = run(
        tmp_path,
        volume=volume_file(tmp_path / "volume.h5", transform),
        density=tmp_path / "density.h5",
        structure=truth.structure,
        poses=write_poses(tmp_path / "poses.h5", poses),
        frames=truth.frames,
        aligned=tmp_path / "aligned.ccp4",
        truth=tmp_path / "true.ccp4",
    )
    assert metrics["alignment_correlation"] > 0.9999
    assert metrics["volume_to_pose_alignment_deg"] < 0.5
    assert metrics["volume_correlation_mean"] > 0.999
    assert metrics["volume_resolution_is"] == "at or beyond the edge"
    assert metrics["volume_resolution_angstrom"] == pytest.approx(BOX / 12)
    assert metrics["density_hand"] == "inverted"
    assert metrics["density_resolution_is"] == "crossing"
    assert BOX / 10.2 < metrics["density_resolution_angstrom"] < BOX / 8.8
    assert metrics["density_resolution_voxels"] == pytest.approx(metrics["density_resolution_angstrom"] * N / BOX)
    assert metrics["density_correlation_mean_other_hand"] < metrics["density_correlation_mean"] - 0.3
    assert metrics["density_correlation_mean_chance"] < metrics["density_correlation_mean"] - 0.2
    assert metrics["volume_correlation_mean_chance"] < 0.6
    assert [round(float(row["q_inv_angstrom"]) * BOX) for row in rows] == list(range(1, 13))
    assert min(float(row["density_fsc"]) for row in rows[:8]) > 0.98
    assert float(rows[10]["density_fsc"]) < 0.3
    assert read_ccp4_map(tmp_path / "aligned.ccp4")[1][0] == pytest.approx(BOX)


def test_a_density_alone_finds_its_rotation_itself(truth, transform, tmp_path):
    write_density_file(tmp_path / "density.h5", found_density(transform, 99.0), PROVENANCE)
    config = ScoreParticlesConfig(voxel_angstrom=0.5)
    maps = {"aligned": tmp_path / "aligned.ccp4", "truth": tmp_path / "true.ccp4"}
    metrics, _ = run(tmp_path, config, density=tmp_path / "density.h5", structure=truth.structure, **maps)
    aligned, true = (read_ccp4_map(path)[0] for path in maps.values())
    assert np.corrcoef(aligned.ravel(), true.ravel())[0, 1] > 0.95
    assert metrics["density_resolution_is"] == "at or beyond the edge"
    assert metrics["density_correlation_mean"] > 0.99
    assert metrics["density_resolution_voxels"] == pytest.approx(2 * BOX / 12)
    assert "volume_correlation_mean" not in metrics


def test_another_structure_has_no_resolution(truth, transform, tmp_path):
    """Random phases throughout: the first shells do not reach one half."""
    nonsense = replace(
        found_density(transform), values=np.random.default_rng(0).standard_normal((N, N, N)), q_low_inv_angstrom=5 / BOX
    )
    write_density_file(tmp_path / "density.h5", nonsense, PROVENANCE)
    metrics, _ = run(tmp_path, density=tmp_path / "density.h5", structure=truth.structure)
    assert metrics["density_resolution_is"] == "none"
    assert metrics["density_resolution_angstrom"] is None


def test_what_does_not_belong_together_is_refused(truth, tmp_path, capsys):
    poses = write_poses(tmp_path / "poses.h5", truth.quaternion)
    few = write_poses(tmp_path / "few.h5", truth.quaternion[:5])
    none = write_poses(tmp_path / "none.h5", np.full((300, 4), np.nan))
    volume = truth.folder / "truth.h5"
    for files, error, message in [
        ({}, ConfigError, "nothing to score"),
        ({"poses": poses}, ConfigError, "scored together"),
        ({"volume": volume}, ConfigError, "against a structure"),
        ({"structure": truth.structure}, ConfigError, "against a structure"),
        ({"volume": volume, "structure": truth.structure, "truth": tmp_path / "t.ccp4"}, ConfigError, "maps"),
        ({"poses": few, "frames": truth.frames}, GeometryError, "5 poses for 300 frames"),
        ({"poses": none, "frames": truth.frames}, InputFileError, "no frame has a pose"),
    ]:
        with pytest.raises(error, match=message):
            run(tmp_path, **files)
    assert not (tmp_path / "metrics.json").exists()
    words = ["--metrics", str(tmp_path / "m.json"), "--curves", str(tmp_path / "c.csv")]
    assert main(["score-particles", "--poses", str(poses), *words]) == 1
    assert "give both or none" in capsys.readouterr().err


def test_the_true_volume_scores_as_such(truth, tmp_path):
    """The file that simulate-particles writes, in the frame of the structure."""
    metrics, _ = run(tmp_path, volume=truth.folder / "truth.h5", structure=truth.structure)
    assert metrics["volume_correlation_mean"] > 0.99999
    n = read_volume_file(truth.folder / "truth.h5").volume.n
    assert metrics["volume_edge_angstrom"] == pytest.approx(BOX / (n // 2))
