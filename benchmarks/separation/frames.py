"""Frames that every program of the benchmark gets: three simulated detectors and real Pilatus 6M exposures.

A data set goes to the measuring processes as a folder of arrays, so that all of them see the same counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fewphoton.data import Beam, Detector, Panel
from fewphoton.io.geometry_cbf import read_cbf_geometry, simple_panel
from fewphoton.io.raw_frames import open_raw_frames

N_BINS = 800
SPOTS_PER_FRAME = (0, 40, 120, 200, 300, 80)
MEAN_PHOTONS = 3.1
ADU_PER_PHOTON = 8.0
READ_NOISE_PHOTONS = 0.3
NO_BIN = np.iinfo(np.uint16).max
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, eq=False)
class DataSet:
    """Frames `(n, slow, fast)`, the mask `(slow, fast)` and a flat detector square to the beam.

    The beam position counts pixels from the outer corner of the first pixel.
    """

    name: str
    frames: NDArray[Any]
    masked: NDArray[np.bool_]
    pixel_m: float
    distance_m: float
    beam_slow_px: float
    beam_fast_px: float
    wavelength_angstrom: float

    @property
    def detector(self) -> Detector:
        """The same geometry in the project's own terms."""
        return Detector(self.masked.shape, (self._panel(),), self.masked)

    @property
    def beam(self) -> Beam:
        """The beam in the project's own terms."""
        return Beam(self.wavelength_angstrom)

    def _panel(self) -> Panel:
        return simple_panel(
            self.masked.shape, self.beam_slow_px, self.beam_fast_px, self.pixel_m, self.pixel_m, self.distance_m
        )

    def radius_px(self) -> NDArray[np.float64]:
        """Distance of each pixel centre from the beam, `(slow, fast)`, in pixels."""
        n_slow, n_fast = self.masked.shape
        slow = np.arange(n_slow)[:, None] + 0.5 - self.beam_slow_px
        fast = np.arange(n_fast)[None, :] + 0.5 - self.beam_fast_px
        return np.asarray(np.hypot(slow, fast))

    def bin_edges_px(self) -> NDArray[np.float64]:
        """Edges of the `N_BINS` equal rings between the smallest and the largest unmasked radius."""
        radius = self.radius_px()[~self.masked]
        return np.linspace(radius.min(), radius.max(), N_BINS + 1)

    def bin_map(self) -> NDArray[np.uint16]:
        """Ring of each pixel, `(slow, fast)`; `NO_BIN` where masked."""
        edges = self.bin_edges_px()
        ring = np.clip(np.searchsorted(edges, self.radius_px(), side="right") - 1, 0, N_BINS - 1)
        return np.where(self.masked, NO_BIN, ring).astype(np.uint16)

    def save(self, folder: Path) -> None:
        """Write arrays and numbers into a folder."""
        folder.mkdir(parents=True)
        np.save(folder / "frames.npy", self.frames)
        np.save(folder / "masked.npy", self.masked)
        numbers = {key: value for key, value in vars(self).items() if isinstance(value, str | float)}
        (folder / "numbers.json").write_text(json.dumps(numbers), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> DataSet:
        """Read what :meth:`save` wrote, into this process's own memory."""
        numbers = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))
        return cls(frames=np.load(folder / "frames.npy"), masked=np.load(folder / "masked.npy"), **numbers)


def module_gaps(shape: tuple[int, int], module: tuple[int, int], gap: tuple[int, int]) -> NDArray[np.bool_]:
    """Return True between the modules of a tiled detector."""
    in_gap = [np.arange(shape[axis]) % (module[axis] + gap[axis]) >= module[axis] for axis in (0, 1)]
    return in_gap[0][:, None] | in_gap[1][None, :]


def _expected_background(radius_px: NDArray[np.float64], masked: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Air scatter that falls off, and the ring of water at 3.1 Å; the mean over unmasked pixels is `MEAN_PHOTONS`."""
    water_px = 675.0
    shape = 1.2 * np.exp(-radius_px / 250.0) + np.exp(-0.5 * ((radius_px - water_px) / 130.0) ** 2) + 0.15
    return np.asarray(shape * (MEAN_PHOTONS / shape[~masked].mean()))


def _add_spots(expected: NDArray[np.float64], n_spots: int, rng: np.random.Generator) -> None:
    """Add Gaussian spots of 30 to 5000 photons, evenly in the logarithm, with sigmas of 0.7 to 1.5 pixels."""
    half = 7
    n_slow, n_fast = expected.shape
    centres = rng.uniform(half + 1, [n_slow - half - 2, n_fast - half - 2], (n_spots, 2))
    photons = np.exp(rng.uniform(np.log(30.0), np.log(5000.0), n_spots))
    sigmas = rng.uniform(0.7, 1.5, n_spots)
    offset = np.arange(-half, half + 1)
    for (slow, fast), total, sigma in zip(centres, photons, sigmas, strict=True):
        row, column = int(slow), int(fast)
        along = np.exp(-0.5 * ((offset + row - slow) / sigma) ** 2)
        across = np.exp(-0.5 * ((offset + column - fast) / sigma) ** 2)
        patch = expected[row - half : row + half + 1, column - half : column + half + 1]
        patch += total / (2 * np.pi * sigma**2) * np.outer(along, across)


def _photons(blank: DataSet, seed: int) -> list[NDArray[np.float64]]:
    """Draw one frame of photons for each entry of `SPOTS_PER_FRAME`; the background's scale varies by 20 %."""
    rng = np.random.default_rng(seed)
    background = _expected_background(blank.radius_px(), blank.masked)
    frames = []
    for n_spots in SPOTS_PER_FRAME:
        expected = background * rng.uniform(0.8, 1.2)
        _add_spots(expected, n_spots, rng)
        frames.append(rng.poisson(expected).astype(np.float64))
    return frames


def _flat(name: str, masked: NDArray[np.bool_], frames: NDArray[Any]) -> DataSet:
    n_slow, n_fast = masked.shape
    return DataSet(name, frames, masked, 75e-6, 0.15, n_slow / 2 + 12.3, n_fast / 2 - 7.6, 1.0)


def eiger_4m(dtype: DTypeLike) -> DataSet:
    """Eiger 4M photon counts; gaps hold the largest value of the type."""
    kind = np.dtype(dtype)
    masked = module_gaps((2167, 2070), (514, 1030), (37, 10))
    blank = _flat(f"Eiger 4M {kind.name}", masked, np.empty((0, 2167, 2070), dtype=kind))
    top = np.iinfo(kind).max
    frames = np.stack([np.where(masked, top, np.minimum(one, top - 1)).astype(kind) for one in _photons(blank, 1)])
    return _flat(blank.name, masked, frames)


def jungfrau_4m() -> DataSet:
    """Jungfrau 4M in float32: 8 units a photon, read noise of 0.3 photon, NaN in gaps."""
    masked = module_gaps((2164, 2068), (514, 1030), (36, 8))
    blank = _flat("Jungfrau 4M float32", masked, np.empty((0, 2164, 2068), dtype=np.float32))
    rng = np.random.default_rng(2)
    frames = []
    for photons in _photons(blank, 3):
        signal = ADU_PER_PHOTON * (photons + rng.normal(0.0, READ_NOISE_PHOTONS, photons.shape))
        frames.append(np.where(masked, np.nan, signal).astype(np.float32))
    return _flat(blank.name, masked, np.stack(frames))


def pilatus_6m_thaumatin() -> DataSet:
    """Five real stills, Pilatus3 6M, from spots all over to blank; negative pixels are masked.

    Raises
    ------
    FileNotFoundError
        If the folder of real data is absent; ``FEWPHOTON_DATA`` names it.
    """
    named = os.environ.get("FEWPHOTON_DATA")
    folder = (Path(named) if named else ROOT.parent / "shared" / "data") / "thaumatin_grid_i24"
    files = sorted(folder.glob("*.cbf.bz2"))
    if not files:
        raise FileNotFoundError(f"no *.cbf.bz2 in {folder}; FEWPHOTON_DATA names the folder of real data")
    geometry = read_cbf_geometry(files[0])
    panel = geometry.detector.panels[0]
    with open_raw_frames([str(file) for file in files]) as raw:
        frames = np.concatenate([chunk for _, chunk in raw.chunks(1)])
    pixel_m = float(np.linalg.norm(panel.fast_step_m))
    return DataSet(
        "Pilatus 6M thaumatin",
        frames,
        np.asarray((frames < 0).any(axis=0)),
        pixel_m,
        float(panel.corner_m[2]),
        float(panel.corner_m[1]) / pixel_m,
        float(panel.corner_m[0]) / pixel_m,
        geometry.beam.wavelength_angstrom,
    )


DATA_SETS: dict[str, Callable[[], DataSet]] = {
    "eiger-u16": lambda: eiger_4m(np.uint16),
    "eiger-u32": lambda: eiger_4m(np.uint32),
    "jungfrau-f32": jungfrau_4m,
    "pilatus": pilatus_6m_thaumatin,
}
