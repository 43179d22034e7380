"""Simulated patterns: spheres, pairs of spheres, on the plane of the test detector."""

import numpy as np

from fewphoton.data import Beam, Detector, PhotonFrames
from fewphoton.particle.pattern_plane import PatternPlane, pattern_plane
from tests.conftest import flat_detector

EDGE = 64
BEAM = Beam(8.0)


def plane_with(masked=None) -> tuple[PatternPlane, Detector]:
    detector = flat_detector(EDGE, EDGE, 75e-6, 0.5)
    if masked is not None:
        detector = detector.with_mask(masked.ravel())
    return pattern_plane(detector, BEAM), detector


def bar_and_stop() -> np.ndarray:
    masked = np.zeros((EDGE, EDGE), dtype=bool)
    masked[31:33] = True
    masked[29:35, 29:35] = True
    return masked


def sphere_intensity(photons: float, radius: float = 0.35, apart: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Mean counts of one sphere, or of two alike that are ``apart`` (fringes of 1 / apart pixels)."""
    place = np.arange(EDGE) - (EDGE - 1) / 2
    slow, fast = np.meshgrid(place, place, indexing="ij")
    x = np.maximum(np.hypot(slow, fast) * radius, 1e-6)
    form = ((np.sin(x) - x * np.cos(x)) / x**3) ** 2
    form = form * (1 + np.cos(2 * np.pi * (slow * apart[0] + fast * apart[1]))) if any(apart) else form
    return photons * form / form.sum()


def counted(means, seed=0) -> PhotonFrames:
    rng = np.random.default_rng(seed)
    return PhotonFrames.from_dense(rng.poisson(np.stack(means)))
