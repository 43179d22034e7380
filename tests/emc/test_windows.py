"""Windows of orientations against sweeps over all of them."""

from dataclasses import replace

import numpy as np
import pytest

from fewphoton.config.reconstruct import WindowsConfig
from fewphoton.data import Orientations, PhotonFrames
from fewphoton.emc.communicator import Serial, shard
from fewphoton.emc.iteration import iterate, posteriors
from fewphoton.emc.problem import Problem
from fewphoton.emc.views import Views
from fewphoton.emc.windows import OrientationWindows, Sweep
from tests.kernels.windows_of_frames import BLOCK, columns, unpacked

FLOOR = 1e-6
N_ORIENTATIONS = 300
N_BLOCKS = 10


@pytest.fixture(scope="module")
def fine(experiment, photons, rows):
    """More orientations, in blocks of which the last is not full; the last frame is dark."""
    dark = PhotonFrames.from_dense(np.zeros((1, photons.n_pixels), dtype=np.uint32))
    dark = replace(dark, table=photons.table.take(slice(0, 1)))
    orientations = Orientations.about_axis(experiment.rotation_axis, N_ORIENTATIONS)
    return Problem.build([photons, dark], rows, experiment.crystal, orientations, 128, Serial())


@pytest.fixture(scope="module")
def volume(experiment, fine):
    """The truth with a floor, so that orientations are nearly, but not quite, known."""
    truth = experiment.true_volume(fine.rows.n_voxels, fine.rows.voxels_per_cell).values
    return truth + 0.2 * truth.mean()


@pytest.fixture(scope="module")
def dense(fine, volume):
    return list(posteriors(fine, volume, 1.0, FLOOR, Serial()))


def sweep(problem, config=None, former=None, windowed=False, world=None):
    return Sweep(config or WindowsConfig(), problem, world or Serial(), True, former, windowed)


def marks_of(windows, n_blocks=N_BLOCKS):
    marks = np.zeros((len(windows.indptr) - 1, n_blocks), dtype=bool)
    for frame in range(len(marks)):
        for run in range(windows.indptr[frame], windows.indptr[frame + 1]):
            marks[frame, windows.first[run] : windows.stop[run]] = True
    return marks


def test_windows_are_runs_of_marked_blocks():
    marks = np.array([[1, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1], [0, 0, 1, 0, 0]], dtype=np.uint8)
    windows = OrientationWindows.of_marks(marks)
    assert windows.indptr.tolist() == [0, 2, 2, 3, 4]
    assert windows.first.tolist() == [0, 4, 0, 2]
    assert windows.stop.tolist() == [2, 5, 5, 3]
    twice = OrientationWindows.concatenate([windows, windows])
    np.testing.assert_array_equal(marks_of(twice, 5), np.tile(marks, (2, 1)))


def test_windows_are_remembered_as_they_are():
    marks = (np.random.default_rng(0).random((50, 7)) < 0.5).astype(np.uint8)
    windows = OrientationWindows.of_marks(marks)
    memory = windows.memory()
    assert {values.dtype for values in memory.values()} == {np.dtype(np.float64)}
    again = OrientationWindows.remembered(memory)
    for name, values in vars(windows).items():
        np.testing.assert_array_equal(getattr(again, name), values)
    assert OrientationWindows.remembered({"former": np.zeros(3)}) is None


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 7])
def test_ranks_work_on_their_blocks_that_overlap_a_window(fine, n_ranks):
    marks = (np.random.default_rng(1).random((fine.n_frames, N_BLOCKS)) < 0.3).astype(np.uint8)
    windows = OrientationWindows.of_marks(marks)
    batch = fine.batches[1]
    wanted = columns(marks, N_ORIENTATIONS)[batch.first_frame : batch.first_frame + batch.n_frames]
    for rank in range(n_ranks):
        world = Serial()
        world.rank, world.size = rank, n_ranks
        first, stop = shard(N_ORIENTATIONS, world)
        part = replace(fine, first_orientation=first, transforms=fine.transforms[first:stop])
        blocks = windows.blocks(part, batch)
        own = wanted[:, first:stop]
        starts = np.arange(0, stop - first, BLOCK)
        expected = np.logical_or.reduceat(own, starts, axis=1)
        for frame in range(batch.n_frames):
            found = blocks.block[blocks.indptr[frame] : blocks.indptr[frame + 1]]
            assert found.tolist() == np.flatnonzero(expected[frame]).tolist()
        np.testing.assert_array_equal(blocks.place, np.arange(expected.sum()))


@pytest.mark.parametrize("dropped_mass", [1e-2, 1e-6])
def test_a_full_sweep_keeps_all_but_the_stated_probability(fine, dense, dropped_mass):
    plan = sweep(fine, WindowsConfig(dropped_mass=dropped_mass, margin_blocks=0))
    lost = []
    for batch, posterior in dense:
        kept = plan.chosen(batch, posterior.probability, None)
        values = posterior.probability.reshape(-1, BLOCK)
        frame = np.repeat(np.arange(batch.n_frames), np.diff(kept.indptr))
        held = np.bincount(frame, values[kept.place].sum(axis=1, dtype=float), batch.n_frames)
        informative = batch.likelihood_photons > 0
        assert (held[informative] > 1 - dropped_mass - 1e-5).all()
        assert (np.diff(kept.indptr)[~informative] == 0).all()
        lost.append(1 - held[informative])
    windows, numbers = plan.finish()
    assert numbers["dropped_mass"] <= dropped_mass
    assert numbers["dropped_mass"] == pytest.approx(np.concatenate(lost).mean(), abs=1e-6)
    assert numbers["windowed"] == 0
    assert numbers["window_fraction"] == 1.0
    assert 0.1 <= numbers["kept_fraction"] < 0.5
    assert np.isnan(numbers["missed_mass"])
    assert (np.diff(windows.indptr)[:-1] > 0).all()


def test_a_margin_widens_the_windows_alone(fine, dense):
    found = []
    for margin in (0, 1):
        plan = sweep(fine, WindowsConfig(margin_blocks=margin))
        n_kept = sum(len(plan.chosen(batch, posterior.probability, None).block) for batch, posterior in dense)
        windows, _ = plan.finish()
        found.append((marks_of(windows), n_kept))
    (narrow, kept), (wide, kept_too) = found
    assert kept == kept_too
    # About a full turn the last block neighbours the first; frames with wide windows get all.
    grown = narrow | np.roll(narrow, 1, axis=1) | np.roll(narrow, -1, axis=1)
    few = grown.sum(axis=1) <= 6
    assert few.sum() > 300
    np.testing.assert_array_equal(wide[few], grown[few])
    assert wide[~few & narrow.any(axis=1)].all()


def test_missed_probability_is_that_outside_the_former_windows(fine, dense):
    marks = (np.random.default_rng(2).random((fine.n_frames, N_BLOCKS)) < 0.5).astype(np.uint8)
    plan = sweep(fine, former=OrientationWindows.of_marks(marks))
    for batch, posterior in dense:
        plan.chosen(batch, posterior.probability, None)
    probability = np.concatenate([posterior.probability[:, :N_ORIENTATIONS] for _, posterior in dense])
    outside = np.where(columns(marks, N_ORIENTATIONS), 0.0, probability).sum(axis=1)[:-1]
    assert plan.finish()[1]["missed_mass"] == pytest.approx(outside.mean(), rel=1e-4)


class Apart(Serial):
    """A world of one that takes the steps of many."""

    size = 2


@pytest.mark.parametrize("world", [Serial(), Apart()])
@pytest.mark.parametrize("table_type", ["float32", "int16"])
def test_posteriors_on_windows_are_those_of_all_orientations_cut_off(fine, volume, world, table_type):
    marks = (np.random.default_rng(3).random((fine.n_frames, N_BLOCKS)) < 0.5).astype(np.uint8)
    marks[:-1, 4] = 1
    marks[-1] = 0
    windows = OrientationWindows.of_marks(marks)
    whole = posteriors(fine, volume, 0.2, FLOOR, Serial(), table_type)
    cut = posteriors(fine, volume, 0.2, FLOOR, world, table_type, windows=windows)
    for (batch, reference), (_, found) in zip(whole, cut, strict=True):
        frames = slice(batch.first_frame, batch.first_frame + batch.n_frames)
        inside = columns(marks[frames], N_ORIENTATIONS)
        expected = np.where(inside, reference.probability[:, :N_ORIENTATIONS].astype(float), 0.0)
        mass = expected.sum(axis=1, keepdims=True)
        seen = batch.likelihood_photons > 0
        expected[seen] /= mass[seen]
        dense = unpacked(found.probability, marks[frames], N_ORIENTATIONS)
        np.testing.assert_allclose(dense, expected, rtol=2e-3, atol=2e-6)
        entropy = -(expected * np.log(np.where(expected > 0, expected, 1.0))).sum(axis=1)
        np.testing.assert_allclose(found.entropy_nat[seen], entropy[seen], atol=2e-3)
        evidence = reference.log_evidence + np.log(np.where(seen, mass[:, 0], 1.0)) / 0.2
        np.testing.assert_allclose(found.log_evidence[seen], evidence[seen], rtol=1e-4, atol=2e-3)


def test_views_from_blocks_are_those_of_whole_rows(fine, dense):
    plan = sweep(fine, WindowsConfig(dropped_mass=1e-6))
    whole, kept = Views.empty(fine), Views.empty(fine)
    for batch, posterior in dense:
        whole.add(batch, posterior.probability)
        kept.add(batch, posterior.probability, None, plan.chosen(batch, posterior.probability, None))
    np.testing.assert_allclose(kept.photons, whole.photons, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(kept.exposure, whole.exposure, rtol=1e-5, atol=1e-3)
    assert kept.exposure.sum() == pytest.approx(whole.exposure.sum(), rel=1e-6)


def test_an_iteration_on_windows_gives_what_a_full_sweep_gives(fine, volume):
    first = sweep(fine)
    reference, plain = iterate(fine, volume, 1, 1.0, FLOOR, "uniform", Serial())
    swept, _ = iterate(fine, volume, 1, 1.0, FLOOR, "uniform", Serial(), sweep=first)
    windows, _ = first.finish()
    second = sweep(fine, former=windows, windowed=True)
    windowed, record = iterate(fine, volume, 1, 1.0, FLOOR, "uniform", Serial(), sweep=second)
    again, numbers = second.finish()
    assert again is windows
    assert numbers["window_fraction"] < 0.8
    assert numbers["kept_fraction"] < numbers["window_fraction"]
    assert np.isnan(numbers["missed_mass"])
    scale = np.sqrt((reference.values**2).mean())
    for found in (swept, windowed):
        assert np.sqrt(((found.values - reference.values) ** 2).mean()) < 1e-5 * scale
    assert record.log_likelihood_per_photon == pytest.approx(plain.log_likelihood_per_photon, abs=1e-6)
    assert record.entropy_nat == pytest.approx(plain.entropy_nat, abs=1e-4)


def test_flat_probabilities_stay_dense(fine, volume):
    flat = np.full_like(volume, volume.mean())
    plan = sweep(fine)
    reference, _ = iterate(fine, flat, 1, 1.0, FLOOR, "uniform", Serial())
    swept, _ = iterate(fine, flat, 1, 1.0, FLOOR, "uniform", Serial(), sweep=plan)
    windows, numbers = plan.finish()
    assert numbers["kept_fraction"] == 1.0
    assert marks_of(windows)[:-1].all()
    assert swept.values.tobytes() == reference.values.tobytes() or np.allclose(swept.values, reference.values)
