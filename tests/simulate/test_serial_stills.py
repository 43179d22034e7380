import numpy as np
import pytest
from pydantic import ValidationError
from scipy import stats

from fewphoton.config.simulate_stills import SimulateStillsConfig, StillBackground, StillDetector
from fewphoton.data import AtomicStructure, Beam, Detector, Panel
from fewphoton.data.detector import polarization_factors, q_vectors
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.data.still_truth import StillShots, StillSpots
from fewphoton.errors import ConfigError, GeometryError
from fewphoton.simulate.modular_detector import modular_detector
from fewphoton.simulate.ring_background import BackgroundLevels, background_mean
from fewphoton.simulate.serial_stills import StillExperiment, stills, uniform_rotation

DETECTOR = {
    "modules": (2, 2),
    "module_pixels": (60, 64),
    "gap_pixels": (5, 3),
    "pixel_size_m": 1e-3,
    "distance_m": 0.12,
    "beam_stop_radius_m": 5e-3,
}
CONFIG = SimulateStillsConfig(
    structure="unused.pdb",
    detector=DETECTOR,
    n_frames=7,
    hit_fraction=0.6,
    photons_per_crystal=2000,
    excitation_width_inv_angstrom=1e-3,
    dead_pixels=25,
    seed=9,
)


def small_protein() -> AtomicStructure:
    """Forty atoms in a tetragonal cell: a few thousand lattice points to 1.9 angstrom."""
    rng = np.random.default_rng(2)
    return AtomicStructure(
        (32.0, 32.0, 21.0, 90, 90, 90),
        "P 43 21 2",
        tuple(rng.choice(["C", "N", "O", "S"], 40)),
        rng.random((40, 3)),
        np.ones(40),
        np.full(40, 12.0),
    )


def build(geometry=None, **changes) -> StillExperiment:
    given = CONFIG.model_dump() | changes
    return StillExperiment.build(SimulateStillsConfig(**given), small_protein(), geometry)


def everything(experiment):
    parts = list(stills(experiment))
    counts, shots, spots = zip(*parts, strict=True)
    return np.concatenate(counts), StillShots.concatenate(list(shots)), StillSpots.concatenate(list(spots))


def expected_frame(experiment, shots, spots, frame):
    """Sum background and spots the obvious way: each spot a Gaussian on the panels that its truth rows name."""
    shape = experiment.detector.frame_shape
    total = np.nan_to_num(experiment.background.map() * shots.background_scale[frame]).reshape(shape)
    usable = ~experiment.detector.masked.reshape(shape)
    panels = experiment.detector.panel_numbers().reshape(shape)
    sigma = experiment.config.spot_sigma_px
    edges = [np.arange(n + 1) - 0.5 for n in shape]
    for row in range(*spots.rows(frame).indices(len(spots))):
        shares = [
            np.diff(stats.norm.cdf(edge, place, sigma))
            for edge, place in zip(edges, (spots.slow_px[row], spots.fast_px[row]), strict=True)
        ]
        seen = np.outer(*shares) * usable * (panels == spots.panel[row])
        total += spots.photons[row] / spots.visible_fraction[row] * seen
    return total


@pytest.fixture(scope="module")
def experiment():
    return build()


def q_of_places(experiment, slow_px, fast_px):
    """Scattering vectors of places on the flat detector, from the lab position of the continued pixel grid."""
    panel = experiment.detector.panels[0]
    place = panel.corner_m + np.outer(slow_px + 0.5, panel.slow_step_m) + np.outer(fast_px + 0.5, panel.fast_step_m)
    outgoing = place / np.linalg.norm(place, axis=1)[:, None]
    return (outgoing - experiment.beam.direction) / experiment.beam.wavelength_angstrom, outgoing


def test_default_detector_is_an_eiger_4m():
    detector = modular_detector(StillDetector())
    assert detector.frame_shape == (2167, 2070)
    assert len(detector.panels) == 8
    centres = detector.pixel_centres_m().reshape(2167, 2070, 3)
    np.testing.assert_allclose(np.nanmean(centres, axis=(0, 1)), [0, 0, 0.15], atol=1e-9)
    gap = centres[551, 0] - centres[513, 0]
    np.testing.assert_allclose(gap, [0, -38 * 75e-6, 0], atol=1e-12)
    assert detector.masked.reshape(2167, 2070)[514:551].all()
    assert detector.masked.reshape(2167, 2070)[:, 1030:1040].all()
    assert not detector.masked.reshape(2167, 2070)[0, :1030].any()


def test_orientations_are_uniform():
    """The angle of a uniform rotation has the distribution (t - sin t) / pi; its axis is uniform on the sphere."""
    rng = np.random.default_rng(0)
    turns = np.array([uniform_rotation(rng) for _ in range(3000)])
    angle = np.arccos(np.clip((np.trace(turns, axis1=1, axis2=2) - 1) / 2, -1, 1))
    assert stats.kstest(angle, lambda t: (t - np.sin(t)) / np.pi).pvalue > 1e-3
    for axis in range(3):
        assert stats.kstest(turns[:, axis, 2], stats.uniform(-1, 2).cdf).pvalue > 1e-3


def test_spots_obey_braggs_law(experiment):
    _, shots, spots = everything(experiment)
    assert shots.is_hit.tolist().count(True) >= 2
    assert len(spots) > 100
    frame = spots.frame_numbers()
    g = np.einsum("nij,nj->ni", shots.ub_inv_angstrom[frame], spots.hkl)
    q, outgoing = q_of_places(experiment, spots.slow_px.astype(float), spots.fast_px.astype(float))
    error = spots.excitation_error_inv_angstrom
    np.testing.assert_allclose(np.linalg.norm(q - g, axis=1), np.abs(error), atol=2e-6)
    # Along the ray: the lattice point lies outside of the sphere where the error is positive.
    np.testing.assert_allclose(((g - q) * outgoing).sum(axis=1), error, atol=2e-6)
    assert len(np.unique(np.sign(error))) == 2
    length = np.linalg.norm(g, axis=1)
    config = experiment.config
    mosaic = np.deg2rad(config.mosaicity_deg) * length * np.sqrt(1 - (length / 2) ** 2)
    width = np.sqrt(config.excitation_width_inv_angstrom**2 + mosaic**2 + (config.bandwidth * length**2 / 2) ** 2)
    np.testing.assert_allclose(spots.partiality, np.exp(-((error / width) ** 2) / 2), rtol=1e-4)
    assert experiment.crystal.space_group_allows(spots.hkl).all()
    np.testing.assert_allclose(
        spots.lorentz_polarization,
        config.excitation_width_inv_angstrom
        / width
        * (0.99 * (1 - outgoing[:, 0] ** 2) + 0.01 * (1 - outgoing[:, 1] ** 2)),
        rtol=1e-4,
    )


def test_photons_of_a_spot_are_the_product_of_its_factors(experiment):
    _, shots, spots = everything(experiment)
    known = dict(zip(map(tuple, experiment.reference.hkl.tolist()), experiment.reference.intensity, strict=True))
    squared = np.array([known[tuple(hkl)] for hkl in experiment.crystal.to_laue_asu(spots.hkl).tolist()])
    scale = shots.photons_per_electron2[spots.frame_numbers()]
    factors = scale * squared * spots.partiality * spots.lorentz_polarization * spots.visible_fraction
    np.testing.assert_allclose(spots.photons, factors, rtol=1e-4)
    assert spots.visible_fraction.max() == pytest.approx(1, abs=1e-5)
    assert spots.visible_fraction.min() < 0.9  # some lie on edges and dead pixels


def test_counts_follow_truth_pixel_by_pixel():
    experiment = build(n_frames=5, hit_fraction=1.0, background=StillBackground(mean_photons=3.0).model_dump())
    counts, shots, spots = everything(experiment)
    usable = ~experiment.detector.masked.reshape(experiment.detector.frame_shape)
    for frame in range(5):
        expected = expected_frame(experiment, shots, spots, frame)[usable]
        chi = (counts[frame][usable] - expected) / np.sqrt(expected)
        n = len(chi)
        assert abs(chi.mean()) < 5 / np.sqrt(n)
        assert abs((chi**2).mean() - 1) < 5 * np.sqrt((2 + 1 / expected.min()) / n)
        total = counts[frame][usable].sum()
        assert abs(total - expected.sum()) < 5 * np.sqrt(expected.sum())


def test_photon_totals_match_the_spots_without_background():
    experiment = build(n_frames=60, hit_fraction=1.0, background=StillBackground(mean_photons=0.0).model_dump())
    counts, _, spots = everything(experiment)
    usable = ~experiment.detector.masked.reshape(experiment.detector.frame_shape)
    seen = counts[:, usable].sum(axis=1)
    expected = np.array([spots.photons[spots.rows(frame)].sum() for frame in range(60)])
    pull = (seen - expected) / np.sqrt(expected)
    assert stats.kstest(pull, stats.norm.cdf).pvalue > 1e-3
    assert (experiment.background.map()[usable.ravel()] == 0).all()


def test_crystals_give_the_wanted_photons_in_the_mean():
    experiment = build()
    rng = np.random.default_rng(77)
    b_matrix, scale = experiment.crystal.b_matrix, experiment.photons_per_electron2
    totals = [experiment.patterns.of(uniform_rotation(rng) @ b_matrix, scale).photons.sum() for _ in range(150)]
    spread = np.std(totals) * np.sqrt(1 / 150 + 1 / 128)
    assert abs(np.mean(totals) - 2000) < 4 * spread
    assert spread < 100


def test_scales_of_crystals_are_log_normal_with_mean_one():
    experiment = build(n_frames=400, hit_fraction=1.0, crystal_scale_spread=0.5)
    scale = np.array([experiment.shot(number).photons_per_electron2[0] for number in range(400)])
    logarithm = np.log(scale / experiment.photons_per_electron2)
    assert stats.kstest(logarithm, stats.norm(-0.125, 0.5).cdf).pvalue > 1e-3


def test_background_of_blank_frames_matches_ring_by_ring():
    experiment = build(n_frames=120, hit_fraction=0.0, background=StillBackground(mean_photons=0.7).model_dump())
    counts, shots, spots = everything(experiment)
    assert len(spots) == 0
    assert not shots.is_hit.any()
    assert np.isnan(shots.ub_inv_angstrom).all()
    assert (shots.photons_per_electron2 == 0).all()
    usable = ~experiment.detector.masked
    mean = background_mean(experiment.config.background, experiment.detector, experiment.beam)
    assert mean[usable].mean() == pytest.approx(0.7, rel=1e-9)
    q = np.linalg.norm(q_vectors(experiment.detector, experiment.beam), axis=1)
    ring = np.digitize(q[usable], np.linspace(0, q[usable].max(), 12))
    seen = np.bincount(ring, counts.reshape(120, -1)[:, usable].sum(axis=0, dtype=float))
    expected = np.bincount(ring, mean[usable]) * shots.background_scale.sum()
    filled = expected > 0
    assert filled.sum() > 8
    # Beside the noise, levels round the mean to a quarter of a percent.
    assert (np.abs(seen - expected)[filled] < 5 * np.sqrt(expected[filled]) + 0.0025 * expected[filled]).all()
    assert shots.background_scale.std() == pytest.approx(0.2, rel=0.3)


def test_water_ring_has_its_crest_where_it_should():
    detector = modular_detector(StillDetector(**DETECTOR))
    beam = Beam(1.0)
    config = StillBackground(mean_photons=5.0, water_share=1.0, air_share=0.0)
    mean = background_mean(config, detector, beam)
    smooth = mean / detector.solid_angles_sr() / polarization_factors(detector, beam)
    q = np.linalg.norm(q_vectors(detector, beam), axis=1)
    assert q[np.nanargmax(smooth)] == pytest.approx(0.32, abs=0.005)
    assert np.isnan(mean[detector.masked]).all()
    air = background_mean(StillBackground(water_share=0, air_share=1), detector, beam)
    near, far = np.nanargmin(q + 9 * detector.masked), np.nanargmax(q)
    assert air[near] > 10 * air[far]


def test_levels_round_by_less_than_half_a_percent():
    mean = np.concatenate([np.geomspace(1e-3, 2.0, 5000), [np.nan]])
    levels = BackgroundLevels.of(mean)
    np.testing.assert_allclose(levels.map(), mean, rtol=0.0025)
    assert (np.diff(levels.mean) > 0).all()
    np.testing.assert_array_equal(BackgroundLevels.of(np.array([3.0, np.nan, 3.0])).map(), [3.0, np.nan, 3.0])


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_masked_pixels_hold_the_largest_number_and_the_rest_saturates(dtype):
    experiment = build(
        dtype=dtype,
        n_frames=4,
        hit_fraction=1.0,
        photons_per_crystal=1e5,
        saturation_photons=100,
        background=StillBackground(mean_photons=60.0, scale_spread=0.3).model_dump(),
    )
    counts, _, _ = everything(experiment)
    assert counts.dtype == dtype
    masked = experiment.detector.masked.reshape(experiment.detector.frame_shape)
    assert (counts[:, masked] == np.iinfo(dtype).max).all()
    assert counts[:, ~masked].max() == 100
    gaps = experiment.detector.panel_numbers() < 0
    stop = modular_detector(experiment.config.detector).masked & ~gaps
    assert masked.sum() == gaps.sum() + stop.sum() + 25
    assert stop.sum() > 10


def test_chunks_do_not_change_the_frames():
    first = everything(build(chunk_frames=1))
    for size in (3, 100):
        again = everything(build(chunk_frames=size))
        np.testing.assert_array_equal(again[0], first[0])
        np.testing.assert_array_equal(again[1].ub_inv_angstrom, first[1].ub_inv_angstrom)
        np.testing.assert_array_equal(again[2].indptr, first[2].indptr)
        np.testing.assert_array_equal(again[2].photons, first[2].photons)
    assert (everything(build(seed=10))[0] != first[0]).any()


def test_hit_fraction_adds_crystals_to_unchanged_backgrounds():
    blank, full = (everything(build(hit_fraction=fraction)) for fraction in (0.0, 1.0))
    np.testing.assert_array_equal(blank[1].background_scale, full[1].background_scale)
    assert (full[0] >= blank[0]).all()
    assert (full[0] > blank[0]).any(axis=(1, 2)).all()


def test_a_given_geometry_with_tilted_panels_is_used():
    turn = rotation_about_axis((1, 0, 0), 25.0)
    size = 1e-3
    panels = tuple(
        Panel(
            f"p{n}",
            0,
            40 * n,
            50,
            40,
            turn @ np.array([(40 - 45 * n) * size, 25 * size, 0.1]),
            turn @ np.array([0, -size, 0]),
            turn @ np.array([-size, 0, 0]),
        )
        for n in range(2)
    )
    masked = np.zeros((50, 80), bool)
    masked[10:20, 10:20] = True
    detector, beam = Detector((50, 80), panels, masked), Beam(0.8, polarization_fraction=0.5)
    experiment = build((detector, beam), hit_fraction=1.0, dead_pixels=0, n_frames=3)
    counts, shots, spots = everything(experiment)
    assert (counts[:, masked] == 65535).all()
    assert experiment.beam is beam
    inside = spots.panel == 0
    assert 5 < inside.sum() < len(spots) - 5
    assert (spots.fast_px[inside] > 40).any()  # between the panels, on the continued grid of the first
    g = np.einsum("nij,nj->ni", shots.ub_inv_angstrom[spots.frame_numbers()], spots.hkl)[inside]
    place = panels[0].corner_m + np.outer(spots.slow_px[inside] + 0.5, panels[0].slow_step_m)
    place += np.outer(spots.fast_px[inside] + 0.5, panels[0].fast_step_m)
    outgoing = place / np.linalg.norm(place, axis=1)[:, None]
    q = (outgoing - beam.direction) / 0.8
    np.testing.assert_allclose(
        np.linalg.norm(q - g, axis=1), np.abs(spots.excitation_error_inv_angstrom[inside]), atol=3e-6
    )


def test_solvent_weakens_low_resolution_alone():
    plain, wet = build(solvent_contrast=0.0).reference, build().reference
    q = build().crystal.q_inv_angstrom(wet.hkl)
    strong = plain.intensity > 1
    ratio = wet.intensity[strong] / plain.intensity[strong]
    np.testing.assert_allclose(ratio, (1 - 0.75 * np.exp(-50 * q[strong] ** 2)) ** 2, rtol=1e-9)
    assert ratio.min() < 0.35
    assert ratio.max() > 0.99


def test_impossible_experiments_are_refused():
    with pytest.raises(GeometryError, match="dead pixels"):
        build(dead_pixels=10**6)
    with pytest.raises(GeometryError, match="none of the 0"):
        build(detector=DETECTOR | {"beam_stop_radius_m": 1.0})
    with pytest.raises(ConfigError, match="no reflection"):
        build(d_min_angstrom=100.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"saturation_photons": 65535}, "saturation_photons must lie below 65535"),
        ({"background": {"water_share": 0.8, "air_share": 0.3}}, "exceed 1"),
        ({"hit_fraction": 1.5}, "hit_fraction"),
        ({"dtype": "int16"}, "dtype"),
        ({"spot_sigma": 2.0}, "did you mean 'spot_sigma_px'"),
    ],
)
def test_wrong_configurations_are_named(changes, words):
    with pytest.raises(ValidationError, match=words):
        SimulateStillsConfig(structure="x.pdb", **changes)
    assert SimulateStillsConfig(structure="x.pdb", dtype="uint32", saturation_photons=70000).largest_count == 70000


@pytest.mark.real_data
def test_lysozyme_spots_stand_where_the_truth_says(data_dir):
    from fewphoton.io.crystal_files import read_structure

    config = SimulateStillsConfig(
        structure=data_dir / "hewl" / "RTSAD_HEWL_refine_25.pdb",
        detector={"module_pixels": (257, 515), "gap_pixels": (18, 5), "pixel_size_m": 150e-6},
        hit_fraction=1.0,
        d_min_angstrom=4.0,
        n_frames=1,
    )
    experiment = StillExperiment.build(config, read_structure(config.structure))
    counts, shot, spots = experiment.frame(0)
    assert counts.shape == (1082, 1035)
    assert 30 < len(spots) < 400
    strongest = int(np.argmax(spots.photons))
    slow, fast = int(np.rint(spots.slow_px[strongest])), int(np.rint(spots.fast_px[strongest]))
    window = counts[slow - 3 : slow + 4, fast - 3 : fast + 4].astype(float)
    ring = experiment.background.map().reshape(counts.shape)[slow, fast] * shot.background_scale[0]
    assert window.sum() - 49 * ring == pytest.approx(spots.photons[strongest], rel=0.15)
