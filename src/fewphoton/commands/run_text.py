"""The text of a configuration for frames of one's own: keys with their meaning, taken from the models."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fewphoton.commands.frame_glimpse import FrameGlimpse
from fewphoton.config import CollapseConfig, CountPhotonsConfig, CrystalConfig, GridConfig, RawSource, ReconstructConfig
from fewphoton.config.section import Section
from fewphoton.io.cell_files import FoundCell

_WIDTH = 110
_LARGEST_EDGE = 301
_VOXELS_PER_CELL = (10, 8, 6, 5, 4)
_PHOTONS_PER_FRAME = 50.0


@dataclass(frozen=True, eq=False)
class Answers:
    """What a configuration is made of.

    Parameters
    ----------
    run, dataset : str
        Names.
    kind : str
        ``raw``, ``scan`` or ``frames`` (signal separation).
    files : tuple of str
        Frames as the configuration names them.
    geometry : Path
        Geometry file.
    calibration, mask : Path or None
        Files beside the frames.
    counting : str
        ``calibration`` of count_photons.
    crystal : FoundCell or None
        Cell, space group, orientation; None for signal separation.
    frames : FrameGlimpse
        What the frames hold.
    q_max_inv_angstrom : float
        Largest q of the detector.
    """

    run: str
    dataset: str
    kind: str
    files: tuple[str, ...]
    geometry: Path
    calibration: Path | None
    mask: Path | None
    counting: str
    crystal: FoundCell | None
    frames: FrameGlimpse
    q_max_inv_angstrom: float


def run_text(answers: Answers, path: Path) -> str:
    """Return the configuration (YAML) with comments."""
    glimpse = answers.frames
    slow, fast = glimpse.frame_shape
    lines = [
        f"# {answers.run}: {glimpse.n_frames} frames of {slow} x {fast} pixels ({glimpse.dtype}).",
        "# Written by `fewphoton new`. Every key is described by `fewphoton STAGE --help` and `fewphoton schema`.",
        f"#   look at the inputs    fewphoton check {path}",
        f"#   plan                  snakemake -n --configfile {path}",
        f"#   run                   snakemake --cores all --configfile {path}",
        f"run: {answers.run}",
    ]
    if answers.kind == "scan":
        lines += [f"data_dir: {_quoted(str(answers.geometry.parent.parent))}"]
    lines += ["datasets:", f"  {answers.dataset}:"]
    lines += {"raw": _raw, "scan": _scan, "frames": _frames}[answers.kind](answers)
    lines += _separation_stages() if answers.kind == "frames" else _stages(answers)
    return "\n".join(lines) + "\n"


def usual_grid(cell: Sequence[float], q_max_inv_angstrom: float) -> tuple[int, float | None]:
    """Return voxels per cell, and the q beyond which pixels are left out so that the volume keeps a usual size.

    The finest of some usual grids whose volume has at most 301 voxels along an edge; where none has, the coarsest, with
    a limit on q.
    """
    longest = max(cell[:3])
    for voxels in _VOXELS_PER_CELL:
        if 2 * q_max_inv_angstrom * longest * voxels + 1 <= _LARGEST_EDGE:
            return voxels, None
    return _VOXELS_PER_CELL[-1], float(f"{(_LARGEST_EDGE - 1) / (2 * longest * _VOXELS_PER_CELL[-1]):.3g}")


def usual_binning(
    frame_shape: tuple[int, int], cell: Sequence[float], q_max_inv_angstrom: float, voxels_per_cell: int
) -> int:
    """Return the pixels to sum along each axis so that about two binned ones cross a voxel.

    The volume of all q that the detector sees has an edge of ``2 * q_max * longest cell edge * voxels_per_cell``. The
    frame's shorter edge is taken to cross it, so that a detector of another shape is binned too little, not too much.
    Views hold 4 bytes a binned pixel and orientation.
    """
    edge_voxels = 2 * q_max_inv_angstrom * max(cell[:3]) * voxels_per_cell + 1
    return max(1, int(min(frame_shape) / (2 * edge_voxels)))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _numbers(values: Sequence[float] | NDArray[np.float64]) -> str:
    return f"[{', '.join(f'{float(value):.10g}' for value in values)}]"


def _comment(model: type[Section], key: str, indent: int) -> list[str]:
    text = " ".join((model.model_fields[key].description or "").split())
    lead = " " * indent + "# "
    return textwrap.wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=lead, break_on_hyphens=False)


def _raw(answers: Answers) -> list[str]:
    lines = ["    raw:", *_comment(RawSource, "files", 6), "      files:"]
    lines += [f"        - {_quoted(name)}" for name in answers.files]
    lines += [*_comment(RawSource, "geometry", 6), f"      geometry: {_quoted(str(answers.geometry))}"]
    lines += _comment(RawSource, "calibration", 6)
    given = answers.calibration
    lines.append("      # calibration: dark.h5" if given is None else f"      calibration: {_quoted(str(given))}")
    return lines + _crystal(answers.crystal)


def _scan(answers: Answers) -> list[str]:
    return [
        "    scan:",
        f"      folder: {_quoted(answers.geometry.parent.name)}",
        f"      file: {_quoted(Path(answers.files[0]).name)}",
        f"      geometry: {_quoted(answers.geometry.name)}",
        *_crystal(answers.crystal),
        "    # Even exposures are reconstructed without their angles; odd ones, merged with theirs, are the reference.",
        "    split:",
        "      part: even",
    ]


def _frames(answers: Answers) -> list[str]:
    lines = ["    frames:", "      files:", *(f"        - {_quoted(name)}" for name in answers.files)]
    lines.append(f"      geometry: {_quoted(str(answers.geometry))}")
    lines.append("      # Pixels other than 0 are masked.")
    lines.append("      # mask: mask.npy" if answers.mask is None else f"      mask: {_quoted(str(answers.mask))}")
    return lines


def _crystal(found: FoundCell | None) -> list[str]:
    assert found is not None
    lines = ["      crystal:"]
    if found.origin:
        lines.append(f"        # From {found.origin}: make sure that it is the crystal of these frames.")
    lines += [*_comment(CrystalConfig, "cell", 8), f"        cell: {_numbers(found.cell)}"]
    lines += [*_comment(CrystalConfig, "space_group", 8), f"        space_group: {_quoted(str(found.space_group))}"]
    lines += _comment(CrystalConfig, "ub_inv_angstrom", 8)
    if found.ub_inv_angstrom is None:
        lines.append("        # ub_inv_angstrom: [[..., ..., ...], [..., ..., ...], [..., ..., ...]]")
    else:
        lines.append("        ub_inv_angstrom:")
        lines += [f"          - {_numbers(row)}" for row in found.ub_inv_angstrom]
    axis = np.array([0.0, 1.0, 0.0]) if found.rotation_axis is None else found.rotation_axis
    return [*lines, *_comment(CrystalConfig, "rotation_axis", 8), f"        rotation_axis: {_numbers(axis)}"]


def _stages(answers: Answers) -> list[str]:
    assert answers.crystal is not None
    glimpse = answers.frames
    lines = ["stages:"]
    if answers.kind == "raw":
        lines += ["  count_photons:", *_comment(CountPhotonsConfig, "calibration", 4)]
        lines.append(f"    calibration: {answers.counting}")
        if not np.isfinite(np.asarray(glimpse.table.omega_start_deg)).any():
            lines += ["    # The files hold no angles. Where they are known (for comparison only):"]
            lines += ["    # omega_start_deg: 0.0", "    # omega_step_deg: 0.1"]
    lines += ["  collapse:"]
    total = glimpse.mean_total
    n_frames = max(1, int(np.ceil(_PHOTONS_PER_FRAME / total))) if glimpse.counts_photons and total > 0 else 1
    if glimpse.counts_photons:
        lines.append(
            f"    # Frames hold {total:.4g} photons in the mean of those looked at; {_PHOTONS_PER_FRAME:g} are plenty."
        )
    lines += [*_comment(CollapseConfig, "n_frames", 4), f"    n_frames: {n_frames}"]
    voxels, q_max = usual_grid(answers.crystal.cell, answers.q_max_inv_angstrom)
    binning = usual_binning(glimpse.frame_shape, answers.crystal.cell, answers.q_max_inv_angstrom, voxels)
    if binning > 1:
        lines.append("    # Two such pixels cross a voxel; views of all orientations take 4 bytes for each of them.")
        lines += [*_comment(CollapseConfig, "pixel_binning", 4), f"    pixel_binning: {binning}"]
    lines += ["  reconstruct:", "    grid:", *_comment(GridConfig, "voxels_per_cell", 6)]
    lines.append(f"      voxels_per_cell: {voxels}")
    if q_max is not None:
        reach = answers.q_max_inv_angstrom
        lines += [f"    # The detector reaches {reach:.3g} 1/angstrom, but so large a volume needs a large machine."]
        lines += [*_comment(ReconstructConfig, "q_max_inv_angstrom", 4), f"    q_max_inv_angstrom: {q_max:g}"]
    lines += ["    # `recommended` converges in fewer iterations than the plain one.", "    preset: recommended"]
    lines += [*_comment(ReconstructConfig, "tasks", 4), "    tasks: 1"]
    lines += [
        "# Lists of values for any parameter; all combinations run, and shared results are computed once:",
        "# sweep:",
        f"#   collapse.n_frames: [{n_frames}, {2 * n_frames}, {4 * n_frames}]",
    ]
    return lines


def _separation_stages() -> list[str]:
    return [
        "stages:",
        "  sparsify:",
        "    # Pixels this many standard deviations above their ring are kept.",
        "    cutoff_pick: 2.0",
        "  find_peaks:",
        "    method: sums",
        "# sweep:",
        "#   sparsify.cutoff_pick: [1.0, 2.0, 3.0]",
    ]
