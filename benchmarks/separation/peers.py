"""The programs to compare with: pyFAI (Cython and OpenCL), FabIO's densify, and OM's peakfinder8.

How to install them, beside the project's environment with its extra ``test``, which brings pyFAI and FabIO::

    pip install --target peers --no-deps ondamonitor==23.8.3 pyopencl pytools siphash24

and name that folder by ``--peers peers`` or ``FEWPHOTON_PEERS``. ``ondamonitor`` is wanted for one compiled extension,
which is loaded without its package: the package itself refuses NumPy 2. OpenCL needs a platform that runs on the
processor; each of these is measured where pyopencl finds it:

- PoCL, Debian's ``pocl-opencl-icd`` (3.1). ``pip install --target peers pocl-binary-distribution`` (3.0) serves on
  processors that LLVM 14 knows; on later ones it fails with "unknown target CPU 'generic'". Never install both: pyFAI
  cannot tell two platforms of one name apart.
- Intel's, which runs on AMD's processors too: ``python -m venv intel`` and
  ``intel/bin/pip install intel-opencl-rt intel-cmplr-lib-rt``, then ``LD_LIBRARY_PATH=intel/lib`` and
  ``OCL_ICD_VENDORS`` naming a folder with one ``.icd`` file per platform, each holding the path of its library
  (``intel/lib/libintelocl.so``).

What is absent is listed under the table with the reason.

Every function takes a data set and returns steps `(label, callable)`. The callable takes a frame's number and returns
how many things it found (pixels kept, picked or written, or peaks); conversions that a program's users pay once per
frame outside of it (frames in float32, sparse pixels) are prepared before the clock starts. The number of threads of
OpenMP and PoCL is read from the environment when the libraries are imported, so each peer runs in a process of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from benchmarks.separation.frames import N_BINS, NO_BIN, DataSet
from numpy.typing import NDArray

Step = tuple[str, Callable[[int], int]]

ERROR_MODELS = ("poisson", "azimuthal", "hybrid")
CYCLES = 5
SHORT_NAMES = {"Portable Computing Language": "PoCL", "Intel(R) OpenCL": "Intel"}
PICK_SIGMAS = 3.0
NOISE = 1.0
CLIPPING: dict[str, Any] = {"safe": False, "cutoff_clip": 0.0, "cycle": CYCLES, "noise": NOISE}


class AbsentError(Exception):
    """A peer cannot run here; the message says why."""


@dataclass(frozen=True)
class Peer:
    """A program, the steps it offers, and the numbers of cores it is measured on."""

    name: str
    steps: Callable[[DataSet], list[Step]]
    cores: tuple[int, ...]


def _import(name: str) -> ModuleType:
    """Import a module of a peer from the environment or the peers' folder."""
    folder = os.environ.get("FEWPHOTON_PEERS")
    if folder and folder not in sys.path:
        sys.path.append(folder)
    try:
        return importlib.import_module(name)
    except Exception as error:  # a peer built for other versions may raise anything
        raise AbsentError(f"cannot import {name}: {error}") from error


def _pyfai_integrator(data: DataSet) -> tuple[Any, NDArray[np.float32]]:
    """Return pyFAI's CSR integrator as its sparsify-Bragg sets it up (no pixel splitting), and the radii in metres."""
    integrator_module = _import("pyFAI.integrator.azimuthal")
    detectors = _import("pyFAI.detectors")
    logging.getLogger("pyFAI").setLevel(logging.ERROR)
    shape = data.masked.shape
    geometry = integrator_module.AzimuthalIntegrator(
        dist=data.distance_m,
        poni1=data.beam_slow_px * data.pixel_m,
        poni2=data.beam_fast_px * data.pixel_m,
        detector=detectors.Detector(data.pixel_m, data.pixel_m, max_shape=shape),
        wavelength=data.wavelength_angstrom * 1e-10,
    )
    integrator = geometry.setup_sparse_integrator(
        shape, N_BINS, mask=data.masked.astype(np.int8), unit="r_m", split="no", algo="CSR", scale=False
    )
    return integrator, geometry.array_from_unit(typ="center", unit="r_m", scale=False)


def pyfai_cython(data: DataSet) -> list[Step]:
    """Sigma-clipping by the compiled integrator itself: no checks and no look-up around it. Finds: pixels kept."""
    integrator, _ = _pyfai_integrator(data)

    def clip(error_model: str, number: int) -> int:
        result = integrator.sigma_clip(data.frames[number], error_model=parsed[error_model], cutoff=0.0, cycle=CYCLES)
        return int(result.count.sum())

    parsed = {name: _import("pyFAI.containers").ErrorModel.parse(name) for name in ERROR_MODELS}
    return [(f"pyFAI Cython sigma_clip, {name}", partial(clip, name)) for name in ERROR_MODELS]


def exact_grid(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Launch a kernel on no more work items than the image has pixels, rounded up to whole groups."""

    def launch(queue: Any, wanted: tuple[int, int], group: tuple[int, int], *arguments: Any) -> Any:
        # pyFAI 2026.9 multiplies the count of groups across by the size of a whole group instead of by its width.
        groups_across = wanted[1] // (group[0] * group[1])
        return kernel(queue, (wanted[0], groups_across * group[1]), group, *arguments)

    return launch


def opencl_finder(platform_name: str, data: DataSet) -> Any:
    """Return pyFAI's peak finder on one OpenCL platform, as its sparsify-Bragg sets it up."""
    pyopencl = _import("pyopencl")
    try:
        names = [platform.name for platform in pyopencl.get_platforms()]
    except pyopencl.Error as error:
        raise AbsentError(f"no OpenCL platform: {error}") from error
    if names.count(platform_name) != 1:
        raise AbsentError(f"expected one platform {platform_name!r}, found {names}; OCL_ICD_VENDORS selects")
    integrator, radius = _pyfai_integrator(data)
    return _import("pyFAI.opencl.peak_finder").OCL_PeakFinder(
        integrator.lut,
        image_size=data.masked.size,
        bin_centers=integrator.bin_centers,
        radius=radius,
        mask=data.masked.astype(np.int8),
        platformid=names.index(platform_name),
        deviceid=0,
    )


def _opencl_peaks(finder: Any, data: DataSet, error_model: str, number: int) -> int:
    """Find peaks with the defaults of pyFAI's peakfinder."""
    found = finder.peakfinder(
        data.frames[number], error_model=error_model, cutoff_peak=3.0, patch_size=5, connected=3, **CLIPPING
    )
    return len(found)


def pyfai_opencl(platform_name: str, data: DataSet) -> list[Step]:
    """Sparsify and find peaks on one OpenCL platform. Finds: pixels picked, peaks."""
    finder = opencl_finder(platform_name, data)
    finder.kernels.peakfinder = exact_grid(finder.kernels.peakfinder)

    def sparsify(error_model: str, number: int) -> int:
        frame = finder.sparsify(data.frames[number], error_model=error_model, cutoff_pick=PICK_SIGMAS, **CLIPPING)
        return len(frame.index)

    name = f"pyFAI OpenCL ({SHORT_NAMES[platform_name]})"
    steps: list[Step] = [(f"{name} sparsify, {model}", partial(sparsify, model)) for model in ERROR_MODELS]
    steps += [
        (f"{name} peakfinder, {model}, launch grid corrected", partial(_opencl_peaks, finder, data, model))
        for model in ("poisson", "azimuthal")
    ]
    return steps


def pyfai_opencl_as_shipped(platform_name: str, data: DataSet) -> list[Step]:
    """Find peaks with the launch grid that pyFAI 2026.9 asks for. Finds: peaks."""
    finder = opencl_finder(platform_name, data)
    label = f"pyFAI OpenCL ({SHORT_NAMES[platform_name]}) peakfinder, poisson, as shipped"
    return [(label, partial(_opencl_peaks, finder, data, "poisson"))]


def _ring_statistics(frame: NDArray[Any], ring: NDArray[np.uint16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation in each ring after three cycles of clipping at 4 sigma."""
    inside = ring != NO_BIN
    number, value = ring[inside], frame[inside].astype(np.float64)
    for _ in range(3):
        count = np.maximum(np.bincount(number, minlength=N_BINS), 1)
        mean = np.bincount(number, value, N_BINS) / count
        sigma = np.sqrt(np.bincount(number, (value - mean[number]) ** 2, N_BINS) / count)
        kept = np.abs(value - mean[number]) <= 4.0 * sigma[number]
        number, value = number[kept], value[kept]
    return mean.astype(np.float32), sigma.astype(np.float32)


def fabio_densify(data: DataSet) -> list[Step]:
    """FabIO's compiled densify of pixels above 3 sigma, without and with noise. Finds: pixels written."""
    dense = _import("fabio.ext.dense")
    ring = data.bin_map()
    edges = data.bin_edges_px()
    centres = ((edges[1:] + edges[:-1]) / 2).astype(np.float32)
    radius = np.where(data.masked, np.nan, data.radius_px()).astype(np.float32)
    # FabIO takes a pixel inside the first bin centre for masked, so the innermost pixels count from there.
    radius = np.where(radius < centres[0], centres[0], radius)
    kind = data.frames.dtype
    dummy = kind.type(np.nan if kind.kind == "f" else np.iinfo(kind).max)
    sparse = []
    for frame in data.frames:
        mean, sigma = _ring_statistics(frame, ring)
        safe_ring = np.where(data.masked, 0, ring)
        limit = np.maximum(NOISE, PICK_SIGMAS * np.hypot(sigma, NOISE))[safe_ring]
        picked = np.flatnonzero(~data.masked & (frame > mean[safe_ring] + limit)).astype(np.uint32)
        sparse.append((picked, frame.ravel()[picked], mean, sigma))

    def densify(noisy: bool, number: int) -> int:
        index, intensity, mean, sigma = sparse[number]
        image = dense.densify(radius, centres, index, intensity, dummy, kind, mean, sigma if noisy else None, None)
        return int(image.size)

    return [
        ("FabIO Cython densify, no noise", partial(densify, False)),
        ("FabIO Cython densify, noise", partial(densify, True)),
    ]


def om_extension() -> ModuleType:
    """Load OM's compiled extension by its file, past the package around it."""
    folder = os.environ.get("FEWPHOTON_PEERS")
    roots = [Path(folder)] if folder else []
    roots += [Path(entry) for entry in sys.path if entry]
    for root in roots:
        for file in sorted((root / "om" / "algorithms").glob("_crystallography.*")):
            specification = importlib.util.spec_from_file_location("_crystallography", file)
            if specification is None or specification.loader is None:
                continue
            try:
                module = importlib.util.module_from_spec(specification)
                specification.loader.exec_module(module)
            except ImportError as error:
                raise AbsentError(f"cannot load {file.name}: {error}") from error
            return module
    raise AbsentError("no om/algorithms/_crystallography extension found; see the install line in peers.py")


def _sampled_pixels(radius_px: NDArray[np.float32], per_ring: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Choose at most `per_ring` pixels of every ring one pixel wide, as the fast mode wants them: pixel and ring."""
    ring = np.rint(radius_px).astype(np.int32).ravel()
    shuffled = np.random.default_rng(4).permutation(ring.size)
    order = shuffled[np.argsort(ring[shuffled], kind="stable")]
    first = np.concatenate([[0], np.cumsum(np.bincount(ring))])
    rank = np.arange(ring.size) - first[ring[order]]
    chosen = order[rank < per_ring]
    return chosen.astype(np.int32), ring[chosen]


def peakfinder8(data: DataSet) -> list[Step]:
    """The peakfinder8 of OM at threshold 0, SNR 5, 2 to 200 pixels, background radius 3. Finds: peaks."""
    find = om_extension().peakfinder_8
    n_slow, n_fast = data.masked.shape
    good = (~data.masked).astype(np.int8)
    radius = data.radius_px().astype(np.float32)
    pixel, ring = _sampled_pixels(radius, 100)
    values = [np.where(data.masked, 0, frame).astype(np.float32) for frame in data.frames]

    def peaks(sampled: tuple[Any, ...], number: int) -> int:
        found = find(5000, values[number], good, radius, *sampled, n_fast, n_slow, 1, 1, 0.0, 5.0, 2, 200, 3)
        return len(found[0])

    return [
        ("peakfinder8 (OM), full", partial(peaks, (0, None, None, 0))),
        ("peakfinder8 (OM), fast", partial(peaks, (len(pixel), pixel, ring, 1))),
    ]


PEERS = (
    Peer("pyFAI Cython", pyfai_cython, (1, 2)),
    *(Peer(f"pyFAI OpenCL ({short})", partial(pyfai_opencl, name), (1, 2)) for name, short in SHORT_NAMES.items()),
    *(
        Peer(f"pyFAI OpenCL ({short}) as shipped", partial(pyfai_opencl_as_shipped, name), (1,))
        for name, short in SHORT_NAMES.items()
    ),
    Peer("FabIO", fabio_densify, (1,)),
    Peer("peakfinder8", peakfinder8, (1,)),
)
