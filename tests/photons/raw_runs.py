"""Simulated raw runs that several tests count."""

from dataclasses import dataclass

import numpy as np

from fewphoton.config.simulate import SimulatedReadout
from fewphoton.data import Detector, Panel, PhotonFrames
from fewphoton.photons.raw_sample import RawSample
from fewphoton.simulate.readout import Readout, make_readout, render_adu
from tests.conftest import random_frames


def two_panel_detector(n_slow=48, n_fast=40, gap=4):
    """Two panels side by side with a gap between them."""
    step = 1e-4
    width = (n_fast - gap) // 2
    panels = tuple(
        Panel(
            f"p{number}",
            0,
            first,
            n_slow,
            width,
            np.array([first * step, 0, 0.1]),
            np.array([0, step, 0]),
            np.array([step, 0, 0]),
        )
        for number, first in enumerate((0, width + gap))
    )
    return Detector((n_slow, n_fast), panels)


@dataclass
class RawRun:
    detector: Detector
    photons: PhotonFrames
    readout: Readout
    raw: np.ndarray

    def sample(self, chunk_frames=64, minimum_valid=None):
        return RawSample(lambda index: self.raw[index], np.arange(len(self.raw)), chunk_frames, minimum_valid)


def raw_run(n_frames=300, photons_per_frame=40.0, seed=0, bad=(), detector=None, **readout):
    detector = two_panel_detector() if detector is None else detector
    usable = (~detector.masked).astype(np.uint16)
    photons = random_frames(n_frames, detector.n_pixels, photons_per_frame, seed)
    photons = PhotonFrames.from_dense(photons.to_dense() * usable, photons.table)
    rng = np.random.default_rng(seed + 1)
    settings = SimulatedReadout(**({"hot_pixels": 0, "dead_pixels": 0} | readout))
    made = make_readout(settings, detector.n_pixels, rng)
    bad_frames = np.isin(np.arange(n_frames), bad)
    return RawRun(detector, photons, made, render_adu(photons, made, rng, bad_frames))
