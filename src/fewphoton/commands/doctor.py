"""doctor: tries each part of the suite on this machine, and tells what to do about those that do not work."""

from __future__ import annotations

import argparse
import json
import platform
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import fewphoton
from fewphoton.commands.finding import Finding, answer_of, last_lines
from fewphoton.commands.machine_room import find_slurm, find_space
from fewphoton.config.executor_profile import ExecutorProfile, read_profile
from fewphoton.errors import ConfigError, installation_of

_LOCAL_LAUNCHER = "mpiexec"
_RANKS = 2


class _Library(NamedTuple):
    """A part that is a library, as :mod:`~fewphoton.commands.library_trials` tries it."""

    package: str
    use: str
    remedy: str


_LIBRARIES: Mapping[str, _Library] = {
    "files": _Library(
        "h5py",
        "every stage reads and writes HDF5; detectors choose the filter of raw frames, FabIO reads other formats",
        "Install fewphoton anew: pip install --force-reinstall hdf5plugin h5py fabio",
    ),
    "kernels": _Library(
        "numba",
        "the hot loops of all stages, in as many threads as --threads or the rule says",
        "pip install --force-reinstall numba; without tbb or omp, Numba's own workqueue is taken",
    ),
    "figures": _Library("matplotlib", "figures of the report, and of check", installation_of("figures")),
    "particles": _Library(
        "finufft",
        "simulate-particles, and position grids of recover-molecule",
        installation_of("particles"),
    ),
    "workflow": _Library(
        "snakemake",
        "starts the stages in order; with --profile slurm as jobs of a cluster",
        installation_of("workflow"),
    ),
    "torch": _Library(
        "torch",
        "networks that find orientations of single particles, on a GPU where there is one",
        f"{installation_of('xrai')}, with the index of https://pytorch.org that fits your accelerator",
    ),
}
_EVERYWHERE = ("files", "kernels", "space")
TARGETS: Mapping[str, tuple[str, ...]] = {
    "stages": _EVERYWHERE,
    "demo": (*_EVERYWHERE, "mpi", "figures", "workflow"),
    "slurm": (*_EVERYWHERE, "mpi", "figures", "workflow", "slurm"),
    "particles": (*_EVERYWHERE, "particles"),
    "xrai": (*_EVERYWHERE, "particles", "torch"),
}
"""Parts that must work for each target."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare targets and launcher."""
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"what has to work: {', '.join(TARGETS)} (default: demo)"
    )
    parser.add_argument(
        "--launcher", metavar="WORDS", help="what starts MPI ranks (default: the profile's, or mpiexec)"
    )
    parser.add_argument(
        "--profile",
        type=Path,
        default=Path("slurm"),
        metavar="PATH",
        help="profile folder of the cluster, for the target slurm (default: slurm)",
    )
    parser.add_argument("--timeout", type=float, default=120.0, metavar="SECONDS", help="patience with each trial")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.epilog = "The exit status is 0 where everything that the targets need works. All parts are tried anyway."


def run(options: argparse.Namespace) -> int:
    """Try all parts; return 0 when those that the targets need work."""
    targets = tuple(options.targets) or ("demo",)
    if unknown := [name for name in targets if name not in TARGETS]:
        raise ConfigError(f"doctor: unknown target {unknown[0]!r}; known targets: {', '.join(TARGETS)}")
    on_cluster = "slurm" in targets
    profile = read_profile(options.profile) if on_cluster else ExecutorProfile()
    launcher = options.launcher or profile.launcher or _LOCAL_LAUNCHER
    trials: dict[str, Callable[[], Finding]] = {
        name: lambda name=name: try_library(name, options.timeout)  # type: ignore[misc]
        for name in _LIBRARIES
    }
    trials["mpi"] = lambda: try_mpi(launcher, profile, options.timeout)
    trials["slurm"] = lambda: find_slurm(options.timeout)
    trials["space"] = lambda: find_space(Path.cwd())
    with ThreadPoolExecutor(2) as pool:
        findings = list(pool.map(lambda trial: trial(), trials.values()))
    needed = {part for target in targets for part in TARGETS[target]}
    failed = [finding.part for finding in findings if finding.part in needed and finding.state != "works"]
    if options.json:
        print(json.dumps(_record(findings, targets, needed, failed), indent=2))
    else:
        print(_text(findings, targets, needed, failed))
    return 1 if failed else 0


def try_library(name: str, timeout_s: float) -> Finding:
    """Try one library in a process of its own."""
    library = _LIBRARIES[name]
    command = [sys.executable, "-m", "fewphoton.commands.library_trials", name]
    status, output, errors = answer_of(command, timeout_s)
    if status == 0:
        answer = json.loads(last_lines(output, 1)[0])
        state = "works" if answer["problem"] is None else "broken"
        found = (*answer["found"], *([] if answer["problem"] is None else [answer["problem"]]))
    elif f"No module named '{library.package}'" in errors or f"metadata for {library.package}" in errors:
        state, found = "missing", (f"no {library.package} in {sys.executable}",)
    else:
        ended = () if status is None else (f"the trial ended with status {status}",)
        state, found = "broken", (*ended, *last_lines(errors))
    return Finding(name, state, found, library.use, None if state == "works" else library.remedy)  # type: ignore[arg-type]


def try_mpi(launcher: str, profile: ExecutorProfile, timeout_s: float) -> Finding:
    """Start two ranks with the launcher and let them exchange an array."""
    words = shlex.split(launcher)
    if words and Path(words[0]).name == "srun":
        words += profile.srun_options()
    command = [*words, "-n", str(_RANKS), sys.executable, "-m", "fewphoton.commands.mpi_greeting", str(_RANKS)]
    use = f"reconstruct and the recoveries of molecules on several ranks, started with {launcher!r}"
    remedy = (
        f"Bundled MPI: {installation_of('bundled-mpi')}. A site's MPI: load its module, install '.[mpi]', "
        "and name its launcher (--launcher; in slurm/config.yaml: launcher). docs/cluster.md tells which fits which"
    )
    if not words or shutil.which(words[0]) is None:
        return Finding("mpi", "missing", (f"launcher {launcher!r} is not on PATH",), use, remedy)
    status, output, errors = answer_of(command, timeout_s)
    if status == 0:
        answer = json.loads(last_lines(output, 1)[0])
        hosts = ", ".join(answer["hosts"])
        return Finding("mpi", "works", (f"{answer['library']}: {answer['ranks']} ranks met on {hosts}",), use)
    state = "missing" if "No module named 'mpi4py'" in errors else "broken"
    found = (f"{shlex.join(command[: len(words) + 2])} ...", *dict.fromkeys(last_lines(errors)))
    return Finding("mpi", state, found, use, remedy)  # type: ignore[arg-type]


def _record(
    findings: list[Finding], targets: tuple[str, ...], needed: set[str], failed: list[str]
) -> dict[str, object]:
    return {
        "version": fewphoton.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "targets": list(targets),
        "works": not failed,
        "failed": failed,
        "parts": [{**finding.record(), "needed": finding.part in needed} for finding in findings],
    }


def _text(findings: list[Finding], targets: tuple[str, ...], needed: set[str], failed: list[str]) -> str:
    width = min(shutil.get_terminal_size((120, 24)).columns, 120)

    def indented(label: str, words: str) -> str:
        lead = f"{'':21}{label}"
        return textwrap.fill(words, width, initial_indent=lead, subsequent_indent=" " * 21, break_on_hyphens=False)

    lines = [f"fewphoton {fewphoton.__version__}, Python {platform.python_version()}, {platform.platform()}"]
    for finding in findings:
        wanted = finding.part in needed
        lines.append("")
        lines.append(f"{finding.part:<11}{finding.state:<10}{finding.found[0] if finding.found else ''}")
        lines += [indented("", found) for found in finding.found[1:]]
        lines.append(indented("for: ", finding.use + ("" if wanted else f" (not needed for {', '.join(targets)})")))
        if finding.remedy is not None:
            lines.append(indented("do:  ", finding.remedy))
    verdict = f"does not work yet: {', '.join(failed)}" if failed else "everything that it needs works"
    return "\n".join([*lines, "", f"{', '.join(targets)}: {verdict}"])
