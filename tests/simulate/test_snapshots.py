import numpy as np
import pytest
from scipy import stats

from fewphoton.data import Orientations, PhotonFrames
from fewphoton.simulate.snapshots import Snapshots, mean_over_orientations, photons_at

N_PIXELS = 12
Q = np.random.default_rng(7).standard_normal((N_PIXELS, 3))


def patterns(rotations):
    """Photons that tell the orientation: what each pixel's direction meets along the turned x axis."""
    return (2 + rotations[:, :, 0] @ Q.T).clip(0).astype(np.float32)


def snapshots(n_frames=9, spread=0.0, seed=3):
    return Snapshots(patterns, np.full(N_PIXELS, 0.25, dtype=np.float32), n_frames, spread, seed)


@pytest.mark.parametrize("chunk_frames", [1, 4, 9, 100])
def test_chunks_do_not_change_the_frames(chunk_frames):
    whole = snapshots(spread=0.5).draw(0, 9)
    joined = PhotonFrames.concatenate(list(snapshots(spread=0.5).chunks(chunk_frames)))
    np.testing.assert_array_equal(joined.to_dense(), whole.to_dense())
    np.testing.assert_array_equal(joined.table.quaternion, whole.table.quaternion)
    np.testing.assert_array_equal(joined.table.source_index, np.arange(9))
    again = snapshots(spread=0.5).draw(4, 6)
    np.testing.assert_array_equal(again.to_dense(), whole.to_dense()[4:6])


def test_seeds_and_frames_differ():
    first, second = snapshots().draw(0, 9), snapshots(seed=4).draw(0, 9)
    assert not np.array_equal(first.to_dense(), second.to_dense())
    assert len(np.unique(first.table.quaternion, axis=0)) == 9


def test_orientations_are_uniform_and_photons_follow_them():
    frames = snapshots(4000).draw(0, 4000)
    quaternion = frames.table.quaternion
    assert (quaternion[:, 0] > 0).all()
    # The rotation angle of uniform rotations has the density (1 - cos angle) / pi.
    angle = 2 * np.arccos(quaternion[:, 0].clip(-1, 1))
    assert stats.kstest(angle, lambda x: (x - np.sin(x)) / np.pi).pvalue > 1e-3
    rotations = Orientations(quaternion, np.full(4000, 1 / 4000)).matrices()
    assert np.abs(rotations.mean(axis=0)).max() < 5 * np.sqrt(1 / 3 / 4000)
    expected = patterns(rotations) + 0.25
    counts = frames.to_dense()
    pull = (counts - expected) / np.sqrt(expected)
    assert np.abs(pull.mean(axis=0)).max() < 5 / np.sqrt(4000)
    assert (pull**2).mean() == pytest.approx(1, abs=0.05)


def test_fluence_varies_with_the_particle_but_not_with_the_background():
    frames = snapshots(3000, spread=0.6).draw(0, 3000)
    counts = frames.to_dense().astype(float)
    rotations = Orientations(frames.table.quaternion, np.full(3000, 1 / 3000)).matrices()
    expected = patterns(rotations).sum(axis=1, dtype=float)
    assert (counts.sum(axis=1) - 0.25 * N_PIXELS).mean() == pytest.approx(expected.mean(), rel=0.06)
    # Variance of the totals: Poisson, and that of a log-normal factor of mean 1.
    excess = ((counts.sum(axis=1) - 0.25 * N_PIXELS - expected) ** 2).mean() - counts.sum(axis=1).mean()
    assert excess / (expected**2).mean() == pytest.approx(np.expm1(0.36), rel=0.25)


def test_background_alone_is_poisson_whatever_the_fluence():
    dark = Snapshots(
        lambda turns: np.zeros((len(turns), N_PIXELS), np.float32), np.full(N_PIXELS, 5.0, np.float32), 1500, 1.0, 8
    )
    totals = dark.draw(0, 1500).totals()
    assert totals.mean() == pytest.approx(60, abs=5 * np.sqrt(60 / 1500))
    assert totals.var() == pytest.approx(60, rel=0.2)


def test_mean_over_orientations_of_what_does_not_and_does_turn():
    assert mean_over_orientations(lambda turns: np.full((len(turns), 5), 2.0, np.float32)) == pytest.approx(10)
    # The square of one element of a rotation matrix is 1/3 on average.
    assert mean_over_orientations(lambda turns: turns[:, 2, 1:2] ** 2) == pytest.approx(1 / 3, rel=1e-6)


def test_the_mean_is_right_for_what_has_the_symmetry_of_the_sample_too():
    """A narrow peak about one axis and its cubic equivalents: samples along crystal axes would count it many times."""

    def peaked(turns):
        along = np.abs(turns[:, 2, :]).max(axis=1, keepdims=True)
        return np.exp(-((1 - along) / 0.03)).astype(np.float32)

    # Six caps, each of the solid angle 4 pi times half of the integral over 1 - cos.
    assert mean_over_orientations(peaked) == pytest.approx(6 * 0.5 * 0.03, rel=0.03)


def test_photons_of_no_draws_are_empty_frames():
    frames = photons_at(
        np.ones((2, 3), np.float32), np.zeros(3, np.int64), np.zeros(0), snapshots().draw(0, 2).table
    ).validate()
    np.testing.assert_array_equal(frames.to_dense(), np.zeros((2, 3)))
