"""score-iterates: R(high-low) of each traced iterate, and when a reconstruction was as good as it became.

Nothing of it reaches a reconstruction: iterates are judged after it has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fewphoton.config import ScoreIteratesConfig
from fewphoton.emc.symmetry import symmetrized
from fewphoton.errors import GeometryError
from fewphoton.evaluate.integrate import integrate, sphere_weights
from fewphoton.evaluate.iterates import first_within, r_by_iterate
from fewphoton.evaluate.merge import merge_equivalents
from fewphoton.io.iterate_traces import read_iterate_trace
from fewphoton.io.metrics import write_metrics, write_table
from fewphoton.io.volumes import read_volume_file
from fewphoton.stages.contract import Context, path_field

Config = ScoreIteratesConfig


@dataclass(frozen=True)
class Inputs:
    """What the stage reads."""

    trace: Path = path_field("trace of a reconstruction")
    reference: Path = path_field("volume to compare with")


@dataclass(frozen=True)
class Outputs:
    """What the stage writes."""

    iterates: Path = path_field("R of each iterate (CSV)")
    metrics: Path = path_field("metrics (JSON)")


def run(inputs: Inputs, outputs: Outputs, config: ScoreIteratesConfig, context: Context) -> None:
    """Score the iterates.

    Raises
    ------
    GeometryError
        If the trace's spheres do not fit into the reference's grid.
    DataError
        If trace and reference have no reflection in common.
    """
    trace = read_iterate_trace(inputs.trace)
    found = read_volume_file(inputs.reference, with_halves=False)
    radius = trace.radius_hkl * found.volume.voxels_per_cell
    if radius < 1:
        raise GeometryError(
            f"{inputs.reference}: spheres of {trace.radius_hkl:.3g} reciprocal cell edges, as {inputs.trace} has them, "
            f"are smaller than a voxel of {found.volume.voxels_per_cell} voxels per cell"
        )
    # Like is compared with like: averaged iterates know parts of spheres that a volume as measured does not.
    volume = symmetrized(found.volume, found.crystal) if trace.symmetrized else found.volume
    every = integrate(volume, found.crystal, radius)
    reference = merge_equivalents(every, found.crystal, sphere_weights(volume, every.hkl, radius))
    r = r_by_iterate(trace, found.crystal, reference, config.low_q_fraction)
    write_table(
        outputs.iterates,
        [
            {"iteration": number, "seconds": seconds, "r_high_low_low_q": value}
            for number, seconds, value in zip(trace.iteration, trace.seconds, r, strict=True)
        ],
    )
    final = float(r[-1])
    place = first_within(r, (1 + config.within) * final)
    write_metrics(
        outputs.metrics,
        {
            "iterations_traced": int(trace.iteration[-1]),
            "seconds_traced": float(trace.seconds[-1]),
            "r_high_low_low_q_last_iterate": final,
            "r_high_low_low_q_lowest_iterate": float(r.min()),
            "iterations_to_final_r": None if place is None else int(trace.iteration[place]),
            "seconds_to_final_r": None if place is None else float(trace.seconds[place]),
        },
    )
