"""Flat detectors, normal to the beam and centred on it: tiles with gaps between them, or one square."""

from __future__ import annotations

import numpy as np

from fewphoton.config.simulate import SimulatedDetector, SquareDetector
from fewphoton.data import Detector, Panel
from fewphoton.errors import GeometryError


def tiled_detector(config: SimulatedDetector) -> Detector:
    """Build a flat tiled detector, centred on the beam, rows running down (-y) and columns to -x."""
    edge = config.tile_pixels
    pitch = edge + config.gap_pixels
    size = config.pixel_size_m
    n_rows, n_columns = config.tiles
    height = (n_rows * edge + (n_rows - 1) * config.gap_pixels) * size
    width = (n_columns * edge + (n_columns - 1) * config.gap_pixels) * size
    panels = [
        Panel(
            f"tile{row}{column}",
            row * edge,
            column * edge,
            edge,
            edge,
            np.array([width / 2 - column * pitch * size, height / 2 - row * pitch * size, config.distance_m]),
            np.array([0.0, -size, 0.0]),
            np.array([-size, 0.0, 0.0]),
        )
        for row in range(n_rows)
        for column in range(n_columns)
    ]
    detector = Detector((n_rows * edge, n_columns * edge), tuple(panels))
    centres = detector.pixel_centres_m()
    masked = np.hypot(centres[:, 0], centres[:, 1]) < config.beam_stop_radius_m
    if masked.all():
        raise GeometryError(f"a beam stop of {config.beam_stop_radius_m} m hides the whole simulated detector")
    return detector.with_mask(masked)


def square_detector(config: SquareDetector) -> Detector:
    """Build the detector of a configuration; rows run to -y, columns to -x."""
    return tiled_detector(
        SimulatedDetector(
            tiles=(1, 1),
            tile_pixels=config.pixels,
            gap_pixels=0,
            pixel_size_m=config.pixel_size_m,
            distance_m=config.distance_m,
            beam_stop_radius_m=config.beam_stop_radius_m,
        )
    )
