import numpy as np
import pytest

from fewphoton.config import SimulateRotationConfig
from fewphoton.data import PhotonFrames
from fewphoton.errors import GeometryError
from fewphoton.kernels.bragg_pattern import draw_pixels
from fewphoton.simulate.rotation_experiment import (
    RotationExperiment,
    euler_zyz,
    exposure_table,
    exposures,
)
from fewphoton.simulate.tiled_detector import tiled_detector
from tests.emc.conftest import SIMULATION, structure


@pytest.fixture(scope="module")
def experiment():
    return RotationExperiment.build(SIMULATION, structure())


def test_mmpad_has_six_tiles_with_gaps_around_the_beam():
    detector = tiled_detector(SimulateRotationConfig(structure="x").detector)
    assert detector.frame_shape == (256, 384)
    assert len(detector.panels) == 6
    centres = detector.pixel_centres_m()
    np.testing.assert_allclose(centres.mean(axis=0), [0, 0, 0.037], atol=1e-12)
    columns = centres.reshape(256, 384, 3)[0, :, 0]
    np.testing.assert_allclose(np.diff(columns)[[0, 127]], [-150e-6, -5 * 150e-6])
    assert (np.hypot(centres[:, 0], centres[:, 1])[detector.masked] < 1.5e-3).all()


def test_the_whole_detector_behind_the_beam_stop_is_refused():
    config = SIMULATION.detector.model_copy(update={"beam_stop_radius_m": 1.0})
    with pytest.raises(GeometryError, match="hides"):
        tiled_detector(config)


def test_euler_angles_compose_about_z_y_z():
    np.testing.assert_allclose(euler_zyz((90, 0, 0)) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(euler_zyz((0, 90, 0)) @ [0, 0, 1], [1, 0, 0], atol=1e-12)


def test_batches_follow_the_paper():
    table = exposure_table(SimulateRotationConfig(structure="x", n_batches=3, frames_per_batch=4, n_turns=1))
    np.testing.assert_array_equal(table.batch, np.repeat([0, 1, 2], 4))
    np.testing.assert_allclose(table.omega_start_deg[[0, 4, 8]], [0, 120, 240])
    np.testing.assert_allclose(table.omega_end_deg - table.omega_start_deg, 1e-3)


def test_mean_photons_and_shares_are_as_configured(experiment):
    totals = experiment.patterns(np.arange(0, 360, 3.0)).sum(axis=1, dtype=float)
    assert totals.mean() == pytest.approx(60, rel=0.03)
    assert experiment.smooth.sum() == pytest.approx(60 * 0.30, rel=1e-6)
    assert experiment.response[~experiment.detector.masked].mean() == pytest.approx(1)


def test_drawn_photons_have_the_expected_mean(experiment):
    table = exposure_table(SIMULATION).take(np.zeros(3000, dtype=int))
    drawn = experiment.draw(table, np.random.default_rng(0))
    expected = experiment.patterns(table.omega_deg[:1])[0].astype(float)
    mean = np.bincount(drawn.pixel, drawn.count, minlength=drawn.n_pixels) / 3000
    chi = (mean - expected)[expected > 0] / np.sqrt(expected[expected > 0] / 3000)
    assert np.abs(chi.mean()) < 0.1
    assert 0.9 < chi.std() < 1.1
    assert mean[experiment.detector.masked].sum() == 0


def test_exposures_can_share_the_pattern_at_their_middle(experiment):
    table = exposure_table(SIMULATION).take(np.repeat([0, 40], 1500))
    drawn = experiment.draw(table, np.random.default_rng(1), 1500)
    assert drawn.table is table
    for place in (0, 1):
        part = drawn.take(slice(1500 * place, 1500 * (place + 1)))
        expected = experiment.patterns(table.omega_deg[[1500 * place]])[0].astype(float)
        mean = np.bincount(part.pixel, part.count, minlength=part.n_pixels) / 1500
        chi = (mean - expected)[expected > 0] / np.sqrt(expected[expected > 0] / 1500)
        assert np.abs(chi.mean()) < 0.1
        assert 0.9 < chi.std() < 1.1
        assert part.totals().std() == pytest.approx(np.sqrt(expected.sum()), rel=0.1)
    moving = exposure_table(SIMULATION).take(slice(0, 4))
    shared = experiment.draw(moving, np.random.default_rng(2), 4)
    middle = 0.5 * (moving.omega_start_deg[0] + moving.omega_end_deg[-1])
    assert (
        shared.totals().sum()
        == np.random.default_rng(2)
        .poisson(np.full(4, experiment.patterns(np.array([middle])).sum(dtype=np.float64)))
        .sum()
    )


def test_same_seed_same_photons(experiment):
    first, second = (
        PhotonFrames.concatenate([frames for frames, _ in exposures(experiment, SIMULATION)]) for _ in range(2)
    )
    np.testing.assert_array_equal(first.pixel, second.pixel)


def test_without_spreads_photons_are_drawn_from_the_plain_patterns(experiment):
    """The drawing as it was before exposures could differ, number by number."""
    first, _ = next(exposures(experiment, SIMULATION))
    assert first.table.true_fluence is None
    assert first.table.true_background is None
    n_chunks = -(-len(exposure_table(SIMULATION)) // SIMULATION.chunk_frames)
    rng = np.random.default_rng(np.random.SeedSequence(SIMULATION.seed).spawn(n_chunks)[0])
    pattern = experiment.patterns(first.table.omega_deg)
    n_photons = rng.poisson(pattern.sum(axis=1, dtype=np.float64))
    bounds = np.concatenate([[0], np.cumsum(n_photons)])
    uniform = np.concatenate([np.sort(part) for part in np.split(rng.random(bounds[-1]), bounds[1:-1])])
    pixel = np.empty(bounds[-1], dtype=np.int64)
    draw_pixels(pattern, bounds.astype(np.int64), uniform, pixel)
    expected = np.zeros((first.n_frames, first.n_pixels), dtype=np.uint32)
    np.add.at(expected, (np.repeat(np.arange(first.n_frames), n_photons), pixel), 1)
    np.testing.assert_array_equal(first.to_dense(), expected)


def test_spreads_are_as_configured_and_seen_in_the_photons(experiment):
    config = SIMULATION.model_copy(
        update={"background_fraction": 0.5, "fluence_spread": 0.7, "background_spread": 0.4, "frames_per_batch": 4000}
    )
    table = exposure_table(config)
    for factor, spread in ((table.true_fluence, 0.7), (table.true_background, 0.4)):
        assert factor.min() > 0
        assert factor.mean() == pytest.approx(1.0, abs=0.05)
        assert factor.std() == pytest.approx(spread, rel=0.1)
    assert abs(np.corrcoef(table.true_fluence, table.true_background)[0, 1]) < 0.06
    with_background = RotationExperiment.build(config, structure())
    few = table.take(slice(0, 400))
    totals = with_background.draw(few, np.random.default_rng(0)).totals()
    mean = with_background.patterns(few.omega_deg).sum(axis=1, dtype=float)
    level = with_background.background.sum()
    assert level == pytest.approx(30.0)
    expected = few.true_fluence * (mean - level) + few.true_background * level
    chi = (totals - expected) / np.sqrt(expected)
    assert abs(chi.mean()) < 0.2
    assert 0.9 < chi.std() < 1.1


def test_one_spread_leaves_the_other_factor_alone():
    table = exposure_table(SIMULATION.model_copy(update={"fluence_spread": 0.3}))
    np.testing.assert_array_equal(table.true_background, 1.0)
    table = exposure_table(SIMULATION.model_copy(update={"background_spread": 0.3}))
    np.testing.assert_array_equal(table.true_fluence, 1.0)


def test_true_volume_agrees_with_the_patterns(experiment):
    """A pixel's Bragg and diffuse part is the volume at its hkl times its response."""
    from fewphoton.data.detector import q_vectors
    from fewphoton.kernels.bragg_pattern import bragg_intensity

    omega = np.array([33.0])
    pattern = experiment.patterns(omega)[0].astype(float)
    q = q_vectors(experiment.detector, experiment.beam)
    turn = euler_zyz((0, 33.0, 0))
    hkl = q @ turn @ np.linalg.inv(experiment.crystal.ub_matrix).T
    bragg = np.empty(len(hkl))
    bragg_intensity(hkl, experiment.crystal.b_matrix, experiment.strength, experiment.widths, bragg)
    np.testing.assert_allclose(pattern - experiment.smooth, bragg * experiment.response, atol=1e-6 * pattern.max())
    volume = experiment.true_volume(21, 2)
    assert volume.values[10, 10, 10] == pytest.approx(experiment.diffuse_photons[0], abs=1e-9)
