"""new: writes the configuration of a run; asks on a terminal, and guesses from what lies beside the raw files."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from fewphoton.commands.frame_glimpse import FrameGlimpse, glimpse_raw, glimpse_scan
from fewphoton.commands.input_guesses import (
    crystals,
    first_file,
    folder_of,
    frame_patterns,
    geometries,
    is_sparse_scan,
)
from fewphoton.commands.run_text import Answers, run_text
from fewphoton.config import RunConfig
from fewphoton.config.load import load_section
from fewphoton.data import Crystal, Detector
from fewphoton.data.beam_on_detector import beam_on_detector
from fewphoton.errors import ConfigError, FewphotonError, InputFileError
from fewphoton.io.atomic import write_text
from fewphoton.io.calibration_files import read_gain_stages, read_pixel_calibration
from fewphoton.io.cell_files import FoundCell, read_cell
from fewphoton.io.geometry_files import Geometry, read_geometry

Answer = TypeVar("Answer")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the file and what it is made of."""
    parser.add_argument("file", type=Path, metavar="CONFIG", help="configuration to write (YAML)")
    parser.add_argument(
        "--raw", nargs="+", metavar="PATH", help="raw frames: files, quoted globs, file.h5::/dataset, or their folder"
    )
    parser.add_argument(
        "--geometry", type=Path, metavar="PATH", help=".poni, .geom, NXmx, CBF with header, .par, .yaml"
    )
    parser.add_argument("--crystal", type=Path, metavar="PATH", help="file with the cell: .expt, .cell, PDB, CIF, MTZ")
    parser.add_argument("--cell", nargs=6, type=float, metavar="NUMBER", help="a b c (angstrom) alpha beta gamma (deg)")
    parser.add_argument("--space-group", metavar="SYMBOL", help="Hermann-Mauguin symbol, as 'P 43 21 2'")
    parser.add_argument(
        "--ub", nargs=9, type=float, metavar="NUMBER", help="UB matrix by rows, 1/angstrom, without 2 pi"
    )
    parser.add_argument(
        "--rotation-axis", nargs=3, type=float, metavar="NUMBER", help="goniometer axis (default: 0 1 0)"
    )
    parser.add_argument("--calibration", type=Path, metavar="PATH", help="calibration or dark frames of raw ADU")
    parser.add_argument("--mask", type=Path, metavar="PATH", help="mask image, for --separation")
    parser.add_argument("--separation", action="store_true", help="signal separation: no crystal is needed")
    parser.add_argument("--run", dest="run_name", metavar="NAME", help="name of the run (default: that of CONFIG)")
    parser.add_argument("--dataset", metavar="NAME", help="name of the dataset (default: that of the raw files)")
    parser.add_argument("--yes", action="store_true", help="take all guesses, ask nothing")
    parser.add_argument("--force", action="store_true", help="replace CONFIG where it exists")
    parser.epilog = "What is not given is guessed from files beside the raw frames and asked for on a terminal."


def run(options: argparse.Namespace) -> int:
    """Gather answers and write the file."""
    if options.file.exists() and not options.force:
        raise ConfigError(f"{options.file} exists already; name another file, or give --force to replace it")
    if not options.yes and not sys.stdin.isatty():
        options.yes = True
        print("no terminal to ask on: all guesses are taken", file=sys.stderr)
    answers = gather(options)
    text = run_text(answers, options.file)
    load_section(RunConfig, text, str(options.file))
    write_text(options.file, text)
    print(f"wrote {options.file}; look at its inputs: fewphoton check {options.file}")
    return 0


def gather(options: argparse.Namespace) -> Answers:
    """Return what the configuration is made of.

    Raises
    ------
    ConfigError
        If something is neither given nor to be guessed nor asked for.
    FewphotonError
        If a given file cannot be used.
    """
    files = _frames(options)
    first = first_file(files)
    scan = first is not None and not options.separation and is_sparse_scan(first)
    kind = "frames" if options.separation else "scan" if scan else "raw"
    glimpse = glimpse_scan(first, None, None, None) if scan and first is not None else glimpse_raw(files)
    slow, fast = glimpse.frame_shape
    print(f"frames:   {glimpse.n_frames} of {slow} x {fast} pixels, {glimpse.dtype}", file=sys.stderr)
    path, geometry = _geometry(options, files, first, glimpse)
    print(f"geometry: {path}", file=sys.stderr)
    crystal = None if kind == "frames" else _crystal(options, folder_of(files), geometry)
    if kind == "scan" and path.parent != Path(os.path.abspath(files[0])).parent:
        raise ConfigError(f"{path}: the geometry of a sparse scan lies in the folder of the scan; copy it there")
    return Answers(
        _name(options.run_name or options.file.stem),
        _name(options.dataset or _dataset_of(files)),
        kind,
        files,
        path,
        _absolute(options.calibration),
        _absolute(options.mask),
        _counting(options.calibration, glimpse, geometry.detector.n_pixels),
        crystal,
        glimpse,
        beam_on_detector(_usable(geometry.detector, glimpse), geometry.beam).q_max_inv_angstrom,
    )


def _counting(calibration: Path | None, glimpse: FrameGlimpse, n_pixels: int) -> str:
    """Return how photons are counted: as the calibration file's kind asks, or as the frames look.

    Raises
    ------
    InputFileError
        If the file is neither a calibration nor dark frames of this detector.
    """
    if calibration is None:
        return "photons" if glimpse.counts_photons else "fit"
    for kind, reader in (("given", read_pixel_calibration), ("jungfrau", read_gain_stages)):
        try:
            reader(calibration, n_pixels)
        except FewphotonError:
            continue  # of another kind
        return kind
    dark = glimpse_raw([str(calibration)])
    if dark.frame_shape != glimpse.frame_shape:
        problem = "is no calibration, and its frames have another shape"
        raise InputFileError(calibration, problem, expected=glimpse.frame_shape, found=dark.frame_shape)
    return "dark"


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else Path(os.path.abspath(path))


def _usable(detector: Detector, glimpse: FrameGlimpse) -> Detector:
    return detector.with_mask(detector.masked | ~np.isfinite(glimpse.mean))


def _ask(
    options: argparse.Namespace, question: str, guess: str | None, flag: str, use: Callable[[str], Answer]
) -> Answer:
    """Return the answer to a question: the guess where nothing is asked; on a terminal until it can be used.

    Raises
    ------
    ConfigError
        If nothing may be asked and there is no guess.
    """
    if options.yes:
        if guess is None:
            raise ConfigError(f"new: {question}? Nothing beside the frames tells; give {flag}")
        return use(guess)
    while True:
        try:
            words = input(f"{question}{f' [{guess}]' if guess else ''}: ").strip() or guess
        except EOFError as error:
            raise ConfigError(f"new: {question}? No answer was given; give {flag}") from error
        if not words:
            continue
        try:
            return use(words)
        except (FewphotonError, ValueError) as error:
            print(f"  {error}", file=sys.stderr)


def _frames(options: argparse.Namespace) -> tuple[str, ...]:
    """Patterns of the frames, as absolute paths."""

    def usable(words: str) -> tuple[str, ...]:
        parts = words.split("\n") if "\n" in words else [words]
        found = [pattern for part in parts for pattern in _patterns_of(part)]
        return tuple(found)

    if options.raw:
        return usable("\n".join(options.raw))
    guesses = frame_patterns(Path.cwd())
    return _ask(options, "raw frames (file, glob, folder)", guesses[0] if guesses else None, "--raw", usable)


def _patterns_of(part: str) -> list[str]:
    if Path(part).is_dir():
        found = frame_patterns(Path(os.path.abspath(part)))
        if not found:
            raise ConfigError(f"{part}: no frames in this folder")
        return found[:1]
    if part.startswith("@"):
        return [f"@{os.path.abspath(part[1:])}"]
    path, separator, inside = part.partition("::")
    return [f"{os.path.abspath(path)}{separator}{inside}"]


def _geometry(
    options: argparse.Namespace, files: tuple[str, ...], first: Path | None, glimpse: FrameGlimpse
) -> tuple[Path, Geometry]:
    def usable(words: str) -> tuple[Path, Geometry]:
        path = Path(os.path.abspath(words))
        return path, read_geometry(path, glimpse.frame_shape)

    if options.geometry is not None:
        return usable(str(options.geometry))
    found = geometries(folder_of(files), first, glimpse.frame_shape)
    if len(found) > 1:
        print(f"geometries that fit: {', '.join(str(path) for path, _ in found)}", file=sys.stderr)
    return _ask(options, "geometry", str(found[0][0]) if found else None, "--geometry", usable)


def _crystal(options: argparse.Namespace, folder: Path, geometry: Geometry) -> FoundCell:
    """Cell, space group, orientation: options first, then a file, then what lies beside the frames, then questions."""
    found: FoundCell | None = None
    if options.crystal is not None:
        found = read_cell(options.crystal)
    elif options.cell is None:
        beside = crystals(folder)
        if beside:
            print(f"crystals beside the frames: {', '.join(path.name for path, _ in beside[:5])}", file=sys.stderr)
        guess = str(beside[0][0]) if beside else None
        found = _ask(options, "crystal (file, or a b c alpha beta gamma)", guess, "--cell or --crystal", _cell_of)
    cell = found.cell if options.cell is None and found is not None else tuple(options.cell)
    guess = None if found is None else found.space_group

    def known(symbol: str) -> str:
        return Crystal(cell, symbol).space_group

    symbol = options.space_group or guess
    space_group = known(symbol) if symbol else _ask(options, "space group", None, "--space-group", known)
    ub = None if found is None or options.cell is not None else found.ub_inv_angstrom
    if options.ub is not None:
        ub = np.array(options.ub).reshape(3, 3)
    if ub is not None:
        Crystal.from_ub(ub, cell, space_group)
    axis = next(
        (
            np.asarray(axis, dtype=np.float64)
            for axis in (options.rotation_axis, None if found is None else found.rotation_axis, geometry.rotation_axis)
            if axis is not None
        ),
        None,
    )
    orientation = "with orientation" if ub is not None else "orientation unknown"
    print(f"crystal:  {' '.join(f'{value:g}' for value in cell)}, {space_group}, {orientation}", file=sys.stderr)
    return FoundCell(cell, space_group, ub, axis, "" if found is None else found.origin)


def _cell_of(words: str) -> FoundCell:
    """Return the cell of a file, or of six numbers."""
    numbers = words.replace(",", " ").split()
    if len(numbers) == 6 and not Path(words).is_file():
        values = [float(number) for number in numbers]
        return FoundCell((values[0], values[1], values[2], values[3], values[4], values[5]), None)
    return read_cell(words)


def _dataset_of(files: tuple[str, ...]) -> str:
    name = Path(files[0].partition("::")[0].lstrip("@")).name
    return name.split(".")[0]


def _name(text: str) -> str:
    """Return a name as configurations allow them."""
    cleaned = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")
    return cleaned or "dataset"
