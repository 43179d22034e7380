"""Trials of libraries, each in a process of its own: a library that brings Python down ends only its trial.

Run as ``python -m fewphoton.commands.library_trials NAME``; prints one line of JSON with ``found`` (lines) and
``problem`` (None where everything works).
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any


def files() -> dict[str, Any]:
    """Write and read a dataset through each HDF5 filter, and load FabIO."""
    from fewphoton.io.hdf5_codecs import codec_problems, library_versions

    problems = codec_problems()
    good = [name for name, problem in problems.items() if problem is None]
    bad = [f"{name}: {problem}" for name, problem in problems.items() if problem is not None]
    versions = ", ".join(f"{name} {number}" for name, number in library_versions().items())
    found = [f"{versions}, FabIO {version('fabio')}", f"decoded: {', '.join(good) or 'none'}"]
    return {"found": found, "problem": "; ".join(bad) or None}


def kernels() -> dict[str, Any]:
    """Compile and run a parallel kernel."""
    from fewphoton.kernels.threads import threading_layer, threads_in_use

    layer = threading_layer()
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = [
        f"Numba {version('numba')}, threading layer {layer}, {threads_in_use()} thread(s) of {processors} processor(s)"
    ]
    if limit := os.environ.get("NUMBA_NUM_THREADS"):
        found.append(f"NUMBA_NUM_THREADS={limit} limits the threads")
    return {"found": found, "problem": None}


def figures() -> dict[str, Any]:
    """Draw an empty figure into memory."""
    from fewphoton.figures.style import new_figure

    new_figure(20.0, 20.0).canvas.draw()
    return {"found": [f"Matplotlib {version('matplotlib')}"], "problem": None}


def particles() -> dict[str, Any]:
    """Compare a non-uniform Fourier transform with the sum that it stands for."""
    import numpy as np

    transform = importlib.import_module("finufft")
    x = np.linspace(-3.0, 3.0, 7)
    found = transform.nufft1d1(x, np.ones(7, dtype=np.complex128), 8, eps=1e-9)
    wanted = np.exp(1j * np.outer(np.arange(-4, 4), x)).sum(axis=1)
    good = bool(np.allclose(found, wanted, atol=1e-6))
    return {"found": [f"finufft {version('finufft')}"], "problem": None if good else "a transform gave wrong numbers"}


def workflow() -> dict[str, Any]:
    """Load snakemake and, where it is installed, its Slurm executor."""
    importlib.import_module("snakemake.api")
    found = [f"snakemake {version('snakemake')}"]
    try:
        found.append(f"Slurm executor plugin {version('snakemake-executor-plugin-slurm')}")
        importlib.import_module("snakemake_executor_plugin_slurm")
    except PackageNotFoundError:
        found.append("no Slurm executor plugin")
    return {"found": found, "problem": None}


def torch() -> dict[str, Any]:
    """Multiply matrices on the processor and on each CUDA device."""
    library = importlib.import_module("torch")
    found = [f"PyTorch {library.__version__}, {library.get_num_threads()} thread(s)"]
    devices = ["cpu", *(f"cuda:{number}" for number in range(library.cuda.device_count()))]
    for device in devices:
        matrix = library.eye(16, device=device) * 2
        if float((matrix @ matrix).sum()) != 64.0:
            return {"found": found, "problem": f"a matrix product on {device} gave wrong numbers"}
    if len(devices) == 1:
        built = library.version.cuda
        found.append(f"no CUDA device ({f'built for CUDA {built}' if built else 'a build without CUDA'})")
    for number in range(len(devices) - 1):
        properties = library.cuda.get_device_properties(number)
        found.append(f"cuda:{number} {properties.name}, {properties.total_memory / 2**30:.0f} GB")
    return {"found": found, "problem": None}


TRIALS: dict[str, Callable[[], dict[str, Any]]] = {
    trial.__name__: trial for trial in (files, kernels, figures, particles, workflow, torch)
}
"""Trials by the name of their part."""


if __name__ == "__main__":
    print(json.dumps(TRIALS[sys.argv[1]]()))
