"""pyFAI's own sigma-clipping (its Cython engine, float64 inside, float32 results) as the judge of the backgrounds."""

import fabio
import numpy as np
import pytest
from pyFAI.detectors import Detector as PyfaiDetector
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from fewphoton.config.separation import BackgroundConfig
from fewphoton.data import AzimuthalBins, Beam, Detector, Panel
from fewphoton.io.geometry_files import read_geometry
from fewphoton.separation.azimuthal_bins import azimuthal_bins, normalization, radius_of_pixels
from fewphoton.separation.background import BackgroundFinder

N_BINS = 800
METHOD = ("no", "csr", "cython")
MODELS = ("poisson", "azimuthal", "hybrid")
REAL = {
    "thaumatin, spots": "thaumatin_grid_i24/thau_3_2_0001.cbf.bz2",
    "thaumatin, blank": "thaumatin_grid_i24/thau_3_2_0019.cbf.bz2",
    "L-cysteine": "l_cysteine_i19/frames/l-cyst_01_00001.cbf.bz2",
}
FLOAT32 = 2e-7
"""Relative: pyFAI's results are float32, and so are its frames and normalizations."""


def integrator(detector, beam):
    panel = detector.panels[0]
    sizes = (float(np.linalg.norm(step)) for step in (panel.slow_step_m, panel.fast_step_m))
    return AzimuthalIntegrator(
        dist=float(panel.corner_m[2]),
        poni1=float(panel.corner_m[1]),
        poni2=float(panel.corner_m[0]),
        detector=PyfaiDetector(*sizes, max_shape=detector.frame_shape),
        wavelength=beam.wavelength_angstrom * 1e-10,
    )


def pyfai_clip(ai, frame, mask, model, **options):
    """pyFAI's result, and the ring it puts each pixel in."""
    settings = {"unit": "r_m", "correctSolidAngle": False} | options
    found = ai.sigma_clip(
        frame.astype(np.float32),
        N_BINS,
        mask=mask,
        method=METHOD,
        error_model=model,
        thres=0,
        max_iter=5,
        **settings,
    )
    csr = list(ai.engines.values())[-1].engine
    indptr, indices = np.asarray(csr.indptr), np.asarray(csr.indices)
    ring = np.full(frame.size, N_BINS, dtype=np.uint16)
    ring[indices[: indptr[-1]]] = np.repeat(np.arange(N_BINS), np.diff(indptr))
    return found, ring


def with_rings(bins, ring):
    radius = np.where(ring < bins.n_bins, np.nan_to_num(bins.radius), np.float32(np.nan))
    return AzimuthalBins(bins.frame_shape, bins.unit, bins.edges, radius, ring, bins.normalization)


def relative(ours, theirs):
    return np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1e-6)


def filled(found):
    """Rings to compare: those that pyFAI leaves empty come from the fallback here, and of one with three pixels or
    less it does not tell the number."""
    return found.count > 3


def assert_same_rings(background, found, tolerance=FLOAT32, where=True):
    rings = filled(found) & where
    assert rings.sum() > N_BINS // 2
    np.testing.assert_array_equal(background.n_kept[rings], found.count[rings])
    assert relative(background.mean, found.intensity)[rings].max() < tolerance
    assert relative(background.std, found.std)[rings].max() < tolerance
    few = (found.count > 0) & (background.n_kept > 0) & where
    assert (relative(background.mean, found.intensity)[few] < tolerance).mean() > 0.99
    assert np.isfinite(background.mean).all()
    assert np.isfinite(background.std).all()


def synthetic(seed=0, shape=(260, 240)):
    """Off-centre beam, Poisson background that falls outwards, strong spots, dead pixels as -1."""
    rng = np.random.default_rng(seed)
    pixel_m, centre = 172e-6, np.array([121.37, 133.81])
    corner = np.array([centre[1] * pixel_m, centre[0] * pixel_m, 0.11])
    panel = Panel("p0", 0, 0, *shape, corner, np.array([0, -pixel_m, 0]), np.array([-pixel_m, 0, 0]))
    rows, columns = np.indices(shape)
    radius = np.hypot(rows + 0.5 - centre[0], columns + 0.5 - centre[1])
    frame = rng.poisson(6 * np.exp(-((radius / 110) ** 2)) + 0.3).astype(np.int32)
    for place in rng.integers(0, frame.size, 150):
        frame.flat[place] += rng.integers(20, 20_000)
    masked = rng.random(shape) < 0.01
    frame[masked] = -1
    return frame, Detector(shape, (panel,)).with_mask(masked.ravel()), Beam(0.9, polarization_fraction=0.95), masked


@pytest.fixture(scope="module")
def real(request, data_dir):
    """Frame, detector, beam and mask of a real exposure; bad reads are the mask."""
    path = data_dir / REAL[request.param]
    with fabio.open(str(path)) as image:
        frame = np.array(image.data)
    geometry = read_geometry(path, frame.shape)
    mask = frame < 0
    return frame, geometry.detector.with_mask(mask.ravel() | geometry.detector.masked), geometry.beam, mask


def compare_all_models(frame, detector, beam, mask):
    ai = integrator(detector, beam)
    bins = azimuthal_bins(detector, beam, N_BINS)
    for model in MODELS:
        found, ring = pyfai_clip(ai, frame, mask, model)
        np.testing.assert_allclose(bins.centres, found.radial, rtol=1e-9)
        config = BackgroundConfig(n_bins=N_BINS, error_model=model)
        theirs = BackgroundFinder(with_rings(bins, ring), config, frame.dtype).find(frame.ravel())
        assert_same_rings(theirs, found)
        # Ours differ from pyFAI's only where a pixel lies on a border between rings within float32 rounding.
        moved = ring != bins.bin_of_pixel
        position = (radius_of_pixels(detector, beam, "r_m")[moved] - bins.edges[0]) / bins.step
        assert np.abs(position - np.rint(position)).max(initial=0.0) < N_BINS * np.finfo(np.float32).eps
        assert moved.sum() < 1e-4 * moved.size
        touched = np.union1d(ring[moved], bins.bin_of_pixel[moved])
        ours = BackgroundFinder(bins, config, frame.dtype).find(frame.ravel())
        assert_same_rings(ours, found, where=~np.isin(np.arange(N_BINS), touched))


@pytest.mark.parametrize("seed", [0, 1])
def test_synthetic_frames(seed):
    compare_all_models(*synthetic(seed))


@pytest.mark.real_data
@pytest.mark.parametrize("real", REAL, indirect=True)
def test_real_frames(real):
    compare_all_models(*real)


@pytest.mark.real_data
@pytest.mark.parametrize("real", ["thaumatin, blank"], indirect=True)
def test_counts_and_floats_give_the_same_on_a_real_frame(real):
    frame, detector, beam, mask = real
    bins = azimuthal_bins(detector, beam, N_BINS)
    signal = np.where(mask, np.nan, frame).astype(np.float32).ravel()
    for model in MODELS:
        config = BackgroundConfig(n_bins=N_BINS, error_model=model)
        counts = BackgroundFinder(bins, config, frame.dtype).find(frame.ravel())
        floats = BackgroundFinder(bins, config, np.float32).find(signal)
        np.testing.assert_array_equal(counts.n_kept, floats.n_kept)
        np.testing.assert_allclose(counts.mean, floats.mean, rtol=1e-12)
        np.testing.assert_allclose(counts.std, floats.std, rtol=1e-12)


def weighted_by_definition(frame, bins, ring):
    """Equations 2 and 6: mean and azimuthal standard deviation of one ring, no pixel discarded."""
    here = bins.bin_of_pixel == ring
    weight = bins.normalization[here].astype(np.float64)
    value = (frame.ravel()[here].astype(np.float32) / bins.normalization[here]).astype(np.float64)
    mean = (weight * value).sum() / weight.sum()
    return mean, np.sqrt((weight**2 * (value - mean) ** 2).sum() / (weight**2).sum())


def compare_with_normalization(frame, detector, beam, mask):
    ai = integrator(detector, beam)
    norm = normalization(detector, beam, solid_angle=True, polarization=True)
    good = ~detector.masked
    np.testing.assert_allclose(
        norm[good],
        (ai.solidAngleArray() * ai.polarization(factor=2 * beam.polarization_fraction - 1)).ravel()[good],
        rtol=5e-7,
    )
    bins = azimuthal_bins(detector, beam, N_BINS, norm=norm)
    for model in MODELS:
        found, ring = pyfai_clip(
            ai, frame, mask, model, correctSolidAngle=True, polarization_factor=2 * beam.polarization_fraction - 1
        )
        rings = with_rings(bins, ring)
        config = BackgroundConfig(n_bins=N_BINS, error_model=model, solid_angle=True, polarization=True)
        ours = BackgroundFinder(rings, config, frame.dtype).find(frame.ravel())
        if model == "poisson":
            assert_same_rings(ours, found)
            continue
        # pyFAI's scatter with weights is a running sum that depends on the pixels' order, which may tip
        # one pixel over the cut-off in a few rings.
        same = (ours.n_kept == found.count) & filled(found)
        assert same.sum() >= filled(found).sum() - 4
        assert np.abs(ours.n_kept - found.count)[filled(found)].max() <= 1
        assert relative(ours.mean, found.intensity)[same].max() < FLOAT32
        wide = same & (found.std > 0)
        difference = relative(ours.std, found.std)[wide]
        assert difference.max() < 1e-2
        assert np.quantile(difference, 0.99) < 1e-3
        assert np.median(difference) < 1e-4
    # Of the two, ours is the definition.
    config = BackgroundConfig(n_bins=N_BINS, error_model="azimuthal", clip_cycles=0)
    ours = BackgroundFinder(bins, config, frame.dtype).find(frame.ravel())
    for number in np.flatnonzero(ours.n_kept > 3)[::97]:
        np.testing.assert_allclose(
            (ours.mean[number], ours.std[number]), weighted_by_definition(frame, bins, number), rtol=1e-6
        )


def test_solid_angle_and_polarization():
    compare_with_normalization(*synthetic(2))


@pytest.mark.real_data
@pytest.mark.parametrize("real", ["thaumatin, blank"], indirect=True)
def test_solid_angle_and_polarization_of_a_real_frame(real):
    compare_with_normalization(*real)


def test_dark_goes_off_the_signal_but_not_off_the_variance():
    frame, detector, beam, mask = synthetic(3)
    dark = np.random.default_rng(1).uniform(0, 0.5, frame.shape).astype(np.float32)
    ai = integrator(detector, beam)
    bins = azimuthal_bins(detector, beam, N_BINS)
    for model in ("poisson", "azimuthal"):
        found, ring = pyfai_clip(ai, frame, mask, model, dark=dark)
        config = BackgroundConfig(n_bins=N_BINS, error_model=model)
        ours = BackgroundFinder(with_rings(bins, ring), config, frame.dtype, dark.ravel()).find(frame.ravel())
        assert_same_rings(ours, found, tolerance=2e-6 if model == "poisson" else 1e-3)


def test_rings_of_equal_width_in_q_are_pyfais_without_its_two_pi():
    frame, detector, beam, mask = synthetic(4)
    ai = integrator(detector, beam)
    bins = azimuthal_bins(detector, beam, N_BINS, "q_inv_angstrom")
    found, ring = pyfai_clip(ai, frame, mask, "poisson", unit="q_A^-1")
    np.testing.assert_allclose(bins.centres * 2 * np.pi, found.radial, rtol=1e-9)
    assert (ring != bins.bin_of_pixel).mean() < 1e-4
    q = ai.array_from_unit(detector.frame_shape, "center", "q_A^-1").ravel()
    np.testing.assert_allclose(radius_of_pixels(detector, beam, "q_inv_angstrom") * 2 * np.pi, q, rtol=1e-9)
    config = BackgroundConfig(n_bins=N_BINS, unit="q_inv_angstrom")
    assert_same_rings(BackgroundFinder(with_rings(bins, ring), config, frame.dtype).find(frame.ravel()), found)


def test_a_variance_formula_is_pyfais_variance_array():
    frame, detector, beam, mask = synthetic(5)
    ai = integrator(detector, beam)
    bins = azimuthal_bins(detector, beam, N_BINS)
    found = ai.sigma_clip(
        frame.astype(np.float32),
        N_BINS,
        mask=mask,
        unit="r_m",
        method=METHOD,
        variance=(5 * frame + 8).astype(np.float32),
        thres=0,
        max_iter=5,
        correctSolidAngle=False,
    )
    config = BackgroundConfig(n_bins=N_BINS, error_model="variance", variance_formula="5*I + 8")
    ours = BackgroundFinder(bins, config, frame.dtype).find(frame.ravel())
    known = (ours.n_kept == found.count) & filled(found)
    assert known.sum() >= filled(found).sum() - 4  # rings with a pixel on their border
    assert relative(ours.mean, found.intensity)[known].max() < FLOAT32
    assert relative(ours.std, found.std)[known].max() < FLOAT32


@pytest.mark.parametrize("cutoff", [2.0, 6.0])
def test_a_cutoff_below_chauvenets_is_raised_to_it_and_one_above_holds(cutoff):
    frame, detector, beam, mask = synthetic(6)
    ai = integrator(detector, beam)
    found = ai.sigma_clip(
        frame.astype(np.float32),
        N_BINS,
        mask=mask,
        unit="r_m",
        method=METHOD,
        error_model="azimuthal",
        thres=cutoff,
        max_iter=3,
        correctSolidAngle=False,
    )
    bins = azimuthal_bins(detector, beam, N_BINS)
    config = BackgroundConfig(n_bins=N_BINS, error_model="azimuthal", cutoff_clip=cutoff, clip_cycles=3)
    ours = BackgroundFinder(bins, config, frame.dtype).find(frame.ravel())
    same = (ours.n_kept == found.count) & filled(found)
    assert same.sum() >= filled(found).sum() - 4
    assert relative(ours.mean, found.intensity)[same].max() < FLOAT32
