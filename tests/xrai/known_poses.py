"""Patterns of a made-up particle of known poses: expected photons by point, counts drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fewphoton.data import Crystal
from fewphoton.data.frames import PhotonFrames
from fewphoton.data.pattern_source import DensePatterns, PatternPixels, PatternSource, PhotonPatterns
from fewphoton.xrai.estimation_problem import EstimationProblem
from tests.emc.snapshots import detector_of, particle_intensity

BOX = Crystal((40.0, 40.0, 40.0, 90, 90, 90), "P 1")
CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Particles:
    source: PatternSource
    quaternion: NDArray[np.float64]
    expected: NDArray[np.float32]
    scale: float


@cache
def particles(n_frames: int, photons: float, noise: str, seed: int = 3, n_pixels: int = 16) -> Particles:
    """Frames of a particle 12 angstrom in radius up to 1/7 per angstrom at the edge."""
    rng = np.random.default_rng(seed)
    detector, beam = detector_of(n_pixels, 0.13, 2.0)
    pixels = PatternPixels.of_detector(detector, beam)
    intensity = particle_intensity(4, radius_angstrom=9.0)
    rotation = Rotation.random(n_frames, rng)
    views = np.stack([intensity(pixels.q_per_angstrom @ one) for one in rotation.as_matrix()]) * pixels.response
    scale = photons / views.sum(axis=1).mean()
    expected = (views * scale).astype(np.float32)
    source: PatternSource = DensePatterns(expected, pixels)
    if noise == "poisson":
        dense = np.zeros((n_frames, detector.n_pixels), dtype=np.uint32)
        dense[:, pixels.number] = rng.poisson(expected)
        source = PhotonPatterns(PhotonFrames.from_dense(dense), pixels)
    return Particles(source, rotation.as_quat(scalar_first=True), expected, scale)


def problem_of(found: Particles, voxels_per_cell: int = 2, per_frame_fluence: bool = False) -> EstimationProblem:
    return EstimationProblem.build(
        found.source,
        BOX,
        CPU,
        voxels_per_cell=voxels_per_cell,
        per_frame_fluence=per_frame_fluence,
        n_rings=6,
        held_out_fraction=0.1,
        frames_in_memory_gb=1.0,
        seed=5,
    )


def off_by(quaternion: NDArray[np.float64], degrees: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Poses turned by this angle about random axes."""
    axis = rng.standard_normal((len(quaternion), 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * axis)
    return (turn * Rotation.from_quat(quaternion, scalar_first=True)).as_quat(scalar_first=True)
