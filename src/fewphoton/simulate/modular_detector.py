"""A flat detector of modules whose gaps are pixels of the frame, as an Eiger's, and its dead pixels."""

from __future__ import annotations

import numpy as np

from fewphoton.config.simulate_stills import StillDetector
from fewphoton.data import Detector, Panel
from fewphoton.errors import GeometryError


def modular_detector(config: StillDetector) -> Detector:
    """Build a flat detector whose gaps are pixels of the frame, centred on the beam; rows run to -y, columns to -x."""
    size = config.pixel_size_m
    pitch = [edge + gap for edge, gap in zip(config.module_pixels, config.gap_pixels, strict=True)]
    shape = tuple(n * step - gap for n, step, gap in zip(config.modules, pitch, config.gap_pixels, strict=True))
    panels = tuple(
        Panel(
            f"module{row}{column}",
            row * pitch[0],
            column * pitch[1],
            *config.module_pixels,
            np.array(
                [
                    (shape[1] / 2 - column * pitch[1]) * size,
                    (shape[0] / 2 - row * pitch[0]) * size,
                    config.distance_m,
                ]
            ),
            np.array([0.0, -size, 0.0]),
            np.array([-size, 0.0, 0.0]),
        )
        for row in range(config.modules[0])
        for column in range(config.modules[1])
    )
    detector = Detector((shape[0], shape[1]), panels)
    centres = detector.pixel_centres_m()
    return detector.with_mask(np.hypot(centres[:, 0], centres[:, 1]) < config.beam_stop_radius_m)


def with_dead_pixels(detector: Detector, n_dead: int, rng: np.random.Generator) -> Detector:
    """Return the detector with ``n_dead`` of its usable pixels, drawn at random, masked.

    Raises
    ------
    GeometryError
        If no usable pixel would be left.
    """
    usable = np.flatnonzero(~detector.masked)
    if n_dead >= len(usable):
        raise GeometryError(f"{n_dead} dead pixels leave none of the {len(usable)} usable pixels")
    masked = detector.masked.copy()
    masked[rng.choice(usable, n_dead, replace=False)] = True
    return detector.with_mask(masked)
