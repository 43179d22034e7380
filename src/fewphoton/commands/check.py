"""check: opens every input that a configuration names, tells what it holds, draws it, lists all problems at once."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fewphoton.commands.dataset_inputs import public_folder, report_dataset, report_unfinished_raw
from fewphoton.commands.input_report import InputReport, with_way_out
from fewphoton.commands.particle_inputs import report_particle, report_patterns
from fewphoton.config import CountPhotonsConfig, DatasetConfig, RunConfig
from fewphoton.config.load import check_section, read_mapping
from fewphoton.config.papers import PapersConfig
from fewphoton.errors import ConfigError, FewphotonError
from fewphoton.io.molecule_files import read_molecule


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare configuration, frame and place of the pictures."""
    parser.add_argument("file", type=Path, metavar="CONFIG", help="configuration (YAML)")
    parser.add_argument("--scale", metavar="NAME", help="scale of the run, as snakemake --config scale=NAME")
    parser.add_argument("--dataset", action="append", metavar="NAME", help="only this dataset (may be given again)")
    parser.add_argument(
        "--frame", type=int, metavar="NUMBER", help="show this frame, from 0 (default: one degree, or some frames)"
    )
    parser.add_argument(
        "--figures",
        type=Path,
        metavar="PATH",
        help="folder of the pictures (default: results/RUN/check)",
    )
    parser.add_argument("--no-figures", action="store_true", help="draw nothing")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.epilog = "The exit status is 1 where anything is wrong."


def run(options: argparse.Namespace) -> int:
    """Open everything; return 1 where a problem was found."""
    if options.frame is not None and options.frame < 0:
        raise ConfigError(f"--frame {options.frame}: frames are counted from 0")
    name, reports, general = inspect(options.file, options.frame, options.dataset, options.scale)
    pictures: dict[str, str] = {}
    if not options.no_figures:
        folder = options.figures or Path("results") / name / "check"
        pictures = {report.name: str(path) for report in reports if (path := _draw(report, folder)) is not None}
    problems = [*general, *(f"{report.name}: {problem}" for report in reports for problem in report.problems)]
    if options.json:
        datasets = [{**report.record(), "figure": pictures.get(report.name)} for report in reports]
        print(json.dumps({"run": name, "datasets": datasets, "problems": problems}, indent=2))
    else:
        print(_text(options.file, name, reports, pictures, problems))
    return 1 if problems else 0


def inspect(
    path: Path, shown: int | None, only: list[str] | None, scale: str | None = None
) -> tuple[str, list[InputReport], list[str]]:
    """Return the run's name, a report of each dataset, and problems of the whole configuration.

    A configuration that is not valid is told to be so, and its datasets are opened as far as they go. Of a run over
    several papers, the configuration of each is inspected.
    """
    content = read_mapping(path)
    if "papers" in content:
        return _inspect_papers(check_section(PapersConfig, content, str(path)), shown, only)
    if scale is not None:
        content["scale"] = scale
    general: list[str] = []
    try:
        config = check_section(RunConfig, content, str(path))
    except ConfigError as error:
        general += [with_way_out(line.strip()) for line in str(error).splitlines()[1:]] or [str(error)]
        return str(content.get("run", path.stem)), _unfinished(content, shown, only), general
    openers = _openers(config, shown)
    if unknown := [name for name in only or () if name not in openers]:
        raise ConfigError(f"--dataset {unknown[0]}: the configuration holds {', '.join(openers) or 'none'}")
    reports = [opener() for name, opener in openers.items() if only is None or name in only]
    return config.run, reports, _other_problems(config)


def _openers(config: RunConfig, shown: int | None) -> dict[str, Callable[[], InputReport]]:
    """Return what opens the inputs of each dataset, particle and run of patterns, by name."""
    counting, data_dir, single = config.stages.count_photons, config.data_dir, config.single_particles
    openers: dict[str, Callable[[], InputReport]] = {
        name: partial(report_dataset, name, dataset, counting, data_dir, shown)
        for name, dataset in config.datasets.items()
    }
    if single is not None:
        openers |= {
            name: partial(report_particle, name, item, data_dir, shown) for name, item in single.particles.items()
        }
        openers |= {
            name: partial(report_patterns, name, item, data_dir, shown) for name, item in single.patterns.items()
        }
    return openers


def _inspect_papers(
    papers: PapersConfig, shown: int | None, only: list[str] | None
) -> tuple[str, list[InputReport], list[str]]:
    reports: list[InputReport] = []
    general = [] if papers.catalogue.is_file() else [f"catalogue: {papers.catalogue}: no such file. Correct the path"]
    for key, paper in papers.papers.items():
        try:
            _, found, problems = inspect(paper.config, shown, only, paper.scale)
        except ConfigError as error:
            found, problems = [], [str(error)]
        reports += found
        general += [f"{key}: {problem}" for problem in problems]
    return papers.run, reports, general


def _unfinished(content: Mapping[str, Any], shown: int | None, only: list[str] | None) -> list[InputReport]:
    """Open the datasets of a configuration that is not valid as a whole."""
    reports = []
    datasets = content.get("datasets")
    data_dir = Path(content["data_dir"]) if isinstance(content.get("data_dir"), str) else None
    for name, section in (datasets if isinstance(datasets, dict) else {}).items():
        if only is not None and name not in only:
            continue
        try:
            dataset = DatasetConfig.model_validate(section)
        except ValidationError:
            raw = section.get("raw") if isinstance(section, dict) else None
            if isinstance(raw, dict):
                reports.append(report_unfinished_raw(str(name), raw, shown))
            continue
        reports.append(report_dataset(str(name), dataset, CountPhotonsConfig(), data_dir, shown))
    return reports


def _other_problems(config: RunConfig) -> list[str]:
    """Problems of files that belong to no dataset."""
    problems = []
    if config.published is not None and not config.published.is_file():
        problems.append(f"published: {config.published}: no such file. Correct the path, or leave the key out")
    molecules = {} if config.ankylography is None else config.ankylography.molecules
    for name, molecule in molecules.items():
        report = InputReport(name, "ankylography")
        source, structure = molecule.structure_file, molecule.simulate_shot.structure
        if source is not None:
            public_folder(report, config.data_dir, source.folder, source.url, (source.name,), source.sha256)
        elif structure is not None:
            with report.trying():
                read_molecule(structure)
        problems += [f"ankylography.molecules.{name}: {problem}" for problem in report.problems]
    return problems


def _draw(report: InputReport, folder: Path) -> Path | None:
    """Draw what a dataset's shown frames hold; None where its detector is not known."""
    if report.detector is None or report.beam is None or report.centre is None:
        return None
    from fewphoton.figures import input_view, style
    from fewphoton.figures.peak_comparison import FramePeakList

    values, title = None, f"{report.name}: no frames yet"
    if report.frames is not None:
        values = report.frames.mean
        last = report.frames.first_shown + report.frames.n_shown - 1
        which = (
            f"frame {last}" if report.frames.n_shown == 1 else f"mean of frames {report.frames.first_shown} to {last}"
        )
        title = f"{report.name}: {which} of {report.frames.n_frames}"
    spots_m = None
    if (found := report.spots) is not None:
        listed = FramePeakList("predicted", found.slow_px, found.fast_px, found.panel, found.q_inv_angstrom)
        spots_m = listed.places_m(report.detector)
    figure = input_view.draw(values, report.detector, report.beam, report.centre, spots_m, title)
    path = folder / f"{report.name}.png"
    try:
        style.save(figure, path)
    except FewphotonError as error:
        report.problems.append(str(error))
        return None
    return path


def _text(path: Path, name: str, reports: list[InputReport], pictures: Mapping[str, str], problems: list[str]) -> str:
    lines = [f"{path}: run {name!r}"]
    for report in reports:
        lines += ["", f"dataset {report.name} ({report.kind})"]
        lines += [f"  {label:<13}{text}" for label, text in report.facts]
        if report.name in pictures:
            lines.append(f"  {'picture':<13}{pictures[report.name]}")
    if not problems:
        return "\n".join([*lines, "", "no problem was found"])
    listed = [f"  {number}. {problem}" for number, problem in enumerate(problems, 1)]
    return "\n".join([*lines, "", f"{len(problems)} problem(s):", *listed])
