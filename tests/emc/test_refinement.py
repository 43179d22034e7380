"""Adaptive refinement: listed orientations against the dense sample, stages, resuming, memory."""

import numpy as np
import pytest
from pydantic import ValidationError

from fewphoton.config import ReconstructConfig
from fewphoton.data import Crystal, Orientations
from fewphoton.data.point_group import PointGroup
from fewphoton.emc.communicator import Serial
from fewphoton.emc.half_sets import last_look
from fewphoton.emc.iteration import iterate, posteriors
from fewphoton.emc.listed_iteration import iterate_listed, last_look_listed, listed_posterior
from fewphoton.emc.listed_problem import FramePhotons, ListedProblem
from fewphoton.emc.orientation_sample import sample_orientations
from fewphoton.emc.problem import Problem
from fewphoton.emc.reconstruct import reconstruct
from fewphoton.emc.refine_orientations import OrientationLists, keep_listed
from fewphoton.errors import ConfigError
from fewphoton.evaluate.rotation_error import align_rotations
from fewphoton.kernels.threads import use_threads
from tests.emc.snapshots import crystal_intensity, particle_intensity, snapshots
from tests.emc.test_reconstruct import MemoryStore

AXIS = np.array([0.0, 1.0, 0.0])
CONFIG = {
    "grid": {"voxels_per_cell": 1},
    "orientations": {"sampled": "rotation_group", "level": 3},
    "symmetry": "laue",
    "view_weights": "exposure",
    "start_width_voxels": 1.0,
    "max_iterations": 10,
    "tolerance": 1e-2,
    "refine": [{"level": 4, "iterations": 2}, {"level": 6, "iterations": 3}],
    "checkpoint_every": 1,
    "seed": 2,
}


@pytest.fixture(scope="module")
def particle():
    crystal = Crystal((30.0, 30.0, 30.0, 90, 90, 90), "P 1")
    return snapshots(
        particle_intensity(1, radius_angstrom=6.0),
        crystal,
        1,
        n_frames=250,
        photons_per_frame=200,
        n_pixels=14,
        q_max_inv_angstrom=0.2,
        wavelength_angstrom=3.0,
        seed=4,
    )


def problem_of(data, config):
    orientations = sample_orientations(config, data.crystal, AXIS, data.rows.n_voxels)
    return Problem.build([data.frames], data.rows, data.crystal, orientations, 128, Serial()), orientations


def run(data, store=None, **options):
    config = ReconstructConfig.model_validate(CONFIG | options)
    problem, orientations = problem_of(data, config)
    return reconstruct(problem, data.crystal, orientations, config, Serial(), store)


@pytest.fixture(scope="module")
def refined(particle):
    return run(particle)


@pytest.fixture(scope="module")
def everything(particle):
    """A dense problem, and the same as lists that name every orientation."""
    config = ReconstructConfig.model_validate(CONFIG | {"refine": []})
    problem, orientations = problem_of(particle, config)
    n_frames, n = problem.n_frames, len(orientations)
    lists = OrientationLists(n * np.arange(n_frames + 1), np.tile(np.arange(n, dtype=np.int32), n_frames), n)
    listed = ListedProblem.build(problem, FramePhotons.of(problem), lists, orientations, particle.crystal, Serial())
    shape = (problem.rows.n_voxels,) * 3
    volume = particle.truth.values * (0.5 + np.random.default_rng(0).random(shape))
    return problem, orientations, listed, volume


@pytest.mark.parametrize("view_weights", ["exposure", "uniform"])
def test_lists_of_everything_give_the_dense_iteration(everything, view_weights):
    problem, _, listed, volume = everything
    dense, expected = iterate(problem, volume, 1, 1.0, 1e-6, view_weights, Serial())
    found, record = iterate_listed(listed, volume, 1, 1e-6, view_weights, Serial())
    assert record.log_likelihood_per_photon == pytest.approx(expected.log_likelihood_per_photon, rel=1e-5)
    assert record.mutual_information_nat == pytest.approx(expected.mutual_information_nat, rel=1e-4)
    assert record.entropy_nat == pytest.approx(expected.entropy_nat, rel=1e-3, abs=1e-4)
    np.testing.assert_allclose(found.weight, dense.weight, rtol=1e-4, atol=1e-4 * dense.weight.max())
    np.testing.assert_allclose(found.values, dense.values, rtol=0, atol=2e-3 * dense.values.max())


def test_last_looks_agree(everything):
    problem, orientations, listed, volume = everything
    dense = last_look(problem, volume, orientations, 1e-6, "exposure", 1, Serial())
    found = last_look_listed(listed, volume, 1e-6, "exposure", 1, Serial())
    np.testing.assert_array_equal(found[2].best_orientation, dense[2].best_orientation)
    np.testing.assert_array_equal(found[2].best_quaternion, dense[2].best_quaternion)
    np.testing.assert_allclose(found[2].best_probability, dense[2].best_probability, atol=1e-3)
    np.testing.assert_allclose(found[2].log_likelihood, dense[2].log_likelihood, atol=1e-2)
    for ours, theirs in zip((found[0], *found[1]), (dense[0], *dense[1]), strict=True):
        np.testing.assert_allclose(ours.values, theirs.values, atol=3e-3 * theirs.values.max())


def test_lists_name_few_orientations_and_lose_little(everything, particle):
    """With the true volume, the orientations about the probable ones hold nearly all of the probability."""
    problem, orientations, listed, _ = everything
    volume = particle.truth.values
    whole = np.concatenate(
        [found.probability[:, : len(orientations)] for _, found in posteriors(problem, volume, 1.0, 1e-6, Serial())]
    )
    kept = keep_listed(listed.by_frame, whole.ravel().astype(float), 1e-3, lambda values: None)
    assert kept.mean() < 0.05
    owner = np.repeat(np.arange(problem.n_frames), len(orientations))
    assert np.bincount(owner[kept], whole.ravel()[kept]).min() > 0.95


def test_results_do_not_depend_on_the_number_of_threads(everything):
    _, _, listed, volume = everything
    found = []
    for threads in (1, 2):
        use_threads(threads)
        update, _ = iterate_listed(listed, volume, 1, 1e-6, "exposure", Serial())
        found.append(update.values.tobytes())
    assert found[0] == found[1]


def test_impossible_orientations_are_left_out(everything):
    """A frame that lists one orientation has it for certain."""
    problem, orientations, _, volume = everything
    numbers = np.arange(problem.n_frames, dtype=np.int32) % len(orientations)
    lists = OrientationLists(np.arange(problem.n_frames + 1), numbers, len(orientations))
    listed = ListedProblem.build(problem, FramePhotons.of(problem), lists, orientations, _crystal(), Serial())
    assert listed.n_in_use == listed.n_local == min(problem.n_frames, len(orientations))
    posterior = listed_posterior(listed, volume, 1.0, 1e-6, Serial())
    np.testing.assert_array_equal(posterior.probability, 1.0)
    np.testing.assert_allclose(posterior.entropy_nat, 0.0, atol=1e-12)
    np.testing.assert_allclose(posterior.information_nat, -listed.log_prior[listed.orientation], rtol=1e-12)


def _crystal():
    return Crystal((30.0, 30.0, 30.0, 90, 90, 90), "P 1")


def test_orientations_are_found_and_refined(refined, particle):
    coarse = run(particle, refine=[])
    errors = [align_rotations(r.orientations.best_quaternion, particle.quaternion) for r in (coarse, refined)]
    assert refined.orientations.step_deg == pytest.approx(coarse.orientations.step_deg / 2, rel=0.05)
    # Chance is 0.02 within the coarse step.
    within = [error.fraction_within(coarse.orientations.step_deg) for error in errors]
    assert within[0] > 0.75
    assert within[1] > 0.9
    assert errors[1].median_deg < 0.75 * errors[0].median_deg
    assert refined.records[-1].log_likelihood_per_photon > coarse.records[-1].log_likelihood_per_photon
    n_dense = len(coarse.records)
    assert [record.stage for record in refined.records] == [0] * n_dense + [1] * 2 + [2] * 3
    assert refined.records[-1].orientations < len(Orientations.over_rotation_group(6))


@pytest.mark.parametrize("more", [1, 3])
def test_interrupted_refinement_resumes_to_the_same_bytes(particle, refined, more):
    n_dense = sum(record.stage == 0 for record in refined.records)
    store = MemoryStore(dies_after=n_dense + more)
    with pytest.raises(KeyboardInterrupt):
        run(particle, store)
    resumed = run(particle, store)
    assert resumed.volume.values.tobytes() == refined.volume.values.tobytes()
    assert resumed.orientations.best_orientation.tobytes() == refined.orientations.best_orientation.tobytes()


def test_a_stage_ends_when_little_changes(particle):
    found = run(particle, refine=[{"level": 4, "iterations": 9, "tolerance": 0.5}])
    assert [record.stage for record in found.records].count(1) == 1
    assert found.stopped_by == "change"


def test_the_dense_part_may_leave_high_q_to_refinement(particle):
    sampling = {"sampled": "rotation_group", "level": 3, "dense_q_fraction": 0.7}
    found = run(particle, orientations=sampling, refine=[{"level": 5, "iterations": 3}])
    error = align_rotations(found.orientations.best_quaternion, particle.quaternion)
    assert error.fraction_within(2 * found.orientations.step_deg) > 0.9
    assert (found.volume.weight > 0).sum() > 1.5 * (0.7**3) * (found.halves[0].weight > 0).sum()


def test_lists_beyond_the_memory_are_refused_before_they_are_made(particle):
    sampling = {"sampled": "rotation_group", "level": 3, "memory_gb": 1e-4}
    with pytest.raises(ConfigError, match="raise the threshold"):
        run(particle, orientations=sampling, max_iterations=1)


def test_the_best_of_several_starts_goes_on(particle):
    """The first start is that of a run with one; more cannot end at a lower likelihood after the judged iterations."""
    found = [
        run(particle, refine=[], seed=0, starts=starts, start_iterations=4, max_iterations=4, tolerance=0)
        for starts in (1, 3)
    ]
    likelihood = [result.records[-1].log_likelihood_per_photon for result in found]
    assert likelihood[1] > likelihood[0]
    assert [len(result.records) for result in found] == [4, 4]


def test_a_crystal_is_refined_in_its_zone():
    crystal = Crystal((20.0, 20.0, 12.0, 90, 90, 90), "P 4")
    data = snapshots(
        crystal_intensity(crystal, 0.012, 1),
        crystal,
        3,
        n_frames=200,
        photons_per_frame=150,
        n_pixels=24,
        q_max_inv_angstrom=0.2,
        wavelength_angstrom=1.5,
        seed=1,
    )
    group = PointGroup.of_crystal(crystal)
    found = run(
        data,
        grid={"voxels_per_cell": 3},
        orientations={"sampled": "rotation_group", "level": 4},
        max_iterations=6,
        refine=[{"level": 6, "iterations": 2}],
    )
    error = align_rotations(found.orientations.best_quaternion, data.quaternion, group)
    assert group.in_fundamental_zone(found.orientations.best_quaternion).all()
    assert error.fraction_within(2 * found.orientations.step_deg) > 0.85


def test_sampling_and_stages_must_fit():
    ReconstructConfig.model_validate(CONFIG)
    with pytest.raises(ValidationError, match="rotation_group"):
        ReconstructConfig(refine=[{"level": 3}])
    with pytest.raises(ValidationError, match="orientation_stride"):
        ReconstructConfig.model_validate(CONFIG | {"march": [{"iterations": 2, "orientation_stride": 2}]})
    with pytest.raises(ValidationError, match="axis scan"):
        ReconstructConfig.model_validate(CONFIG | {"n_orientations": 7})
    with pytest.raises(ValidationError, match="must be 1 in q"):
        ReconstructConfig.model_validate(CONFIG | {"refine": [{"level": 4, "q_fraction": 0.5}]})
