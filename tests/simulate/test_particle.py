import numpy as np
import pytest
from pydantic import ValidationError

from fewphoton.config import SimulateParticlesConfig
from fewphoton.data import Orientations
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.data.form_factors import form_factors
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import ConfigError, GeometryError
from fewphoton.simulate import particle
from fewphoton.simulate.particle import ParticleExperiment, shell_errors
from fewphoton.simulate.tiled_detector import square_detector
from tests.simulate.molecules import made_up_molecule

SMALL = {
    "detector": {"pixels": 24, "pixel_size_m": 4e-3, "distance_m": 0.1, "beam_stop_radius_m": 5e-3},
    "photons_per_frame": 60.0,
    "n_frames": 40,
}


def build(**changes):
    return ParticleExperiment.build(SimulateParticlesConfig(**SMALL | changes), made_up_molecule())


@pytest.fixture(scope="module")
def experiment():
    return build()


@pytest.fixture(scope="module")
def rotations():
    return Orientations.over_rotation_group(1).matrices()[[0, 5, 23, 44]]


def test_detector_is_square_and_centred():
    detector = square_detector(SimulateParticlesConfig(photons_per_frame=1).detector)
    assert detector.frame_shape == (128, 128)
    centres = detector.pixel_centres_m().reshape(128, 128, 3)
    np.testing.assert_allclose(centres.mean(axis=(0, 1)), [0, 0, 0.2], atol=1e-12)
    np.testing.assert_allclose(centres[0, 0] - centres[-1, -1], [0.1 * 127 / 128, 0.1 * 127 / 128, 0], atol=1e-12)
    assert detector.masked.sum() == 24


def test_splines_agree_with_the_exact_sum_in_every_shell(experiment, rotations):
    exact = build(intensity="exact")
    q_length = np.linalg.norm(experiment.q_inv_angstrom, axis=1)
    found, expected = (one.patterns(rotations)[:, experiment.pixels].astype(float) for one in (experiment, exact))
    errors = shell_errors(q_length, found, expected)
    assert 0 < errors.max() < 1e-3
    assert 0 < experiment.interpolation_error < 1e-3
    assert exact.interpolation_error == 0
    assert experiment.photons_per_electron2 == exact.photons_per_electron2


def test_patterns_are_those_of_the_turned_atoms(experiment):
    """A hand-turned molecule gives the same pattern as the rotation: R acts on the atoms, actively."""
    turn = rotation_about_axis([1, 2, -1], 77.0)
    atoms = made_up_molecule().centred()
    q = q_vectors(experiment.detector, experiment.beam)[experiment.pixels]
    stol2 = (q**2).sum(axis=1) / 4
    factor = np.stack([form_factors(name, stol2) for name in atoms.element], axis=1)
    waves = np.exp(2j * np.pi * q @ (atoms.position_angstrom @ turn.T).T)
    square = np.abs((factor * atoms.occupancy * waves).sum(axis=1)) ** 2
    found = experiment.patterns(turn[None])[0, experiment.pixels] / experiment.response
    np.testing.assert_allclose(found, experiment.photons_per_electron2 * square, atol=2e-3 * found.max())
    assert np.corrcoef(found, square)[0, 1] > 0.999999


def test_brightness_per_frame_and_by_thomson_scattering(experiment):
    sample = Orientations.over_rotation_group(6)
    mean = sample.weight @ experiment.patterns(sample.matrices()).sum(axis=1, dtype=float)
    assert mean == pytest.approx(60, rel=3e-3)
    pulsed = build(photons_per_frame=None, pulse={"photons": 2e12, "focus_area_m2": 1e-14})
    turn = np.eye(3)[None]
    square = pulsed.transform.intensity(pulsed.q_inv_angstrom)
    pixel_area, centres = (4e-3) ** 2, pulsed.detector.pixel_centres_m()[pulsed.pixels]
    distance = np.linalg.norm(centres, axis=1)
    solid_angle = pixel_area * 0.1 / distance**3
    polarization = 1 - (centres[:, 0] / distance) ** 2
    np.testing.assert_allclose(
        polarization, polarization_factors(pulsed.detector, pulsed.beam)[pulsed.pixels], atol=1e-12
    )
    expected = (2.8179403e-15) ** 2 * 2e26 * solid_angle * polarization * square
    found = pulsed.patterns(turn)[0, pulsed.pixels]
    np.testing.assert_allclose(found, expected, atol=1e-3 * expected.max())
    assert pulsed.mean_photons == pytest.approx(
        experiment.mean_photons * expected.sum() / (experiment.patterns(turn)[0].sum(dtype=float)), rel=1e-3
    )


def test_true_volume_holds_what_the_pixels_see(experiment):
    """At lattice points of the box the volume is the spline's intensity; its edge is what the detector needs."""
    volume = experiment.true_volume()
    box = experiment.crystal.cell[0]
    reach = np.linalg.norm(experiment.q_inv_angstrom, axis=1).max() * box
    assert volume.n == 2 * (int(np.ceil(reach)) + 1) + 1
    assert (volume.voxels_per_cell, volume.h_max) == (1, volume.n // 2 - 1)
    np.testing.assert_allclose(experiment.crystal.ub_matrix, np.eye(3) / box, atol=1e-15)
    hkl = np.array([[0, 0, 0], [2, -1, 3], [-4, 0, 1]])
    expected = experiment.photons_per_electron2 * experiment.transform.intensity(hkl / box)
    np.testing.assert_allclose(volume.values[tuple((hkl + volume.n // 2).T)], expected, rtol=1e-5)
    np.testing.assert_allclose(volume.values, volume.values[::-1, ::-1, ::-1], rtol=1e-6)  # Friedel's law


def test_background_is_flat_on_usable_pixels():
    shots = build(background_photons_per_frame=30.0).snapshots()
    assert shots.background.sum() == pytest.approx(30, rel=1e-5)
    assert len(np.unique(shots.background)) == 2
    counts = shots.draw(0, 40).to_dense()
    assert counts.sum(axis=1).mean() == pytest.approx(90, abs=6)
    assert counts[:, square_detector(SimulateParticlesConfig(**SMALL).detector).masked].sum() == 0


def test_what_cannot_be_simulated_is_refused():
    with pytest.raises(ConfigError, match=r"box of 10\.0 angstrom does not hold a particle of"):
        build(box_angstrom=10.0)
    with pytest.raises(GeometryError, match="hides the whole"):
        build(detector={"beam_stop_radius_m": 1.0})
    with pytest.raises(ValidationError, match="exactly one of photons_per_frame and pulse"):
        build(pulse={})
    with pytest.raises(ValidationError, match="exactly one of photons_per_frame and pulse"):
        build(photons_per_frame=None)


def test_a_grid_that_is_too_coarse_is_refused(monkeypatch):
    monkeypatch.setattr(particle, "LARGEST_ERROR", 1e-9)
    with pytest.raises(ConfigError, match="raise it, or set intensity to exact"):
        build()
    assert build(intensity="exact").spline is None


def test_shell_errors_are_relative_to_their_shell():
    q = np.array([0.01, 0.02, 0.95, 1.0])
    exact = np.array([[1000.0, 1000, 1, 1]])
    errors = shell_errors(q, exact + np.array([1, -1, 0.1, -0.1]), exact)
    np.testing.assert_allclose(errors[[0, 9]], [1e-3, 0.1])
    assert (errors[1:9] == 0).all()
