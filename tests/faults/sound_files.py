"""A small sound file of every kind in ``readers``: what mutations start from."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import make_dataclass
from pathlib import Path

import fabio
import gemmi
import h5py
import numpy as np
import yaml

from fewphoton.data import (
    AzimuthalBins,
    Beam,
    FrameOrientations,
    FrameTable,
    IterateTrace,
    PeakTable,
    Reflections,
    Shot,
    SparseFrames,
)
from fewphoton.data.density import Density
from fewphoton.data.recovered_molecule import RecoveredMolecule
from fewphoton.io.background_files import write_background_curve, write_background_map
from fewphoton.io.calibration_files import write_calibration_file
from fewphoton.io.crystal_description import write_crystal
from fewphoton.io.cxi_peaks import write_cxi_peaks
from fewphoton.io.dense_frames import write_dense_frames
from fewphoton.io.density_files import write_density_file
from fewphoton.io.emc_binary import write_emc_binary
from fewphoton.io.emc_checkpoint import CheckpointFile
from fewphoton.io.emc_hdf5 import write_emc_hdf5
from fewphoton.io.evaluation_files import write_evaluation
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.iterate_traces import write_iterate_trace
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.molecule_files import write_xyz
from fewphoton.io.orientation_files import write_orientation_file
from fewphoton.io.pattern_files import write_pattern_file
from fewphoton.io.phasing_checkpoint import PhasingCheckpointFile
from fewphoton.io.photon_files import write_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import write_raw_frames
from fewphoton.io.recovered_files import write_recovered_file
from fewphoton.io.recovery_log import RecoveryLog
from fewphoton.io.reflections import write_mtz
from fewphoton.io.search_checkpoint import SearchCheckpointFile
from fewphoton.io.shot_files import write_shot_file
from fewphoton.io.sparse_nexus import write_sparse_file
from fewphoton.io.still_truth import write_still_truth
from fewphoton.io.volumes import write_ccp4_map, write_volume_file
from tests.conftest import ROOT, flat_detector, random_frames
from tests.data.test_evaluation import small_evaluation
from tests.faults.readers import IDENTITY, N_ATOMS, N_PIXELS, N_REPLICAS, SHAPE
from tests.io import test_search_checkpoint
from tests.io.test_dials_experiments import LIST
from tests.io.test_dragonfly_output import write_output
from tests.io.test_geometry_crystfel import TEXT as CRYSTFEL
from tests.io.test_geometry_nxmx import short_file
from tests.io.test_sparse_scan import PARAMETERS, scan_file
from tests.io.test_still_truth import CRYSTAL, PARTS
from tests.io.test_volumes import grid
from tests.simulate.molecules import made_up_molecule, pdb_text
from tests.workflow.test_workflow import small_run

DETECTOR, BEAM, MADE = flat_detector(*SHAPE), Beam(0.9), Provenance("test", IDENTITY, {})
RNG = np.random.default_rng(0)
FRAMES = RNG.integers(0, 4000, (5, *SHAPE)).astype(np.uint16)
NUMBER = np.arange(5)
TABLE = FrameTable(NUMBER, np.ones(5, dtype=np.int32), NUMBER // 2, 0.5 * NUMBER, 0.5 * NUMBER + 0.5)
PONI = """poni_version: 2.1
Detector: Detector
Detector_config: {"pixel1": 0.001, "pixel2": 0.001, "max_shape": [12, 10], "orientation": 3}
Distance: 0.05
Poni1: 0.006
Poni2: 0.005
Rot1: 0.01
Rot2: 0.0
Rot3: 0.0
Wavelength: 9e-11
"""
CELL = "a = 79.1 A\nb = 7.91 nm\nc = 37.9 A\nal = 90.0 deg\nbe = 90.0 deg\nga = 90.0 deg\n"


def write_sound_files(folder: Path) -> None:
    """Write all of them but the checkpoint of a training."""
    _raw_frames(folder)
    _geometry_and_crystals(folder)
    _frames(folder)
    _results(folder)
    _checkpoints(folder)
    (folder / "anything.bin").write_bytes(bytes(range(256)))


def write_sound_training(folder: Path) -> None:
    """Write the checkpoint of a training as PyTorch stores it."""
    import torch

    from fewphoton.xrai.checkpoint import checkpoint_bytes

    content = {"identity": "x", "training": {"step": 3, "weights": {"a": torch.arange(24.0).reshape(4, 6)}, "b": [1.5]}}
    (folder / "training.pt").write_bytes(checkpoint_bytes(content))


def _raw_frames(folder: Path) -> None:
    with write_raw_frames(folder / "raw.h5", SHAPE, np.uint16, 5, TABLE, MADE) as raw:
        raw.append(FRAMES)
    (folder / "raw.h5.gz").write_bytes(gzip.compress((folder / "raw.h5").read_bytes(), mtime=0))
    with h5py.File(folder / "raw_gzip.h5", "w") as file:
        file.create_dataset("stack", data=FRAMES, chunks=(2, *SHAPE), compression="gzip", shuffle=True)
    for layout, name in (("lima", "raw_lima.h5"), ("nxmx", "raw_nxmx.h5"), ("cbf", "cbf_files")):
        given = FRAMES.astype(np.int32) if layout == "cbf" else FRAMES
        with write_dense_frames(folder / name, layout, DETECTOR, BEAM, given.dtype, 5, MADE, table=TABLE) as dense:
            dense.append(given)
    shutil.copy(folder / "raw_nxmx.h5", folder / "raw_nxmx.nxs")
    first = min((folder / "cbf_files").glob("*.cbf"))
    for name in ("raw.cbf", "detector.cbf"):
        shutil.copy(first, folder / name)
    shutil.rmtree(folder / "cbf_files")
    fabio.edfimage.EdfImage(data=FRAMES[0], header={"a": "1"}).write(str(folder / "raw.edf"))
    fabio.tifimage.TifImage(data=FRAMES[0]).write(str(folder / "raw.tif"))
    fabio.tifimage.TifImage(data=(FRAMES[0] < 100).astype(np.uint8)).write(str(folder / "mask.tif"))
    np.save(folder / "raw.npy", FRAMES)
    np.save(folder / "mask.npy", (FRAMES[0] < 100).astype(np.uint8))


def _geometry_and_crystals(folder: Path) -> None:
    masked = np.zeros(N_PIXELS, dtype=bool)
    masked[[0, 1, 50]] = True
    write_geometry_yaml(folder / "detector.yaml", DETECTOR.with_mask(masked), BEAM, np.array([0, 1.0, 0]))
    short_file(folder / "detector_short.h5")
    crystals = {"detector.poni": PONI, "detector.geom": CRYSTFEL, "detector.par": PARAMETERS, "cell.cell": CELL}
    for name, text in crystals.items():
        (folder / name).write_text(text)
    write_crystal(folder / "crystal.yaml", CRYSTAL, np.array([0, 1.0, 0]))
    shutil.copy(ROOT / "config/structures/dimolybdenum_i43d.cif", folder / "structure.cif")
    shutil.copy(folder / "structure.cif", folder / "cell.cif")
    cell = "CRYST1   79.100   79.100   37.900  90.00  90.00  90.00 P 43 21 2     8\n"
    text = f"{cell}{pdb_text(made_up_molecule())}END\n"
    for name in ("structure.pdb", "molecule.pdb", "cell.pdb"):
        (folder / name).write_text(text)
    document = gemmi.read_pdb_string(text).make_mmcif_document()
    for name in ("structure.mmcif", "molecule.cif"):
        document.write_file(str(folder / name))
    write_xyz(folder / "molecule.xyz", made_up_molecule(), "a comment")
    (folder / "list.expt").write_text(json.dumps(LIST))


def _frames(folder: Path) -> None:
    photons = random_frames(25, N_PIXELS, 40.0)
    with write_photon_file(folder / "photons.h5", DETECTOR, BEAM, MADE) as writer:
        writer.append(photons)
    write_emc_binary(folder / "photons.emc", lambda: [photons], N_PIXELS)
    write_emc_hdf5(folder / "photons_emc.h5", lambda: [photons], N_PIXELS)
    scan_file(folder / "scan.h5")
    with write_pattern_file(folder / "patterns.h5", DETECTOR, BEAM, 6, MADE) as writer:
        writer.append(RNG.random((6, N_PIXELS)).astype(np.float32), FrameTable.unknown(6))
    radius = np.linalg.norm(DETECTOR.pixel_centres_m()[:, :2], axis=1).astype(np.float32)
    edges = np.linspace(0, radius.max() * 1.01, 9)
    bins = AzimuthalBins(SHAPE, "r_m", edges, radius, (np.digitize(radius, edges) - 1).astype(np.uint16))
    sparse = SparseFrames(
        np.array([0, 3, 3, 5]),
        np.array([1, 7, 100, 0, 119]),
        np.array([60, 70, 80, 90, 100], dtype=np.uint16),
        RNG.uniform(1, 20, (3, 8)),
        RNG.uniform(1, 3, (3, 8)),
    )
    table = FrameTable.unknown(3)
    with write_sparse_file(folder / "sparse.h5", bins, DETECTOR, BEAM, np.uint16, 65535, table, MADE, ()) as writer:
        writer.append(sparse)
    frame = np.repeat(np.arange(4), [3, 0, 5, 1])
    slow, fast = RNG.uniform(0, 9, (2, 9))
    peaks = PeakTable(frame, slow, fast, RNG.normal(100, 9, 9), RNG.random(9) + 1, np.arange(9) + 1, frame > 1)
    write_cxi_peaks(folder / "peaks.cxi", peaks, 4, DETECTOR, BEAM, MADE)


def _results(folder: Path) -> None:
    axis = np.array([0.0, 1, 0])
    write_volume_file(folder / "volume.h5", grid(0, 8), CRYSTAL, axis, MADE, (grid(1, 8), grid(2, 8)))
    write_ccp4_map(folder / "map.ccp4", RNG.random((6, 8, 10)), (5, 6, 7, 80, 95, 100))
    write_density_file(folder / "density.h5", Density(RNG.random((8, 8, 8)), 50.0, 0.01, 0.2), MADE)
    five, angles = np.full(5, 0.5), np.linspace(0, 90, 30)
    turns = np.tile([1.0, 0, 0, 0], (5, 1))
    found = FrameOrientations(five, np.arange(5), five, five, five, angles, turns, 5.0, five, five)
    write_orientation_file(folder / "orientations.h5", found, MADE)
    write_output(folder / "dragonfly.h5", probabilities=True)
    hkl = np.array([[1, 1, 0], [2, 1, 1], [3, 1, 0]])
    three, ones = np.array([120.5, 3.25, 0.5]), np.ones(3, dtype=np.int32)
    for name in ("merged.mtz", "cell.mtz"):
        write_mtz(folder / name, Reflections(hkl, three, three, ones, three, three), CRYSTAL, 0.71, "test")
    (folder / "merged.hkl").write_text("1 1 0 120.5 2.0\n2 1 1 3.25 1e-1 7\n3 1 0 -0.5 0.25\n0 0 0 0 0\n")
    q = np.column_stack([np.linspace(0, 1, 40), np.zeros((40, 2))])
    shot = Shot(0.35, q, RNG.uniform(0, 50, 40), 0.2, 0.03, {"C": 5, "O": 3, "Cl": 1})
    for name in ("shot.h5", "shot_truth.h5"):
        write_shot_file(folder / name, shot, MADE, made_up_molecule())
    reference = Reflections.bare(np.array([[1, 1, 0], [2, 0, 1]], dtype=np.int32), np.array([5.0, 7.5]))
    mean = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)
    with write_still_truth(folder / "still_truth.h5", CRYSTAL, reference, mean, 1.03, 0.9, MADE) as writer:
        for part in PARTS:
            writer.append(*part)
    write_evaluation(folder / "evaluation.h5", small_evaluation(), MADE)
    trace = IterateTrace(np.array([1, 3]), np.array([0.1, 0.3]), hkl, RNG.random((2, 3)), RNG.random(3), 0.2)
    write_iterate_trace(folder / "trace.h5", trace, MADE)
    write_background_map(folder / "background_map.h5", RNG.random(SHAPE), MADE)
    write_background_curve(folder / "background_curve.h5", np.linspace(0, 2, 30), RNG.random(30), MADE)
    pixels = {name: np.ones(SHAPE, np.float32) for name in ("offset_adu", "adu_per_photon", "read_noise_adu")}
    write_calibration_file(folder / "calibration.h5", pixels, MADE)
    stages = {name: np.ones((3, *SHAPE), np.float32) for name in ("pedestal_adu", "gain_adu_per_kev")}
    write_calibration_file(folder / "gain_stages.h5", stages, MADE)
    np.save(folder / "labels.npy", np.array([0, 1, -1, 0, 1, 1]))
    (folder / "labels.txt").write_text("0\n1\n-1\nnan\n1\n1\n")
    write_recovered_file(folder / "found.json", [RecoveredMolecule(made_up_molecule(), 1.01)], MADE)
    write_metrics(folder / "metrics.json", {"a": 1.5, "b": None, "c": "word"})
    write_table(folder / "table.csv", [{"a": 1, "b": "x"}, {"a": 2.5, "b": "y,z"}])
    (folder / "run.yaml").write_text(yaml.safe_dump(small_run()))


def _checkpoints(folder: Path) -> None:
    record = make_dataclass("Record", [("iteration", int), ("change", float)])
    memory = {"power": RNG.random(4)}
    CheckpointFile(folder / "emc_checkpoint.h5", IDENTITY).write(RNG.random((7, 7, 7)), [record(1, 0.5)], memory)
    search = SearchCheckpointFile(folder / "search_checkpoint.h5", IDENTITY, N_REPLICAS, N_ATOMS)
    search.write(test_search_checkpoint.parts())
    start = (RNG.random((6, 6, 6)), RNG.random((6, 6, 6)) < 0.5, 0.2, 0.3)
    PhasingCheckpointFile(folder / "phasing_checkpoint.h5", IDENTITY).write([start, None, start])
    log = RecoveryLog(folder / "table.csv", IDENTITY)
    for number in range(3):
        log.append(number, {"rmsd": 0.5, "found": True})
