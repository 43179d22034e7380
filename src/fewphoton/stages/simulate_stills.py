"""simulate-stills: snapshots of randomly oriented crystals with their ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fewphoton.config.simulate_stills import SimulateStillsConfig
from fewphoton.data import Beam, Detector, FrameTable
from fewphoton.errors import ConfigError
from fewphoton.io.crystal_files import read_structure
from fewphoton.io.geometry_files import read_geometry
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.metrics import write_metrics
from fewphoton.io.provenance import Provenance, file_digest
from fewphoton.io.raw_hdf5 import write_raw_frames
from fewphoton.io.reflections import write_mtz
from fewphoton.io.still_truth import write_still_truth
from fewphoton.kernels.threads import use_threads
from fewphoton.simulate.serial_stills import StillExperiment, stills
from fewphoton.stages.contract import Context, input_files, path_field

Config = SimulateStillsConfig

_GEOMETRY_KEYS = ("detector", "wavelength_angstrom", "polarization_fraction")


@dataclass(frozen=True)
class Inputs:
    """What the stage reads beside the structure that the configuration names."""

    given_geometry: Path | None = path_field(
        "detector geometry, mask and beam in place of the configured ones (.yaml, .poni, .geom, .h5, .cbf)",
        optional=True,
    )


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    raw: Path = path_field("frames of photon counts; masked pixels hold the largest number (HDF5)")
    geometry: Path = path_field("detector geometry, mask and beam (YAML)")
    truth: Path = path_field("crystals, spots and background of every frame (HDF5)")
    reference: Path | None = path_field("true intensities (MTZ)", optional=True)
    metrics: Path | None = path_field("numbers of the run (JSON)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: SimulateStillsConfig, context: Context) -> None:
    """Simulate."""
    use_threads(context.threads)
    if config.structure is None:
        raise ConfigError("simulate-stills needs the structure of the crystals")
    experiment = StillExperiment.build(config, read_structure(config.structure), _given_geometry(inputs, config))
    content = config.model_dump(mode="json") | {"structure": config.structure.name}
    provenance = Provenance(
        "simulate-stills",
        content,
        {f"{role}:{path.name}": file_digest(path) for role, path in input_files(inputs).items()}
        | {f"structure:{config.structure.name}": file_digest(config.structure)},
        ("simulated",),
    )
    detector, beam = experiment.detector, experiment.beam
    write_geometry_yaml(outputs.geometry, detector, beam)
    if outputs.reference is not None:
        origin = "calculated from a structure"
        write_mtz(outputs.reference, experiment.reference, experiment.crystal, beam.wavelength_angstrom, origin)
    n_hits, n_spots, bragg_photons = 0, 0, 0.0
    table = FrameTable.unknown(config.n_frames)
    background = experiment.background.map().astype(np.float32).reshape(detector.frame_shape)
    with (
        write_raw_frames(outputs.raw, detector.frame_shape, config.dtype, config.n_frames, table, provenance) as raw,
        write_still_truth(
            outputs.truth,
            experiment.crystal,
            experiment.reference,
            background,
            beam.wavelength_angstrom,
            config.spot_sigma_px,
            provenance,
        ) as truth,
    ):
        n_chunks = -(-config.n_frames // config.chunk_frames)
        for counts, shots, spots in context.track(stills(experiment), "simulate", "chunks", total=n_chunks):
            raw.append(counts)
            truth.append(shots, spots)
            n_hits += int(shots.is_hit.sum())
            n_spots += len(spots)
            bragg_photons += float(spots.photons.sum(dtype=np.float64))
    if outputs.metrics is not None:
        record = {
            "n_frames": config.n_frames,
            "n_hits": n_hits,
            "n_spots": n_spots,
            "mean_bragg_photons_per_hit": bragg_photons / n_hits if n_hits else None,
            "mean_background_photons_per_pixel": float(np.nanmean(background, dtype=np.float64)),
            "usable_pixels": int((~detector.masked).sum()),
            "n_reflections": len(experiment.reference),
        }
        write_metrics(outputs.metrics, record)


def _given_geometry(inputs: Inputs, config: SimulateStillsConfig) -> tuple[Detector, Beam] | None:
    if inputs.given_geometry is None:
        return None
    both = [key for key in _GEOMETRY_KEYS if key in config.model_fields_set]
    if both:
        raise ConfigError(
            f"the geometry file {inputs.given_geometry} and the configuration both give {', '.join(both)}; leave out "
            "one"
        )
    geometry = read_geometry(inputs.given_geometry)
    return geometry.detector, geometry.beam
