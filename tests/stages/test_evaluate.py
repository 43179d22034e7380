import gemmi
import numpy as np
import pytest

from fewphoton.config import EvaluateConfig
from fewphoton.data import Crystal, FrameOrientations, FrameTable, IntensityVolume, PhotonFrames
from fewphoton.errors import ConfigError, DataError, GeometryError, InputFileError
from fewphoton.evaluate.integrate import sphere_offsets
from fewphoton.io.evaluation_files import read_evaluation
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.orientation_files import write_orientation_file
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.reflections import read_mtz
from fewphoton.io.volumes import read_ccp4_map, write_volume_file
from fewphoton.stages.contract import Context
from fewphoton.stages.evaluate import Inputs, Outputs, run

CRYSTAL = Crystal((12.0,) * 3 + (90.0,) * 3, "I -4 3 d")
AXIS = np.array([0.1, 1.0, 0.3])
QUIET = Context(progress=False)
N_FRAMES = 40
CONFIG = EvaluateConfig(peak_radius_voxels=1.0, n_shells=4, patterson_voxels=16, shuffles=4)


def class_intensities(seed: int) -> dict[tuple[int, int, int], float]:
    """One intensity for each Laue class, 0 for systematic absences."""
    hkl = np.unique(CRYSTAL.to_laue_asu(CRYSTAL.lattice_points(0.8)), axis=0)
    values = np.random.default_rng(seed).exponential(size=len(hkl)) * CRYSTAL.space_group_allows(hkl)
    return {tuple(index): value for index, value in zip(hkl.tolist(), values.tolist(), strict=True)}


def peaks_volume(seed: int, per_cell: int = 4, noise_seed: int | None = None, diffuse: float = 0.02) -> IntensityVolume:
    """Peaks of 7 equal voxels on a flat level; noise is Poisson with few photons a voxel."""
    reach = 5
    n = 2 * (reach * per_cell + 2) + 1
    values = np.full((n, n, n), diffuse)
    table = class_intensities(seed)
    hkl = CRYSTAL.lattice_points(0.8)
    hkl = hkl[(np.abs(hkl) <= reach).all(axis=1)]
    radius = per_cell / 4
    for index, representative in zip(hkl, CRYSTAL.to_laue_asu(hkl).tolist(), strict=True):
        voxel = index * per_cell + n // 2 + sphere_offsets(radius)
        values[tuple(voxel.T)] += table[tuple(representative)]
    if noise_seed is not None:
        values = np.random.default_rng(noise_seed).poisson(20 * values) / 20
    axis = (np.arange(n) - n // 2) / per_cell
    q = np.linalg.norm(np.stack(np.meshgrid(axis, axis, axis, indexing="ij")), axis=0) / 12.0
    return IntensityVolume(values, np.where(q < 0.45, 2.0, 0.0), per_cell)


@pytest.fixture
def files(tmp_path, detector, beam, provenance):
    """Volumes of one structure with different noise, a noise-free one on a finer grid, frames and their angles."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.05, (N_FRAMES, detector.n_pixels)).astype(np.uint16)
    counts[7] = 0
    omega = rng.uniform(0, 360, N_FRAMES)
    number = np.arange(N_FRAMES)
    table = FrameTable(number, np.ones(N_FRAMES, dtype=np.int32), number // 10, omega, omega)
    with write_photon_file(tmp_path / "frames.h5", detector, beam, provenance) as writer:
        writer.append(PhotonFrames.from_dense(counts, table))
    halves = peaks_volume(0, noise_seed=3), peaks_volume(0, noise_seed=4)
    write_volume_file(tmp_path / "volume.h5", peaks_volume(0, noise_seed=1), CRYSTAL, AXIS, provenance, halves)
    write_volume_file(tmp_path / "reference.h5", peaks_volume(0, noise_seed=2), CRYSTAL, AXIS, provenance)
    write_volume_file(tmp_path / "truth.h5", peaks_volume(0, per_cell=8, diffuse=0.0), CRYSTAL, AXIS, provenance)
    angles = np.arange(360.0)
    best = np.rint(omega).astype(int) % 360
    best[:4] = (best[:4] + 100) % 360  # four frames are lost
    best[7] = -1
    orientations = FrameOrientations(
        np.where(best >= 0, angles[best], np.nan),
        best,
        np.full(N_FRAMES, 0.5),
        np.full(N_FRAMES, 1.0),
        np.zeros(N_FRAMES),
        angles,
    )
    write_orientation_file(tmp_path / "orientations.h5", orientations, provenance)
    return tmp_path


def evaluated(folder, *, config=CONFIG, name="out", **roles):
    inputs = Inputs(**{"volume": folder / "volume.h5", "frames": folder / "frames.h5"} | roles)
    place = folder / name
    outputs = Outputs(
        place / "metrics.json",
        place / "shells.csv",
        place / "reflections.mtz",
        place / "patterson.ccp4",
        place / "evaluation.h5",
        place / "reference_patterson.ccp4" if "reference" in roles else None,
    )
    run(inputs, outputs, config, QUIET)
    return outputs, read_metrics(outputs.metrics)


def all_roles(folder):
    return {role: folder / f"{role}.h5" for role in ("reference", "truth", "orientations")}


def test_good_volume(files):
    outputs, found = evaluated(files, **all_roles(files))
    assert found["n_frames"] == N_FRAMES
    assert found["q_max_inv_angstrom"] < 0.45 + 0.1
    assert found["r_high_low_low_q"] < 0.12 < found["r_high_low_low_q_chance_mean"]
    assert found["cc_reference"] > 0.97 > found["cc_reference_chance"]
    assert found["cc_truth"] > 0.97 > found["cc_truth_chance"]
    assert found["cc_truth_unmerged"] < found["cc_truth"]
    assert found["r_truth_low_q"] < 0.15
    assert found["cc_half_shared_orientations"] > 0.97
    assert found["patterson_correlation_without_origin"] > 0.9
    assert found["bragg_to_diffuse_low_q"] > 5
    assert found["absent_to_allowed_intensity"] < 0.1
    assert None not in found.values()

    rows = read_table(outputs.shells)
    assert len(rows) == 4
    assert sum(int(row["n_reflections"]) for row in rows) == found["n_reflections"]
    assert float(rows[-1]["r_high_low"]) < 0.3

    reflections, crystal = read_mtz(outputs.reflections)
    assert len(reflections) == found["n_reflections"]
    assert crystal.space_group == CRYSTAL.space_group
    assert crystal.space_group_allows(reflections.hkl).all()
    assert (
        not gemmi.read_mtz_file(str(outputs.reflections))
        .spacegroup.operations()
        .systematic_absences(reflections.hkl)
        .any()
    )

    evaluation = read_evaluation(outputs.evaluation)
    values, cell = read_ccp4_map(outputs.patterson)
    np.testing.assert_allclose(values, evaluation.patterson, rtol=1e-5, atol=1e-6)
    assert cell == pytest.approx(CRYSTAL.cell)
    assert np.unravel_index(values.argmax(), values.shape) == (0, 0, 0)
    reference = read_ccp4_map(outputs.reference_patterson)[0]
    np.testing.assert_allclose(reference, evaluation.reference_patterson, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(evaluation.patterson_voxel_angstrom, 0.75)
    np.testing.assert_array_equal(evaluation.hkl, reflections.hkl)
    np.testing.assert_allclose(np.nanmedian(evaluation.reference_intensity / evaluation.intensity), 1, atol=0.15)


def test_angles(files):
    """40 frames, one without photons, four off by 100 degrees; the others are rounded to whole degrees."""
    outputs, found = evaluated(files, **all_roles(files))
    assert found["frames_oriented_fraction"] == pytest.approx(35 / 39)
    assert found["frames_oriented_fraction_all_frames"] == pytest.approx(35 / 40)
    assert found["frames_oriented_fraction_chance"] == pytest.approx(2 / 360)
    assert found["orientation_error_median_deg"] < 0.5
    assert found["orientation_error_rms_deg"] == pytest.approx(100 * np.sqrt(4 / 39), rel=0.01)
    assert found["orientation_step_deg"] == 1.0
    wide = CONFIG.model_copy(update={"frame_tolerance_deg": 120.0})
    assert evaluated(files, config=wide, name="wide", **all_roles(files))[1]["frames_oriented_fraction"] == 1.0
    evaluation = read_evaluation(outputs.evaluation)
    assert np.flatnonzero(np.isnan(evaluation.best_angle_deg)).tolist() == [7]
    assert evaluation.photons[7] == 0


def test_wrong_structures_are_at_the_level_of_chance(files, provenance):
    """On average: a single set of so few reflections can correlate with any other. All of them count as low q."""
    everything = CONFIG.model_copy(update={"low_q_fraction": 1.0})
    results = []
    for seed in range(20, 28):
        write_volume_file(files / "wrong.h5", peaks_volume(seed), CRYSTAL, AXIS, provenance)
        results.append(evaluated(files, config=everything, reference=files / "wrong.h5")[1])
    mean = {
        name: np.mean([found[name] for found in results]) for name, value in results[0].items() if value is not None
    }
    assert abs(mean["r_high_low_low_q"] - mean["r_high_low_low_q_chance_mean"]) < 0.1
    assert abs(mean["cc_reference"]) < 0.3
    assert mean["r_high_low_low_q"] > 0.35


def test_missing_inputs_give_nothing_not_something(files):
    outputs, found = evaluated(files)
    unknown = {name for name, value in found.items() if value is None}
    assert unknown == {
        *("r_high_low_all", "r_high_low_low_q", "r_high_low_low_q_chance_mean", "r_high_low_low_q_chance_std"),
        *("cc_reference", "cc_reference_chance", "cc_truth", "cc_truth_chance", "cc_truth_unmerged", "r_truth_low_q"),
        *("patterson_correlation", "patterson_correlation_without_origin", "orientation_step_deg"),
        *("frames_oriented_fraction", "frames_oriented_fraction_chance", "frames_oriented_fraction_all_frames"),
        *("orientation_error_median_deg", "orientation_error_rms_deg", "orientation_offset_deg"),
        *("orientation_tolerance_deg", "mean_entropy_nat"),
    }
    assert found.keys() == evaluated(files, name="full", **all_roles(files))[1].keys()
    evaluation = read_evaluation(outputs.evaluation)
    assert evaluation.reference_patterson is None
    assert np.isnan(evaluation.truth_intensity).all()
    assert np.isnan(evaluation.best_angle_deg).all()
    assert {row["r_high_low"] for row in read_table(outputs.shells)} == {""}


def test_photons_in_peaks_are_those_of_the_data(files):
    """All photons lie in peaks and the flat level, so peaks hold at most all of them."""
    outputs, found = evaluated(files)
    rows = read_table(outputs.shells)
    total = found["n_frames"] * found["photons_per_frame_mean"]
    lowest = float(rows[1]["photons_per_peak"])
    assert 0 < lowest < total / 12


def test_spheres_have_one_size_in_hkl_on_all_grids(files, provenance):
    """Twice the voxels per cell, twice the radius: here the truth's intensity lies on the surface of that sphere."""
    fine = peaks_volume(0, per_cell=8, diffuse=0.0)
    values = np.zeros_like(fine.values)
    hkl = CRYSTAL.lattice_points(0.8)
    for index in hkl[(np.abs(hkl) <= 5).all(axis=1)]:
        centre = index * 8 + fine.n // 2
        values[centre[0] + 2, centre[1], centre[2]] = fine.values[tuple(centre)]
    write_volume_file(files / "shifted.h5", IntensityVolume(values, fine.weight, 8), CRYSTAL, AXIS, provenance)
    assert evaluated(files, truth=files / "shifted.h5")[1]["cc_truth"] > 0.97


def test_diffuse_level_is_taken_off(files):
    config = CONFIG.model_copy(update={"subtract_diffuse": True})
    plain, less = (evaluated(files, config=c, name=c.model_dump_json()[:40])[1] for c in (CONFIG, config))
    assert abs(less["absent_to_allowed_intensity"]) < plain["absent_to_allowed_intensity"]


def test_same_input_gives_same_bytes(files):
    first, second = (evaluated(files, name=name, **all_roles(files))[0] for name in ("a", "b"))
    for role in vars(first):
        assert getattr(first, role).read_bytes() == getattr(second, role).read_bytes(), role


@pytest.mark.parametrize(
    "other",
    [
        Crystal((12.2,) * 3 + (90.0,) * 3, "I -4 3 d"),
        Crystal((12.0,) * 3 + (90.0,) * 3, "I 2 3"),
    ],
)
def test_volumes_of_other_crystals_are_refused(files, provenance, other):
    write_volume_file(files / "other.h5", peaks_volume(0), other, AXIS, provenance)
    with pytest.raises(GeometryError, match=r"other\.h5"):
        evaluated(files, truth=files / "other.h5")
    assert not (files / "out").exists()


def test_orientations_of_other_frames_are_refused(files, provenance):
    few = FrameOrientations(np.zeros(3), np.zeros(3, int), *(np.zeros(3) for _ in range(4)))
    write_orientation_file(files / "few.h5", few, provenance)
    with pytest.raises(GeometryError, match=r"few\.h5: 3 orientations for 40 frames"):
        evaluated(files, orientations=files / "few.h5")


def test_faults(files, provenance):
    with pytest.raises(InputFileError, match="not the kind"):
        evaluated(files, volume=files / "frames.h5")
    dark = peaks_volume(0)
    dark = IntensityVolume(dark.values, np.zeros_like(dark.weight), dark.voxels_per_cell)
    write_volume_file(files / "dark.h5", dark, CRYSTAL, AXIS, provenance)
    with pytest.raises(DataError, match="was measured"):
        evaluated(files, volume=files / "dark.h5")
    asked = Outputs(*(files / name for name in "abcde"), files / "map.ccp4")
    with pytest.raises(ConfigError, match="no reference"):
        run(Inputs(files / "volume.h5", files / "frames.h5"), asked, CONFIG, QUIET)
