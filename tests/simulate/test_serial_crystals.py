import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fewphoton.config import SimulateSerialConfig
from fewphoton.data.detector import q_vectors
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.errors import GeometryError
from fewphoton.simulate.serial_crystals import SerialCrystals
from fewphoton.simulate.structure_factors import intensities, solvent_factor
from tests.emc.conftest import structure

SMALL = {
    "wavelength_angstrom": 0.9,
    "detector": {"pixels": 40, "pixel_size_m": 1e-3, "distance_m": 0.05, "beam_stop_radius_m": 2e-3},
    "photons_per_frame": 200.0,
    "size_broadening_inv_angstrom": 0.01,
    "n_frames": 300,
    "b_factor_angstrom2": 5.0,
    "truth_voxels_per_cell": 4,
}


@pytest.fixture(scope="module")
def crystals():
    return SerialCrystals(SimulateSerialConfig(**SMALL), structure())


def test_mean_photons_and_shares_are_as_configured(crystals):
    rotations = Rotation.random(4000, rng=np.random.default_rng(2)).as_matrix()
    parts = crystals.scattering
    bragg = parts.bragg(rotations).sum(axis=1, dtype=float)
    assert bragg.mean() == pytest.approx(200 * 0.7, rel=0.01, abs=4 * bragg.std() / np.sqrt(4000))
    assert parts.diffuse.sum() == pytest.approx(30)
    assert parts.background.sum() == pytest.approx(30)
    assert len(np.unique(parts.background)) == 2
    frames = crystals.snapshots().draw(0, 300)
    assert frames.totals().mean() == pytest.approx(200, abs=5)
    assert frames.to_dense()[:, parts.detector.masked].sum() == 0


def test_patterns_are_slices_of_the_true_volume(crystals):
    """A pixel sees the volume at hkl = inv(B) R⁻¹ q, evaluated here by the sum over Gaussians in NumPy."""
    parts = crystals.scattering
    turn = rotation_about_axis([3, -1, 2], 64.0)
    q = q_vectors(parts.detector, parts.beam)
    crystal_q = q @ turn
    found = crystals.patterns(turn[None])[0]
    usable = np.flatnonzero(~parts.detector.masked)
    points = parts.hkl @ parts.crystal.b_matrix.T
    half = parts.strength.shape[0] // 2
    strength = parts.strength[tuple((parts.hkl + half).T)]
    expected = np.zeros(len(usable))
    common, mosaic, band = parts.widths
    # The nearest lattice point alone counts, as in the kernel.
    nearest = np.rint(crystal_q[usable] @ np.linalg.inv(parts.crystal.b_matrix).T).astype(int)
    number = {tuple(hkl): row for row, hkl in enumerate(parts.hkl.tolist())}
    for row, (place, hkl) in enumerate(zip(crystal_q[usable], nearest.tolist(), strict=True)):
        if tuple(hkl) in number:
            g = points[number[tuple(hkl)]]
            length2 = g @ g
            along = ((place - g) @ g) ** 2 / length2
            across = (place - g) @ (place - g) - along
            tangential, radial = common**2 + mosaic**2 * length2, common**2 + band**2 * length2
            gauss = np.exp(-0.5 * (across / tangential + along / radial)) / (tangential * np.sqrt(radial))
            expected[row] = strength[number[tuple(hkl)]] * gauss
    expected = expected * parts.response[usable] + parts.diffuse[usable]
    np.testing.assert_allclose(found[usable], expected, atol=1e-4 * expected.max())


def test_true_volume_has_its_peaks_at_the_lattice_points(crystals):
    volume = crystals.true_volume()
    parts = crystals.scattering
    reach = np.linalg.norm(q_vectors(parts.detector, parts.beam)[~parts.detector.masked], axis=1).max() * 11.9 * 4
    assert volume.n == 2 * (int(np.ceil(reach)) + 1) + 1
    assert volume.voxels_per_cell == 4
    inside = np.abs(parts.hkl).max(axis=1) * 4 < volume.n // 2
    at = volume.values[tuple((parts.hkl[inside] * 4 + volume.n // 2).T)]
    half = parts.strength.shape[0] // 2
    strength = parts.strength[tuple((parts.hkl[inside] + half).T)]
    strong = strength > np.median(strength)
    assert np.corrcoef(at[strong], strength[strong])[0, 1] > 0.99


def test_solvent_weakens_low_orders():
    bare, wet = (
        SerialCrystals(SimulateSerialConfig(**SMALL | {"solvent_contrast": contrast}), structure())
        for contrast in (0.0, 0.8)
    )
    parts = wet.scattering
    q = parts.crystal.q_inv_angstrom(parts.hkl)
    np.testing.assert_allclose(parts.intensity, bare.scattering.intensity * solvent_factor(q, 0.8, 200.0))
    np.testing.assert_allclose(bare.scattering.intensity, intensities(structure(), parts.hkl, 5.0))
    np.testing.assert_allclose(solvent_factor(np.array([0.0, 0.2]), 0.8, 200.0), [0.04, (1 - 0.8 * np.exp(-2)) ** 2])


def test_brighter_crystals_leave_the_background_alone():
    crystals = SerialCrystals(SimulateSerialConfig(**SMALL | {"crystal_scale_spread": 1.0}), structure())
    totals = crystals.snapshots().draw(0, 300).totals()
    assert totals.std() > 2.5 * np.sqrt(200)
    assert totals.min() > 10
    assert (totals < 60).sum() > 10


def test_a_hidden_detector_is_refused():
    config = SimulateSerialConfig(detector={"beam_stop_radius_m": 1.0})
    with pytest.raises(GeometryError, match="hides the whole"):
        SerialCrystals(config, structure())
