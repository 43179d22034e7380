"""A small particle whose intensity is known in closed form, and patterns of it."""

from __future__ import annotations

import numpy as np
import torch

from fewphoton.config.train_xrai import TrainXraiConfig
from fewphoton.data import FrameTable, PhotonFrames
from fewphoton.data.orientations import rotation_matrices
from fewphoton.data.pattern_source import DensePatterns, PatternPixels, PhotonPatterns
from fewphoton.xrai.batches import held_out_split
from fewphoton.xrai.calibration import Calibration
from fewphoton.xrai.pose_model import PixelGrid, PoseModel
from fewphoton.xrai.processes import Processes
from fewphoton.xrai.training import Training

CPU = torch.device("cpu")
ATOMS = np.random.default_rng(3).uniform(-1, 1, (6, 3)) * [14.0, 8.0, 5.0]
BOX = 60.0
N = 14
CURVATURE = 2.0


def pixels(n: int = N, masked: tuple[int, ...] = ()) -> PatternPixels:
    axis = (np.arange(n) - (n - 1) / 2) / n * 0.16
    y, x = np.meshgrid(-axis, -axis, indexing="ij")
    q = np.stack([x, y, -CURVATURE * (x**2 + y**2) / 2], axis=-1).reshape(-1, 3)
    number = np.delete(np.arange(n * n), masked)
    response = 1 - 8 * (q[number] ** 2).sum(axis=1)
    return PatternPixels(q[number], response / response.mean(), number, (n, n))


def intensity(q: np.ndarray) -> np.ndarray:
    """Point scatterers with a Gaussian fall-off; `(...)` of `(..., 3)`."""
    waves = np.exp(2j * np.pi * q @ ATOMS.T).sum(axis=-1)
    return np.abs(waves) ** 2 * np.exp(-120 * (q**2).sum(axis=-1)) + 0.02


def quaternions(n: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((n, 4))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def expected(place: PatternPixels, quaternion: np.ndarray) -> np.ndarray:
    return intensity(place.q_per_angstrom @ rotation_matrices(quaternion)) * place.response


def noise_free(n: int = 300, seed: int = 0, place: PatternPixels | None = None) -> DensePatterns:
    where = pixels() if place is None else place
    return DensePatterns(expected(where, quaternions(n, seed)).astype(np.float32), where)


def photons(n: int = 300, seed: int = 0, place: PatternPixels | None = None, scale: float = 1.0) -> PhotonPatterns:
    where = pixels() if place is None else place
    counts = np.zeros((n, where.shape[0] * where.shape[1]), dtype=np.int64)
    drawn = np.random.default_rng(seed + 1).poisson(scale * expected(where, quaternions(n, seed)))
    counts[:, where.number] = drawn
    return PhotonPatterns(PhotonFrames.from_dense(counts, FrameTable.unknown(n)), where)


def small_config(**changes) -> TrainXraiConfig:
    small = {
        "encoder": {"widths": (32, 16), "heads": 3},
        "schedule": {"steps": 12, "batch_frames": 8, "pixels": 40, "evaluate_every": 4, "held_out_frames": 20},
    }
    return TrainXraiConfig(
        **{key: small.get(key, {}) | changes.get(key, {}) for key in small}
        | {key: value for key, value in changes.items() if key not in small}
    )


def small_model(source, config: TrainXraiConfig, seed: int = 0) -> PoseModel:
    calibration = Calibration.of_frames(source, np.arange(source.n_patterns), counts=source.counts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PoseModel(config, PixelGrid.of_source(source), calibration, BOX, counts=source.counts)
        model.start(torch.Generator().manual_seed(seed))
    return model


def training(config: TrainXraiConfig, source=None, processes: Processes | None = None) -> Training:
    source = noise_free(120) if source is None else source
    train, held = held_out_split(source.n_patterns, config.schedule.held_out_frames, config.seed)

    def build(start: int) -> PoseModel:
        return small_model(source, config, start)

    return Training(config, source, train, held, build, CPU, processes or Processes())
