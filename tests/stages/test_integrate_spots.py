import csv
import gzip
import json
from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import norm

from fewphoton.config.spot_quality import IntegrateSpotsConfig
from fewphoton.data import Beam, Crystal, Reflections
from fewphoton.data.orientations import rotation_about_axis
from fewphoton.data.still_truth import StillShots, StillSpots
from fewphoton.errors import ConfigError, DataError, GeometryError, InputFileError
from fewphoton.evaluate.predict_spots import allowed_reflections, predict_rotation, predict_still
from fewphoton.evaluate.spot_geometry import SurfaceGeometry
from fewphoton.io.dials_experiments import read_dials_experiments
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.provenance import Provenance
from fewphoton.io.reflections import read_mtz, write_mtz
from fewphoton.io.still_truth import write_still_truth
from fewphoton.stages.contract import Context
from fewphoton.stages.integrate_spots import Inputs, Outputs, run
from tests.conftest import flat_detector

QUIET = Context(progress=False)
CELL = (20.0, 26.0, 31.0, 90.0, 90.0, 90.0)
N_SLOW, N_FAST = 260, 280
N_FRAMES = 40
N_STILLS = 14
STEP = 0.5
CONFIG = IntegrateSpotsConfig(d_min_angstrom=1.6, mosaicity_deg=0.25, n_shells=3, disc_radius_px=3.0)


def truth_table():
    """One intensity for each Laue class."""
    crystal = Crystal(CELL, "P 21 21 21")
    hkl = np.unique(crystal.to_laue_asu(allowed_reflections(crystal, 1.4)), axis=0)
    return crystal, Reflections.bare(hkl, 200 + 3000 * np.random.default_rng(5).exponential(size=len(hkl)))


def intensity_of(hkl):
    crystal, table = truth_table()
    place = {tuple(h): value for h, value in zip(table.hkl.tolist(), table.intensity.tolist(), strict=True)}
    return np.array([place[tuple(h)] for h in crystal.to_laue_asu(hkl).tolist()])


def add_spot(frame, slow, fast, photons, sigma=0.8):
    first, left = round(slow) - 6, round(fast) - 6
    rows, columns = np.mgrid[first : first + 13, left : left + 13]
    shape = np.exp(-((rows - slow) ** 2 + (columns - fast) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    inside = (rows >= 0) & (rows < N_SLOW) & (columns >= 0) & (columns < N_FAST)
    frame[rows[inside], columns[inside]] += photons * shape[inside]


def experiment_list():
    real = rotation_about_axis([1.0, 2.0, -0.5], 33.0) @ np.diag(CELL[:3])
    a, b, c = real.T.tolist()
    panel = {
        "name": "",
        "fast_axis": [1.0, 0.0, 0.0],
        "slow_axis": [0.0, -1.0, 0.0],
        "origin": [-56.0, 52.0, -70.0],
        "image_size": [N_FAST, N_SLOW],
        "pixel_size": [0.4, 0.4],
        "trusted_range": [-1.0, 50000.0],
        "thickness": 0.0,
        "mu": 0.0,
        "mask": [[100, 0, 104, N_SLOW]],
    }
    return {
        "__id__": "ExperimentList",
        "experiment": [{"beam": 0, "detector": 0, "goniometer": 0, "scan": 0, "crystal": 0}],
        "beam": [
            {
                "direction": [0.0, 0.0, 1.0],
                "wavelength": 1.0,
                "polarization_normal": [0.0, 1.0, 0.0],
                "polarization_fraction": 0.99,
            }
        ],
        "detector": [{"panels": [panel]}],
        "goniometer": [
            {
                "rotation_axis": [1.0, 0.0, 0.0],
                "fixed_rotation": np.eye(3).ravel().tolist(),
                "setting_rotation": np.eye(3).ravel().tolist(),
            }
        ],
        "scan": [{"image_range": [11, 10 + N_FRAMES], "oscillation": [5.0, STEP]}],
        "crystal": [{"real_space_a": a, "real_space_b": b, "real_space_c": c, "space_group_hall_symbol": " P 2 2"}],
        "imageset": [],
    }


@pytest.fixture(scope="module")
def rotation(tmp_path_factory):
    """Frames with Gaussian spots and rocking curves at the places that the experiment predicts."""
    folder = tmp_path_factory.mktemp("rotation")
    path = folder / "x.expt"
    path.write_text(json.dumps(experiment_list()))
    (scan,) = read_dials_experiments(path)
    spots = predict_rotation(scan, 1.5)
    spots = spots.take(Crystal(CELL, "P 21 21 21").space_group_allows(spots.hkl))
    photons = intensity_of(spots.hkl) * spots.lorentz * spots.polarization
    mean = np.full((N_FRAMES, N_SLOW, N_FAST), 0.2)
    edges = np.arange(N_FRAMES + 1)
    for row in range(len(spots)):
        width = 0.25 / abs(spots.zeta[row]) / STEP
        share = np.diff(norm.cdf(edges, spots.image[row], width))
        for frame in np.flatnonzero(share > 1e-6):
            add_spot(mean[frame], spots.slow_px[row], spots.fast_px[row], photons[row] * share[frame])
    counts = np.random.default_rng(0).poisson(mean).astype(np.int32)
    counts[:, :, 100:104] = -1
    np.save(folder / "frames.npy", counts)
    crystal, table = truth_table()
    write_mtz(folder / "reference.mtz", table, crystal, 1.0, "test")
    return folder


def outputs(folder):
    return Outputs(*(folder / name for name in ("metrics.json", "shells.csv", "merged.mtz", "observations.csv")))


def inputs(folder, frames=None, **others):
    return Inputs((str(frames or folder / "frames.npy"),), (str(folder / "x.expt"),), **others)


SETTINGS = CONFIG.model_copy(update={"space_group": "P 21 21 21"})


def test_rotation_frames_give_back_their_intensities(rotation, tmp_path):
    run(inputs(rotation, reference=rotation / "reference.mtz"), outputs(tmp_path), SETTINGS, QUIET)
    record = read_metrics(tmp_path / "metrics.json")
    assert record["n_integrated"] > 200
    assert record["n_fully_recorded"] < record["n_predicted"]
    assert record["n_on_masked_pixels"] > 0
    assert record["n_with_invalid_pixels"] == 0
    assert record["cc_reference"] > 0.99
    assert record["r_meas"] < 0.1
    assert record["cc_half"] > 0.98
    assert record["median_centroid_distance_px"] < 0.1
    merged, crystal = read_mtz(tmp_path / "merged.mtz")
    assert crystal.space_group == "P 21 21 21"
    ratio = merged.intensity / intensity_of(merged.hkl)
    assert np.median(ratio) == pytest.approx(1, abs=0.03)
    shells = read_table(tmp_path / "shells.csv")
    assert len(shells) == 3
    assert sum(int(row["n_unique"]) for row in shells) == record["n_unique"] == len(merged)
    assert len(read_table(tmp_path / "observations.csv")) == record["n_integrated"]


def test_other_frames_integrate_the_same_spots(rotation, tmp_path):
    """Frames without their background, in another number type, with masked pixels set to 0, as a densifier may."""
    run(inputs(rotation), outputs(tmp_path), SETTINGS, QUIET)
    counts = np.load(rotation / "frames.npy")
    np.save(tmp_path / "dense.npy", np.where(counts < 2, 0, counts).astype(np.uint16))
    original = tmp_path / "observations.csv"
    mask = (str(rotation / "frames.npy"),)
    target = tmp_path / "again"
    run(inputs(rotation, tmp_path / "dense.npy", original=original, mask_frames=mask), outputs(target), SETTINGS, QUIET)
    record = read_metrics(target / "metrics.json")
    assert record["n_original"] == record["n_integrated"] == read_metrics(tmp_path / "metrics.json")["n_integrated"]
    assert 0.99 < record["cc_original"] < 1
    assert 0 < record["r_original"] < 0.2
    assert record["sum_ratio_original"] == pytest.approx(1, abs=0.1)
    assert {"cc_original", "r_original"} <= set(read_table(target / "shells.csv")[0])
    same = tmp_path / "same"
    run(inputs(rotation, original=original), outputs(same), SETTINGS, QUIET)
    record = read_metrics(same / "metrics.json")
    assert record["cc_original"] == pytest.approx(1)
    assert record["r_original"] == pytest.approx(0, abs=1e-12)


def test_result_does_not_depend_on_chunks_or_threads(rotation, tmp_path):
    run(inputs(rotation), outputs(tmp_path / "a"), SETTINGS, QUIET)
    other = SETTINGS.model_copy(update={"chunk_frames": 3})
    run(inputs(rotation), outputs(tmp_path / "b"), other, Context(threads=2, progress=False))
    for name in ("metrics.json", "shells.csv", "observations.csv", "merged.mtz"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_runs_are_parts_of_scans(rotation, tmp_path):
    """Images 21 to 50 as one run, and the same as two: spots over the seam are no longer complete."""
    counts = np.load(rotation / "frames.npy")
    np.save(tmp_path / "part.npy", counts[10:40])

    def numbers(runs):
        config = IntegrateSpotsConfig(**(SETTINGS.model_dump() | {"runs": runs}))
        run(
            inputs(rotation, tmp_path / "part.npy", reference=rotation / "reference.mtz"),
            outputs(tmp_path),
            config,
            QUIET,
        )
        return read_metrics(tmp_path / "metrics.json")

    one = numbers([{"first_image": 21}])
    two = numbers([{"first_image": 21, "n_frames": 15}, {"first_image": 36}])
    assert one["cc_reference"] > 0.99
    assert two["cc_reference"] > 0.99
    assert two["n_integrated"] < one["n_integrated"]
    assert one["n_predicted"] == two["n_predicted"]
    with pytest.raises(GeometryError, match="images 29 to 58"):
        numbers([{"first_image": 40}])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"runs": [{"experiment": 3}]}, ConfigError, "experiment 3 of 1"),
        ({"runs": [{"n_frames": 30}]}, ConfigError, "cover 30 of 40"),
        ({"runs": [{"n_frames": 41}]}, ConfigError, "cover frames to 40"),
        ({"mosaicity_deg": None}, ConfigError, "set mosaicity_deg"),
    ],
)
def test_wrong_configurations(rotation, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        run(inputs(rotation), outputs(tmp_path), IntegrateSpotsConfig(**(SETTINGS.model_dump() | change)), QUIET)
    assert not list(tmp_path.iterdir())


def test_wrong_inputs(rotation, tmp_path):
    with pytest.raises(ConfigError, match="either experiments or still_truth"):
        run(Inputs((str(rotation / "frames.npy"),)), outputs(tmp_path), SETTINGS, QUIET)
    np.save(tmp_path / "small.npy", np.zeros((N_FRAMES, 5, 6), dtype=np.int32))
    with pytest.raises(DataError, match="describes frames of"):
        run(inputs(rotation, tmp_path / "small.npy"), outputs(tmp_path), SETTINGS, QUIET)
    (tmp_path / "other.csv").write_text("h,k,l,image,intensity\n1,2,3,4.5,7\n")
    with pytest.raises(InputFileError, match="lists other spots"):
        run(inputs(rotation, original=tmp_path / "other.csv"), outputs(tmp_path), SETTINGS, QUIET)
    (tmp_path / "none.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputFileError, match="no table of observations"):
        run(inputs(rotation, original=tmp_path / "none.csv"), outputs(tmp_path), SETTINGS, QUIET)


@pytest.fixture
def stills(tmp_path):
    """Stills of random orientation and brightness, the tenth without a crystal; spots near the sphere are complete."""
    detector, beam = flat_detector(N_SLOW, N_FAST, 4e-4, 0.07), Beam(1.0, polarization_fraction=0.99)
    masked = np.zeros(detector.n_pixels, dtype=bool)
    masked[: 20 * N_FAST] = True
    crystal, table = truth_table()
    rng = np.random.default_rng(2)
    ub = np.full((N_STILLS, 3, 3), np.nan)
    counts = np.empty((N_STILLS, N_SLOW, N_FAST), dtype=np.uint16)
    hkl = allowed_reflections(crystal, 1.5)
    for number in range(N_STILLS):
        mean = np.full((N_SLOW, N_FAST), 0.2)
        if number != 9:
            axis = rng.normal(size=3)
            ub[number] = rotation_about_axis(axis, rng.uniform(0, 180)) @ crystal.b_matrix
            spots = predict_still(SurfaceGeometry(detector, beam), hkl, ub[number], 1e-3)
            scale = 1 + number % 3
            for row, photons in enumerate(scale * intensity_of(spots.hkl) * spots.polarization):
                add_spot(mean, spots.slow_px[row], spots.fast_px[row], photons)
        counts[number] = rng.poisson(mean)
    counts.reshape(N_STILLS, -1)[:, masked] = 65535
    np.save(tmp_path / "stills.npy", counts)
    provenance = Provenance("test", {}, {})
    write_geometry_yaml(tmp_path / "geometry.yaml", detector, beam)
    hit = np.isfinite(ub[:, 0, 0])
    nothing = np.empty(0, dtype=np.float32)
    background = np.where(masked, np.nan, 0.2).astype(np.float32).reshape(N_SLOW, N_FAST)
    with write_still_truth(tmp_path / "truth.h5", crystal, table, background, 1.0, 0.8, provenance) as writer:
        writer.append(
            StillShots(hit, ub, hit.astype(float), np.ones(N_STILLS)),
            StillSpots(
                indptr=np.zeros(N_STILLS + 1, dtype=np.int64),
                hkl=np.empty((0, 3), dtype=np.int32),
                **{column.name: nothing for column in fields(StillSpots)[2:]},
            ),
        )
    write_mtz(tmp_path / "reference.mtz", table, crystal, 1.0, "test")
    return tmp_path


def test_stills_give_back_their_intensities(stills):
    given = Inputs(
        (str(stills / "stills.npy"),),
        still_truth=stills / "truth.h5",
        geometry=stills / "geometry.yaml",
        reference=stills / "reference.mtz",
    )
    scaled = CONFIG.model_copy(update={"scaling_rounds": 10})
    run(given, outputs(stills / "out"), scaled, QUIET)
    record = read_metrics(stills / "out" / "metrics.json")
    assert record["n_integrated"] > 400
    assert record["n_on_masked_pixels"] > 0
    assert record["n_with_invalid_pixels"] == 0
    assert record["cc_reference"] > 0.98
    assert record["r_meas"] < 0.1
    run(given, outputs(stills / "plain"), CONFIG, QUIET)
    plain = read_metrics(stills / "plain" / "metrics.json")
    assert plain["r_meas"] > 0.2  # the crystals differ in brightness by up to three
    assert plain["cc_reference"] < record["cc_reference"]
    assert (stills / "plain" / "observations.csv").read_bytes() == (stills / "out" / "observations.csv").read_bytes()
    frames = {int(float(row["image"])) for row in read_table(stills / "out" / "observations.csv")}
    assert 9 not in frames
    assert len(frames) == N_STILLS - 1
    with pytest.raises(ConfigError, match="needs the geometry"):
        run(Inputs(given.frames, still_truth=given.still_truth), outputs(stills), CONFIG, QUIET)
    np.save(stills / "few.npy", np.load(stills / "stills.npy")[:5])
    with pytest.raises(InputFileError, match="expected 5 shots"):
        run(
            Inputs((str(stills / "few.npy"),), still_truth=given.still_truth, geometry=given.geometry),
            outputs(stills),
            CONFIG,
            QUIET,
        )


@pytest.mark.real_data
def test_l_cysteine(data_dir, tmp_path):
    """Thirty real frames: intensities agree with those of DIALS, and spots lie where they are predicted."""
    folder = data_dir / "l_cysteine_i19"
    table = np.loadtxt(folder / "merged_mmm.hkl")
    crystal = Crystal((5.428, 8.141, 12.038, 90, 90, 90), "P 21 21 21")
    write_mtz(
        tmp_path / "reference.mtz", Reflections.bare(table[:, :3].astype(int), table[:, 3]), crystal, 0.6889, "test"
    )
    config = IntegrateSpotsConfig(
        runs=[{"experiment": 1, "n_frames": 15}, {"experiment": 2}],
        space_group="P 21 21 21",
        mosaicity_deg=0.1,
        disc_radius_px=4.0,
        ring_inner_px=5.0,
        ring_outer_px=9.0,
        n_shells=4,
    )
    given = Inputs(
        tuple(str(folder / "frames" / f"l-cyst_0{sweep}_*.cbf.bz2") for sweep in (1, 3)),
        (str(folder / "scaled_20_25.expt.gz"), str(folder / "scaled_35.expt.gz")),
        reference=tmp_path / "reference.mtz",
    )
    run(given, outputs(tmp_path), config, QUIET)
    record = read_metrics(tmp_path / "metrics.json")
    assert record["n_predicted"] == 75
    assert record["n_integrated"] == 26
    assert record["cc_reference"] > 0.99
    assert record["median_centroid_distance_px"] < 0.5
    with gzip.open(folder / "scaled_observations.csv.gz", "rt") as handle:
        theirs = {
            (row["sweep"], row["h"], row["k"], row["l"], round(float(row["z_frame"]), 1)): float(row["I_scaled"])
            for row in csv.DictReader(handle)
        }
    pairs = []
    for row in read_table(tmp_path / "observations.csv"):
        image = float(row["image"])
        sweep, image = ("01", image) if image < 15 else ("03", image - 15)
        other = theirs.get((sweep, row["h"], row["k"], row["l"], round(image, 1)))
        if other is not None:
            pairs.append((float(row["intensity"]), other))
    ours, dials = np.array(pairs).T
    assert len(pairs) >= 24
    assert np.corrcoef(ours, dials)[0, 1] > 0.995
    assert np.median(ours / dials) == pytest.approx(1, abs=0.1)
    # The angles in the frames' headers give a wrong image number away.
    wrong = config.model_copy(update={"runs": (config.runs[0].model_copy(update={"first_image": 2}), config.runs[1])})
    with pytest.raises(DataError, match="begins at"):
        run(given, outputs(tmp_path), wrong, QUIET)
