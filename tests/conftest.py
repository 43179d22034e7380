"""Shared fixtures: small detectors, crystals and frames, and the place of the real data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from fewphoton.data import Beam, Crystal, Detector, FrameTable, Panel, PhotonFrames
from fewphoton.io.provenance import Provenance

ROOT = Path(__file__).resolve().parents[1]


def flat_detector(n_slow: int = 12, n_fast: int = 10, pixel_m: float = 1e-3, distance_m: float = 0.05) -> Detector:
    """One panel centred on the beam: fast along -x, slow along -y (an image seen from the sample)."""
    corner = np.array([n_fast / 2 * pixel_m, n_slow / 2 * pixel_m, distance_m])
    panel = Panel("p0", 0, 0, n_slow, n_fast, corner, np.array([0, -pixel_m, 0]), np.array([-pixel_m, 0, 0]))
    return Detector((n_slow, n_fast), (panel,))


@pytest.fixture
def detector() -> Detector:
    return flat_detector()


@pytest.fixture
def beam() -> Beam:
    return Beam(0.71073)


@pytest.fixture
def cubic_crystal() -> Crystal:
    return Crystal((21.47, 21.47, 21.47, 90, 90, 90), "I -4 3 d")


@pytest.fixture
def provenance() -> Provenance:
    return Provenance("test", {"a": 1}, {})


def random_frames(n_frames: int, n_pixels: int, mean_photons: float, seed: int = 0) -> PhotonFrames:
    """Poisson frames with angles that advance by 0.1 degree, in batches of 10."""
    rng = np.random.default_rng(seed)
    dense = rng.poisson(mean_photons / n_pixels, (n_frames, n_pixels)).astype(np.uint16)
    number = np.arange(n_frames)
    table = FrameTable(number, np.ones(n_frames, dtype=np.int32), number // 10, number * 0.1, (number + 1) * 0.1)
    return PhotonFrames.from_dense(dense, table)


@pytest.fixture
def frames(detector: Detector) -> PhotonFrames:
    return random_frames(25, detector.n_pixels, 8.0)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the real data sets, or skip with the reason."""
    named = os.environ.get("FEWPHOTON_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set FEWPHOTON_DATA)")
    return folder
