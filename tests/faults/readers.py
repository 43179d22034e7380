"""How each kind of file that a user gives is read: all of it, as the stages do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fewphoton.config.load import load_run
from fewphoton.io.background_files import read_background_shape
from fewphoton.io.calibration_files import read_gain_stages, read_pixel_calibration
from fewphoton.io.cell_files import read_cell
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.crystal_files import read_structure
from fewphoton.io.cxi_peaks import read_cxi_peaks
from fewphoton.io.density_files import read_density_file
from fewphoton.io.dials_experiments import read_dials_experiments
from fewphoton.io.dragonfly_output import read_dragonfly_output
from fewphoton.io.emc_binary import EmcBinaryReader
from fewphoton.io.emc_checkpoint import CheckpointFile
from fewphoton.io.emc_hdf5 import EmcHdf5Reader
from fewphoton.io.evaluation_files import read_evaluation
from fewphoton.io.frame_labels import read_labels
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.iterate_traces import read_iterate_trace
from fewphoton.io.metrics import read_metrics, read_table
from fewphoton.io.molecule_files import read_molecule
from fewphoton.io.orientation_files import read_orientation_file
from fewphoton.io.pattern_files import read_patterns
from fewphoton.io.phasing_checkpoint import PhasingCheckpointFile
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import file_digest
from fewphoton.io.raw_frames import open_raw_frames
from fewphoton.io.recovered_files import read_recovered_file
from fewphoton.io.recovery_log import RecoveryLog
from fewphoton.io.reflections import read_mtz, read_reflection_list
from fewphoton.io.search_checkpoint import SearchCheckpointFile
from fewphoton.io.shot_files import read_shot_file, read_true_molecule
from fewphoton.io.sparse_nexus import open_sparse_file
from fewphoton.io.sparse_scan import open_sparse_scan, take_counts
from fewphoton.io.still_truth import read_still_truth
from fewphoton.io.volumes import read_ccp4_map, read_volume_file
from fewphoton.stages.frame_image import masked_by
from tests.conftest import flat_detector

SHAPE = (12, 10)
N_PIXELS = SHAPE[0] * SHAPE[1]
IDENTITY = {"a": 1}
N_REPLICAS, N_ATOMS = 4, 5


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name in the folder of sound files, and a function that reads all of such a file."""

    name: str
    read: Callable[[Path], Any]


def _raw(path: Path, inside: str = "") -> None:
    with open_raw_frames([f"{path}{inside}"]) as raw:
        for _ in raw.chunks(2):
            pass
        if raw.n_frames:
            raw.deferred(raw.n_frames - 1)()
        raw.read(np.arange(min(2, raw.n_frames)))


def _photons(path: Path) -> None:
    with open_photon_file(path) as reader:
        assert len(reader.table) == reader.n_frames
        exhaust(reader.chunks(300, 2))


def _sparse(path: Path) -> None:
    with open_sparse_file(path) as reader:
        for start in range(0, reader.file.n_frames, 1000):
            reader.read(start, min(start + 1000, reader.file.n_frames))


def _scan(path: Path) -> None:
    with open_sparse_scan(path) as scan:
        exhaust(take_counts(scan, 60000, 10000))


def _patterns(path: Path) -> None:
    content = read_patterns(path)
    content.source.patterns(np.arange(min(3, content.source.n_patterns)))


def _chain(path: Path) -> None:
    from fewphoton.errors import DataError, InputFileError
    from fewphoton.xrai.checkpoint import checkpoint_content

    try:
        checkpoint_content(path.read_bytes())
    except DataError as error:  # the stage names the file
        raise InputFileError(path, str(error)) from error


def _labels(path: Path) -> None:
    read_labels([str(path)], 6)


def exhaust(items: Iterable[object]) -> None:
    """Take all items."""
    for _ in items:
        pass


def _background(path: Path) -> None:
    from fewphoton.data import Beam

    read_background_shape(path, flat_detector(*SHAPE), Beam(0.9))


KINDS = (
    Kind("raw.h5", _raw),
    Kind("raw_gzip.h5", lambda path: _raw(path, "::/stack")),
    Kind("raw.h5.gz", _raw),
    Kind("raw_lima.h5", _raw),
    Kind("raw_nxmx.h5", _raw),
    Kind("raw.cbf", _raw),
    Kind("raw.edf", _raw),
    Kind("raw.tif", _raw),
    Kind("raw.npy", _raw),
    Kind("mask.npy", lambda path: masked_by([str(path)], SHAPE)),
    Kind("mask.tif", lambda path: masked_by([str(path)], SHAPE)),
    Kind("detector.poni", lambda path: read_geometry(path, SHAPE)),
    Kind("detector.geom", read_geometry),
    Kind("detector.yaml", lambda path: read_geometry(path, SHAPE)),
    Kind("detector.cbf", read_geometry),
    Kind("detector.par", lambda path: read_geometry(path, SHAPE)),
    Kind("detector_short.h5", read_geometry),
    Kind("raw_nxmx.nxs", read_geometry),
    Kind("crystal.yaml", read_crystal),
    Kind("structure.cif", read_structure),
    Kind("structure.mmcif", read_structure),
    Kind("structure.pdb", read_structure),
    Kind("molecule.pdb", read_molecule),
    Kind("molecule.cif", read_molecule),
    Kind("molecule.xyz", read_molecule),
    Kind("cell.cell", read_cell),
    Kind("cell.pdb", read_cell),
    Kind("cell.cif", read_cell),
    Kind("cell.mtz", read_cell),
    Kind("list.expt", read_dials_experiments),
    Kind("photons.h5", _photons),
    Kind("photons.emc", lambda path: exhaust(EmcBinaryReader(path).chunks())),
    Kind("photons_emc.h5", lambda path: exhaust(EmcHdf5Reader(path).chunks())),
    Kind("scan.h5", _scan),
    Kind("sparse.h5", _sparse),
    Kind("peaks.cxi", read_cxi_peaks),
    Kind("patterns.h5", _patterns),
    Kind("volume.h5", read_volume_file),
    Kind("map.ccp4", read_ccp4_map),
    Kind("density.h5", read_density_file),
    Kind("orientations.h5", read_orientation_file),
    Kind("dragonfly.h5", read_dragonfly_output),
    Kind("merged.mtz", read_mtz),
    Kind("merged.hkl", read_reflection_list),
    Kind("shot.h5", read_shot_file),
    Kind("shot_truth.h5", read_true_molecule),
    Kind("still_truth.h5", read_still_truth),
    Kind("evaluation.h5", read_evaluation),
    Kind("trace.h5", read_iterate_trace),
    Kind("background_map.h5", _background),
    Kind("background_curve.h5", _background),
    Kind("calibration.h5", lambda path: read_pixel_calibration(path, N_PIXELS)),
    Kind("gain_stages.h5", lambda path: read_gain_stages(path, N_PIXELS)),
    Kind("labels.npy", _labels),
    Kind("labels.txt", _labels),
    Kind("found.json", read_recovered_file),
    Kind("metrics.json", read_metrics),
    Kind("table.csv", read_table),
    Kind("run.yaml", load_run),
    Kind("emc_checkpoint.h5", lambda path: CheckpointFile(path, IDENTITY).read()),
    Kind("search_checkpoint.h5", lambda path: SearchCheckpointFile(path, IDENTITY, N_REPLICAS, N_ATOMS).read()),
    Kind("phasing_checkpoint.h5", lambda path: PhasingCheckpointFile(path, IDENTITY).read()),
    Kind("table.partial.0.jsonl", lambda path: RecoveryLog(path.with_name("table.csv"), IDENTITY).read()),
    Kind("anything.bin", file_digest),
)
TRAINING = (Kind("training.pt", _chain),)
"""Kept apart: PyTorch takes seconds to load."""
