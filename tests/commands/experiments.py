"""A small rotation experiment in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fewphoton.data import Beam, FrameTable
from fewphoton.io.geometry_yaml import write_geometry_yaml
from fewphoton.io.provenance import Provenance
from fewphoton.io.raw_frames import write_raw_frames
from tests.conftest import flat_detector

AXIS = np.array([0.0, 1.0, 0.0])
CELL = [21.47, 21.47, 21.47, 90, 90, 90]
SPACE_GROUP = "I -4 3 d"


def write_experiment(folder: Path) -> None:
    """Forty frames of 40 x 30 photon counts over 0.25 degree each (raw.h5), with a beam stop (geometry.yaml)."""
    detector = flat_detector(40, 30, 1e-3, 0.05)
    centres = detector.pixel_centres_m()
    detector = detector.with_mask(np.hypot(centres[:, 0], centres[:, 1]) < 3e-3)
    write_geometry_yaml(folder / "geometry.yaml", detector, Beam(0.71073), AXIS)
    number = np.arange(40)
    table = FrameTable(number, np.ones(40, dtype=np.int32), number // 20, number * 0.25, (number + 1) * 0.25)
    frames = np.random.default_rng(5).poisson(0.02, (40, 40, 30)).astype(np.uint16)
    frames[:, 0, 0] = 65535
    provenance = Provenance("test", {}, {})
    with write_raw_frames(folder / "raw.h5", (40, 30), np.uint16, 40, table, provenance) as writer:
        writer.append(frames)
