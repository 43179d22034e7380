import numpy as np
import pytest

from fewphoton.data import PhotonFrames
from fewphoton.errors import DataError
from fewphoton.particle.pattern_features import FEATURES, pattern_features
from tests.particle.patterns import EDGE, bar_and_stop, counted, plane_with, sphere_intensity


def by_name(frames, plane):
    return dict(zip(FEATURES, pattern_features(frames, plane).T, strict=True))


def test_a_poisson_sphere_has_no_speckle_no_harmonics_and_is_friedel_symmetric():
    plane, _ = plane_with(bar_and_stop())
    found = by_name(counted([sphere_intensity(2e4, 0.15)] * 12), plane)
    assert np.mean(found["friedel_asymmetry"]) == pytest.approx(1.0, abs=0.05)
    assert found["twofold_share"].max() < 0.08
    assert found["fourfold_share"].max() < 0.08
    assert np.abs(found["speckle_contrast"]).mean() < 0.1


def test_two_particles_make_fringes():
    plane, _ = plane_with(bar_and_stop())
    alone = by_name(counted([sphere_intensity(2e4)] * 6), plane)
    pair = by_name(counted([sphere_intensity(2e4, apart=(0.05, 0.08))] * 6), plane)
    for name in ("speckle_contrast", "twofold_share", "fringe_strength"):
        assert pair[name].min() > alone[name].max(), name
    assert pair["speckle_elongation"].mean() > alone["speckle_elongation"].max()


def test_the_speckle_contrast_of_negative_exponential_counts_is_one():
    """Fully developed speckle: intensity of one photon mode, Poisson counts of it."""
    plane, _ = plane_with()
    rng = np.random.default_rng(1)
    means = 30 * rng.exponential(1.0, (6, EDGE, EDGE))
    assert by_name(counted(means), plane)["speckle_contrast"].mean() == pytest.approx(1.0, abs=0.05)


def test_an_asymmetric_pattern_is_told():
    plane, _ = plane_with()
    lopsided = np.full((EDGE, EDGE), 5.0)
    lopsided[:, : EDGE // 2] = 15.0
    found = by_name(counted([lopsided]), plane)["friedel_asymmetry"][0]
    # Of n photons in a pair, binomial with p = 3/4: (n² (2p - 1)² + 4 n p (1 - p)) / n, with n = 20 in the mean.
    assert found == pytest.approx(20 / 4 + 3 / 4, rel=0.03)


def test_an_angular_harmonic_has_its_amplitude():
    whole, _ = plane_with()
    plane, _ = plane_with(whole.radius > EDGE / 2 - 1)  # the corners hold parts of rings only
    wave = 40 * (1 + 0.5 * np.cos(2 * plane.azimuth - 0.3)).reshape(EDGE, EDGE)
    found = by_name(counted([wave]), plane)
    assert found["twofold_share"][0] == pytest.approx(0.25, abs=0.01)
    assert found["fourfold_share"][0] < 0.03


def test_photon_noise_is_taken_off_the_harmonics():
    """1,600 photons at random in about 16 rings of 2 pixels: noise alone would give sqrt(16 / 1600) = 0.1."""
    whole, _ = plane_with()
    plane, _ = plane_with(whole.radius > EDGE / 2 - 1)
    flat = np.full((EDGE, EDGE), 1600 / plane.usable.sum())
    found = by_name(counted([flat] * 30), plane)
    for name in ("twofold_share", "fourfold_share"):
        assert np.median(found[name]) < 0.06
        assert found[name].max() < 0.12


def test_photons_and_radii_by_hand():
    plane, _ = plane_with()
    frame = np.zeros((1, EDGE, EDGE), dtype=np.uint32)
    frame[0, 31, 31], frame[0, 31, 41] = 60, 40  # 0.71 and 9.5 pixels away
    found = by_name(PhotonFrames.from_dense(frame), plane)
    assert found["log10_photons"][0] == pytest.approx(2.0)
    assert found["half_photon_radius_pixel"][0] == pytest.approx(np.sqrt(0.5))
    assert found["outer_photon_radius_pixel"][0] == pytest.approx(np.hypot(0.5, 9.5))


@pytest.mark.parametrize("turn", [1, 2, 3, "mirrored"])
def test_features_do_not_change_when_a_pattern_is_turned(turn):
    plane, _ = plane_with()
    frame = np.random.default_rng(4).poisson(sphere_intensity(5e3, apart=(0.03, 0.07)))
    turned = frame[::-1] if turn == "mirrored" else np.rot90(frame, turn)
    one, other = pattern_features(PhotonFrames.from_dense(np.stack([frame, turned])), plane)
    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_what_lies_under_the_mask_does_not_matter():
    masked = bar_and_stop()
    plane, _ = plane_with(masked)
    frame = np.random.default_rng(5).poisson(sphere_intensity(5e3))
    hot = np.where(masked, 60000, frame)
    one, other = pattern_features(PhotonFrames.from_dense(np.stack([frame, hot])), plane)
    np.testing.assert_array_equal(one, other)


def test_empty_and_nearly_empty_frames():
    plane, _ = plane_with(bar_and_stop())
    frames = np.zeros((3, EDGE, EDGE), dtype=np.uint32)
    frames[1, 31, 5] = 9  # masked
    frames[2, 5, 5] = 1
    found = pattern_features(PhotonFrames.from_dense(frames), plane)
    assert np.isnan(found[:2]).all()
    assert np.isfinite(found[2]).all()


def test_frames_of_another_detector_are_refused():
    plane, _ = plane_with()
    with pytest.raises(DataError, match="100 pixels for a plane of 4096"):
        pattern_features(PhotonFrames.from_dense(np.zeros((1, 100), dtype=np.uint32)), plane)
