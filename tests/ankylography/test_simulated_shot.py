from dataclasses import replace

import numpy as np
import pytest

from fewphoton.ankylography.ewald_sphere import ewald_sphere
from fewphoton.ankylography.forward_model import ForwardModel
from fewphoton.ankylography.simulated_shot import SimulatedShot
from fewphoton.config.simulate_shot import SimulateShotConfig
from fewphoton.data import Molecule
from fewphoton.errors import DataError, GeometryError
from tests.ankylography.scatterers import NAMES, POSITION

MOLECULE = Molecule(NAMES, POSITION, np.ones(5), np.full(5, 20.0))


def expose(**changes):
    options = {"structure": "m.xyz", "wavelength_angstrom": 0.7, "n_detectors": 900, "white_level": 1e-3} | changes
    return SimulatedShot.of(MOLECULE, SimulateShotConfig(**options))


@pytest.mark.parametrize("atom_model", ["sphere", "free_atom"])
def test_intensities_are_those_of_the_model_plus_noise(atom_model):
    simulated = expose(atom_model=atom_model)
    shot = simulated.shot
    model = ForwardModel.build(ewald_sphere(0.7, 900), ("C", "H", "N", "O"), atom_model)
    truth = model.intensity(POSITION, model.kinds(NAMES))
    np.testing.assert_allclose(simulated.true_intensity_electron2, truth, rtol=1e-12)
    assert shot.atom_model == atom_model
    assert dict(shot.composition) == {"C": 2, "H": 1, "N": 1, "O": 1}
    assert shot.white_sigma_electron2**2 == pytest.approx(1e-3 * simulated.power_electron4)
    noise = (shot.intensity_electron2 - truth) / shot.white_sigma_electron2
    assert noise.std() == pytest.approx(1.0, abs=0.1)
    assert shot.photons_per_electron2 is None
    assert simulated.expected_photons is None


@pytest.mark.parametrize(("wavelength", "largest"), [(0.35, 180.0), (0.7, 60.0), (2.0, 180.0)])
def test_power_does_not_depend_on_the_number_of_detectors(wavelength, largest):
    """Nor does it miss the forward peak: a dense sphere tells the same, the detectors of a few do not."""
    q = ewald_sphere(wavelength, 100_000, largest)
    model = ForwardModel.build(q, ("C", "H", "N", "O"), "sphere")
    dense = (model.intensity(POSITION, model.kinds(NAMES)) ** 2).mean()
    few, many = (expose(wavelength_angstrom=wavelength, largest_angle_deg=largest, n_detectors=n) for n in (60, 6000))
    assert few.power_electron4 == pytest.approx(dense, rel=6e-3)
    assert many.power_electron4 == pytest.approx(dense, rel=6e-3)
    if wavelength == 0.35:
        assert (few.true_intensity_electron2**2).mean() < 0.5 * dense


def test_beam_stop_hides_detectors_but_not_their_power():
    """A stop of 60 degrees hides a quarter of the sphere and nearly all of the power that sets the white noise."""
    whole, stopped = expose(), expose(beam_stop_deg=60.0)
    assert stopped.n_hidden == 225
    assert len(stopped.shot) == 675
    np.testing.assert_array_equal(stopped.shot.q_inv_angstrom, whole.shot.q_inv_angstrom[225:])
    np.testing.assert_array_equal(stopped.true_intensity_electron2, whole.true_intensity_electron2[225:])
    assert stopped.shot.white_sigma_electron2 == whole.shot.white_sigma_electron2
    assert stopped.power_electron4 == whole.power_electron4
    assert (stopped.true_intensity_electron2**2).mean() < 0.1 * stopped.power_electron4


def test_photons_per_shot_are_those_of_the_seen_detectors():
    simulated = expose(white_level=0, photons_per_shot=5e4, beam_stop_deg=10.0)
    counts = simulated.shot.intensity_electron2 * simulated.shot.photons_per_electron2
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-6)
    assert simulated.expected_photons == pytest.approx(5e4)
    assert counts.sum() == pytest.approx(5e4, abs=5 * np.sqrt(5e4))


def test_pulse_gives_photons_by_thomson_scattering():
    pulse = {"photons": 1e13, "focus_area_m2": 1e-14}
    whole = expose(white_level=0, pulse=pulse)
    expected = (2.8179403205e-15) ** 2 * 1e27 * 4 * np.pi / 900
    assert whole.shot.photons_per_electron2 == pytest.approx(expected)
    # The cap within 60 degrees is a quarter of the sphere, and so is each detector's part of it.
    cap = expose(white_level=0, pulse=pulse, largest_angle_deg=60.0, beam_stop_deg=5.0)
    assert cap.shot.photons_per_electron2 == pytest.approx(expected / 4)


def test_the_seed_fixes_the_noise():
    one, same, other = (expose(seed=seed).shot.intensity_electron2 for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).min() > 0


def test_impossible_exposures_are_refused():
    with pytest.raises(GeometryError, match=r"beam stop of 89\.0 deg hides all 3 detectors"):
        expose(n_detectors=3, largest_angle_deg=89.1, beam_stop_deg=89.0)
    config = SimulateShotConfig(structure="m.xyz", white_level=1e-3)
    with pytest.raises(DataError, match="5 of 5 atoms have an occupancy other than 1"):
        SimulatedShot.of(replace(MOLECULE, occupancy=np.full(5, 0.5)), config)
