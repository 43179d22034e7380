"""The machine around the suite: Slurm, disk and memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

from fewphoton.commands.finding import Finding, answer_of, last_lines
from fewphoton.errors import installation_of
from fewphoton.io.machine_memory import available_memory_bytes, filesystem_in_memory, machine_memory_bytes

_SLURM_COMMANDS = ("sbatch", "srun", "squeue", "scancel", "sinfo", "scontrol")
_SHARED_MEMORY = Path("/dev/shm")
_LEAST_FREE_BYTES = 2 * 2**30
_LEAST_MEMORY_BYTES = 2**30
_FIRST_LOOK_SECONDS = 20
"""Seconds after which the profile ``slurm`` first looks at a job."""


def find_slurm(timeout_s: float) -> Finding:
    """Look for Slurm's commands, ask its controller for partitions, and tell how long it remembers ended jobs."""
    use = "snakemake --profile slurm sends jobs to it; status asks it for their states"
    absent = [name for name in _SLURM_COMMANDS if shutil.which(name) is None]
    if absent:
        remedy = (
            "On a cluster: start this on a login node. To try without one: scripts/local_slurm.sh (docs/cluster.md)"
        )
        return Finding("slurm", "missing", (f"no {', '.join(absent)} on PATH",), use, remedy)
    if find_spec("snakemake_executor_plugin_slurm") is None:
        remedy = installation_of("workflow")
        return Finding("slurm", "missing", ("no snakemake-executor-plugin-slurm in this Python",), use, remedy)
    status, output, errors = answer_of(["sinfo", "--noheader", "--format=%P|%a|%l|%D|%c|%m|%G"], timeout_s)
    if status != 0 or not output:
        remedy = "Is this a login node, and does the controller run? `scontrol ping` tells"
        return Finding("slurm", "broken", last_lines(errors) or ("sinfo names no partition",), use, remedy)
    found = []
    for line in output.splitlines():
        name, state, limit, nodes, processors, memory, devices = (line.split("|") + [""] * 7)[:7]
        extra = f", {devices}" if devices not in ("", "(null)") else ""
        found.append(
            f"partition {name} ({state}): {nodes} node(s), {processors} CPUs, {memory} MB, limit {limit}{extra}"
        )
    _, kinds, more_kinds = answer_of(["srun", "--mpi=list"], timeout_s)
    plugins = [word for word in (kinds + "\n" + more_kinds).split() if word.startswith(("pmi", "cray", "none"))]
    found.append(f"srun --mpi: {', '.join(dict.fromkeys(plugins)) or 'unknown'}")
    _, settings, _ = answer_of(["scontrol", "show", "config"], timeout_s)
    age = next((line.split("=")[1].split()[0] for line in settings.splitlines() if line.startswith("MinJobAge")), None)
    if age is not None and age.isdigit() and int(age) < 3 * _FIRST_LOOK_SECONDS:
        remedy = (
            f"Ended jobs are forgotten after {age} s (MinJobAge): lower slurm-init-seconds-before-status-checks in "
            f"slurm/config.yaml to {int(age) // 3} or less"
        )
        return Finding("slurm", "broken", tuple(found), use, remedy)
    return Finding("slurm", "works", tuple(found), use)


def find_space(folder: Path) -> Finding:
    """Tell free disk of ``folder`` and of the scratch folder, memory, and what killed MPI programs left in it."""
    scratch = Path(tempfile.gettempdir())
    free, total = shutil.disk_usage(folder).free, machine_memory_bytes()
    available = available_memory_bytes()
    in_memory = " (in memory: name another folder by TMPDIR)" if filesystem_in_memory(scratch) else ""
    found = [
        f"{free / 2**30:.1f} GB free here, {shutil.disk_usage(scratch).free / 2**30:.1f} GB in {scratch}{in_memory}",
        f"memory: {total / 2**30:.1f} GB allowed"
        + ("" if available is None else f", {available / 2**30:.1f} GB of it free now"),
    ]
    if left := left_shared_memory():
        found.append(
            f"{len(left)} file(s) that killed MPI programs left in {_SHARED_MEMORY}; another program may meet them and "
            f"stop: rm {' '.join(map(str, left))}"
        )
    use = "results and scratch files; a demo needs 1 GB of each, a volume of 366^3 voxels about 8 GB of memory"
    remedies = []
    if not os.access(folder, os.W_OK):
        remedies.append(f"{folder} cannot be written: start in another folder")
    if free < _LEAST_FREE_BYTES:
        remedies.append("Free some disk, or run in another folder (snakemake --directory)")
    if total < _LEAST_MEMORY_BYTES:
        remedies.append("Take a machine, or a job, with more memory")
    return Finding("space", "broken" if remedies else "works", tuple(found), use, "; ".join(remedies) or None)


def left_shared_memory(folder: Path = _SHARED_MEMORY) -> list[Path]:
    """Return files of MPICH in shared memory that we may remove and no process maps: their programs have ended."""
    files = [file for file in sorted(folder.glob("mpich_shm_*")) if os.access(file, os.W_OK)]
    mapped = set()
    for maps in Path("/proc").glob("[0-9]*/maps"):
        try:
            mapped |= {line.split()[-1] for line in maps.read_text().splitlines() if f" {folder}/" in line}
        except OSError:  # it has ended, or is somebody else's
            continue
    return [file for file in files if str(file) not in mapped]
