"""Where the lattice puts spots on one frame: from the truth of simulated stills, or from DIALS experiments."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fewphoton.config.separation_figure import DrawSeparationConfig
from fewphoton.data import Beam, Detector
from fewphoton.data.detector import q_vectors
from fewphoton.errors import ConfigError
from fewphoton.evaluate.predict_spots import allowed_reflections, predict_rotation, predict_still
from fewphoton.evaluate.spot_geometry import PredictedSpots
from fewphoton.figures import peak_comparison
from fewphoton.io.dials_experiments import DialsExperiment, read_dials_experiments
from fewphoton.io.still_truth import read_still_truth


def predicted_positions(
    still_truth: Path | None,
    experiments: Path | None,
    config: DrawSeparationConfig,
    detector: Detector,
    beam: Beam,
) -> peak_comparison.FramePeakList | None:
    """Return the predicted spots of the configured frame; None where neither source is given.

    Raises
    ------
    ConfigError
        If both are given, or the experiment does not fit the frame.
    """
    if still_truth is not None and experiments is not None:
        raise ConfigError("peak_comparison takes predictions from either --still-truth or --experiments")
    if still_truth is not None:
        truth = read_still_truth(still_truth, config.frame, config.frame + 1)
        spots = truth.spots
        q = np.linalg.norm(spots.hkl @ truth.shots.ub_inv_angstrom[0].T, axis=1)
        return peak_comparison.FramePeakList("predicted", spots.slow_px, spots.fast_px, spots.panel, q)
    if experiments is None:
        return None
    found = _predict(read_dials_experiments(experiments), config, detector, beam)
    return peak_comparison.FramePeakList("predicted", found.slow_px, found.fast_px, found.panel, found.q_inv_angstrom)


def _predict(
    experiments: tuple[DialsExperiment, ...], config: DrawSeparationConfig, detector: Detector, beam: Beam
) -> PredictedSpots:
    number = config.frame if experiments[0].rotation_axis is None else config.experiment
    if number >= len(experiments):
        raise ConfigError(f"there is no experiment {number}; the file holds {len(experiments)}")
    item = experiments[number]
    if item.detector.frame_shape != detector.frame_shape or len(item.detector.panels) != len(detector.panels):
        raise ConfigError("the experiment describes another detector than the geometry")
    d_min = float(1 / np.nanmax(np.linalg.norm(q_vectors(detector, beam)[~detector.masked], axis=1)))
    if item.rotation_axis is None:
        hkl = allowed_reflections(item.crystal, d_min)
        return predict_still(item, hkl, item.ub_inv_angstrom[0], config.excitation_error_max_inv_angstrom)
    place = config.frame if config.image is None else config.image - item.first_image
    if not 0 <= place < item.n_images:
        raise ConfigError(
            f"image {place + item.first_image} lies outside the scan, "
            f"{item.first_image} to {item.first_image + item.n_images - 1}"
        )
    mosaicity = 0.0 if item.mosaicity_deg is None else item.mosaicity_deg
    # Spots that pass the sphere slowly are on many images; those beyond zeta 0.05 are not waited for.
    reach = int(np.ceil(config.rocking_sigmas * mosaicity / (0.05 * abs(item.omega_step_deg))))
    first, stop = max(0, place - reach), min(item.n_images, place + 1 + reach)
    spots = predict_rotation(item, d_min, first, stop - first)
    with np.errstate(divide="ignore"):
        width = config.rocking_sigmas * mosaicity / np.abs(spots.zeta * item.omega_step_deg)
    return spots.take(np.abs(spots.image - place - 0.5) <= 0.5 + width)
