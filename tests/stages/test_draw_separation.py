import csv
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from fewphoton.config.separation_figure import DrawSeparationConfig, SeparationFigureName
from fewphoton.config.simulate_stills import SimulateStillsConfig
from fewphoton.data import PeakTable
from fewphoton.errors import ConfigError, DataError, InputFileError, OutputFileError
from fewphoton.io.cxi_peaks import write_cxi_peaks
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import open_raw_frames
from fewphoton.io.still_truth import read_still_truth
from fewphoton.stages import draw_separation, simulate_stills
from fewphoton.stages.contract import Context
from fewphoton.stages.draw_separation import Inputs, Outputs
from tests.conftest import ROOT

QUIET = Context(progress=False)
N_FRAMES = 6
STILLS = {
    "structure": str(ROOT / "config" / "structures" / "dimolybdenum_i43d.cif"),
    "n_frames": N_FRAMES,
    "hit_fraction": 0.5,
    "photons_per_crystal": 4000,
    "excitation_width_inv_angstrom": 5e-3,
    "dead_pixels": 5,
    "solvent_contrast": 0,
    "background": {"mean_photons": 4.0},
    "detector": {"modules": [2, 1], "module_pixels": [60, 100], "gap_pixels": [6, 0], "pixel_size_m": 1e-3},
    "wavelength_angstrom": 0.9,
}
SEVERAL_BINS = {"n_bins": 20}


def found_peaks(truth, keep):
    """Peaks half a pixel beside the strongest spots of every frame, and one stray peak in each."""
    columns = {name: [] for name in ("frame", "slow_px", "fast_px", "intensity")}
    for frame in range(N_FRAMES):
        rows = truth.spots.rows(frame)
        order = np.argsort(truth.spots.photons[rows])[::-1][:keep] + rows.start
        strays = [[10.0], [5.0]] if keep > 3 else [[], []]
        columns["slow_px"] += [*(truth.spots.slow_px[order] + 0.5).clip(0, 125), *strays[0]]
        columns["fast_px"] += [*truth.spots.fast_px[order].clip(0, 99), *strays[1]]
        columns["frame"] += [frame] * (len(order) + len(strays[0]))
    n = len(columns["frame"])
    columns["intensity"] = np.ones(n)
    return PeakTable(**columns, sigma=np.ones(n), n_pixels=np.ones(n, int), saturated=np.zeros(n, bool))


def write_quality(folder, name, cutoff):
    record = {"r_meas": 0.1, "cc_half": 0.99, "i_over_sigma": 9.0, "cc_reference": None}
    if cutoff:
        record |= {"cc_original": 1 - 0.01 * cutoff}
    (folder / f"{name}.json").write_text(json.dumps(record))
    rows = ["shell,d_max_angstrom,d_min_angstrom,r_meas,i_over_sigma,cc_original", "0,,4,0.1,12,0.99"]
    (folder / f"{name}.csv").write_text("\n".join([*rows, "1,4,3,0.2,1.5,0.95", ""]))
    sizes = {
        "kept_fraction": 0.02,
        "compression_ratio_to_uncompressed": 8.0,
        "compression_ratio_to_bitshuffle_lz4": 0.7,
    }
    (folder / f"{name}_sparse.json").write_text(json.dumps(sizes | ({"cutoff_pick": cutoff} if cutoff else {})))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("separation")
    outputs = simulate_stills.Outputs(place / "raw.h5", place / "g.yaml", place / "truth.h5")
    simulate_stills.run(simulate_stills.Inputs(None), outputs, SimulateStillsConfig(**STILLS), QUIET)
    truth, geometry = read_still_truth(place / "truth.h5"), read_geometry(place / "g.yaml")
    for name, keep in (("rings", 8), ("other", 3)):
        write_cxi_peaks(
            place / f"{name}.cxi",
            found_peaks(truth, keep),
            N_FRAMES,
            geometry.detector,
            geometry.beam,
            Provenance("test", {}, {}),
        )
    for name, cutoff in (("original", None), ("one", 1.0), ("two", 2.0)):
        write_quality(place, name, cutoff)
    return place


@pytest.fixture
def files(folder, monkeypatch, tmp_path):
    """Small files of every kind, as keyword arguments of Inputs."""
    monkeypatch.setenv("FEWPHOTON_CACHE", str(tmp_path / "cache"))
    names = ("original", "one", "two")
    return {
        "raw": (str(folder / "raw.h5"),),
        "geometry": folder / "g.yaml",
        "peaks": (str(folder / "rings.cxi"),),
        "still_truth": folder / "truth.h5",
        "sparsify": tuple(str(folder / f"{name}_sparse.json") for name in names[1:]),
        "spots": tuple(str(folder / f"{name}.json") for name in names),
        "shells": tuple(str(folder / f"{name}.csv") for name in names),
    }


NEEDED = {
    "error_models": ["geometry"],
    "signal_separation": ["raw", "geometry"],
    "pick_share": [],
    "spot_quality": ["spots", "shells"],
    "peak_counts": ["peaks"],
    "peak_comparison": ["raw", "geometry", "peaks"],
    "veto": ["peaks"],
}


@pytest.fixture(scope="module")
def hit(folder):
    """A frame with a crystal."""
    return int(np.flatnonzero(read_still_truth(folder / "truth.h5").shots.is_hit)[0])


def configured(figure, hit=0, **more):
    return DrawSeparationConfig(figure=figure, frame=hit, background=SEVERAL_BINS, **more)


def drawn(monkeypatch, tmp_path, inputs, config):
    """Run the stage; return the figure that it saved and its table."""
    kept = []
    monkeypatch.setattr(draw_separation.style, "save", lambda figure, path: kept.append(figure))
    draw_separation.run(Inputs(**inputs), Outputs(tmp_path / "a.png", tmp_path / "a.csv"), config, QUIET)
    with (tmp_path / "a.csv").open(newline="") as handle:
        return kept[0], list(csv.DictReader(handle))


def pick(files, *names):
    return {name: files[name] for name in names}


def test_every_figure_of_the_configuration_can_be_drawn():
    assert set(SeparationFigureName.__args__) == set(NEEDED) == set(draw_separation._FIGURES)


@pytest.mark.parametrize("figure", NEEDED)
def test_drawn_from_all_files_and_from_the_needed_ones_alone(tmp_path, files, hit, figure):
    cutoffs = (1.0, 2.0) if figure == "spot_quality" else ()
    for name, given in (("all", files), ("least", pick(files, *NEEDED[figure]))):
        target = Outputs(tmp_path / f"{name}.png", tmp_path / f"{name}.csv")
        draw_separation.run(Inputs(**given), target, configured(figure, hit, cutoffs=cutoffs), QUIET)
        assert imread(tmp_path / f"{name}.png")[..., :3].std() > 0.01
        assert len((tmp_path / f"{name}.csv").read_text().splitlines()) > 1
    draw_separation.run(Inputs(**files), Outputs(tmp_path / "b.png"), configured(figure, hit, cutoffs=cutoffs), QUIET)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "all.png").read_bytes()


@pytest.mark.parametrize("figure", [name for name in NEEDED if NEEDED[name]])
def test_missing_input_is_named_by_its_flag(tmp_path, files, figure):
    for missing in NEEDED[figure]:
        # Where raw frames are not needed but given, they want a geometry by themselves.
        rest = {name: value for name, value in files.items() if name != "raw" or name in NEEDED[figure]}
        del rest[missing]
        with pytest.raises(ConfigError, match=f"{figure}.*--{missing}"):
            draw_separation.run(Inputs(**rest), Outputs(tmp_path / "a.png"), configured(figure), QUIET)
    assert not (tmp_path / "a.png").exists()


def test_error_models_agree_with_the_truth(monkeypatch, tmp_path, files):
    config = configured("error_models", simulated_background={"mean_photons": 30.0})
    figure, rows = drawn(monkeypatch, tmp_path, pick(files, "geometry"), config)
    true, poisson, azimuthal = (
        np.array([float(row[f"std_{n}"]) for row in rows]) for n in ("true", "poisson", "azimuthal")
    )
    many = np.array([int(row["n_pixels"]) for row in rows]) > 100
    np.testing.assert_allclose(poisson[many], true[many], rtol=0.05)
    np.testing.assert_allclose(azimuthal[many], true[many], rtol=0.3)
    assert np.abs(azimuthal / true - 1)[many].mean() > 2 * np.abs(poisson / true - 1)[many].mean()
    again, _ = drawn(monkeypatch, tmp_path, pick(files, "geometry"), config)
    np.testing.assert_array_equal(again.axes[1].lines[0].get_ydata(), figure.axes[1].lines[0].get_ydata())
    config = config.model_copy(update={"seed": 1})
    other, _ = drawn(monkeypatch, tmp_path, pick(files, "geometry"), config)
    assert (other.axes[1].lines[0].get_ydata() != figure.axes[1].lines[0].get_ydata()).any()


def test_normalized_rings_have_the_normalized_truth(monkeypatch, tmp_path, files):
    settings = SEVERAL_BINS | {"solid_angle": True, "polarization": True, "unit": "q_inv_angstrom"}
    config = DrawSeparationConfig(
        figure="error_models", background=settings, simulated_background={"mean_photons": 50.0}
    )
    _, rows = drawn(monkeypatch, tmp_path, pick(files, "geometry"), config)
    many = [row for row in rows if int(row["n_pixels"]) > 100]
    np.testing.assert_allclose(
        [float(row["std_poisson"]) for row in many], [float(row["std_true"]) for row in many], rtol=0.05
    )
    assert "radius_inv_angstrom" in rows[0]


def test_clipping_removes_the_peaks(monkeypatch, tmp_path, files, hit):
    config = configured("signal_separation", hit, ring_radii=(0.02, 0.03, 0.04))
    figure, rows = drawn(monkeypatch, tmp_path, pick(files, "raw", "geometry"), config)
    before, after = (
        np.array([float(row[f"std_azimuthal_{when}"] or "nan") for row in rows]) for when in ("all", "clipped")
    )
    assert np.nanmax(before / after) > 1.5
    np.testing.assert_allclose(figure.axes[2].lines[1].get_ydata(), before)
    # A ring's histogram holds all pixels of the ring that lie on the axis.
    geometry = read_geometry(files["geometry"])
    with open_raw_frames(files["raw"]) as raw:
        frame = raw.read(np.array([hit]))[0].ravel()
    radius = np.linalg.norm(geometry.detector.pixel_centres_m()[:, :2], axis=1)
    usable = radius[~geometry.detector.masked]
    edges = np.linspace(usable.min(), usable.max(), 21)
    ring = int(np.searchsorted(edges, 0.02, side="right")) - 1
    inside = ~geometry.detector.masked & (radius >= edges[ring]) & (radius < edges[ring + 1])
    counts, limits, _ = figure.axes[3].patches[0].get_data()
    assert counts.sum() == np.count_nonzero(frame[inside] < limits[-1])
    assert len(figure.axes[3].lines) == 3


def test_ring_outside_and_missing_frame_are_refused(tmp_path, files):
    target = Outputs(tmp_path / "a.png")
    for config, error, word in (
        (configured("signal_separation", ring_radii=(5.0,)), ConfigError, "5 lies outside the rings"),
        (configured("signal_separation", 99), DataError, f"no frame 99; the files hold {N_FRAMES}"),
        (configured("peak_comparison", 99), DataError, "no frame 99"),
    ):
        with pytest.raises(error, match=word):
            draw_separation.run(Inputs(**files), target, config, QUIET)


def test_cutoffs_come_from_the_metrics_or_the_configuration(monkeypatch, tmp_path, files, folder):
    _, rows = drawn(monkeypatch, tmp_path, pick(files, "sparsify"), configured("pick_share"))
    assert [(row["cutoff_pick"], row["kept_fraction"]) for row in rows[3:]] == [("1.0", "0.02"), ("2.0", "0.02")]
    config = configured("pick_share", cutoffs=(0.5, 0.7), labels=("thaumatin",))
    figure, rows = drawn(monkeypatch, tmp_path, pick(files, "sparsify"), config)
    assert [row["cutoff_pick"] for row in rows[3:]] == ["0.5", "0.7"]
    assert figure.axes[1].lines[2].get_label() == "thaumatin"
    for given, config, word in (
        ({"sparsify": (str(folder / "original_sparse.json"),)}, configured("pick_share"), "needs cutoffs"),
        (pick(files, "sparsify"), configured("pick_share", cutoffs=(1.0,)), "2 files, found 1"),
        (pick(files, "sparsify"), configured("pick_share", labels=("a", "b")), "one name"),
    ):
        with pytest.raises(ConfigError, match=word):
            draw_separation.run(Inputs(**given), Outputs(tmp_path / "b.png"), config, QUIET)


def test_metrics_without_a_kept_fraction_are_refused_with_their_name(tmp_path, files):
    with pytest.raises(DataError, match=r"'pick_share' from .*one\.json.*within 0 and 1"):
        draw_separation.run(
            Inputs(sparsify=files["spots"][1:2]),
            Outputs(tmp_path / "a.png"),
            configured("pick_share", cutoffs=(1.0,)),
            QUIET,
        )


def test_quality_of_original_and_rebuilt_frames(monkeypatch, tmp_path, files):
    figure, rows = drawn(monkeypatch, tmp_path, pick(files, "spots", "shells", "sparsify"), configured("spot_quality"))
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), [0.01, 0.02])
    assert [row["frames"] for row in rows[::3]] == ["original", "n = 1", "n = 2"]
    assert [row["compression_ratio_to_bitshuffle-LZ4"] for row in rows[:6]] == ["", "", "", "", "", "0.7"]
    for change, word in (
        ({"shells": files["shells"][:2]}, "3 files of --spots, found 2"),
        ({"sparsify": files["sparsify"][:1]}, "2 cut-offs"),
        ({"sparsify": ()}, "needs cutoffs"),
    ):
        given = pick(files, "spots", "shells", "sparsify") | change
        with pytest.raises(ConfigError, match=word):
            draw_separation.run(Inputs(**given), Outputs(tmp_path / "b.png"), configured("spot_quality"), QUIET)


def test_empty_shells_are_refused(tmp_path, files):
    empty = tmp_path / "empty.csv"
    empty.write_text("shell,d_max_angstrom,d_min_angstrom\n")
    given = pick(files, "spots", "sparsify") | {"shells": (*files["shells"][:2], str(empty))}
    with pytest.raises(InputFileError, match=r"empty\.csv.*no resolution shell"):
        draw_separation.run(Inputs(**given), Outputs(tmp_path / "b.png"), configured("spot_quality"), QUIET)


def test_peaks_near_true_spots_are_told(monkeypatch, tmp_path, files, folder, hit):
    truth = read_still_truth(folder / "truth.h5")
    peaks = (*files["peaks"], str(folder / "other.cxi"))
    figure, rows = drawn(monkeypatch, tmp_path, files | {"peaks": peaks}, configured("peak_comparison", hit))
    # Eight peaks stand half a pixel beside spots, the ninth far from all.
    counted = {name: sum(int(row[name]) for row in rows) for name in rows[0] if "q_" not in name}
    assert counted == {"rings": 9, "rings_near_predicted": 8, "other": 3, "other_near_predicted": 3}
    assert figure.axes[0].get_legend().get_texts()[2].get_text() == f"predicted: {np.diff(truth.spots.indptr)[hit]}"
    _, rows = drawn(
        monkeypatch, tmp_path, pick(files, "raw", "geometry") | {"peaks": peaks}, configured("peak_comparison", hit)
    )
    assert sum(int(row["rings_near_another"]) for row in rows) == 3


def test_predictions_have_one_source(tmp_path, files):
    given = files | {"experiments": tmp_path / "a.expt"}
    with pytest.raises(ConfigError, match="either"):
        draw_separation.run(Inputs(**given), Outputs(tmp_path / "a.png"), configured("peak_comparison"), QUIET)


def test_veto_tells_hits_from_blanks(monkeypatch, tmp_path, files, folder):
    is_hit = read_still_truth(folder / "truth.h5").shots.is_hit
    _, rows = drawn(monkeypatch, tmp_path, pick(files, "peaks", "still_truth"), configured("veto", minimum_peaks=3))
    columns = {name: [float(row[name]) for row in rows] for name in rows[0]}
    # Hits have nine peaks, blanks one.
    n_hits = int(is_hit.sum())
    assert columns["n_hits_kept"] == [n_hits] * 10 + [0]
    assert columns["n_blanks_kept"] == [N_FRAMES - n_hits] * 2 + [0] * 9
    np.testing.assert_allclose(columns["data_kept"], [1, 1] + [n_hits / N_FRAMES] * 8 + [0])
    with pytest.raises(ConfigError, match="one file of peaks, found 2"):
        draw_separation.run(Inputs(peaks=files["peaks"] * 2), Outputs(tmp_path / "b.png"), configured("veto"), QUIET)


def test_counts_carry_the_names_of_the_files(monkeypatch, tmp_path, files, folder):
    both = (*files["peaks"], str(folder / "other.cxi"))
    figure, rows = drawn(monkeypatch, tmp_path, {"peaks": both}, configured("peak_counts", minimum_peaks=2))
    assert list(rows[0]) == ["frame", "rings", "other"]
    assert len(rows) == N_FRAMES
    assert figure.axes[0].lines[0].get_label().startswith("rings: ")
    config = configured("peak_counts", labels=("a",))
    with pytest.raises(ConfigError, match="2 input files, found 1"):
        draw_separation.run(Inputs(peaks=both), Outputs(tmp_path / "b.png"), config, QUIET)


def test_missing_and_foreign_files_are_refused(tmp_path, files, folder):
    target = Outputs(tmp_path / "a.png")
    for change, figure in (
        ({"peaks": (str(tmp_path / "none.cxi"),)}, "veto"),
        ({"peaks": files["raw"]}, "peak_counts"),
        ({"still_truth": folder / "raw.h5"}, "veto"),
        ({"geometry": tmp_path / "none.yaml"}, "signal_separation"),
        ({"sparsify": (str(tmp_path / "none.json"),)}, "pick_share"),
    ):
        with pytest.raises(InputFileError):
            draw_separation.run(Inputs(**files | change), target, configured(figure), QUIET)
    with pytest.raises(OutputFileError, match="figure file"):
        draw_separation.run(Inputs(), Outputs(tmp_path / "a.gif"), configured("pick_share"), QUIET)


@pytest.mark.real_data
def test_predictions_of_a_real_rotation_meet_the_peaks(monkeypatch, tmp_path, data_dir):
    """Most of the brightest pixels of L-cysteine lie where the refined model puts spots."""
    folder = data_dir / "l_cysteine_i19"
    config = DrawSeparationConfig(figure="peak_comparison", frame=4, experiment=1)
    monkeypatch.setenv("FEWPHOTON_CACHE", str(tmp_path))
    geometry = folder / "frames" / "l-cyst_01_00001.cbf.bz2"
    with open_raw_frames([str(folder / "frames" / "l-cyst_01_00005.cbf.bz2")]) as raw:
        frame = raw.read(np.array([0]))[0]
    bright = np.argwhere(frame > 100)
    columns = {"slow_px": bright[:, 0], "fast_px": bright[:, 1], "intensity": np.ones(len(bright))}
    n = len(bright)
    table = PeakTable(
        frame=np.full(n, 4), **columns, sigma=np.ones(n), n_pixels=np.ones(n, int), saturated=np.zeros(n, bool)
    )
    known = read_geometry(geometry)
    write_cxi_peaks(tmp_path / "p.cxi", table, 15, known.detector, known.beam, Provenance("test", {}, {}))
    given = {
        "raw": (str(folder / "frames" / "l-cyst_01_*.cbf.bz2"),),
        "geometry": geometry,
        "peaks": (str(tmp_path / "p.cxi"),),
        "experiments": folder / "scaled_20_25.expt.gz",
    }
    _, rows = drawn(monkeypatch, tmp_path, given, config)
    assert n == 12
    assert sum(int(row["p_near_predicted"]) for row in rows) >= 8
    with pytest.raises(ConfigError, match="no experiment 7"):
        drawn(monkeypatch, tmp_path, given, config.model_copy(update={"experiment": 7}))
    with pytest.raises(ConfigError, match="outside the scan, 1 to 1700"):
        drawn(monkeypatch, tmp_path, given, config.model_copy(update={"image": 1701}))


def test_captions_stand_beside_every_figure():
    folder = Path(__file__).resolve().parents[2] / "workflow" / "report"
    for figure in NEEDED:
        assert (folder / f"{figure}.rst").read_text(encoding="utf-8").strip()
