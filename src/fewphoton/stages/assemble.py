"""assemble: photon frames of known angles to an intensity volume, the reference of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fewphoton.config import AssembleConfig
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.emc.assemble import assemble
from fewphoton.emc.orientation_sample import default_orientations
from fewphoton.emc.pixels import PixelRows
from fewphoton.io.crystal_description import read_crystal
from fewphoton.io.photon_files import open_photon_file
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import write_volume_file
from fewphoton.kernels.threads import use_threads
from fewphoton.stages.contract import Context, input_files, path_field

Config = AssembleConfig

_ANGLES_PER_STEP = 2  # finer than the reconstruction's angles, so that binning adds no blur of its own


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    frames: Path = path_field("photon file with recorded angles")
    crystal: Path = path_field("crystal description (cell, space group, UB, rotation axis)")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    volume: Path = path_field("intensity volume with half sets (HDF5)")


def run(inputs: Inputs, outputs: Outputs, config: AssembleConfig, context: Context) -> None:
    """Merge the frames."""
    use_threads(context.threads)
    crystal, axis = read_crystal(inputs.crystal)
    with open_photon_file(inputs.frames) as reader:
        rows = PixelRows.select(
            reader.detector,
            reader.beam,
            crystal,
            axis,
            voxels_per_cell=config.grid.voxels_per_cell,
            n_voxels=config.grid.n_voxels,
            axis_margin_pixels=0.0,
            q_max_inv_angstrom=config.q_max_inv_angstrom,
            corrections=config.corrections,
        )
        n_angles = _ANGLES_PER_STEP * default_orientations(rows.n_voxels)
        chunks: Iterable[PhotonFrames] = reader.chunks(max_frames=4096)
        if config.shuffle_seed is not None:
            chunks = _shuffled(chunks, reader.table, np.random.default_rng(config.shuffle_seed))
        chunks = context.track(chunks, "assemble", "chunks")
        volume, halves = assemble(chunks, rows, crystal, axis, n_angles, config.angle_offset_deg)
    provenance = Provenance.of("assemble", config.model_dump(mode="json"), input_files(inputs))
    write_volume_file(outputs.volume, volume, crystal, axis, provenance, halves=halves)


def _shuffled(chunks: Iterable[PhotonFrames], table: FrameTable, rng: np.random.Generator) -> Iterator[PhotonFrames]:
    """Yield the frames with each other's angles."""
    order = rng.permutation(len(table))
    place = 0
    for chunk in chunks:
        taken = table.take(order[place : place + chunk.n_frames])
        place += chunk.n_frames
        angles = replace(chunk.table, omega_start_deg=taken.omega_start_deg, omega_end_deg=taken.omega_end_deg)
        yield replace(chunk, table=angles)
