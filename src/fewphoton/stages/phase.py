"""phase: a density from the Fourier intensities of a single particle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from fewphoton.config.phase import PhaseConfig
from fewphoton.data.density import Density
from fewphoton.emc.symmetry import symmetrized
from fewphoton.errors import ConvergenceError, DataError, InputFileError
from fewphoton.evaluate.fourier_shell import ShellCorrelation
from fewphoton.io.density_files import write_density_file, write_density_map
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.phasing_checkpoint import PhasingCheckpointFile, SavedStart
from fewphoton.io.provenance import Provenance
from fewphoton.io.volumes import read_volume_file
from fewphoton.particle.measured_intensity import MeasuredIntensity, distance_from_centre, require_room
from fewphoton.particle.phase_average import average_densities, by_frequency_shell, centred, kept_starts
from fewphoton.particle.phasing import PhasedDensity, PhasingSchedule, phase_once
from fewphoton.stages.contract import Context, input_files, path_field
from fewphoton.stages.particle_box import box_edge_angstrom

Config = PhaseConfig

TRANSFER_THRESHOLD = float(np.exp(-1))
"""Phase retrieval transfer function at which the resolution is told."""


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    volume: Path = path_field("Fourier intensity volume of a single particle (HDF5)")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    density: Path = path_field("density (HDF5)")
    map: Path = path_field("the same as a CCP4/MRC map")
    transfer: Path = path_field("phase retrieval transfer function by shell (CSV)")
    starts: Path = path_field("errors of each start (CSV)")
    metrics: Path = path_field("metrics (JSON)")
    checkpoint: Path | None = path_field("finished starts to resume from (HDF5)", optional=True)


def run(inputs: Inputs, outputs: Outputs, config: PhaseConfig, context: Context) -> None:
    """Phase from several starts and average the good ones.

    Raises
    ------
    InputFileError
        If the volume holds nothing that can be phased.
    GeometryError
        If it is no volume of a single particle.
    ConvergenceError
        If no start keeps a support.
    """
    found = read_volume_file(inputs.volume, with_halves=False)
    box = box_edge_angstrom(found, inputs.volume)
    try:
        measured = MeasuredIntensity.of(
            symmetrized(found.volume, found.crystal),
            1 / box,
            config.q_min_inv_angstrom,
            config.q_max_inv_angstrom,
            config.least_relative_weight,
        )
        q_low, q_high = measured.measured_q_inv_angstrom()
        support = measured.first_support(config.particle_diameter_angstrom)
    except DataError as error:
        raise InputFileError(inputs.volume, str(error)) from error
    provenance = Provenance.of("phase", config.model_dump(mode="json"), input_files(inputs))
    context.say(
        f"{measured.values.shape[0]}^3 voxels, {100 * measured.known.mean():.1f} % measured, first support "
        f"{100 * support.mean():.1f} % of a box of {box:.4g} angstrom, {config.n_starts} starts"
    )
    with fft.set_workers(context.threads):
        starts = _starts(measured, support, outputs, config, provenance, context)
        rows = [_row(number, start) for number, start in enumerate(starts)]
        kept = kept_starts([start for start in starts if start is not None], config.keep_within)
        try:
            oversampling = require_room(kept[0].support, box)
        except DataError as error:
            raise InputFileError(inputs.volume, str(error)) from error
        averaged = average_densities([start.density for start in kept])
    density = Density(centred(averaged.density), box, q_low, q_high)
    curve = _transfer(averaged.phase_agreement, measured, len(kept))
    write_density_file(outputs.density, density, provenance)
    write_density_map(outputs.map, density)
    write_table(outputs.starts, [row | {"kept": _is_kept(starts[row["start"]], kept)} for row in rows])
    write_table(
        outputs.transfer,
        [
            {"q_inv_angstrom": q, "transfer_function": value, "measured_voxels": count}
            for q, value, count in zip(curve.q_inv_angstrom, curve.correlation, curve.n_voxels, strict=True)
        ],
    )
    write_metrics(
        outputs.metrics,
        {
            "n_starts": len(starts),
            "n_starts_without_support": sum(start is None for start in starts),
            "n_starts_kept": len(kept),
            "free_error": kept[0].free_error,
            "free_error_median": float(np.median([start.free_error for start in starts if start is not None])),
            "error": kept[0].error,
            "n_voxels": density.n,
            "box_angstrom": box,
            "voxel_angstrom": density.voxel_angstrom,
            "measured_share": float(measured.known.mean()),
            "q_low_inv_angstrom": q_low,
            "q_high_inv_angstrom": q_high,
            "support_voxels": int(kept[0].support.sum()),
            "oversampling": oversampling,
            "resolution_transfer_angstrom": curve.resolution_angstrom(TRANSFER_THRESHOLD),
            "transfer_crosses_threshold": bool(np.isfinite(curve.crossing_q_inv_angstrom(TRANSFER_THRESHOLD))),
        },
    )
    if outputs.checkpoint is not None:
        PhasingCheckpointFile(outputs.checkpoint, provenance.record()).remove()
    context.say(f"{len(kept)} of {len(starts)} starts averaged, error on free voxels {kept[0].free_error:.3f}")


def _starts(
    measured: MeasuredIntensity,
    support: NDArray[np.bool_],
    outputs: Outputs,
    config: PhaseConfig,
    provenance: Provenance,
    context: Context,
) -> list[PhasedDensity | None]:
    """Return what each start came to; None for one that lost its support."""
    schedule = PhasingSchedule(
        steps=tuple((step.method, step.iterations) for step in config.steps),
        beta=config.beta,
        shrink_every=config.shrink_every,
        shrink_share=config.shrink_share,
        blur_voxel=config.blur_voxel,
        final_blur_voxel=config.final_blur_voxel,
        free_share=config.free_share,
        free_seed=config.seed,
    )
    store, saved = None, []
    if outputs.checkpoint is not None:
        store = PhasingCheckpointFile(outputs.checkpoint, provenance.record())
        saved = store.read()
    starts = [None if start is None else PhasedDensity(*start) for start in saved]
    if starts:
        context.say(f"{len(starts)} starts are finished already")
    for number in context.track(range(len(starts), config.n_starts), "phase", "starts"):
        rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(number,)))
        try:
            starts.append(phase_once(measured.values, measured.known, schedule, rng, support))
        except ConvergenceError:
            starts.append(None)
        if store is not None:
            store.write([_saved(start) for start in starts])
    if all(start is None for start in starts):
        raise ConvergenceError(
            f"all {len(starts)} starts lost their support; lower shrink_share, or give particle_diameter_angstrom"
        )
    return starts


def _saved(start: PhasedDensity | None) -> SavedStart:
    return None if start is None else (start.density, start.support, start.error, start.free_error)


def _row(number: int, start: PhasedDensity | None) -> dict[str, Any]:
    if start is None:
        return {"start": number, "free_error": None, "error": None, "support_voxels": 0}
    inside = int(start.support.sum())
    return {"start": number, "free_error": start.free_error, "error": start.error, "support_voxels": inside}


def _is_kept(start: PhasedDensity | None, kept: list[PhasedDensity]) -> bool:
    return any(start is one for one in kept)


def _transfer(agreement: NDArray[np.float64], measured: MeasuredIntensity, n_kept: int) -> ShellCorrelation:
    """Return the transfer function by shell; a single start agrees with itself, which says nothing."""
    radius, values = by_frequency_shell(agreement, measured.known)
    shell = np.rint(distance_from_centre(agreement.shape)).astype(np.int64)
    n_measured = np.bincount(shell[measured.known], minlength=len(radius))[: len(radius)]
    if n_kept < 2:
        values = np.full(len(radius), np.nan)
    return ShellCorrelation(radius * measured.spacing_inv_angstrom, values, n_measured)
